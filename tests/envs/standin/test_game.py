"""A new episode knows nothing of the one before."""

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.vector_env import make
from envs.starcraft.interface import MINIMAP_PLANES, NUMBERS, SCREEN_PLANES, UNIT_FEATURES
from envs.starcraft.maps import MAPS

EVERYTHING = {
    "max_units": 96, "unit_features": tuple(UNIT_FEATURES), "numbers": tuple(NUMBERS), "screen": 16, "minimap": 16,
    "screen_planes": tuple(SCREEN_PLANES), "minimap_planes": tuple(MINIMAP_PLANES),
}  # fmt: skip


def attack(env, observation):
    """Everybody goes for the first enemy in sight."""
    names, n = env.interface.functions, env.num_envs
    action = {k: v * 0 for k, v in env.action_space.sample().items()}
    if "Attack_unit" in names:
        column = list(env.interface.unit_features).index("alliance")
        foes = (observation["units"]["features"][..., column] == 4) & (observation["units"]["mask"] > 0)
        action["function"][:] = np.where(foes.any(1), names.index("Attack_unit"), 0)
        action["unit_tags"][:] = observation["action_mask"]["unit_tags"]
        action["target_unit_tag"][:] = foes.argmax(1)
    assert action["function"].shape == (n,)
    return action


def test_missiles_and_tags_do_not_outlive_an_episode():
    """The time is up in the middle of a fight, with missiles in the air; tags begin anew, so that they would find
    somebody."""
    env = make("DefeatRoaches", 32, style="raw", max_units=64, step_mul=1, max_loops=400)
    observation, _ = env.reset(seed=0)
    while not (env.games["missiles"] > 0).sum() > 8:
        observation, *_, truncated, _ = env.step(attack(env, observation))
        assert not truncated.any()
    flying = env.games["missiles"] > 0
    env.games["limit"] = env.games["loop"] + 1
    truncated = env.step(attack(env, observation))[3]
    assert truncated.all()
    assert (env.games["missiles"] == 0).all()
    assert (env.games["next_tag"] == 13).all()
    no_op = {k: v * 0 for k, v in env.action_space.sample().items()}
    for _ in range(10):
        env.step(no_op)
    whole = c.type_table()["hp"][env.units["kind"]]
    assert (env.units["hp"] == whole)[flying][env.units["kind"][flying] > 0].all()


@pytest.mark.parametrize("style", ["feature", "raw"])
@pytest.mark.parametrize("name", MAPS)
def test_the_next_episode_is_the_one_that_a_fresh_game_plays(name, style):
    """Whatever happened before: units trained, things built, camera and selection moved, shots in the air."""
    options = EVERYTHING if style == "feature" else {**EVERYTHING, "style": "raw", "screen_planes": ()}
    played, fresh = (make(name, 4, **options) for _ in range(2))
    played.reset(seed=3)
    played.action_space.seed(1)
    for _ in range(40):
        played.games["minerals"] += 50
        played.games["vespene"] += 10
        played.games["missiles"] = 3  # of which none is anybody's
        played.games["missile_left"] = 1e9
        played.step(played.action_space.sample())
    played.games["cheats"] = 31
    before, _ = played.reset()
    fresh.reset(seed=3)
    fresh.games["episode"] = played.games["episode"] - 1  # some may have ended on the way
    expected, _ = fresh.reset()
    for step in range(40):
        assert_same(before, expected, f"step {step}")
        action = played.action_space.sample()
        (before, *mine), (expected, *theirs) = played.step(action), fresh.step(action)
        for a, b in zip(mine[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    assert_same(before, expected, "the last step")


def assert_same(mine, theirs, where):
    for key, value in theirs.items():
        if isinstance(value, dict):
            assert_same(mine[key], value, f"{where}, {key}")
        else:
            np.testing.assert_array_equal(mine[key], value, f"{where}, {key}")
