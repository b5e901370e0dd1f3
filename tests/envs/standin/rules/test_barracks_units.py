"""Marauders, reapers, bunkers, add-ons, upgrades, orbital commands and repair: each rule against the game's number.

Numbers are Liquipedia's (patch 4.10), given in seconds of the speed "faster", of which each has 22.4 loops.
"""

import numpy as np
import pytest

from envs.standin import game
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.rules.cards import BAD_TARGET, NO_MINERALS, NO_TECH, NOT_SUPPORTED, QUEUE_FULL, SUCCESS
from tests.envs.standin.arena import ENEMY, NEUTRAL, Arena

FASTER = 22.4


@pytest.fixture
def arena():
    arena = Arena("CollectMineralsAndGas").clear()
    arena.env.games["minerals"] = 1000
    arena.env.games["vespene"] = 1000
    for name in ("upgrades", "researching"):
        arena.env.games[name] = 0
    arena.add(c.COMMAND_CENTER, 24.5, 34.5)
    return arena


def of_kind(arena, kind):
    return np.flatnonzero(arena.env.units["kind"][0] == kind).tolist()


def stocks(arena):
    return int(arena.game["minerals"]), int(arena.game["vespene"])


def learn(arena, *upgrades):
    for row in upgrades:
        game.research(arena.env.games, arena.env.units, row)


def lab(arena, kind=c.TECH_LAB):
    """A barracks with a finished add-on beside it."""
    barracks = arena.add(c.BARRACKS, 36.5, 28.5)
    arena.add(kind, 39, 28, addon=barracks, addon_tag=barracks + 1)
    for name, value in {"addon": barracks + 1, "addon_tag": barracks + 2, "addon_kind": kind}.items():
        arena.env.units[name][0, barracks] = value
    return barracks


@pytest.mark.parametrize(
    ("name", "kind", "minerals", "vespene", "seconds"),
    [("Marauder", c.MARAUDER, 100, 25, 21.43), ("Reaper", c.REAPER, 50, 50, 32.14), ("Marine", c.MARINE, 50, 0, 17.86)],
)
def test_a_barracks_with_a_tech_lab_trains_each(arena, name, kind, minerals, vespene, seconds):
    barracks = lab(arena)
    assert arena.command(f"Train_{name}", [barracks]) == SUCCESS
    assert stocks(arena) == (1000 - minerals, 1000 - vespene)
    arena.run(round(seconds * FASTER) - 1)
    assert not of_kind(arena, kind)
    arena.run(1)
    assert len(of_kind(arena, kind)) == 1


def test_a_marauder_needs_a_tech_lab_and_a_reaper_does_not(arena):
    barracks = arena.add(c.BARRACKS, 36.5, 28.5)
    assert arena.command("Train_Marauder", [barracks]) == NOT_SUPPORTED
    assert arena.command("Train_Reaper", [barracks]) == SUCCESS


@pytest.mark.parametrize(("name", "kind", "gas", "seconds"), [("TechLab", 20, 25, 17.86), ("Reactor", 21, 50, 35.71)])
def test_an_add_on_grows_beside_its_barracks_which_waits_for_it(arena, name, kind, gas, seconds):
    barracks = arena.add(c.BARRACKS, 36.5, 28.5)
    assert arena.command(f"Build_{name}", [barracks]) == SUCCESS
    assert stocks(arena) == (950, 1000 - gas)
    arena.run(1)
    (addon,) = of_kind(arena, kind)
    assert (arena.unit(addon)["x"], arena.unit(addon)["y"]) == (39.0, 28.0)
    assert arena.command("Train_Marine", [barracks]) == NOT_SUPPORTED
    loops = round(seconds * FASTER)
    arena.run(loops // 2 - 1)
    assert arena.unit(addon)["hp"] == pytest.approx(400 * 0.55, rel=0.02)
    arena.run(loops - loops // 2 - 1)
    assert (arena.unit(addon)["build_left"], arena.unit(barracks)["addon_kind"]) == (1, 0)
    arena.run(1)
    assert (arena.unit(addon)["build_left"], arena.unit(barracks)["addon_kind"]) == (0, kind)
    assert arena.unit(addon)["hp"] == pytest.approx(400, rel=1e-3)
    assert arena.command(f"Build_{name}", [barracks]) == NOT_SUPPORTED  # it has one


def test_an_add_on_needs_room_and_can_be_given_up(arena):
    barracks = arena.add(c.BARRACKS, 36.5, 28.5)
    depot = arena.add(c.SUPPLY_DEPOT, 40, 28)
    arena.command("Build_TechLab", [barracks])
    arena.run(20)
    assert not of_kind(arena, c.TECH_LAB)  # it waits
    arena.env.units["kind"][0, depot] = 0
    arena.run(20)
    assert of_kind(arena, c.TECH_LAB)
    assert arena.command("Cancel_Last", [barracks]) == SUCCESS
    assert not of_kind(arena, c.TECH_LAB)
    assert stocks(arena) == (1000, 1000)
    assert arena.command("Train_Marine", [barracks]) == SUCCESS


def test_what_happens_to_one_of_the_two(arena):
    """An unfinished add-on dies with its barracks, a finished one does not and is taken over by the next."""
    barracks = lab(arena)
    arena.env.units["hp"][0, barracks] = 0
    arena.env.games["dying"] = 1
    arena.run(1)
    (addon,) = of_kind(arena, c.TECH_LAB)
    assert arena.unit(addon)["addon"] == -1
    depot, worker = arena.add(c.SUPPLY_DEPOT, 30, 24), arena.add(c.SCV, 34, 28)
    assert arena.command("Build_Barracks", [worker], at=(36.5, 28.5)) == SUCCESS
    arena.run(1080)
    (barracks,) = of_kind(arena, c.BARRACKS)
    assert arena.unit(barracks)["addon_kind"] == c.TECH_LAB
    arena.env.units["hp"][0, addon] = 0
    arena.env.games["dying"] = 1
    arena.run(1)
    assert (arena.unit(barracks)["addon_kind"], arena.unit(barracks)["addon"], depot >= 0) == (0, -1, True)
    arena.command("Build_Reactor", [barracks])
    arena.run(2)
    arena.env.units["hp"][0, barracks] = 0
    arena.env.games["dying"] = 1
    arena.run(1)
    assert not of_kind(arena, c.REACTOR)


def test_a_reactor_makes_two_at_once_of_eight(arena):
    barracks = lab(arena, c.REACTOR)
    arena.add(c.SUPPLY_DEPOT, 30, 24)
    for _ in range(8):
        assert arena.command("Train_Marine", [barracks]) == SUCCESS
    assert arena.command("Train_Marine", [barracks]) == NOT_SUPPORTED
    arena.run(400)
    assert len(of_kind(arena, c.MARINE)) == 2
    arena.run(400)
    assert len(of_kind(arena, c.MARINE)) == 4


@pytest.mark.parametrize(
    ("name", "row", "cost", "seconds"),
    [
        ("Stimpack", c.STIMPACK, 100, 100),
        ("CombatShield", c.COMBAT_SHIELD, 100, 78.57),
        ("ConcussiveShells", c.CONCUSSIVE_SHELLS, 50, 42.86),
        ("TerranInfantryWeapons", c.INFANTRY_WEAPONS, 100, 114.29),
        ("TerranInfantryArmor", c.INFANTRY_ARMOR, 100, 114.29),
    ],
)
def test_upgrades_cost_and_take_what_the_game_says_and_only_once(arena, name, row, cost, seconds):
    where = lab(arena) + 1 if row < c.INFANTRY_WEAPONS else arena.add(c.ENGINEERING_BAY, 30.5, 24.5)
    assert arena.command(f"Research_{name}", [where]) == SUCCESS
    assert stocks(arena) == (1000 - cost, 1000 - cost)
    assert arena.command(f"Research_{name}", [where]) == NOT_SUPPORTED
    arena.run(round(seconds * FASTER) - 1)
    bit = 1 << (row - c.KINDS)
    assert arena.game["upgrades"] & bit == 0
    arena.run(1)
    assert arena.game["upgrades"] & bit
    assert arena.game["researching"] == 0
    assert arena.command(f"Research_{name}", [where]) == NOT_SUPPORTED


def test_research_that_is_given_up_or_lost_can_begin_again(arena):
    where = lab(arena) + 1
    arena.command("Research_Stimpack", [where])
    assert arena.command("Cancel_Last", [where]) == SUCCESS
    assert stocks(arena) == (1000, 1000)
    arena.command("Research_Stimpack", [where])
    arena.env.units["hp"][0, where] = 0
    arena.env.games["dying"] = 1
    arena.run(1)
    assert arena.game["researching"] == 0


@pytest.mark.parametrize(("kind", "cost"), [(c.MARINE, 10), (c.MARAUDER, 20)])
def test_a_stimpack_costs_health_and_hastens_legs_and_weapons(arena, kind, cost):
    """Half as fast again for 10.7 s (4.10: 11 s is the page's rounding)."""
    me = arena.add(kind, 24, 20)
    assert arena.command("Effect_Stim", [me]) == NOT_SUPPORTED  # not researched
    learn(arena, c.STIMPACK)
    assert arena.command("Effect_Stim", [me]) == SUCCESS
    assert arena.unit(me)["hp"] == arena.types[kind]["hp"] - cost
    arena.command("Move", [me], at=(44, 20))
    arena.run(20)
    before = float(arena.unit(me)["x"])
    arena.run(10)
    assert arena.unit(me)["x"] - before == pytest.approx(10 * 1.5 * 2.25 / 16, rel=1e-4)
    arena.command("Move", [me], at=(24, 20))
    arena.run(215)
    arena.command("Move", [me], at=(44, 20))
    arena.run(5)
    before = float(arena.unit(me)["x"])
    arena.run(10)
    assert arena.unit(me)["x"] - before == pytest.approx(10 * 2.25 / 16, rel=1e-4)


def test_a_stimmed_marine_shoots_half_as_often_again(arena):
    learn(arena, c.STIMPACK)
    targets = []
    for x, stimmed in ((24, False), (40, True)):
        marine = arena.add(c.MARINE, x, 26, stim_until=10**6 if stimmed else 0)
        targets.append(arena.add(c.SUPPLY_DEPOT, x, 22, owner=ENEMY, hp=4000))
        arena.command("Attack", [marine], target=targets[-1])
    arena.run(800)
    plain, fast = (4000 - float(arena.unit(slot)["hp"]) for slot in targets)
    period = 0.8608 * 16
    assert fast / plain == pytest.approx((period + 0.5) / (period / 1.5 + 0.5), rel=0.05)


def test_a_combat_shield_gives_ten_hit_points_to_those_that_are_there_and_to_come(arena):
    barracks = lab(arena)
    marine = arena.add(c.MARINE, 24, 20, hp=30)
    marauder = arena.add(c.MARAUDER, 26, 20)
    learn(arena, c.COMBAT_SHIELD)
    assert (arena.unit(marine)["hp"], arena.unit(marauder)["hp"]) == (40, 125)
    arena.command("Train_Marine", [barracks])
    arena.run(400)
    assert arena.unit(of_kind(arena, c.MARINE)[-1])["hp"] == 55


@pytest.mark.parametrize(
    ("shooter", "victim", "upgrades", "damage"),
    [
        (c.MARAUDER, c.MARINE, (), 10),
        (c.MARAUDER, c.ROACH, (), 20 - 1),  # armored, with an armor of 1
        (c.MARAUDER, c.ROACH, (c.INFANTRY_WEAPONS,), 22 - 1),
        (c.REAPER, c.MARINE, (), 2 * 4),
        (c.REAPER, c.ROACH, (), 2 * 3),
        (c.REAPER, c.MARINE, (c.INFANTRY_WEAPONS,), 2 * 5),
        (c.MARINE, c.MARINE, (c.INFANTRY_WEAPONS,), 7),
    ],
)
def test_a_hit_takes_what_the_numbers_say(arena, shooter, victim, upgrades, damage):
    learn(arena, *upgrades)
    me, other = arena.add(shooter, 24, 20), arena.add(victim, 27, 20, owner=ENEMY, order=w.HOLD)
    arena.env.units["look"][0, other] = 10**6
    arena.command("Attack", [me], target=other)
    full = float(arena.types[victim]["hp"])
    while arena.unit(other)["hp"] == full:
        arena.run(1)
    assert full - arena.unit(other)["hp"] == pytest.approx(damage, abs=0.1)  # a roach heals meanwhile


def test_infantry_armor_takes_one_off_each_hit(arena):
    """The enemy's, here: its own marines' six become five, a reaper's two times four two times three."""
    arena.env.games["other_upgrades"] = 1 << (c.INFANTRY_ARMOR - c.KINDS)
    for y, shooter, damage in ((20, c.MARINE, 5), (26, c.REAPER, 6)):
        me, other = arena.add(shooter, 24, y), arena.add(c.MARINE, 27, y, owner=ENEMY, order=w.HOLD)
        arena.env.units["look"][0, other] = 10**6
        arena.command("Attack", [me], target=other)
        while arena.unit(other)["hp"] == 45:
            arena.run(1)
        assert 45 - arena.unit(other)["hp"] == damage


def test_concussive_shells_slow_to_half_for_a_second(arena):
    for researched in (False, True):
        if researched:
            learn(arena, c.CONCUSSIVE_SHELLS)
        me = arena.add(c.MARAUDER, 24, 20)
        other = arena.add(c.ROACH, 28, 20, owner=ENEMY)
        arena.order(other, w.MOVE, 44, 20)
        arena.command("Attack", [me], target=other)
        while arena.unit(other)["hp"] == 145:
            arena.run(1)
        before = float(arena.unit(other)["x"])
        arena.run(10)
        way = arena.unit(other)["x"] - before
        assert way == pytest.approx(10 * 2.25 / 16 * (0.5 if researched else 1), rel=0.02)
        arena.env.units["kind"][0, [me, other]] = 0


def test_a_reaper_heals_ten_seconds_after_the_last_hit(arena):
    """Two hit points a second, both in seconds of the speed normal, of which each has 16 loops."""
    me = arena.add(c.REAPER, 24, 20, hp=20, hurt_at=int(arena.game["loop"]))
    arena.run(159)
    assert arena.unit(me)["hp"] == 20
    arena.run(17)
    assert arena.unit(me)["hp"] == pytest.approx(22, abs=0.13)


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
