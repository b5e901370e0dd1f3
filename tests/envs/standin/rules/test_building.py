"""What buildings and units cost, how long they take, what supply they need, and where they come out."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from envs.standin import game
from envs.standin.actions import ACTION, MODES
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.rules.cards import COMMANDS, SUCCESS
from tests.envs.standin.arena import NEUTRAL, Arena

# minerals, loops: https://liquipedia.net/starcraft2 (patch 4.10), at 22.4 loops a second
BUILDINGS = {
    "SupplyDepot": (c.SUPPLY_DEPOT, 100, 480),
    "Barracks": (c.BARRACKS, 150, 1040),
    "Refinery": (c.REFINERY, 75, 480),
    "CommandCenter": (c.COMMAND_CENTER, 400, 1600),
}
UNITS = {"SCV": (c.SCV, c.COMMAND_CENTER, 50, 272), "Marine": (c.MARINE, c.BARRACKS, 50, 400)}


@pytest.fixture
def arena():
    arena = Arena("CollectMineralsAndGas").clear()
    arena.env.games["minerals"] = 1000
    return arena


def of_kind(arena, kind):
    return np.flatnonzero(arena.env.units["kind"][0] == kind).tolist()


def numbers(arena):
    face = arena.env.interface
    observed = arena.env.load_state(arena.env.save_state())["player"][0]
    return dict(zip(face.numbers, observed.tolist(), strict=True))


def test_costs_and_times_are_the_games():
    """The tables above against the data of a recorded game."""
    folder = os.environ.get("PERCEIVER_RL_TEST_DATA")
    if not folder:
        pytest.skip("PERCEIVER_RL_TEST_DATA does not name the folder with recorded game data")
    told = json.loads((Path(folder) / "unit_type_data.json").read_text(encoding="utf-8"))
    table = {name: numbers[-2:] for name, numbers in {**BUILDINGS, **UNITS}.items()}
    assert {name: (told[name]["min"], told[name]["bt"]) for name in table} == table


@pytest.mark.parametrize("name", BUILDINGS)
def test_a_building_costs_what_it_costs_and_takes_as_long(arena, name):
    """Paid when the worker begins; hit points grow from a tenth to all of them, in even steps."""
    kind, cost, loops = BUILDINGS[name]
    arena.add(c.SUPPLY_DEPOT, 44, 20)  # what a barracks requires
    worker = arena.add(c.SCV, 30, 24)
    if kind == c.REFINERY:
        geyser = arena.add(c.GEYSER, 34.5, 30.5, owner=NEUTRAL)
        arena.tell(f"Build_{name}_pt", [worker], target=geyser)
    else:
        arena.tell(f"Build_{name}_pt", [worker], at=(34.5, 30.5))
    before = len(of_kind(arena, kind))
    while len(of_kind(arena, kind)) == before:
        assert arena.game["minerals"] == 1000
        arena.run(1)
    assert arena.game["minerals"] == 1000 - cost
    site = of_kind(arena, kind)[-1 if kind == c.SUPPLY_DEPOT else 0]
    whole = float(arena.types[kind]["hp"])
    assert arena.unit(site)["hp"] == pytest.approx(whole / 10, rel=0.01)
    assert arena.unit(site)["build_left"] == loops
    arena.run(loops // 2)
    assert arena.unit(site)["hp"] == pytest.approx(whole * 0.55, rel=0.01)
    arena.run(loops - loops // 2 - 1)
    assert arena.unit(site)["build_left"] == 1
    arena.run(1)
    assert arena.unit(site)["build_left"] == 0
    assert arena.unit(site)["hp"] == pytest.approx(whole, rel=1e-4)
    assert arena.unit(worker)["order"] == (w.GATHER if kind == c.REFINERY else w.IDLE)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_costs_what_it_costs_and_takes_as_long(arena, name):
    kind, home, cost, loops = UNITS[name]
    arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    building = of_kind(arena, home)[0] if home == c.COMMAND_CENTER else arena.add(home, 40.5, 28.5)
    arena.tell(f"Train_{name}_quick", [building])
    assert arena.game["minerals"] == 1000 - cost
    arena.run(loops - 2)
    assert not of_kind(arena, kind)
    arena.run(1)
    (new,) = of_kind(arena, kind)
    u, b = arena.unit(new), arena.unit(building)
    half = float(arena.types[home]["footprint_h"]) / 2 + float(arena.types[kind]["radius"])
    assert (u["x"], u["y"]) == pytest.approx((b["x"], b["y"] - half), abs=1e-3)  # below, without a rally point
    assert (u["order"], u["hp"], u["owner"]) == (w.IDLE, 45, w.OWN)


def test_supply_in_production_counts():
    """Two barracks and one free supply: the first to begin takes it, the other waits until there is more."""
    arena = Arena("CollectMineralsAndGas").clear()
    arena.add(c.COMMAND_CENTER, 30.5, 28.5)  # 15 supply
    for i in range(14):
        arena.add(c.SCV, 23 + i, 21)
    both = [arena.add(c.BARRACKS, 40.5, y) for y in (24.5, 30.5)]
    for slot in both:
        arena.env.units["producing"][0, slot] = 1
        arena.env.units["product"][0, slot, 0] = c.MARINE
    arena.run(3)
    assert [float(arena.unit(slot)["product_left"]) for slot in both] == [397, -1]
    assert (numbers(arena)["food_used"], numbers(arena)["food_cap"]) == (15, 15)
    arena.env.games["minerals"] = 500
    assert arena.tell("Train_SCV_quick", [0])[-1]["refused"][0] == 1
    arena.run(600)
    assert len(of_kind(arena, c.MARINE)) == 1
    depot = arena.add(c.SUPPLY_DEPOT, 36, 34, build_left=5.0)
    arena.run(5)
    assert arena.unit(both[1])["product_left"] == -1  # one that is not finished provides nothing
    arena.env.units["build_left"][0, depot] = 0
    arena.run(400)
    assert len(of_kind(arena, c.MARINE)) == 2
    assert numbers(arena)["food_cap"] == 23


def test_only_what_has_begun_takes_supply(arena):
    """Of a queue of three the first is in production."""
    base = arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    for _ in range(3):
        arena.tell("Train_SCV_quick", [base])
    assert numbers(arena)["food_used"] == 1


def test_no_more_than_200_supply(arena):
    for i in range(24):
        arena.add(c.SUPPLY_DEPOT, 23 + 2 * (i % 10), 20 + 2 * (i // 10))
    assert numbers(arena)["food_cap"] == 24 * 8
    arena.add(c.COMMAND_CENTER, 40.5, 34.5)
    assert numbers(arena)["food_cap"] == 200
    arena.env.units["owner"][0, :12] = w.ENEMY
    assert numbers(arena)["food_cap"] == 12 * 8 + 15


def test_a_queue_holds_five_and_the_shortest_is_taken(arena):
    a, b = arena.add(c.BARRACKS, 26.5, 28.5), arena.add(c.BARRACKS, 36.5, 28.5)
    arena.add(c.COMMAND_CENTER, 31.5, 35.5)
    arena.tell("Train_Marine_quick", [a, b])
    assert [int(arena.unit(s)["producing"]) for s in (a, b)] == [1, 0]  # of two alike the first
    for _ in range(2):
        arena.tell("Train_Marine_quick", [a])
    arena.tell("Train_Marine_quick", [a, b])
    assert [int(arena.unit(s)["producing"]) for s in (a, b)] == [3, 1]
    for _ in range(7):
        arena.tell("Train_Marine_quick", [a, b])
    assert [int(arena.unit(s)["producing"]) for s in (a, b)] == [5, 5]
    minerals = int(arena.game["minerals"])
    assert minerals == 1000 - 11 * 50 + 50  # the eleventh was refused
    assert arena.tell("Train_Marine_quick", [a, b])[-1]["refused"][0] == 1
    assert arena.game["minerals"] == minerals


def test_production_needs_the_money(arena):
    base = arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    for minerals, trained in ((49, 0), (50, 1)):
        arena.env.games["minerals"] = minerals
        arena.tell("Train_SCV_quick", [base])
        assert (arena.unit(base)["producing"], arena.game["minerals"]) == (trained, minerals - 50 * trained)


def test_who_comes_to_build_without_the_money_builds_nothing(arena):
    arena.env.games["minerals"] = 100
    worker = arena.add(c.SCV, 30, 24)
    arena.tell("Build_SupplyDepot_pt", [worker], at=(38.5, 30.5))
    arena.run(2)
    assert arena.unit(worker)["order"] >= w.BUILD
    arena.env.games["minerals"] = 99
    arena.run(150)
    assert (arena.unit(worker)["order"], arena.game["minerals"]) == (w.IDLE, 99)
    assert not of_kind(arena, c.SUPPLY_DEPOT)


def test_the_nearest_worker_builds_and_not_one_that_is_building(arena):
    far, near = arena.add(c.SCV, 24, 24), arena.add(c.SCV, 36, 28)
    arena.tell("Build_SupplyDepot_pt", [far, near], at=(38.5, 30.5))
    assert [bool(arena.unit(s)["order"] >= w.BUILD) for s in (far, near)] == [False, True]
    arena.run(60)
    assert arena.unit(near)["phase"] == w.MINING
    arena.tell("Build_SupplyDepot_pt", [far, near], at=(38.5, 34.5))
    assert arena.unit(far)["order"] >= w.BUILD
    assert arena.unit(near)["phase"] == w.MINING


@pytest.mark.parametrize(
    ("kind", "name", "at", "placed"),
    [
        (c.SUPPLY_DEPOT, "SupplyDepot", (34.5, 30.5), (35, 31)),
        (c.SUPPLY_DEPOT, "SupplyDepot", (35.5, 31.5), (36, 32)),
        (c.BARRACKS, "Barracks", (34.5, 30.5), (34.5, 30.5)),
        (c.COMMAND_CENTER, "CommandCenter", (35.5, 29.5), (35.5, 29.5)),
    ],
)
def test_buildings_stand_on_the_grid(arena, kind, name, at, placed):
    """A side of two cells ends on whole numbers, one of three or five around the middle of a cell."""
    arena.add(c.SUPPLY_DEPOT, 24, 20)
    worker = arena.add(c.SCV, 32, 26)
    arena.tell(f"Build_{name}_pt", [worker], at=at)
    arena.run(80)
    slot = of_kind(arena, kind)[-1]
    assert (arena.unit(slot)["x"], arena.unit(slot)["y"]) == placed


@pytest.mark.parametrize(("x", "fits"), [(33.5, False), (34.5, True)])
def test_buildings_may_touch_and_not_overlap(arena, x, fits):
    arena.add(c.SUPPLY_DEPOT, 33, 29)
    info = arena.tell("Build_SupplyDepot_pt", [arena.add(c.SCV, 30, 24)], at=(x, 29.5))[-1]
    assert info["refused"][0] == (not fits)


@pytest.mark.parametrize(("y", "fits"), [(28.5, False), (29.5, True)])
@pytest.mark.parametrize(("resource", "half"), [(c.MINERAL_FIELD, 0.5), (c.GEYSER, 1.5)])
def test_a_command_center_keeps_three_cells_from_resources(arena, resource, half, y, fits):
    arena.add(resource, 33 if resource == c.MINERAL_FIELD else 33.5, 29.5 - 2.5 - 3 - half, owner=NEUTRAL)
    info = arena.tell("Build_CommandCenter_pt", [arena.add(c.SCV, 40, 32)], at=(33.5, y))[-1]
    assert info["refused"][0] == (not fits)


def test_a_refinery_stands_on_a_free_geyser_only(arena):
    geyser = arena.add(c.GEYSER, 34.5, 30.5, owner=NEUTRAL, contents=700)
    patch = arena.add(c.MINERAL_FIELD, 40, 30.5, owner=NEUTRAL)
    worker = arena.add(c.SCV, 30, 24)
    assert arena.tell("Build_Refinery_pt", [worker], target=patch)[-1]["refused"][0] == 1
    assert arena.tell("Build_Refinery_pt", [worker], target=geyser)[-1]["refused"][0] == 0
    while not of_kind(arena, c.REFINERY):
        arena.run(1)
    (refinery,) = of_kind(arena, c.REFINERY)
    assert not of_kind(arena, c.GEYSER)
    assert (arena.unit(refinery)["x"], arena.unit(refinery)["contents"]) == (34.5, 700)
    arena.tell("Cancel_quick", [refinery])
    (geyser,) = of_kind(arena, c.GEYSER)
    assert (arena.unit(geyser)["x"], arena.unit(geyser)["y"], arena.unit(geyser)["contents"]) == (34.5, 30.5, 700)
    assert arena.unit(geyser)["owner"] == NEUTRAL
    assert arena.game["minerals"] == 1000 - 75 + 56  # three quarters


def test_what_is_cancelled_at_the_front_begins_anew_and_behind_it_goes_on(arena):
    base = arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    for _ in range(3):
        arena.tell("Train_SCV_quick", [base])
    arena.run(100)
    left = float(arena.unit(base)["product_left"])
    arena.tell("Cancel_Last_quick", [base])
    assert (arena.unit(base)["producing"], arena.unit(base)["product_left"]) == (2, left - 1)
    assert arena.game["minerals"] == 900
    arena.run(272)
    assert len(of_kind(arena, c.SCV)) == 1
    assert arena.unit(base)["producing"] == 1


@pytest.mark.parametrize(("rally", "out"), [((40.5, 28.5), (1, 0)), ((20.5, 28.5), (-1, 0)), ((30.5, 38.5), (0, 1))])
def test_a_unit_comes_out_on_the_side_of_the_rally_point_and_goes_there(arena, rally, out):
    base = arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    arena.tell("Rally_Workers_pt", [base], at=rally)
    arena.tell("Train_SCV_quick", [base])
    while not of_kind(arena, c.SCV):
        arena.run(1)
    (new,) = of_kind(arena, c.SCV)
    u = arena.unit(new)
    assert (u["x"], u["y"]) == pytest.approx((30.5 + 2.875 * out[0], 28.5 + 2.875 * out[1]), abs=0.2)
    assert (u["order"], u["order_x"], u["order_y"]) == (w.MOVE, *rally)


def test_a_worker_whose_rally_point_is_a_patch_gathers_there(arena):
    base = arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    patch, other = (arena.add(c.MINERAL_FIELD, x, 20.5, owner=NEUTRAL) for x in (26, 28))
    arena.tell("Rally_Workers_unit", [base], target=patch)
    arena.tell("Train_SCV_quick", [base])
    arena.run(200)
    arena.env.units["kind"][0, patch] = 0  # it has been mined out by then: the nearest to where it was
    while not of_kind(arena, c.SCV):
        arena.run(1)
    u = arena.unit(of_kind(arena, c.SCV)[0])
    edge = max(abs(u["x"] - 30.5) - 2.5, abs(u["y"] - 28.5) - 2.5)
    assert edge == pytest.approx(0.375, abs=0.02)  # outside, and nobody pushes one that gathers
    assert (u["order"], u["order_slot"]) in ((w.GATHER, other), (w.GATHER, patch))


def test_a_site_has_one_builder(arena):
    first, second = arena.add(c.SCV, 36, 28), arena.add(c.SCV, 34, 28)
    arena.tell("Build_SupplyDepot_pt", [first], at=(38.5, 30.5))
    arena.run(60)
    (site,) = of_kind(arena, c.SUPPLY_DEPOT)
    assert arena.unit(first)["phase"] == w.MINING
    arena.tell("Smart_unit", [second], target=site)
    arena.run(30)
    assert arena.unit(site)["worker"] == first
    assert (arena.unit(second)["order"], arena.unit(second)["x"]) == (w.IDLE, 34)
    left = float(arena.unit(site)["build_left"])
    arena.run(10)
    assert arena.unit(site)["build_left"] == left - 10


def test_who_has_built_a_refinery_does_what_waits_in_the_queue():
    arena = Arena("CollectMineralsAndGas", arguments=("queued",)).clear()
    arena.env.games["minerals"] = 1000
    geyser, worker = arena.add(c.GEYSER, 34.5, 30.5, owner=NEUTRAL), arena.add(c.SCV, 31, 28)
    arena.tell("Build_Refinery_pt", [worker], target=geyser)
    arena.tell("Move_pt", [worker], at=(24.5, 24.5), queued=1)
    arena.run(600)
    assert of_kind(arena, c.REFINERY)
    assert (arena.unit(worker)["x"], arena.unit(worker)["y"]) == pytest.approx((24.5, 24.5), abs=0.01)


def test_the_first_of_a_queue_can_be_given_up(arena):
    """The next one then begins from the beginning."""
    base = arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    for _ in range(2):
        arena.tell("Train_SCV_quick", [base])
    arena.run(100)
    state = arena.env.games, arena.env.units, arena.types
    choice = np.zeros((1, ACTION), np.int64)
    choice[0, :2] = COMMANDS.index("build_queue"), MODES.index("ui")
    arena.env.units["selected"][0, base] = 1
    sizes = np.array([64, 64, 64, 64])
    assert game.choose(*state, choice[0], np.zeros(0, np.int8), np.zeros(0, np.int32), sizes) == SUCCESS
    assert (arena.unit(base)["producing"], arena.unit(base)["product_left"]) == (1, -1)
    assert arena.game["minerals"] == 950
    arena.run(1)
    assert arena.unit(base)["product_left"] == 271
