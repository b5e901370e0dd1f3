import re

import gymnasium
import numpy as np
import optree
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import registry as registered
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.gym import GymVectorEnv, check_space

TAXI = next(name for name in ("Taxi-v4", "Taxi-v3") if name in registered)


def vector(name: str, games: int) -> GymVectorEnv:
    return GymVectorEnv(lambda: gymnasium.make(name), games)


def copy(nest):
    return optree.tree_map(np.array, nest)


def assert_same(left, right):
    assert optree.tree_structure(left) == optree.tree_structure(right)
    for a, b in zip(optree.tree_leaves(left), optree.tree_leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


class Countdown(gymnasium.Env):
    """Ends after three steps; writes every observation into one and the same array."""

    observation_space = spaces.Box(0, 9, (1,), np.float32)
    action_space = spaces.Tuple([spaces.Discrete(3, start=5), spaces.Dict({"push": spaces.Box(-1, 1, (2,))})])

    def __init__(self):
        self.place = np.zeros(1, np.float32)
        self.chosen = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place[0] = 0
        return self.place, {"final_obs": "an info of its own"}

    def step(self, action):
        self.chosen.append(action)
        self.place += 1
        return self.place, 0.5, bool(self.place[0] == 3), False, {"anything": object()}


def test_it_does_what_environments_stepped_by_hand_do():
    games = 3
    env = vector("CartPole-v1", games)
    singles = [gymnasium.make("CartPole-v1") for _ in range(games)]
    observation, _ = env.reset(seed=[11, 12, 13])
    assert_same(observation, np.stack([e.reset(seed=11 + i)[0] for i, e in enumerate(singles)]))
    random = np.random.default_rng(0)
    ends = 0
    for _ in range(150):
        actions = random.integers(0, 2, games)
        observation, reward, terminated, truncated, info = env.step(actions)
        for i, single in enumerate(singles):
            expected, gain, end, cut, _ = single.step(actions[i])
            assert (reward[i], terminated[i], truncated[i]) == (gain, end, cut)
            if end or cut:
                assert info["_final_obs"][i]
                np.testing.assert_array_equal(info["final_obs"][i], expected)
                expected, _ = single.reset()
                ends += 1
            else:
                assert not ("_final_obs" in info and info["_final_obs"][i])
            np.testing.assert_array_equal(observation[i], expected)
    assert ends > 5


def test_a_final_observation_survives_an_environment_that_reuses_its_array():
    env = GymVectorEnv(Countdown, 2)
    env.reset(seed=0)
    action = (np.array([5, 7]), {"push": np.zeros((2, 2), np.float32)})
    for _ in range(3):
        observation, _, terminated, _, info = env.step(action)
    assert terminated.all()
    assert [float(x[0]) for x in info["final_obs"]] == [3, 3]
    assert observation.tolist() == [[0], [0]]
    assert set(info) == {"final_obs", "_final_obs"}


def test_nested_actions_reach_each_game_as_its_own_space_has_them():
    env = GymVectorEnv(Countdown, 2)
    env.reset(seed=0)
    env.step((np.array([5, 7]), {"push": np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)}))
    for single, discrete, push in zip(env.envs, (5, 7), ([0.1, 0.2], [0.3, 0.4]), strict=True):
        (chosen,) = single.unwrapped.chosen
        assert single.action_space.contains((chosen[0], dict(chosen[1])))
        assert chosen[0] == discrete
        np.testing.assert_allclose(chosen[1]["push"], push)


def play(env: GymVectorEnv, steps: int, seed: int):
    random = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        action = random.integers(0, env.single_action_space.n, env.num_envs)
        observation, reward, terminated, truncated, _ = env.step(action)
        seen.append((copy(observation), reward, terminated, truncated))
    return seen


def test_a_seed_decides_every_later_episode_and_neighbors_share_no_stream():
    first, again, other = (vector("CartPole-v1", 4) for _ in range(3))
    starts = [copy(env.reset(seed=seed)[0]) for env, seed in ((first, 7), (again, 7), (other, 8))]
    assert_same(starts[0], starts[1])
    rows = {tuple(row) for row in np.concatenate([starts[0], starts[2]]).tolist()}
    assert len(rows) == 8
    ours, theirs = play(first, 120, 0), play(again, 120, 0)
    assert sum(t.sum() for _, _, t, _ in ours) > 4
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("name", ["CartPole-v1", TAXI, "Blackjack-v1"])
def test_a_loaded_state_goes_on_exactly_as_the_saved_one(name):
    env = vector(name, 3)
    env.reset(seed=5)
    before = play(env, 23, 1)[-1][0]
    state = env.save_state()
    expected = play(env, 60, 2)
    fresh = vector(name, 3)
    fresh.reset(seed=99)
    assert_same(fresh.load_state(state), before)
    for a, b in zip(play(fresh, 60, 2), expected, strict=True):
        assert_same(a, b)


def test_a_state_of_another_number_of_games_is_refused():
    state = vector("CartPole-v1", 2).save_state()
    with pytest.raises(ValueError, match="2 environments, here are 3"):
        vector("CartPole-v1", 3).load_state(state)


def test_an_environment_that_cannot_be_saved_says_so_once_in_a_line():
    class Local(Countdown):
        pass

    env = GymVectorEnv(Local, 1)
    with pytest.warns(UserWarning, match="Local cannot be saved.*start its episodes anew"):
        assert env.save_state() == {}
    with pytest.raises(ValueError, match="reset it"):
        env.load_state({})


def test_a_mask_in_info_becomes_part_of_the_observation():
    env = vector(TAXI, 3)
    observation, _ = env.reset(seed=0)
    random = np.random.default_rng(0)
    for _ in range(250):
        assert env.observation_space.contains(observation)
        for i, single in enumerate(env.envs):
            legal = single.unwrapped.action_mask(int(observation["observation"][i]))
            np.testing.assert_array_equal(observation["action_mask"][i], legal)
        observation, *_ = env.step(random.integers(0, 6, 3))


leaf_spaces = st.one_of(
    st.builds(spaces.Discrete, st.integers(1, 5), start=st.integers(-3, 3)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 4), min_size=1, max_size=3)),
    st.builds(spaces.MultiBinary, st.integers(1, 4)),
    st.sampled_from([np.float32, np.float64, np.uint8, np.int64]).map(lambda kind: spaces.Box(0, 100, (2, 3), kind)),
)


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
            st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(spaces.Dict),
        ),
        max_leaves=6,
    )


class Odd(spaces.Space):
    """A kind of space that nobody here has heard of."""


class Anything(gymnasium.Env):
    """Observes and takes whatever its spaces sample; episodes of three steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        return self.observation_space.sample(), 1.0, False, self.steps == 3, {}


@settings(max_examples=30, deadline=None)
@given(nested(leaf_spaces), nested(leaf_spaces))
def test_nested_supported_spaces_are_stepped_as_they_are(observed, chosen):
    env = GymVectorEnv(lambda: Anything(observed, chosen), 2)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    for step in range(1, 5):
        observation, _, _, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert truncated.tolist() == [step == 3] * 2
        if step == 3:
            assert all(observed.contains(final) for final in info["final_obs"])


@settings(max_examples=30, deadline=None)
@given(nested(leaf_spaces), st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 2)), max_size=3))
def test_a_space_that_is_not_supported_is_named_however_deep_it_lies(beside, path):
    space = Odd()
    for key in reversed(path):
        if isinstance(key, str):
            space = spaces.Dict({"d": beside, key: space})
        else:
            space = spaces.Tuple([*[beside] * key, space, beside])
    named = "it" + "".join(f"[{key!r}]" for key in path)
    with pytest.raises(ValueError, match=re.escape(f"{named} is a Odd")):
        check_space(space, "it")


def test_games_are_not_told_of_staggering():
    seen = []

    class Told(gymnasium.Env):
        observation_space = action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            seen.append(options)
            return 0, {}

    GymVectorEnv(Told, 1).reset(seed=0, options={"stagger": True})
    assert set(map(str, seen)) == {"None"}
