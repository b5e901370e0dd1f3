"""Orders for every unit through PySC2: the game that is played natively, observation by observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs import registry
from envs.spaces import ACTION_MASK
from envs.standin.players.roster import make_player
from envs.standin.rules import catalog as c
from envs.standin.rules.cards import COMMANDS, SUCCESS
from envs.standin.rules.catalog import type_table
from envs.standin.rules.questions import placement
from envs.starcraft.functions import ORDER_FUNCTIONS, ORDER_GRID, STRIDE
from envs.starcraft.interface import UNIT_TYPES
from envs.starcraft.maps import MAPS, interface_for
from tests.envs.starcraft.conftest import copy, equal, take

QUICK = {"launch_interval": 0.0}
BUILDING = (
    "no_op", "Harvest_Gather_unit", "Harvest_Return_quick", "Train_SCV_quick", "Build_SupplyDepot_pt",
    "Build_Barracks_pt", "Train_Marine_quick", "Move_unit", "Build_Refinery_pt", "Rally_Workers_unit",
)  # fmt: skip
ECONOMY = {
    "functions": BUILDING,
    "unit_types": ("SCV", "CommandCenter", "SupplyDepot", "Barracks", "Refinery", "MineralField", "VespeneGeyser"),
    "max_units": 64,
    "minimap": 32,
}


def legal(env: Any, observation: Any, rng: np.random.Generator, active: float) -> Any:
    """Legal random orders for the first game, for some of its units."""
    mask = {name: part[0].copy() for name, part in observation[ACTION_MASK].items()}
    idle = rng.random(len(mask["function"])) > active
    mask["function"][idle] = 0
    return {name: value[None] for name, value in env.single_action_space.sample(mask).items()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MoveToBeacon", {}),
        ("CollectMineralShards", {}),
        ("DefeatZerglingsAndBanelings", {}),
        ("FindAndDefeatZerglings", {"minimap_planes": ("visibility_map", "last_seen"), "minimap": 24}),
        ("CollectMineralsAndGas", ECONOMY),
        ("BuildMarines", ECONOMY),
        ("BuildMarines", ECONOMY | {"functions": (*BUILDING, "Move_pt")}),
        ("BuildMarines", ECONOMY | {"finish_building": True, "builders": 2, "max_loops": 1280, "step_mul": 32}),
        ("Simple64", {"opponent": "terran:very_easy", "workers_fight": False, "step_mul": 32, "max_loops": 3200}),
    ],
)
def test_orders_through_pysc2_play_the_native_game(sc2, name: str, options: dict[str, Any]) -> None:
    chosen = {"style": "orders", "max_loops": 320, **options}
    ours = registry.make(f"sc2/{name}", 1, **QUICK, **chosen)
    native = registry.make(f"sim/{name}", 1, **chosen)
    rng = np.random.default_rng(0)
    native.single_action_space.seed(0)
    try:
        observation, expected = copy(ours.reset(seed=5)[0]), copy(native.reset(seed=5)[0])
        given = 0
        for step in range(60):  # beyond the end of an episode
            different = [k for k in expected if not equal(take(expected, 0)[k], take(observation, 0)[k])]
            assert not different, f"step {step}"
            action = legal(native, expected, rng, 0.3)
            given += np.count_nonzero(action["function"])
            observation, reward, terminated, truncated, _ = ours.step(action)
            expected, *wanted, _ = native.step(action)
            assert (reward[0], terminated[0], truncated[0]) == tuple(part[0] for part in wanted)
            observation, expected = copy(observation), copy(expected)
        assert given > 5
    finally:
        ours.close()
        native.close()


def test_who_builds_is_told_nothing_else_until_it_is_done() -> None:
    env = registry.make("sim/BuildMarines", 2, style="orders", step_mul=32, finish_building=True)
    build, gather = (env.interface.functions.index(f) for f in ("Build_SupplyDepot_pt", "Harvest_Gather_unit"))
    env.reset(seed=0)
    env.games["minerals"] = 100
    workers = env.units["kind"][0, env.slots[0]] == c.SCV
    action = {name: np.zeros((2, *s.shape), np.int64) for name, s in env.single_action_space.items()}
    place = np.flatnonzero(env.step(action)[0][ACTION_MASK]["place"][0])[20]
    one, other = np.flatnonzero(workers)[:2]
    action["function"][0, one], action["place"][0, one] = build, place
    observation, *_ = env.step(action)
    action["function"][:] = 0
    done = env.interface.unit_features.index("build_progress"), env.interface.unit_features.index("unit_type")
    bound = []
    for _ in range(30):
        mask, features = observation[ACTION_MASK]["function"], observation["units"]["features"][0]
        depots = features[features[:, done[1]] == list(UNIT_TYPES.values()).index("SupplyDepot") + 1]
        bound.append((mask[0, one].tolist(), bool(len(depots)) and bool(depots[0, done[0]] < 1)))
        assert mask[0, other, gather] == mask[1, one, gather] == 1
        observation, *_ = env.step(action)
    assert sum(at_it for _, at_it in bound) == pytest.approx(480 / 32, abs=1)  # loops that a depot takes
    only = [mask == [1] + [0] * (len(mask) - 1) for mask, _ in bound]
    assert all(o for o, (_, at_it) in zip(only, bound, strict=True) if at_it)
    assert not only[-1]


def test_as_many_workers_as_asked_for_can_be_told_to_build() -> None:
    env = registry.make("sim/BuildMarines", 1, style="orders", step_mul=8, builders=2)
    build = env.interface.functions.index("Build_SupplyDepot_pt")
    observation, _ = env.reset(seed=0)
    assert not observation[ACTION_MASK]["function"][0, :, build].any()  # for want of minerals
    env.games["minerals"] = 1000
    action = {name: np.zeros((1, *s.shape), np.int64) for name, s in env.single_action_space.items()}
    workers = np.flatnonzero(env.units["kind"][0, env.slots[0]] == c.SCV)
    observation, *_ = env.step(action)
    mask = observation[ACTION_MASK]
    assert np.flatnonzero(mask["function"][0, :, build]).tolist() == workers[:2].tolist()
    action["function"][0, workers[0]], action["place"][0, workers[0]] = build, np.flatnonzero(mask["place"][0])[20]
    observation, *_ = env.step(action)
    mask = observation[ACTION_MASK]
    assert np.flatnonzero(mask["function"][0, :, build]).tolist() == workers[1:3].tolist()  # the first one is bound
    assert mask["function"][0, workers].any(1).all()


def test_workers_may_be_kept_from_fighting() -> None:
    env = registry.make("sim/Simple64", 2, style="orders", players=2, head_start=1.0, workers_fight=False)
    attack = [name.startswith("Attack") for name in env.interface.functions]
    move = env.interface.functions.index("Move_pt")
    marines = 0
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        mask, kind = observation[ACTION_MASK]["function"], env.units["kind"][0, env.slots]
        own = mask[..., move] == 1
        assert not mask[(kind == c.SCV) & own][:, attack].any()
        assert mask[(kind == c.MARINE) & own][:, attack].all()
        marines += int((own & (kind == c.MARINE)).sum())
        assert (own & (kind == c.SCV)).any(1).all()
    assert marines


def test_a_unit_goes_where_it_is_told_and_the_others_go_on() -> None:
    env = registry.make("sim/DefeatRoaches", 1, style="orders", step_mul=16)
    observation, _ = env.reset(seed=0)
    x, y = (env.interface.unit_features.index(name) for name in ("x", "y"))
    function = env.interface.functions.index("Move_away_unit")
    features, there = observation["units"]["features"][0].copy(), observation["units"]["mask"][0]
    for other in (0, 3, int(there.sum()) - 1):
        env.reset(seed=0)
        action = {name: np.zeros((1, *s.shape), np.int64) for name, s in env.single_action_space.items()}
        action["function"][0, 4], action["unit"][0, 4] = function, other
        observation, *_ = env.step(action)
        moved = (observation["units"]["features"][0, :9] - features[:9])[:, [x, y]] * 64
        away = (features[4] - features[other])[[x, y]]
        # sixteen loops at 3.15 units a second of 22.4 loops; units that start from rest turn first
        assert 0.8 < np.hypot(*moved[4]) < STRIDE
        assert moved[4] @ away / np.hypot(*moved[4]) / np.hypot(*away) > 0.98
        assert np.hypot(*np.delete(moved, 4, 0).T).max() < np.hypot(*moved[4])  # pushed at most


def test_a_frame_shows_who_is_told_to_go_where() -> None:
    env = registry.make("sim/DefeatRoaches", 1, style="orders", render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    before = env.render()[0]
    action = {name: np.zeros((1, *s.shape), np.int64) for name, s in env.single_action_space.items()}
    action["function"][0, 2] = env.interface.functions.index("Attack_unit")
    action["enemy"][0, 2] = row = int(observation[ACTION_MASK]["enemy"][0].argmax())
    env.mark(action)
    yellow = np.argwhere((env.render()[0] != before).any(-1))
    x, y = (env.interface.unit_features.index(name) for name in ("x", "y"))
    units = observation["units"]["features"][0]
    # the line is as wide and as high as the way is, and at its end is a ring of half a unit's size
    way = (
        np.abs(units[row, [y, x]] - units[2, [y, x]])
        * 64
        * before.shape[1]
        / (env.games["right"] - env.games["left"] + 2)[0]
    )
    assert np.abs(np.ptp(yellow, 0) - way).max() < 12
    env.step(action)
    after = env.render()[0]
    env.mark({name: np.zeros_like(value) for name, value in action.items()})
    np.testing.assert_array_equal(env.render()[0], after)


def test_kinds_that_do_not_matter_fill_no_rows() -> None:
    env = registry.make("sim/BuildMarines", 2, style="orders", unit_types=["MineralField", "CommandCenter"])
    observation, _ = env.reset(seed=0)
    kinds = observation["units"]["features"][..., env.interface.unit_features.index("unit_type")]
    names = list(UNIT_TYPES.values())
    expected = [1 + names.index("CommandCenter")] + 8 * [1 + names.index("MineralField")]
    np.testing.assert_array_equal(kinds[observation["units"]["mask"] > 0].reshape(2, -1), [expected, expected])


def test_places_are_within_the_playable_ground() -> None:
    env = registry.make("sim/BuildMarines", 1, style="orders", minimap=32, functions=("no_op", "Move_pt"))
    place = env.reset(seed=0)[0][ACTION_MASK]["place"].reshape(32, 32)
    left, bottom, right, top = map(round, MAPS["BuildMarines"].written.places[0])
    for row in range(32):
        for column in range(32):
            x, y = 2 * column + 1, 64 - (2 * row + 1)
            assert place[row, column] == (left <= x <= right and bottom <= y <= top)


def test_every_order_function_is_one_of_pysc2s() -> None:
    actions = pytest.importorskip("pysc2_evolved.lib.actions")
    for name, function in ORDER_FUNCTIONS.items():
        theirs = actions.RAW_FUNCTIONS[function.id]
        assert theirs.name == ("Move_pt" if name == "Move_away_unit" else name)
        assert [argument.name for argument in theirs.args] == list(function.arguments)


@pytest.mark.parametrize("name", ["MoveToBeacon", "DefeatRoaches", "CollectMineralShards"])
def test_masks_say_who_is_ones_own_and_who_can_be_aimed_at(name: str) -> None:
    env = registry.make(f"sim/{name}", 4, style="orders")
    observation, _ = env.reset(seed=0)
    features, there = observation["units"]["features"], observation["units"]["mask"]
    alliance = features[..., env.interface.unit_features.index("alliance")]
    mask = observation[ACTION_MASK]
    np.testing.assert_array_equal(mask["function"].any(-1), (alliance == 1) & (there == 1))
    np.testing.assert_array_equal(mask["unit"], there)
    if "enemy" in mask:
        np.testing.assert_array_equal(mask["enemy"], alliance == 4)


def test_the_style_needs_units_and_knows_its_functions() -> None:
    with pytest.raises(ValueError, match="max_units: the style orders"):
        interface_for("MoveToBeacon", style="orders", max_units=0)
    with pytest.raises(ValueError, match="finish_building: expected true or false, got 'no'"):
        interface_for("BuildMarines", style="orders", finish_building="no")
    with pytest.raises(ValueError, match="builders: expected a whole number"):
        interface_for("BuildMarines", style="orders", builders=-1)
    with pytest.raises(ValueError, match="workers_fight: only in the style orders"):
        interface_for("BuildMarines", style="raw", workers_fight=False)
    with pytest.raises(ValueError, match="builders: only in the style orders"):
        interface_for("BuildMarines", style="raw", builders=1)
    with pytest.raises(ValueError, match="finish_building: only in the style orders"):
        interface_for("BuildMarines", style="raw", finish_building=True)
    with pytest.raises(ValueError, match="did you mean 'Move_unit'"):
        interface_for("MoveToBeacon", style="orders", functions=("no_op", "Move_units"))


@pytest.mark.parametrize(
    ("name", "more"), [("BuildMarines", ()), ("CollectMineralsAndGas", ()), ("BuildMarines", ("Move_pt",))]
)
def test_buildings_are_placed_where_they_overlap_none(name: str, more: tuple[str, ...]) -> None:
    functions = (*interface_for(name, style="orders").functions, *more)
    env = registry.make(f"sim/{name}", 1, style="orders", step_mul=64, functions=functions)
    play = make_player("strong", name, env.interface)
    observation, _ = env.reset(seed=1)
    for _ in range(70):
        observation, *_ = env.step(play(observation))
    width, height = env.interface.minimap_size
    mask = observation[ACTION_MASK]
    place = mask["site" if more else "place"][0].reshape(height, width)
    assert not more or mask["place"].sum() > place.sum()  # who walks may go where no building can stand
    left, bottom, right, top = map(round, MAPS[name].written.places[0])
    what, inner = COMMANDS.index("Build_SupplyDepot"), 0
    for row, column in np.ndindex(height, width):
        cell = [np.floor((k + 0.5) * ORDER_GRID / n) + 0.5 for k, n in ((column, width), (row, height))]
        x, y = 64 * cell[0] / ORDER_GRID, 64 - 64 * cell[1] / ORDER_GRID
        if left + 1.6 < x < right - 1.6 and bottom + 1.6 < y < top - 1.6:  # elsewhere the center is inside, not all
            found = placement(env.games, env.units, type_table(), what, x, y, True)
            assert place[row, column] == (found == SUCCESS), (x, y)
            inner += place[row, column]
    assert 0 < inner < (right - left) * (top - bottom) / (64 / width) ** 2 - 30
