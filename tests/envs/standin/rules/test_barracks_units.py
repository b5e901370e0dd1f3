"""Marauders, reapers, add-ons and upgrades: each rule against the game's number.

Numbers are Liquipedia's (patch 4.10), given in seconds of the speed "faster", of which each has 22.4 loops.
"""

import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.rules.cards import NOT_SUPPORTED, SUCCESS
from tests.envs.standin.arena import ENEMY
from tests.envs.standin.rules.base import FASTER, lab, learn, of_kind, rich, stocks


@pytest.fixture
def arena():
    return rich()


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
