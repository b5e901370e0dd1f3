"""What is shown against what is there, worked out the slow way."""

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.interface import MINIMAP_PLANES, NUMBERS, SCREEN_PLANES, UNIT_FEATURES
from envs.starcraft.maps import MAPS

TYPES = c.type_table()


def everything(name, games=2, seed=1, steps=25, size=32):
    env = make(
        name,
        games,
        max_units=96,
        unit_features=tuple(UNIT_FEATURES),
        screen=size,
        screen_planes=tuple(SCREEN_PLANES),
        minimap=size,
        minimap_planes=tuple(MINIMAP_PLANES),
        numbers=tuple(NUMBERS),
    )
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    for _ in range(steps):
        observation = env.step(env.action_space.sample())[0]
    return env, observation


def visible(env, game):
    """Slots of the units that the player sees, by the definition of sight."""
    u, g = env.units[game], env.games[game]
    here = np.flatnonzero(u["kind"] > 0)
    own = [i for i in here if u["owner"][i] == w.OWN]
    seen = []
    for i in here:
        near = [np.hypot(u["x"][i] - u["x"][j], u["y"][i] - u["y"][j]) <= TYPES[u["kind"][j]]["sight"] for j in own]
        if not g["fog"] or u["owner"][i] == w.OWN or any(near):
            seen.append(i)
    return seen


@pytest.mark.parametrize("name", MAPS)
def test_units_are_those_on_the_screen(name):
    env, observation = everything(name)
    column = {n: i for i, n in enumerate(UNIT_FEATURES)}
    for game in range(2):
        u, g = env.units[game], env.games[game]
        shown = [
            i for i in visible(env, game) if max(abs(u["x"][i] - g["camera_x"]), abs(u["y"][i] - g["camera_y"])) <= 12
        ]
        rows = observation["units"]["features"][game][observation["units"]["mask"][game] > 0]
        assert sorted(env.slots[game][: len(rows)]) == sorted(shown)
        for row, slot in zip(rows, env.slots[game], strict=False):
            assert row[column["unit_type"]] == u["kind"][slot]
            assert row[column["x"]] * 24 + g["camera_x"] - 12 == pytest.approx(u["x"][slot], abs=1e-4)
            assert g["camera_y"] + 12 - row[column["y"]] * 24 == pytest.approx(u["y"][slot], abs=1e-4)
            assert row[column["alliance"]] == {w.OWN: 1, w.NEUTRAL: 3, w.ENEMY: 4}[u["owner"][slot]]
            assert 0 <= row[column["health_ratio"]] <= 1
            assert row[column["selected"]] == u["selected"][slot]


@pytest.mark.parametrize("name", MAPS)
def test_planes_against_a_slow_painter(name):
    env, observation = everything(name, games=1)
    u, g, size = env.units[0], env.games[0], 32
    places = list(SCREEN_PLANES)
    relative, density, kinds = np.zeros((3, size, size), int)
    order = {w.NEUTRAL: 0, w.ENEMY: 1, w.OWN: 2}
    for i in sorted(visible(env, 0), key=lambda i: (order[u["owner"][i]], i)):
        x = (u["x"][i] - (g["camera_x"] - 12)) / 24 * size
        y = ((g["camera_y"] + 12) - u["y"][i]) / 24 * size
        radius = TYPES[u["kind"][i]]["radius"] / 24 * size
        for row in range(size):
            for col in range(size):
                center = row == np.floor(y) and col == np.floor(x)
                if center or (col + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius**2:
                    relative[row, col] = {w.OWN: 1, w.NEUTRAL: 3, w.ENEMY: 4}[u["owner"][i]]
                    kinds[row, col] = u["kind"][i]
                    density[row, col] += 1
    screen = observation["screen"][0]
    assert relative.any() or g["camera_free"]  # the camera may look at nothing
    for plane, expected in (("player_relative", relative), ("unit_type", kinds), ("unit_density", density)):
        # Single precision may decide a cell on the very rim otherwise.
        assert (screen[..., places.index(plane)] != expected).sum() <= 2, plane
    covered = screen[..., places.index("unit_density_aa")][density > 0]
    assert (covered > 0).sum() >= 0.95 * len(covered)


@pytest.mark.parametrize("name", MAPS)
def test_planes_stay_within_their_spaces(name):
    env, observation = everything(name)
    assert env.observation_space.contains(observation)
    for key, table in (("screen", SCREEN_PLANES), ("minimap", MINIMAP_PLANES)):
        for i, plane in enumerate(table.values()):
            if plane.kind == "category":
                assert observation[key][..., i].max() < plane.scale, plane.name


def test_visibility_is_sight_now_and_memory_before():
    env = make("FindAndDefeatZerglings", 1, minimap=64, minimap_planes=("visibility_map",))
    observation, _ = env.reset(seed=0)
    first = observation["minimap"][0, ..., 0].copy()
    marine = env.units[0][0]
    assert first[63 - int(marine["y"]), int(marine["x"])] == 2
    assert first[63 - 40, 12] == 0
    action = {k: v * 0 for k, v in env.action_space.sample().items()}
    action["function"][:] = env.interface.functions.index("Move_minimap")
    action["minimap"][:] = (63 - 28) * 64 + 50
    for _ in range(14):
        observation = env.step(action)[0]
        action["function"][:] = 0
    later = observation["minimap"][0, ..., 0]
    assert ((first == 2) & (later == 1)).sum() > 20
    assert not ((first == 2) & (later == 0)).any()


def test_numbers_are_the_players():
    env, observation = everything("CollectMineralsAndGas", steps=60)
    for game in range(2):
        u, g = env.units[game], env.games[game]
        numbers = dict(zip(NUMBERS, observation["player"][game], strict=True))
        assert numbers["game_loop"] == g["loop"] == 480
        assert numbers["minerals"] == g["minerals"]
        workers = (u["kind"] == c.SCV).sum()
        assert numbers["food_workers"] == workers
        training = ((u["producing"] > 0) & (u["product_left"] >= 0)).sum()
        assert numbers["food_used"] == workers + training
        assert numbers["selected_count"] == (u["selected"] > 0).sum()
        assert numbers["idle_worker_count"] == ((u["kind"] == c.SCV) & (u["order"] == w.IDLE)).sum()


def test_raw_positions_are_in_the_frame_of_the_minimap():
    env = make("MoveToBeacon", 1, style="raw")
    observation, _ = env.reset(seed=0)
    x, y = (list(env.interface.unit_features).index(n) for n in "xy")
    row = observation["units"]["features"][0, 0]
    assert (row[x] * 64, 64 - row[y] * 64) == pytest.approx((env.units["x"][0, 0], env.units["y"][0, 0]), abs=1e-4)
    assert observation["action_mask"]["unit_tags"][0].tolist() == [1, 0, 0, 0]
    assert observation["action_mask"]["target_unit_tag"][0].tolist() == [1, 1, 0, 0]
