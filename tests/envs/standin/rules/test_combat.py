"""Whom a unit attacks, when it hits, whom it hurts and who comes to help: small arenas, one rule each."""

import math

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from tests.envs.standin.arena import ENEMY, NEUTRAL, Arena

MARINE, SCV, ZERGLING, BANELING, ROACH = c.MARINE, c.SCV, c.ZERGLING, c.BANELING, c.ROACH
PEACEFUL = {"cooldown": 1e6}
RIGHT = {"face_x": 1.0, "face_y": 0.0}


@pytest.fixture
def arena():
    """A map whose script takes no part in a fight."""
    return Arena("CollectMineralsAndGas").clear()


def gap(arena, kind, other, edge):
    """The distance of two centers whose edges are ``edge`` apart."""
    return edge + float(arena.types[kind]["radius"] + arena.types[other]["radius"])


def test_a_unit_is_attacked_before_a_nearer_building_and_the_nearest_of_its_like(arena):
    marine = arena.add(MARINE, 30, 28)
    arena.add(c.SUPPLY_DEPOT, 33, 28, owner=ENEMY)
    arena.add(ZERGLING, 30, 32.5, owner=ENEMY, **PEACEFUL)
    nearest = arena.add(ZERGLING, 30, 24, owner=ENEMY, **PEACEFUL)
    arena.add(c.MINERAL_FIELD, 28, 28, owner=NEUTRAL)
    arena.add(MARINE, 30, 29, **PEACEFUL)  # a friend
    arena.run(2)
    assert arena.unit(marine)["target"] == nearest


def test_the_edge_counts_not_the_center(arena):
    """A roach is wider than a zergling: of two equally far centers it is the nearer one."""
    marine = arena.add(MARINE, 30, 28)
    arena.add(ZERGLING, 34, 28, owner=ENEMY, **PEACEFUL)
    roach = arena.add(ROACH, 26, 28, owner=ENEMY, **PEACEFUL)
    arena.run(2)
    assert arena.unit(marine)["target"] == roach


@pytest.mark.parametrize(("kind", "scan"), [(MARINE, 5.5), (ZERGLING, 5), (ROACH, 5)])
@pytest.mark.parametrize("away", [-0.05, 0.05])
def test_an_idle_unit_goes_for_what_comes_as_near_as_it_scans(arena, kind, scan, away):
    unit = arena.add(kind, 28, 28)
    foe = arena.add(c.SCV, 28 + gap(arena, kind, c.SCV, scan + away), 28, owner=ENEMY)
    arena.run(2)
    assert (arena.unit(unit)["target"] == foe) == (away < 0)


def test_an_idle_unit_looks_twice_a_second(arena):
    """Whatever comes into range is seen within eight loops, and a worker looks for nothing."""
    marine, worker = arena.add(MARINE, 28, 28), arena.add(SCV, 28, 30)
    foe = arena.add(ZERGLING, 44, 28, owner=ENEMY, **PEACEFUL)
    arena.run(3)
    assert arena.unit(marine)["target"] == -1
    arena.env.units["x"][0, foe] = 32
    arena.order(foe, w.HOLD)
    arena.run(4)
    assert arena.unit(marine)["target"] == -1
    arena.run(4)
    assert arena.unit(marine)["target"] == foe
    assert arena.unit(worker)["target"] == -1


@pytest.mark.parametrize("kind", [MARINE, ROACH])
def test_a_weapon_reaches_as_far_as_its_range(arena, kind):
    """From edge to edge. One that stands its ground shoots at what is within it and at nothing else."""
    for away, hit in ((-0.02, True), (0.02, False)):
        arena.clear()
        unit = arena.add(kind, 28, 28, **RIGHT)
        foe = arena.add(SCV, 28 + gap(arena, kind, SCV, float(arena.types[kind]["range"]) + away), 28, owner=ENEMY)
        arena.order(unit, w.HOLD)
        arena.run(12)
        assert (arena.unit(foe)["hp"] < 45) == hit
        assert (arena.unit(unit)["target"] == foe) == hit


def test_one_that_is_told_to_attack_comes_just_into_range(arena):
    marine = arena.add(MARINE, 24, 28, **RIGHT)
    foe = arena.add(c.SUPPLY_DEPOT, 38, 28, owner=ENEMY)
    arena.order(marine, w.ATTACK, target=foe)
    arena.run(120)
    away = arena.unit(foe)["x"] - arena.unit(marine)["x"]
    assert gap(arena, MARINE, c.SUPPLY_DEPOT, 5) - 0.141 <= away <= gap(arena, MARINE, c.SUPPLY_DEPOT, 5)
    lost = 400 - arena.unit(foe)["hp"]
    assert lost > 0
    assert lost % 5 == 0  # six, less one of armor


@pytest.mark.parametrize(
    ("kind", "victim", "damage"),
    [
        (MARINE, MARINE, 6), (MARINE, ROACH, 5), (ZERGLING, MARINE, 5), (ZERGLING, ROACH, 4), (ROACH, MARINE, 16),
        (ROACH, c.BARRACKS, 15), (SCV, ZERGLING, 5), (SCV, c.COMMAND_CENTER, 4),
    ],
)  # fmt: skip
def test_a_hit_takes_the_damage_less_armor(arena, kind, victim, damage):
    unit = arena.add(kind, 28, 28, **RIGHT)
    foe = arena.add(victim, 28 + gap(arena, kind, victim, 0.05), 28, owner=ENEMY, **PEACEFUL)
    arena.order(unit, w.ATTACK, target=foe)
    before, losses = float(arena.types[victim]["hp"]), []
    for _ in range(12):
        arena.run(1)
        losses.append(before - float(arena.unit(foe)["hp"]))
    assert max(losses) == pytest.approx(damage, abs=0.02)  # a zergling or roach regains as much in the same loop


def test_armor_leaves_half_a_point(arena):
    arena.env._types["armor"][ROACH] = 50
    marine, foe = arena.add(MARINE, 28, 28, **RIGHT), arena.add(ROACH, 31, 28, owner=ENEMY, **PEACEFUL)
    arena.order(marine, w.ATTACK, target=foe)
    while arena.unit(foe)["hp"] == 145:
        arena.run(1)
    assert arena.unit(foe)["hp"] == pytest.approx(145 - 0.5, abs=0.02)


def test_zerg_heal_and_terrans_do_not(arena):
    """.2734 hit points a second, to no more than they had."""
    slots = {
        kind: arena.add(kind, 24 + 3 * i, 24, hp=20.0) for i, kind in enumerate((ZERGLING, BANELING, ROACH, MARINE))
    }
    nearly = arena.add(ZERGLING, 40, 24, hp=34.99)
    arena.run(160)
    for kind, slot in slots.items():
        assert arena.unit(slot)["hp"] == pytest.approx(20 if kind == MARINE else 20 + 10 * 0.2734, abs=0.01)
    assert arena.unit(nearly)["hp"] == 35


@pytest.mark.parametrize(("beyond", "leaves"), [(0.95, True), (1.05, False)])
def test_a_shot_leaves_while_its_target_is_no_more_than_one_out_of_range(arena, beyond, leaves):
    roach = arena.add(ROACH, 28, 28, **RIGHT)
    foe = arena.add(c.SUPPLY_DEPOT, 32, 28, owner=ENEMY)
    arena.order(roach, w.ATTACK, target=foe)
    while arena.unit(roach)["windup"] <= 0:
        arena.run(1)
    arena.env.units["x"][0, foe] = 28 + gap(arena, ROACH, c.SUPPLY_DEPOT, 4 + beyond)
    arena.run(3)
    assert arena.game["missiles"] == leaves


def test_a_unit_that_looks_away_turns_before_it_shoots(arena):
    """62.5 degrees a loop, and it shoots within 11.25 of its target: half around takes two loops more."""
    first = {}
    for angle in (0, 180):
        arena.clear()
        turn = math.radians(angle)
        marine = arena.add(MARINE, 28, 28, face_x=math.cos(turn), face_y=math.sin(turn))
        foe = arena.add(c.SUPPLY_DEPOT, 32, 28, owner=ENEMY)
        arena.order(marine, w.ATTACK, target=foe)
        first[angle] = 0
        while arena.unit(foe)["hp"] == 400:
            arena.run(1)
            first[angle] += 1
    assert first[180] - first[0] == 2


def test_a_missile_flies_after_its_target_and_hits_when_its_time_is_over(arena):
    """18.75 a second from center to center, wherever the target has got to, and whether or not the roach lives."""
    roach = arena.add(ROACH, 26, 28, **RIGHT)
    foe = arena.add(c.SCV, 26 + gap(arena, ROACH, c.SCV, 3.9), 28, owner=ENEMY)
    away = gap(arena, ROACH, c.SCV, 3.9)
    arena.order(roach, w.ATTACK, target=foe)
    while arena.game["missiles"] == 0:
        arena.run(1)
    flight = away / (18.75 / 16)
    assert arena.game["missile_left"][0] == pytest.approx(flight - 1, abs=1e-3)  # launched and flown in this loop
    arena.env.units["hp"][0, roach] = 0.0
    arena.env.games["dying"] = 1
    arena.env.units["x"][0, foe] = 44
    loops = 0
    while arena.unit(foe)["hp"] == 45:
        arena.run(1)
        loops += 1
    assert loops == math.ceil(flight - 1)
    assert arena.unit(roach)["kind"] == 0
    assert arena.unit(foe)["hp"] == 45 - 16
    assert arena.game["missiles"] == 0


def test_a_missile_whose_target_is_gone_does_not_hit_who_takes_its_place(arena):
    roach = arena.add(ROACH, 26, 28, **RIGHT)
    foe = arena.add(MARINE, 30.5, 28, owner=ENEMY, **PEACEFUL)
    arena.order(roach, w.ATTACK, target=foe)
    while arena.game["missiles"] == 0:
        arena.run(1)
    arena.env.units["tag"][0, foe] = 77  # another marine, in the same slot
    arena.order(roach, w.IDLE)
    arena.env.units["cooldown"][0, roach] = 1e6
    arena.run(10)
    assert arena.game["missiles"] == 0
    assert arena.unit(foe)["hp"] == 45


@pytest.mark.parametrize("edges", [(3.9, 0.2), (0.2, 3.9)])
def test_each_missile_keeps_its_own_target_and_time(arena, edges):
    """Two in the air, of which either may hit first: the other is not lost."""
    roaches = [arena.add(ROACH, 26, y, **RIGHT) for y in (24, 32)]
    victims = [
        arena.add(SCV, 26 + gap(arena, ROACH, SCV, e), y, owner=ENEMY) for e, y in zip(edges, (24, 32), strict=True)
    ]
    for roach, victim in zip(roaches, victims, strict=True):
        arena.order(roach, w.ATTACK, target=victim)
    hit = [0, 0]
    for loop in range(1, 12):
        arena.run(1)
        for i, victim in enumerate(victims):
            hit[i] = hit[i] or loop * (arena.unit(victim)["hp"] < 45)
    assert all(hit)
    assert (hit[0] < hit[1]) == (edges[0] < edges[1])
    assert [float(arena.unit(victim)["hp"]) for victim in victims] == [29, 29]


def test_more_missiles_than_the_sky_holds_hit_at_once(arena):
    roaches = [arena.add(ROACH, 23 + 0.2 * i, 25, **RIGHT) for i in range(w.MISSILES + 2)]
    foe = arena.add(c.COMMAND_CENTER, 30.5, 25.5, owner=ENEMY)
    for slot in roaches:
        arena.order(slot, w.HOLD)
        arena.env.units["windup"][0, slot] = 1.0
        arena.env.units["target"][0, slot], arena.env.units["target_tag"][0, slot] = foe, foe + 1
    arena.run(1)
    assert arena.game["missiles"] == w.MISSILES
    assert arena.unit(foe)["hp"] == 1500 - 2 * 15


@pytest.mark.parametrize(("away", "comes"), [(3.95, True), (4.05, False)])
def test_idle_friends_come_to_help_who_are_near_and_nobody_else(arena, away, comes):
    victim = arena.add(ROACH, 34, 28, owner=ENEMY)
    attacker = arena.add(MARINE, 34 - gap(arena, MARINE, ROACH, 4.9), 28, **RIGHT)
    friend = arena.add(ZERGLING, 34 + away, 28, owner=ENEMY)
    busy = arena.add(ZERGLING, 34, 31, owner=ENEMY)
    worker = arena.add(SCV, 34, 25, owner=ENEMY)
    others = [arena.add(MARINE, 34, 28 + 3.9, **PEACEFUL), arena.add(MARINE, 34 - 3, 28 - 2, **PEACEFUL)]
    arena.order(attacker, w.ATTACK, target=victim)
    arena.order(busy, w.MOVE, 44, 34)
    for slot in others:
        arena.order(slot, w.MOVE, 24, 34)  # they do not fight, whoever calls
    arena.env.units["look"][0, [victim, friend]] = 1000  # they see nothing by themselves
    while arena.unit(victim)["hp"] == 145:
        arena.run(1)
    assert arena.unit(victim)["target"] == attacker
    assert arena.unit(friend)["target"] == (attacker if comes else -1)
    assert arena.unit(friend)["target_tag"] == (attacker + 1 if comes else 0)
    assert [int(arena.unit(slot)["target"]) for slot in (busy, worker, *others)] == [-1] * 4


def test_nobody_comes_to_help_the_attacker(arena):
    """Idle friends of the one who shoots, near to the victim, take no part unless they see it themselves."""
    victim = arena.add(SCV, 34, 28, owner=ENEMY)
    attacker = arena.add(MARINE, 31, 28, **RIGHT)
    bystander = arena.add(MARINE, 34, 31, look=1000)
    arena.order(attacker, w.ATTACK, target=victim)
    arena.run(10)
    assert arena.unit(victim)["hp"] < 45
    assert arena.unit(bystander)["target"] == -1


def test_a_victim_calls_at_most_every_other_second(arena):
    victim = arena.add(c.SUPPLY_DEPOT, 34, 28, owner=ENEMY)
    attacker = arena.add(MARINE, 34 - gap(arena, MARINE, c.SUPPLY_DEPOT, 4.9), 28, **RIGHT)
    arena.order(attacker, w.ATTACK, target=victim)
    while arena.unit(victim)["hp"] == 400:
        arena.run(1)
    called = int(arena.game["loop"])
    friend = arena.add(ZERGLING, 37, 28, owner=ENEMY, look=100_000)
    arena.run(30)
    assert arena.unit(victim)["hp"] < 395  # it was hit again
    assert arena.unit(friend)["target"] == -1
    while arena.unit(friend)["target"] < 0:
        arena.run(1)
        assert arena.game["loop"] < called + 60
    assert arena.game["loop"] >= called + 32


def test_an_idle_unit_fights_back_and_one_with_an_order_does_not(arena):
    for order, fights in ((w.IDLE, True), (w.MOVE, False)):
        arena.clear()
        victim = arena.add(ROACH, 34, 28, owner=ENEMY, look=1000)
        attacker = arena.add(MARINE, 34 - gap(arena, MARINE, ROACH, 4.9), 28, **RIGHT)
        arena.order(victim, order, 34, 34)
        arena.order(attacker, w.ATTACK, target=victim)
        while arena.unit(victim)["hp"] == 145:
            arena.run(1)
        assert (arena.unit(victim)["target"] == attacker) == fights


def test_one_that_fights_is_not_distracted_by_another_attacker(arena):
    victim = arena.add(ROACH, 34, 28, owner=ENEMY)
    first = arena.add(SCV, 32.5, 28, hp=1000.0)
    arena.run(2)
    assert arena.unit(victim)["target"] == first
    second = arena.add(MARINE, 37, 28, face_x=-1.0, face_y=0.0)
    arena.order(second, w.ATTACK, target=victim)
    arena.run(20)
    assert arena.unit(victim)["hp"] < 145
    assert arena.unit(victim)["target"] == first


@pytest.mark.parametrize(("away", "hurt"), [(2.15, True), (2.25, False)])
def test_a_baneling_bursts_over_two_units_and_a_fifth(arena, away, hurt):
    """The other side's units whose centers are so near; no building, no neutral, none of its own side."""
    baneling = arena.add(BANELING, 34, 28, owner=ENEMY, hp=0.0)
    light = arena.add(MARINE, 34 + away, 28, **PEACEFUL)
    heavy = arena.add(ROACH, 34, 28 + away, **PEACEFUL)
    own_side = arena.add(ZERGLING, 34, 27, owner=ENEMY, **PEACEFUL)
    building = arena.add(c.SUPPLY_DEPOT, 33, 27)
    rock = arena.add(c.MINERAL_FIELD, 34, 26, owner=NEUTRAL)
    arena.env.games["dying"] = 1
    arena.run(1)
    assert arena.unit(baneling)["kind"] == 0
    assert arena.unit(light)["hp"] == 45 - 35 * hurt
    assert arena.unit(heavy)["hp"] == 145 - 19 * hurt  # not light: 20, less one of armor
    assert [float(arena.unit(s)["hp"]) for s in (own_side, building, rock)] == [35, 400, 10000]


def test_a_baneling_bursts_at_a_quarter_from_its_target(arena):
    baneling = arena.add(BANELING, 28, 28, owner=ENEMY, **RIGHT)
    foe = arena.add(MARINE, 33, 28, **PEACEFUL)
    arena.order(baneling, w.ATTACK, target=foe)
    last = 0.0
    while arena.unit(baneling)["kind"] == BANELING:
        last = float(arena.unit(baneling)["x"])
        arena.run(1)
    assert gap(arena, BANELING, MARINE, 0) < 33 - last <= gap(arena, BANELING, MARINE, 0.25) + 1e-3
    assert arena.unit(foe)["hp"] == 10


def test_an_order_to_attack_ends_with_its_target(arena):
    marine, foe = arena.add(MARINE, 28, 28, **RIGHT), arena.add(SCV, 31, 28, owner=ENEMY, hp=6.0)
    arena.order(marine, w.ATTACK, target=foe)
    arena.run(8)
    assert arena.unit(foe)["kind"] == 0
    assert (arena.unit(marine)["order"], arena.unit(marine)["target"]) == (w.IDLE, -1)
    assert arena.game["enemies"] == 0


def test_one_that_attacks_its_way_goes_on_when_nobody_is_left(arena):
    marine, foe = arena.add(MARINE, 26, 28, **RIGHT), arena.add(SCV, 30, 28, owner=ENEMY, hp=6.0)
    arena.tell("Attack_pt", [marine], at=(36.5, 28.5))
    arena.run(120)
    assert arena.unit(foe)["kind"] == 0
    assert (arena.unit(marine)["x"], arena.unit(marine)["y"]) == pytest.approx((36.5, 28.5), abs=0.01)
    assert arena.unit(marine)["order"] == w.IDLE


def test_what_dies_is_taken_from_all_counts(arena):
    slots = [arena.add(MARINE, 24 + i, 24) for i in range(3)] + [arena.add(ZERGLING, 40, 30, owner=ENEMY)]
    arena.env.units["hp"][0, slots[1:]] = [0.0, 20.0, 0.0]
    arena.env.games["dying"] = 1
    arena.run(1)
    assert np.flatnonzero(arena.env.units["kind"][0]).tolist() == [slots[0], slots[2]]
    assert (arena.game["enemies"], arena.game["top"], arena.game["dying"]) == (0, slots[2] + 1, 0)
