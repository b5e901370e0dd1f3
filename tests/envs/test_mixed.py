"""Several mini-games side by side: shares, seeds, spaces, and that each game is the game that it would be alone."""

import numpy as np
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import registry
from envs.errors import EnvError
from envs.mixed import MixedVectorEnv, share
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS, common_interface, interface_for

MIXTURE = "sim/MoveToBeacon*2 + sim/DefeatRoaches"
weights = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 100), min_size=1)


@given(weights, st.integers(0, 200))
def test_shares_are_within_one_game_of_the_weights_and_none_is_left_out(weights, more):
    games = len(weights) + more
    shares = share(games, weights)
    assert sum(shares.values()) == games
    assert all(shares[name] >= 1 for name in weights)
    for name, weight in weights.items():
        assert abs(shares[name] - 1 - more * weight / sum(weights.values())) < 1 + 1e-9


def test_games_are_those_of_the_environments_by_themselves():
    face = common_interface(["MoveToBeacon", "DefeatRoaches"])
    mixed = MixedVectorEnv(
        {name: make(name, n, interface=face) for name, n in (("MoveToBeacon", 2), ("DefeatRoaches", 3))}
    )
    alone = {
        name: make(name, n, interface=face, max_loops=None) for name, n in (("MoveToBeacon", 2), ("DefeatRoaches", 3))
    }
    seeds = [5, 6, 7, 8, 9]
    seen, _ = mixed.reset(seed=seeds)
    apart = [env.reset(seed=s)[0] for env, s in zip(alone.values(), (seeds[:2], seeds[2:]), strict=True)]
    mixed.action_space.seed(0)
    ended = 0
    for _ in range(300):
        for path, x in zip(optree.tree_paths(seen), optree.tree_leaves(seen), strict=True):
            whole = np.concatenate([optree.tree_leaves(o)[optree.tree_paths(o).index(path)] for o in apart])
            np.testing.assert_array_equal(x, whole)
        action = mixed.action_space.sample()
        seen, reward, terminated, truncated, info = mixed.step(action)
        told = [
            env.step({k: v[a:b] for k, v in action.items()})
            for env, (a, b) in zip(alone.values(), ((0, 2), (2, 5)), strict=True)
        ]
        apart = [t[0] for t in told]
        np.testing.assert_array_equal(reward, np.concatenate([t[1] for t in told]))
        np.testing.assert_array_equal(terminated, np.concatenate([t[2] for t in told]))
        np.testing.assert_array_equal(truncated, np.concatenate([t[3] for t in told]))
        over = terminated | truncated
        if over.any():
            ended += over.sum()
            np.testing.assert_array_equal(info["_final_obs"], over)
            assert [x is not None for x in info["final_obs"]] == over.tolist()
    assert ended > 3


def test_environments_get_seeds_of_their_own():
    """Twice the same map: the games of one are not those of the other, and one seed always gives the same."""
    mixed = MixedVectorEnv({name: make("MoveToBeacon", 2) for name in ("one", "other")})
    seen, again, other = (np.array(mixed.reset(seed=seed)[0]["units"]["features"]) for seed in (3, 3, 4))
    assert len(np.unique(seen.reshape(4, -1), axis=0)) == 4
    np.testing.assert_array_equal(seen, again)
    assert not (seen == other).all()


def test_a_mixture_by_name():
    env = registry.make(MIXTURE, 6)
    assert env.scenarios == ("sim/MoveToBeacon",) * 4 + ("sim/DefeatRoaches",) * 2
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    state = env.save_state()
    action = env.action_space.sample()
    after = [x.copy() for x in optree.tree_leaves(env.step(action)[0])]
    env.load_state(state)
    for x, y in zip(after, optree.tree_leaves(env.step(action)[0]), strict=True):
        np.testing.assert_array_equal(x, y)
    assert registry.make(MIXTURE, 3, screen=8).single_observation_space["screen"].shape[:2] == (8, 8)


def test_the_common_interface_offers_what_any_map_needs():
    face = common_interface(list(MAPS))
    for name in MAPS:
        own = interface_for(name)
        for field in ("unit_features", "screen_planes", "minimap_planes", "numbers", "functions", "arguments"):
            assert set(getattr(own, field)) <= set(getattr(face, field))
        assert own.screen <= face.screen
        assert own.max_units <= face.max_units
    for name in MAPS:
        alone, own = common_interface([name]), interface_for(name)
        assert set(alone.functions) == set(own.functions)
        assert (alone.max_units, alone.screen, alone.minimap) == (own.max_units, own.screen, own.minimap)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("sim/MoveToBeacon*0 + sim/DefeatRoaches", "'0' is no weight"),
        ("sim/MoveToBeacon + sim/MoveToBeacon", "named twice"),
        ("sim/MoveToBeacon + CartPole-v1", "CartPole-v1 is no mini-game"),
        ("sim/MoveToBeacon + sim/DefeatRoach", "did you mean 'sim/DefeatRoaches'"),
    ],
)
def test_what_cannot_be_mixed_is_named(env_id, message):
    with pytest.raises(EnvError, match=message):
        registry.make(env_id, 4)
    with pytest.raises(EnvError, match="as many games"):
        registry.make(MIXTURE, 1)
