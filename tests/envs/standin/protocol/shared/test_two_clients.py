"""Two programs that nobody here wrote play each other through the server: PySC2's agents, python-sc2's bots."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sc2.main")
portpicker = pytest.importorskip("portpicker")

DUEL, AGENTS = (Path(__file__).with_name(name) for name in ("python_sc2_duel.py", "pysc2_agents.py"))


def heard(installation: Path, *programs: list[str | Path]) -> list[str | None]:
    """The last line of each of two programs that play each other; None of one that failed."""
    ports = ",".join(str(portpicker.pick_unused_port()) for _ in range(4))
    sides = [
        subprocess.Popen(
            [sys.executable, *program, ports],
            env={**os.environ, "SC2PATH": str(installation)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for program in programs
    ]
    told = [side.communicate(timeout=300) for side in sides]
    print(*(error for _, error in told), sep="\n")
    return [None if side.returncode else out.splitlines()[-1] for side, (out, _) in zip(sides, told, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(("second", "results"), [("idle", ["Victory", "Defeat"]), ("crash", ["Victory", None])])
def test_python_sc2_bots_play_each_other(installation: Path, second: str, results: list[str | None]) -> None:
    assert heard(installation, [DUEL, "host", "rush"], [DUEL, "join", second]) == results


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bot", "agent", "results"), [("rush", "idle", ["Victory", "-1"]), ("idle", "rush", ["Defeat", "1"])]
)
def test_a_python_sc2_bot_and_a_pysc2_agent_play_each_other(
    installation: Path, bot: str, agent: str, results: list[str | None]
) -> None:
    pytest.importorskip("pysc2_evolved")
    assert heard(installation, [DUEL, "host", bot], [AGENTS, agent]) == results


@pytest.mark.slow
def test_pysc2_agents_play_each_other_to_the_end(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sc2_env = pytest.importorskip("pysc2_evolved.env.sc2_env")
    from pysc2_evolved.env import run_loop

    from tests.envs.standin.protocol.shared.pysc2_agents import Idle, Rush, interface

    monkeypatch.setenv("SC2PATH", str(installation))
    agents = [Rush(), Idle()]
    with sc2_env.SC2Env(
        map_name="Simple64",
        players=[sc2_env.Agent(sc2_env.Race.terran), sc2_env.Agent(sc2_env.Race.terran)],
        agent_interface_format=interface(),
        step_mul=16,
        random_seed=1,
    ) as env:
        run_loop.run_loop(agents, env, max_episodes=1)
    assert [agent.reward for agent in agents] == [1, -1]
