"""A melee through PySC2, with its processes and sockets: the same game as natively, step by step, to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from agents.acting.evaluate import RandomPlayer
from envs import registry


def arrays(nest: dict[str, Any], path: str = "") -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, part in nest.items():
        parts |= arrays(part, f"{path}/{name}") if isinstance(part, dict) else {f"{path}/{name}": part}
    return parts


@pytest.mark.parametrize(("limit", "outcome"), [({}, -1), ({"max_loops": 200}, 0)])
def test_a_melee_is_the_same_through_pysc2(
    installation: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int], outcome: int
) -> None:
    monkeypatch.setenv("SC2PATH", str(installation))
    here, there = (
        registry.make(f"{kind}/Simple64", 1, opponent="terran:elite:rush", **limit) for kind in ("sim", "sc2")
    )
    assert here.single_observation_space == there.single_observation_space
    assert here.single_action_space == there.single_action_space
    player = RandomPlayer(here.single_action_space, seed=0)
    try:
        one, other = here.reset(seed=5)[0], there.reset(seed=5)[0]
        ended = False
        while not ended:
            expected, got = arrays(one), arrays(other)
            assert expected.keys() == got.keys()
            for name, value in expected.items():
                np.testing.assert_allclose(got[name], value, atol=1e-3, err_msg=name)
            action = player.act(one, np.zeros(1, bool))
            one, *said, info = here.step(action)
            other, *said_too, info_too = there.step(action)
            assert [part.tolist() for part in said] == [part.tolist() for part in said_too]
            ended = bool(said[1] | said[2])
        for told in (info, info_too):
            assert told["final_info"]["outcome"].tolist() == [outcome]
    finally:
        there.close()
