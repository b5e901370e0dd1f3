"""What is shown against what is there, worked out the slow way."""

import numpy as np
import pytest

from envs.spaces import ACTION_MASK
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.interface import MINIMAP_PLANES, NUMBERS, ORDERS, SCREEN_PLANES, UNIT_FEATURES
from envs.starcraft.maps import MAPS
from tests.envs.standin.arena import Arena

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


@pytest.mark.parametrize("name", ["FindAndDefeatZerglings", "DefeatRoaches"])
def test_last_seen_is_how_long_ago_a_cell_was_visible(name):
    env = make(name, 2, style="orders", minimap=32, minimap_planes=("visibility_map", "last_seen"), step_mul=24)
    observation, _ = env.reset(seed=0)
    move = env.interface.functions.index("Move_pt" if name.startswith("Find") else "Move_away_unit")
    rng = np.random.default_rng(0)
    seen_at, found = np.full((2, 32, 32), -(10**6)), set()
    for step in range(130):
        loop = env.games["loop"][:, None, None]
        seen_at = np.where(loop == 0, -(10**6), seen_at)
        visible, shown = observation["minimap"][..., 0] == 2, observation["minimap"][..., 1]
        seen_at = np.where(visible, loop, seen_at)
        age = loop - seen_at
        expected = sum((age >= limit).astype(int) for limit in (1, 128, 384, 896, 1920))
        np.testing.assert_array_equal(shown, expected, err_msg=str(step))
        found |= set(np.unique(shown).tolist())
        action = {k: v * 0 for k, v in env.action_space.sample().items()}
        if step % 20 == 0:
            action["function"][:, :3] = move * observation[ACTION_MASK]["function"][:, :3, move]
            for k in range(2) if name.startswith("Find") else ():
                action["place"][k, :3] = rng.choice(np.flatnonzero(observation[ACTION_MASK]["place"][k]))
        observation = env.step(action)[0]
    assert found == ({0, 1, 2, 3, 4, 5} if name.startswith("Find") else {0, 5})


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


def column_of(env, slot):
    """Name -> number of a unit's row, shown anew."""
    observation = env.load_state(env.save_state())
    row = observation["units"]["features"][0][list(env.slots[0]).index(slot)]
    return dict(zip(env.interface.unit_features, row.tolist(), strict=True))


def test_every_column_by_hand():
    arena = Arena("CollectMineralsAndGas", unit_features=tuple(UNIT_FEATURES), functions=("no_op",)).clear()
    base = arena.add(c.COMMAND_CENTER, 33.5, 28.5, hp=1200.0, producing=3, product=c.SCV, product_left=100.0)
    worker = arena.add(c.SCV, 30, 24, cargo=w.VESPENE, cargo_amount=4, cooldown=7.5, selected=1)
    site = arena.add(c.BARRACKS, 40.5, 22.5, build_left=260.0)
    patch = arena.add(c.MINERAL_FIELD, 26, 28.5, owner=w.NEUTRAL, contents=905)
    refinery = arena.add(c.REFINERY, 26.5, 33.5, contents=1000)
    foe = arena.add(c.ROACH, 44, 34, owner=w.ENEMY, cooldown=3.0, hp=72.5)
    arena.order(foe, w.ATTACK, target=worker)
    gatherers = [arena.add(c.SCV, 28, 25 + i) for i in range(3)]
    for slot in gatherers[:2]:
        arena.order(slot, w.GATHER, target=patch)
    arena.order(gatherers[2], w.GATHER, target=refinery)
    arena.order(worker, w.RETURN)
    arena.env.units["source"][0, worker] = patch
    shown = {slot: column_of(arena.env, slot) for slot in (base, worker, site, patch, refinery, foe)}
    order = ORDERS.index
    common = {"selected": 0, "weapon_cooldown": 0, "order": 0, "carrying": 0, "build_progress": 1, "contents": 0}
    common |= {"assigned_harvesters": 0, "ideal_harvesters": 0, "queue": 0, "health_ratio": 1}
    whole = dict.fromkeys(tuple(UNIT_FEATURES)[16:], 0) | {"display_type": 1, "owner": 1, "cloak": 3, "z": -1 / 15.9375}
    whole |= {"facing": 1.5 * np.pi}
    busy = {"active": 1, "order_length": 1, "order_id_0": 1}  # the interface has no_op alone: all orders are others
    more = {
        base: busy | {"order_length": 3, "order_progress_0": 1 - 100 / 272, "order_id_1": 1, "order_id_2": 1},
        worker: busy | {"buff_id_0": 1}, patch: {"owner": 16, "mineral_contents": 905},
        refinery: {"vespene_contents": 1000}, foe: {"owner": 2}, site: {},
    }  # fmt: skip
    expected = {
        base: {"unit_type": c.COMMAND_CENTER, "alliance": 1, "x": 33.5 / 64, "y": 1 - 28.5 / 64, "health": 1200,
               "health_ratio": 0.8, "radius": 2.75, "order": order("train"), "queue": 3, "ideal_harvesters": 2,
               "assigned_harvesters": 3},
        worker: {"unit_type": c.SCV, "alliance": 1, "x": 30 / 64, "y": 1 - 24 / 64, "health": 45, "radius": 0.375,
                 "selected": 1, "weapon_cooldown": 7.5, "order": order("return"), "carrying": 2},
        site: {"unit_type": c.BARRACKS, "alliance": 1, "x": 40.5 / 64, "y": 1 - 22.5 / 64, "health": 1000,
               "radius": 1.8125, "build_progress": 0.75},
        patch: {"unit_type": c.MINERAL_FIELD, "alliance": 3, "x": 26 / 64, "y": 1 - 28.5 / 64, "health": 10000,
                "radius": 1.125, "contents": 905},
        refinery: {"unit_type": c.REFINERY, "alliance": 1, "x": 26.5 / 64, "y": 1 - 33.5 / 64, "health": 500,
                   "radius": 1.6875, "contents": 1000, "assigned_harvesters": 1, "ideal_harvesters": 3},
        foe: {"unit_type": c.ROACH, "alliance": 4, "x": 44 / 64, "y": 1 - 34 / 64, "health": 72.5,
              "health_ratio": 0.5, "radius": 0.5},
    }  # fmt: skip
    # one's own first, then enemies, then what is nobody's
    assert arena.env.slots[0][: 6 + 3].tolist() == [base, worker, site, refinery, *gatherers, foe, patch]
    for slot, numbers in expected.items():
        wanted = {**common, **whole, **numbers, **more[slot]}
        wanted["is_on_screen"] = shown[slot]["is_on_screen"]  # see test_camera.py
        assert shown[slot] == pytest.approx(wanted, abs=1e-6), numbers


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        (w.IDLE, "none"), (w.MOVE, "move"), (w.FOLLOW, "move"), (w.ATTACK, "attack"), (w.ATTACK_MOVE, "attack"),
        (w.PATROL, "patrol"), (w.HOLD, "hold"), (w.GATHER, "gather"), (w.RETURN, "return"),
        (w.BUILD + c.SUPPLY_DEPOT, "build"),
    ],
)  # fmt: skip
def test_orders_are_shown_as_what_they_are(order, shown):
    arena = Arena("CollectMineralsAndGas", unit_features=("order",)).clear()
    worker = arena.add(c.SCV, 30, 24)
    arena.order(worker, order)
    assert column_of(arena.env, worker)["order"] == ORDERS.index(shown)


def test_numbers_of_an_army_and_of_nobody_elses():
    """Half a supply a zergling, one a marine, two a roach; workers are no army, enemies are not counted."""
    arena = Arena("CollectMineralsAndGas", numbers=tuple(NUMBERS)).clear()
    for i, kind in enumerate((c.MARINE, c.MARINE, c.ROACH, c.ZERGLING, c.SCV, c.SCV)):
        arena.add(kind, 24 + 2 * i, 24, selected=int(i < 3))
    arena.add(c.ROACH, 40, 30, owner=w.ENEMY)
    arena.add(c.COMMAND_CENTER, 33.5, 32.5)
    arena.order(4, w.MOVE, 40, 20)
    g = arena.env.games
    g["minerals"], g["vespene"], g["score"], g["loop"], g["camera_x"], g["camera_y"] = 321, 45, 17, 99, 30, 20
    observation = arena.env.load_state(arena.env.save_state())
    assert dict(zip(NUMBERS, observation["player"][0].tolist(), strict=True)) == {
        "game_loop": 99, "score": 17, "minerals": 321, "vespene": 45, "food_used": 2 + 2 + 0.5 + 2, "food_cap": 15,
        "food_workers": 2, "food_army": 4.5, "idle_worker_count": 1, "army_count": 4, "selected_count": 3,
        "camera_x": 30 / 64, "camera_y": 1 - 20 / 64, "larva_count": 0, "warp_gate_count": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_the_minimap_against_a_slow_painter(name):
    """The whole map: units, those in the fog left out, and the rectangle that the camera sees."""
    env, observation = everything(name, games=1)
    u, g, size = env.units[0], env.games[0], 32
    cell = 64 / size
    names = ("player_relative", "player_id", "unit_type", "selected")
    expected = {plane: np.zeros((size, size), int) for plane in (*names, "camera")}
    order = {w.NEUTRAL: 0, w.ENEMY: 1, w.OWN: 2}
    for i in sorted(visible(env, 0), key=lambda i: (order[u["owner"][i]], i)):
        x, y, radius = u["x"][i] / cell, (64 - u["y"][i]) / cell, TYPES[u["kind"][i]]["radius"] / cell
        values = ({1: 1, 0: 3, 2: 4}[u["owner"][i]], u["owner"][i] or 16, u["kind"][i], u["selected"][i])
        for row in range(size):
            for col in range(size):
                center = row == np.floor(y) and col == np.floor(x)
                if center or (col + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius**2:
                    for plane, value in zip(names, values, strict=True):
                        expected[plane][row, col] = value
    for row in range(size):
        for col in range(size):
            dx, dy = (col + 0.5) * cell - g["camera_x"], 64 - (row + 0.5) * cell - g["camera_y"]
            expected["camera"][row, col] = abs(dx) <= 12 and abs(dy) <= 12
    assert 100 < expected["camera"].sum() <= 169
    assert (expected["player_relative"] == 1).any()
    for plane, painted in expected.items():
        shown = observation["minimap"][0][..., list(MINIMAP_PLANES).index(plane)]
        assert (shown != painted).sum() <= 2, plane  # single precision may decide a cell on the very rim otherwise


def test_enemies_in_the_fog_are_not_on_the_minimap():
    arena = Arena("FindAndDefeatZerglings").clear()
    env = make(
        "FindAndDefeatZerglings", 1, minimap=64, minimap_planes=("player_relative", "unit_type"), screen=32,
        screen_planes=("player_relative",), max_units=8,
    )  # fmt: skip
    env.reset(seed=0)
    arena.add(c.MARINE, 25, 28)
    seen, hidden = arena.add(c.ZERGLING, 33.5, 28, owner=w.ENEMY), arena.add(c.ZERGLING, 34.5, 28, owner=w.ENEMY)
    state = env.save_state()
    arena.env.games["camera_x"], arena.env.games["camera_y"] = 30, 28
    state |= {key: part for key, part in arena.env.save_state().items() if key != "explored"}
    shown = env.load_state(state)
    assert sorted(env.slots[0][env.slots[0] >= 0]) == [0, seen]
    assert hidden not in env.slots[0]
    for plane, enemy in enumerate((4, c.ZERGLING)):
        rows, columns = np.nonzero(shown["minimap"][0, ..., plane] == enemy)
        assert set(columns) == {33}
        assert set(rows) <= {35, 36}
    assert set(np.nonzero(shown["screen"][0, ..., 0] == 4)[1]) <= {19, 20, 21}  # (33.5 +- .375 - 18) / 24 * 32


def test_planes_of_a_unit_by_hand():
    """What the screen shows where a unit stands, plane by plane."""
    env = make("CollectMineralsAndGas", 1, screen=48, screen_planes=tuple(SCREEN_PLANES), max_units=8)
    env.reset(seed=0)
    arena = Arena("CollectMineralsAndGas").clear()
    arena.add(c.SCV, 30.25, 24.25, hp=15.0, cargo=w.MINERALS, selected=1)
    arena.order(0, w.RETURN)
    arena.add(c.BARRACKS, 40.5, 24.5, build_left=780.0)
    arena.add(c.ROACH, 36.25, 30.25, owner=w.ENEMY, hp=29.0)
    arena.order(2, w.HOLD)
    arena.add(c.MINERAL_FIELD, 26, 30.5, owner=w.NEUTRAL)
    arena.env.games["camera_x"], arena.env.games["camera_y"] = 33, 27
    shown = env.load_state({**arena.env.save_state(), "explored": env.save_state()["explored"]})["screen"][0]

    def at(x, y):
        cell = shown[int((27 + 12 - y) * 2), int((x - 21) * 2)]
        values = dict(zip(SCREEN_PLANES, cell.tolist(), strict=True))
        return {name: value for name, value in values.items() if value}

    ground = {"height_map": 127, "visibility_map": 2}
    density = {"unit_density": 1, "unit_density_aa": 255}
    worker = at(30.25, 24.25)
    assert worker.pop("unit_density_aa") > 150
    assert worker == {
        **ground, "unit_density": 1, "player_id": 1, "player_relative": 1, "unit_type": c.SCV, "selected": 1,
        "unit_hit_points": 15, "unit_hit_points_ratio": 85, "buffs": 1, "active": 1, "pathable": 1, "buildable": 1,
    }  # fmt: skip
    assert at(40.5, 24.5) == {
        **ground, **density, "player_id": 1, "player_relative": 1, "unit_type": c.BARRACKS, "unit_hit_points": 1000,
        "unit_hit_points_ratio": 255, "build_progress": 63,
    }  # fmt: skip
    roach = at(36.25, 30.25)
    assert roach.pop("unit_density_aa") > 200
    assert roach == {
        **ground, "unit_density": 1, "player_id": 2, "player_relative": 4, "unit_type": c.ROACH, "unit_hit_points": 29,
        "unit_hit_points_ratio": 51, "pathable": 1, "buildable": 1,
    }  # fmt: skip
    assert at(26, 30.5) == {
        **ground, **density, "player_id": 16, "player_relative": 3, "unit_type": c.MINERAL_FIELD,
        "unit_hit_points": 1599, "unit_hit_points_ratio": 255,
    }  # fmt: skip
    assert at(33, 20) == {**ground, "pathable": 1, "buildable": 1}
    assert set(at(22, 38)) == {"height_map"} or env.games["left"][0] < 22
