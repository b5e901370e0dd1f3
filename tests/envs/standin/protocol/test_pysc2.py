"""PySC2, unmodified, plays against the stand-in game: its environment, its run loop, its own agents."""

from pathlib import Path

import pytest

sc2_env = pytest.importorskip("pysc2_evolved.env.sc2_env")

from pysc2_evolved.agents import scripted_agent  # noqa: E402
from pysc2_evolved.env import run_loop  # noqa: E402
from pysc2_evolved.lib import features  # noqa: E402


def play(agent, map_name: str, size: int, episodes: int = 1, seed: int = 1):
    dimensions = features.Dimensions(screen=size, minimap=64)
    interface = features.AgentInterfaceFormat(feature_dimensions=dimensions, use_feature_units=True)
    with sc2_env.SC2Env(
        map_name=map_name,
        players=[sc2_env.Agent(sc2_env.Race.terran)],
        agent_interface_format=interface,
        step_mul=8,
        random_seed=seed,
    ) as env:
        run_loop.run_loop([agent], env, max_episodes=episodes)
    return agent.reward


def test_scripted_move_to_beacon(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SC2PATH", str(installation))
    # The published mean is 26, of Reaver's episodes 21 to 31.
    assert 21 <= play(scripted_agent.MoveToBeacon(), "MoveToBeacon", 84) <= 31
