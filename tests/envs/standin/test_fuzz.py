"""Many random actions, legal and illegal, in both styles: nothing is raised, and nothing impossible comes about."""

import tracemalloc

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.interface import ARGUMENTS, FUNCTIONS, RAW_FUNCTIONS
from envs.starcraft.maps import MAPS

TYPES = c.type_table()
ARGUMENT_NAMES = tuple(a for a, n in ARGUMENTS.items() if n)


def check(env):
    """What must hold of every state."""
    u, g = env.units, env.games
    here = u["kind"] > 0
    t = TYPES[u["kind"]]
    assert (u["hp"][here] > 0).all()
    assert (u["hp"] <= t["hp"] + 1e-3)[here].all()
    radius = np.where(t["footprint_w"] > 0, 0, 0.0)
    left, right = g["left"][:, None], g["right"][:, None]
    bottom, top = g["bottom"][:, None], g["top_y"][:, None]
    assert ((u["x"] >= left + radius - 1e-3) & (u["x"] <= right - radius + 1e-3))[here].all()
    assert ((u["y"] >= bottom - 1e-3) & (u["y"] <= top + 1e-3))[here].all()
    assert (g["minerals"] >= 0).all()
    assert (g["vespene"] >= 0).all()
    assert ((u["contents"] >= 0) & (u["contents"] <= t["contents"].max()))[here].all()
    own = here & (u["owner"] == w.OWN)
    assert (g["enemies"] == (here & (u["owner"] == w.ENEMY)).sum(1)).all()
    used = (t["supply"] * own).sum(1) + np.where(own & (u["producing"] > 0) & (u["product_left"] >= 0), 2, 0).sum(1)
    cap = np.minimum(np.where(own & (u["build_left"] <= 0), t["provides"], 0).sum(1), 400)
    economy = cap > 0
    assert (used <= cap)[economy].all()
    slots = np.arange(u.shape[1])
    assert (np.where(here, slots, -1).max(1) < g["top"]).all()
    assert np.isfinite(u["x"]).all()
    assert np.isfinite(u["y"]).all()
    tags = np.sort(np.where(here, u["tag"], -slots - 1), 1)
    assert (np.diff(tags, axis=1) > 0).all()


def play(scenario, style, games, steps, seed=0):
    functions = tuple(RAW_FUNCTIONS if style == "raw" else FUNCTIONS)
    arguments = ("queued",) if style == "raw" else ARGUMENT_NAMES
    env = make(scenario, games, style=style, functions=functions, arguments=arguments, minimap=32, screen=32)
    env.reset(seed=seed)
    env.action_space.seed(seed)
    rng = np.random.default_rng(seed)
    sampled = [env.action_space.sample() for _ in range(40)]
    for k in range(steps):
        action = dict(sampled[rng.integers(len(sampled))])
        action["function"] = rng.integers(0, len(functions), games)
        if k % 2:  # every other action is a legal one
            legal = env._observation["action_mask"]["function"]
            action["function"] = (rng.random(legal.shape) * legal).argmax(1)
        _, reward, *_ = env.step(action)
        assert np.isfinite(reward).all()
        if k % 10 == 9:
            check(env)
    return env


@pytest.mark.parametrize("scenario", MAPS)
@pytest.mark.parametrize("style", ["feature", "raw"])
def test_nothing_impossible_comes_about(scenario, style):
    play(scenario, style, 64, 250)


def test_no_memory_is_leaked():
    env = play("DefeatRoaches", "feature", 32, 20)
    actions = [env.action_space.sample() for _ in range(20)]
    for action in actions:
        env.step(action)
    tracemalloc.start()
    for action in actions * 10:
        env.step(action)
    first = tracemalloc.get_traced_memory()[0]
    for action in actions * 40:
        env.step(action)
    assert tracemalloc.get_traced_memory()[0] - first < 50_000
    tracemalloc.stop()
