"""Bunkers, orbital commands, depots and repair: each rule against the game's number.

Numbers are Liquipedia's (patch 4.10), given in seconds of the speed "faster", of which each has 22.4 loops.
"""

import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.rules.cards import BAD_TARGET, NO_MINERALS, NO_TECH, NOT_SUPPORTED, QUEUE_FULL, SUCCESS
from tests.envs.standin.arena import ENEMY, NEUTRAL, Arena
from tests.envs.standin.rules.base import FASTER, of_kind, rich, stocks


@pytest.fixture
def arena():
    return rich()


def test_marines_shoot_out_of_a_bunker_a_little_farther_and_are_safe_in_it(arena):
    bunker = arena.add(c.BUNKER, 30.5, 24.5)
    inside = [arena.add(c.MARINE, 26 + i, 21) for i in range(5)]
    assert arena.command("Smart", inside, target=bunker) == SUCCESS
    arena.run(60)
    orders = [int(arena.unit(s)["order"]) for s in inside]
    assert orders.count(w.GARRISON) == 4  # a bunker holds four
    left_out = inside[orders.index(next(o for o in orders if o != w.GARRISON))]
    arena.env.units["kind"][0, left_out] = 0
    passengers = [s for s in inside if s != left_out]
    assert arena.command("Move", passengers, at=(24, 24)) == NOT_SUPPORTED
    edge = 30.5 + float(arena.types[c.BUNKER]["radius"]) + float(arena.types[c.ROACH]["radius"])
    for distance, hit in ((6.2, False), (5.9, True)):
        roach = arena.add(c.ROACH, edge + distance, 24.5, owner=ENEMY, order=w.HOLD, look=10**6)
        arena.run(20)
        assert (arena.unit(roach)["hp"] < 145) == hit
        arena.env.units["kind"][0, roach] = 0
    assert all(arena.unit(s)["hp"] == 45 for s in passengers)
    assert arena.command("UnloadAll", [bunker]) == SUCCESS
    arena.run(2)
    assert all(abs(arena.unit(s)["x"] - 30.5) < 2.5 and abs(arena.unit(s)["y"] - 24.5) < 3 for s in passengers)


def test_a_marauder_takes_two_places_and_who_is_in_a_lost_bunker_comes_out(arena):
    bunker = arena.add(c.BUNKER, 30.5, 24.5)
    inside = [arena.add(c.MARAUDER, 28 + 2 * i, 21) for i in range(3)]
    assert arena.command("Load", [bunker], target=inside[0]) == SUCCESS
    arena.command("Smart", inside[1:], target=bunker)
    arena.run(60)
    assert sum(arena.unit(s)["order"] == w.GARRISON for s in inside) == 2
    arena.env.units["hp"][0, bunker] = 0
    arena.env.games["dying"] = 1
    arena.run(1)
    assert not of_kind(arena, c.BUNKER)
    assert all(arena.unit(s)["order"] == w.IDLE and arena.unit(s)["x"] > 20 for s in inside)


@pytest.mark.parametrize(
    ("name", "kind", "needs", "minerals", "seconds"),
    [
        ("EngineeringBay", c.ENGINEERING_BAY, c.COMMAND_CENTER, 125, 25),
        ("Bunker", c.BUNKER, c.BARRACKS, 100, 28.57),
        ("MissileTurret", c.MISSILE_TURRET, c.ENGINEERING_BAY, 100, 17.86),
    ],
)
def test_buildings_need_what_they_need_and_take_their_time(arena, name, kind, needs, minerals, seconds):
    worker = arena.add(c.SCV, 34, 26)
    arena.env.units["kind"][0, of_kind(arena, c.COMMAND_CENTER)] = 0
    assert arena.command(f"Build_{name}", [worker], at=(36.5, 28.5)) == NO_TECH
    arena.add(needs, 24.5, 34.5)
    assert arena.command(f"Build_{name}", [worker], at=(36.5, 28.5)) == SUCCESS
    while len(of_kind(arena, kind)) == 0:
        arena.run(1)
    assert stocks(arena)[0] == 1000 - minerals
    (site,) = of_kind(arena, kind)
    assert arena.unit(site)["build_left"] == round(seconds * FASTER)


def orbital(arena, energy=50.0, **fields):
    return arena.add(c.ORBITAL_COMMAND, 30.5, 27.5, energy=energy, energy_at=int(arena.game["loop"]), **fields)


def test_a_command_center_becomes_an_orbital_command(arena):
    (base,) = of_kind(arena, c.COMMAND_CENTER)
    assert arena.command("Morph_OrbitalCommand", [base]) == NO_TECH
    arena.add(c.BARRACKS, 36.5, 28.5)
    assert arena.command("Morph_OrbitalCommand", [base]) == SUCCESS
    assert stocks(arena) == (850, 1000)
    assert arena.command("Train_SCV", [base]) == NOT_SUPPORTED
    arena.run(round(25 * FASTER) - 1)
    assert arena.unit(base)["kind"] == c.COMMAND_CENTER
    arena.run(1)
    assert (arena.unit(base)["kind"], arena.unit(base)["energy"]) == (c.ORBITAL_COMMAND, 50)
    assert arena.command("Train_SCV", [base]) == SUCCESS


def test_energy_returns_by_0_7875_a_second(arena):
    base = orbital(arena, energy=40.0)
    assert arena.command("Effect_Scan", [base], at=(40, 30)) == NOT_SUPPORTED
    arena.run(int(10 / 0.7875 * FASTER))
    assert arena.command("Effect_Scan", [base], at=(40, 30)) == NOT_SUPPORTED
    arena.run(2)
    assert arena.command("Effect_Scan", [base], at=(40, 30)) == SUCCESS
    assert arena.unit(base)["energy"] == pytest.approx(0, abs=0.1)


def test_a_scan_shows_what_is_within_thirteen_for_nine_seconds():
    arena = Arena("Simple64", opponent="terran:very_easy").clear()
    arena.env.games["scan_until"] = 0
    base = arena.add(c.ORBITAL_COMMAND, 15.5, 15.5, energy=50)
    arena.add(c.SUPPLY_DEPOT, 58, 58, owner=ENEMY)  # who has no building has lost
    near, far = (arena.add(c.ROACH, x, 40, owner=ENEMY, order=w.HOLD) for x in (52.5, 53.5))

    def seen():
        arena.env.load_state(arena.env.save_state())
        return [bool((arena.env.slots == slot).any()) for slot in (near, far)]

    assert seen() == [False, False]
    assert arena.command("Effect_Scan", [base], at=(40, 40)) == SUCCESS
    assert seen() == [True, False]
    arena.run(195)
    assert seen() == [True, False]
    arena.run(1)
    assert seen() == [False, False]


def test_a_mule_brings_25_a_trip_beside_a_worker_and_goes_after_64_seconds(arena):
    base = orbital(arena)
    patch = arena.add(c.MINERAL_FIELD, 24, 24.5, owner=NEUTRAL)
    worker = arena.add(c.SCV, 25, 26)
    arena.command("Harvest_Gather", [worker], target=patch)
    assert arena.command("Effect_CalldownMULE", [base], target=base) == BAD_TARGET
    assert arena.command("Effect_CalldownMULE", [base], target=patch) == SUCCESS
    (mule,) = of_kind(arena, c.MULE)
    trips, worker_trips = [], []
    for _ in range(round(64.28 * FASTER) - 1):
        before = int(arena.game["minerals"])
        arena.run(1)
        gained = int(arena.game["minerals"]) - before
        trips += [gained] * (gained in (25, 30))
        worker_trips += [gained] * (gained in (5, 30))
    assert set(trips) <= {25, 30}
    assert 8 <= len(trips) <= 11  # Liquipedia: about 225 minerals in its life
    assert len(worker_trips) > 10
    assert arena.unit(mule)["kind"] == c.MULE
    arena.run(2)
    assert not of_kind(arena, c.MULE)


def test_a_supply_drop_adds_eight_to_a_depot_once(arena):
    base, depot = orbital(arena, energy=100.0), arena.add(c.SUPPLY_DEPOT, 40, 30)
    assert arena.command("Effect_SupplyDrop", [base], target=base) == BAD_TARGET
    assert arena.command("Effect_SupplyDrop", [base], target=depot) == SUCCESS
    assert arena.unit(depot)["extra"] == 16
    assert arena.command("Effect_SupplyDrop", [base], target=depot) == BAD_TARGET


def test_units_walk_over_a_lowered_depot_and_nothing_is_built_on_it(arena):
    depot = arena.add(c.SUPPLY_DEPOT, 34, 24)
    assert arena.command("Morph_SupplyDepot_Lower", [depot]) == SUCCESS
    marine = arena.add(c.MARINE, 30, 24)
    arena.command("Move", [marine], at=(38, 24))
    arena.run(60)
    assert (arena.unit(marine)["x"], arena.unit(marine)["y"]) == pytest.approx((38, 24), abs=0.01)
    worker = arena.add(c.SCV, 34, 20)
    assert arena.command("Build_SupplyDepot", [worker], at=(35, 24)) != SUCCESS
    assert arena.command("Build_Barracks", [worker], at=(40.5, 30.5)) == SUCCESS  # it counts as a depot
    assert arena.command("Morph_SupplyDepot_Raise", [depot]) == SUCCESS
    arena.command("Move", [marine], at=(30, 24))
    for _ in range(80):
        arena.run(1)
        u = arena.unit(marine)
        assert abs(u["x"] - 34) > 1.2 or abs(u["y"] - 24) > 1.2


def test_repairing_takes_as_long_as_building_and_a_quarter_of_the_cost(arena):
    barracks, worker = arena.add(c.BARRACKS, 36.5, 28.5, hp=500), arena.add(c.SCV, 34.3, 28.5)
    assert arena.command("Effect_Repair", [worker], target=barracks) == SUCCESS
    arena.run(510)
    assert 960 < arena.unit(barracks)["hp"] < 991
    arena.run(30)
    assert arena.unit(barracks)["hp"] == 1000
    assert arena.unit(worker)["order"] == w.IDLE
    assert stocks(arena)[0] == pytest.approx(1000 - 150 / 4 / 2, abs=1)


def test_repairing_stops_without_the_money_and_only_mends_what_is_mechanical(arena):
    barracks, worker = arena.add(c.BARRACKS, 36.5, 28.5, hp=500), arena.add(c.SCV, 34.3, 28.5)
    arena.env.games["minerals"] = 2
    arena.command("Smart", [worker], target=barracks)
    arena.run(400)
    assert arena.unit(barracks)["hp"] < 620
    assert (arena.unit(worker)["order"], int(arena.game["minerals"])) == (w.IDLE, 0)
    marine, other = arena.add(c.MARINE, 30, 24, hp=20), arena.add(c.SCV, 31, 24, hp=20)
    arena.command("Effect_Repair", [worker], target=marine)
    assert arena.unit(worker)["order"] != w.REPAIR
    arena.env.games["minerals"] = 100
    arena.command("Effect_Repair", [worker], target=other)
    arena.run(300)
    assert arena.unit(other)["hp"] == 45


def test_a_full_queue_and_an_empty_purse_are_told(arena):
    barracks = arena.add(c.BARRACKS, 36.5, 28.5)
    for _ in range(5):
        assert arena.command("Train_Marine", [barracks]) == SUCCESS
    assert arena.command("Train_Marine", [barracks]) in (QUEUE_FULL, NOT_SUPPORTED)
    arena.env.games["minerals"] = 0
    assert arena.command("Build_Bunker", [arena.add(c.SCV, 24, 24)], at=(30.5, 24.5)) == NO_MINERALS
