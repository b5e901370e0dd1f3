"""The view of two players against PettingZoo's own test, and against the rows that it is a view of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pettingzoo = pytest.importorskip("pettingzoo")

from pettingzoo.test import parallel_api_test  # noqa: E402

from envs.standin.parallel_env import parallel_env  # noqa: E402
from envs.standin.vector_env import make  # noqa: E402

OPTIONS = {
    "style": "raw", "functions": ("no_op", "Attack_pt"), "max_units": 32, "minimap": 8, "minimap_planes": (),
    "max_loops": 160,
}  # fmt: skip


def test_pettingzoos_test_accepts_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(parallel_env(**OPTIONS), num_cycles=50)


def test_both_play_the_games_two_rows() -> None:
    one, rows = parallel_env(**OPTIONS), make("Simple64", 2, players=2, **OPTIONS)
    seen, _ = one.reset(seed=5)
    batch, _ = rows.reset(seed=5)
    space = one.action_space("player_1")
    space.seed(0)
    while one.agents:
        for i, agent in enumerate(one.possible_agents):
            assert np.array_equal(seen[agent]["units"]["features"], batch["units"]["features"][i])
        actions = {agent: space.sample() for agent in one.agents}
        seen, reward, ends, cuts, told = one.step(actions)
        batch, rewards, terminated, truncated, _ = rows.step(
            {name: np.stack([np.asarray(a[name]) for a in actions.values()]) for name in space.spaces}
        )
        for i, agent in enumerate(one.possible_agents):
            assert (reward[agent], ends[agent], cuts[agent]) == (rewards[i], terminated[i], truncated[i])
    assert set(cuts.values()) == {True}
    assert [told[agent]["outcome"] for agent in one.possible_agents] == [0, 0]
