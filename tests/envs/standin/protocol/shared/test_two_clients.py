"""Two programs that nobody here wrote play each other through the server: PySC2's agents, python-sc2's bots."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DUEL = Path(__file__).with_name("python_sc2_duel.py")


@pytest.mark.slow
@pytest.mark.parametrize(("how", "results"), [([], ["Victory", "Defeat"]), (["crash"], ["Victory", "Defeat"])])
def test_python_sc2_bots_play_each_other(installation: Path, how: list[str], results: list[str]) -> None:
    pytest.importorskip("sc2.main")
    environment = {**os.environ, "SC2PATH": str(installation)}
    done = subprocess.run(
        [sys.executable, DUEL, *how], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == results


@pytest.mark.slow
def test_pysc2_agents_play_each_other_to_the_end(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sc2_env = pytest.importorskip("pysc2_evolved.env.sc2_env")
    from pysc2_evolved.agents import base_agent
    from pysc2_evolved.env import run_loop
    from pysc2_evolved.lib import actions, features

    monkeypatch.setenv("SC2PATH", str(installation))
    functions = actions.RAW_FUNCTIONS

    class Idle(base_agent.BaseAgent):  # type: ignore[misc, name-defined]
        def step(self, obs):  # type: ignore[no-untyped-def]
            super().step(obs)
            return functions.no_op()

    class Rush(Idle):
        def step(self, obs):  # type: ignore[no-untyped-def]
            super().step(obs)
            units = obs.observation.raw_units
            workers = [u.tag for u in units if u.alliance == 1 and u.unit_type == 45 and u.order_length == 0]
            workers = workers or ([u.tag for u in units if u.alliance == 1] if obs.first() else [])
            home = next(u for u in units if u.alliance == 1 and u.unit_type == 18)
            return functions.Attack_pt("now", workers, (64 - home.x, 64 - home.y)) if workers else functions.no_op()

    agents = [Rush(), Idle()]
    face = features.AgentInterfaceFormat(
        action_space=actions.ActionSpace.RAW, use_raw_units=True, use_raw_actions=True, raw_resolution=64
    )
    with sc2_env.SC2Env(
        map_name="Simple64",
        players=[sc2_env.Agent(sc2_env.Race.terran), sc2_env.Agent(sc2_env.Race.terran)],
        agent_interface_format=face,
        step_mul=16,
        random_seed=1,
    ) as env:
        run_loop.run_loop(agents, env, max_episodes=1)
    assert [agent.reward for agent in agents] == [1, -1]
