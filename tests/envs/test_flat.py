"""The mini-games under Gymnasium's names: Gymnasium's own checker, and the flat ones against the nested ones."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from envs import gymnasium_ids
from envs.flat import Flat
from envs.spaces import Pointers, SpaceError
from envs.standin.single_env import StandinEnv
from envs.starcraft.maps import MAPS

gymnasium_ids.register()


def test_every_mini_game_is_known_by_name():
    assert list(gymnasium_ids.GAMES) == list(MAPS)


@pytest.mark.parametrize("first", ["envs.standin.protocol.install", "envs.starcraft.maps", "gymnasium"])
def test_whoever_imports_gymnasium_first_may_be_half_imported(first):
    program = f"import perceiver_rl, {first}, gymnasium; assert 'perceiver_rl/MoveToBeacon' in gymnasium.registry"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("flat", ["", "-flat"])
def test_gymnasiums_checker_passes(name, flat, recwarn):
    check_env(gymnasium.make(f"perceiver_rl/{name}{flat}", max_loops=200).unwrapped, skip_render_check=bool(flat))
    told = {str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning)}
    assert not [text for text in told if "sb3" not in text.lower() and "We recommend" not in text and "inf" not in text]


def test_many_are_games_of_one_vector_whose_observations_stay():
    games = gymnasium.make_vec("perceiver_rl/MoveToBeacon", num_envs=3)
    first, _ = games.reset(seed=0)
    kept = first["player"].copy()
    games.step(games.action_space.sample())
    assert first["player"].shape[0] == 3
    assert (first["player"] == kept).all()
    flat = gymnasium.make_vec("perceiver_rl/MoveToBeacon-flat", num_envs=2)
    assert flat.reset(seed=0)[0].shape == (2, *flat.single_observation_space.shape)


@pytest.mark.parametrize("style", ["orders", "feature", "raw"])
def test_what_the_masks_allow_the_game_obeys_and_the_same_is_played(style):
    flat = Flat(StandinEnv("DefeatRoaches", style=style, max_loops=600))
    nested = StandinEnv("DefeatRoaches", style=style, max_loops=600)
    random = np.random.default_rng(0)
    flat.reset(seed=3)
    nested.reset(seed=3)
    for _ in range(20):
        masks = np.split(flat.action_masks(), np.cumsum(flat.action_space.nvec)[:-1])
        action = np.array([random.choice(np.flatnonzero(mask)) for mask in masks])
        shown, reward, terminated, truncated, info = flat.step(action)
        _, same, *ends, _ = nested.step(flat.nested(action))
        assert (reward, terminated, truncated) == (same, *ends)
        assert not info["refused"]
        assert np.isfinite(shown).all()
        if terminated or truncated:
            break


def test_a_mask_with_a_row_for_each_function_allows_what_any_of_them_does():
    options = {"style": "raw", "functions": ["no_op", "Harvest_Gather_unit", "Train_SCV_quick"], "max_units": 24}
    options |= {"unit_features": ["alliance", "x", "y"], "masks_by_function": True, "one_unit": True}
    flat = Flat(StandinEnv("BuildMarines", **options))
    flat.reset(seed=0)
    shown, _ = flat.env.reset(seed=0)
    function, targets, units = np.split(flat.action_masks(), np.cumsum(flat.action_space.nvec)[:-1])
    own = shown["units"]["features"][:, 0] == 1
    assert function.shape == (3,)
    assert units.tolist() == own.tolist()  # any may rest
    assert targets.tolist() == shown["units"]["mask"].astype(bool).tolist()


class Chosen(gymnasium.Env):
    """Shows its masks, which it says in info."""

    observation_space = spaces.Dict({"x": spaces.Box(0, 10, (2,)), "kind": spaces.Discrete(3, start=1)})
    action_space = spaces.Dict({"which": spaces.Discrete(3, start=5), "those": Pointers("units", 2)})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"x": np.array([0, 10], np.float32), "kind": 3}, {"action_mask": {"which": [0, 1, 1], "those": [0, 1]}}

    def step(self, action):
        self.taken = action
        return self.reset()[0], 0.0, True, False, {}


def test_numbers_are_of_order_one_and_choices_are_in_their_places():
    env = Flat(Chosen())
    shown, _ = env.reset()
    assert shown.tolist() == [0, 0, 1, -1, 1]  # one-hot kind, then x; in the order of the Dict's keys
    assert env.action_space.nvec.tolist() == [2, 2, 3]
    assert env.action_masks().tolist() == [True, False, True, True, False, True, True]
    env.step(np.array([0, 1, 2]))
    assert env.env.taken["which"] == 7
    assert env.env.taken["those"].tolist() == [0, 1]


def test_what_is_no_choice_is_refused():
    class Continuous(Chosen):
        action_space = spaces.Dict({"force": spaces.Box(-1, 1, (2,))})

    with pytest.raises(SpaceError, match=r"action 'force': .* is no choice among a few"):
        Flat(Continuous())
