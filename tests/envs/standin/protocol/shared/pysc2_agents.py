"""PySC2's agents for games of two; as a program one of them joins a game that another client hosts.

``python pysc2_agents.py rush 5001,5002,5003,5004`` joins by these ports and prints the reward at the game's end.
"""

import sys

from absl import flags
from pysc2_evolved.agents import base_agent
from pysc2_evolved.env import run_loop, sc2_env
from pysc2_evolved.lib import actions, features

FUNCTIONS = actions.RAW_FUNCTIONS
SCV, COMMAND_CENTER = 45, 18


class Idle(base_agent.BaseAgent):
    """Nobody does anything but what they do anyway."""

    def step(self, obs):
        super().step(obs)
        return FUNCTIONS.no_op()


class Rush(base_agent.BaseAgent):
    """All workers attack."""

    def step(self, obs):
        super().step(obs)
        own = [u for u in obs.observation.raw_units if u.alliance == 1]
        workers = [u.tag for u in own if u.unit_type == SCV and u.order_length == 0]
        workers = workers or ([u.tag for u in own] if obs.first() else [])
        home = next(u for u in own if u.unit_type == COMMAND_CENTER)
        return FUNCTIONS.Attack_pt("now", workers, (64 - home.x, 64 - home.y)) if workers else FUNCTIONS.no_op()


def interface() -> features.AgentInterfaceFormat:
    return features.AgentInterfaceFormat(
        action_space=actions.ActionSpace.RAW, use_raw_units=True, use_raw_actions=True, raw_resolution=64
    )


class Guest(sc2_env.SC2Env):
    """PySC2's environment in a game that another client has created: its own for that, ``remote_sc2_env`` of
    pysc2_evolved 1.1.1, cannot be imported."""

    def __init__(self, ports, **options):
        self.ports = ports
        super().__init__(**options)

    def _create_join(self):
        self._controllers[0].create_game = lambda create: None
        self._ports = self.ports
        super()._create_join()
        self._ports = []  # not its own, to give back


def main() -> None:
    flags.FLAGS(sys.argv[:1])
    agent = {"rush": Rush, "idle": Idle}[sys.argv[1]]()
    other = sc2_env.Bot(
        sc2_env.Race.terran, sc2_env.Difficulty.very_easy
    )  # only counted: the host has created the game
    with Guest(
        [int(port) for port in sys.argv[2].split(",")],
        map_name="Simple64",
        players=[sc2_env.Agent(sc2_env.Race.terran), other],
        agent_interface_format=interface(),
        step_mul=16,
    ) as env:
        run_loop.run_loop([agent], env, max_episodes=1)
    print(int(agent.reward))


if __name__ == "__main__":
    main()
