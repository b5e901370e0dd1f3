"""A melee between two as a parallel environment of PettingZoo, for other people's algorithms."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from pettingzoo import ParallelEnv

from envs.observations import row
from envs.standin.vector_env import make


class StandinParallelEnv(ParallelEnv[str, dict[str, Any], dict[str, Any]]):
    """A view of one game with two players: the same game, seed for seed, as the two rows of its vector environment.

    ``StandinParallelEnv("Simple64")`` takes the options of :func:`envs.standin.vector_env.make`. Both sides see and
    choose in the same spaces; victory pays 1 and defeat -1; the time limit truncates both.
    """

    metadata = {"name": "standin_melee_v0", "render_modes": ["rgb_array"], "render_fps": 2.8}  # noqa: RUF012

    def __init__(self, scenario: str = "Simple64", **options: Any) -> None:
        self.games = make(scenario, 2, players=2, **options)
        self.render_mode = self.games.render_mode
        self.possible_agents = ["player_1", "player_2"]
        self.agents: list[str] = []
        self.observation_spaces = dict.fromkeys(self.possible_agents, self.games.single_observation_space)
        self.action_spaces = dict.fromkeys(self.possible_agents, self.games.single_action_space)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same object for both."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object for both."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Start the next game, or the first one of a seed."""
        observation, _ = self.games.reset(seed=seed)
        self.agents = list(self.possible_agents)
        return self._each(lambda i: deepcopy(row(observation, i))), self._each(lambda i: {})

    def step(self, actions: dict[str, dict[str, Any]]) -> tuple[Any, Any, Any, Any, Any]:
        """An action of each, ``step_mul`` game loops. After the end nobody is left: call :meth:`reset`."""
        both = [actions[agent] for agent in self.possible_agents]
        batch = {name: np.stack([np.asarray(one[name]) for one in both]) for name in both[0]}
        observation, reward, terminated, truncated, info = self.games.step(batch)
        over = bool(terminated[0] or truncated[0])
        shown = self._each(lambda i: info["final_obs"][i] if over else deepcopy(row(observation, i)))
        told = self._each(lambda i: {"refused": int(info["refused"][i])})
        if over:
            self.agents = []
            for i, agent in enumerate(self.possible_agents):
                told[agent]["outcome"] = int(info["final_info"]["outcome"][i])
        ends, cuts = self._each(lambda i: bool(terminated[i])), self._each(lambda i: bool(truncated[i]))
        return shown, self._each(lambda i: float(reward[i])), ends, cuts, told

    def _each(self, ask: Any) -> dict[str, Any]:
        return {agent: ask(i) for i, agent in enumerate(self.possible_agents)}

    def render(self) -> npt.NDArray[np.uint8]:
        """What the first player sees, [height, width, 3]."""
        return self.games.render()[0]

    def close(self) -> None:
        """Let go of the game."""
        self.games.close()


def parallel_env(scenario: str = "Simple64", **options: Any) -> StandinParallelEnv:
    """PettingZoo's name for what makes one."""
    return StandinParallelEnv(scenario, **options)
