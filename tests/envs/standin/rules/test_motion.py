"""Ways around what stands there, and out of each other's way: small arenas."""

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import questions
from envs.standin.rules import world as w
from tests.envs.standin.arena import NEUTRAL, Arena

MARINE, SCV, DEPOT = c.MARINE, c.SCV, c.SUPPLY_DEPOT
RIGHT = {"face_x": 1.0, "face_y": 0.0}


@pytest.fixture
def arena():
    return Arena("CollectMineralsAndGas", arguments=("queued",)).clear()


def place(arena, slot):
    return float(arena.unit(slot)["x"]), float(arena.unit(slot)["y"])


def way(arena, start, end):
    """How far it is for a small unit."""
    return questions.path_length(arena.env.games, arena.env.units, arena.types, *map(float, (*start, *end)))


@pytest.mark.parametrize("side", ["left", "right", "bottom", "top_y"])
@pytest.mark.parametrize("kind", [MARINE, c.ROACH])
def test_the_edge_of_the_map_is_as_near_as_ones_radius(arena, kind, side):
    """An order past it ends there."""
    g, radius = arena.game, float(arena.types[kind]["radius"])
    unit = arena.add(kind, 33, 27)
    low, along_x = side in ("left", "bottom"), side in ("left", "right")
    there, end = float(g[side]) + (-9 if low else 9), float(g[side]) + (radius if low else -radius)
    arena.order(unit, w.MOVE, *((there, 27) if along_x else (33, there)))
    arena.run(120)
    assert place(arena, unit) == pytest.approx((end, 27) if along_x else (33, end), abs=1e-3)
    assert arena.unit(unit)["order"] == w.IDLE


def test_nobody_squeezes_between_two_corners_that_touch(arena):
    arena.add(DEPOT, 31, 29)  # from 30 to 32, and from 28 to 30
    arena.add(DEPOT, 33, 31)  # which it touches at (32, 30)
    assert way(arena, (31, 31.5), (33, 28.5)) > 6
    assert way(arena, (31, 31.5), (31, 32.5)) == pytest.approx(1)
    unit = arena.add(MARINE, 31, 31.5)
    arena.order(unit, w.MOVE, 33, 28.5)
    arena.run(30)
    assert arena.unit(unit)["order"] == w.MOVE  # it goes around
    arena.run(60)
    assert place(arena, unit) == pytest.approx((33, 28.5), abs=0.01)


def test_what_cannot_be_reached_is_approached_as_far_as_possible(arena):
    """Into a building, from behind a wall: around the wall, and up to the building."""
    for y in (24, 26, 28, 30, 32):
        arena.add(DEPOT, 28, y)
    arena.add(c.COMMAND_CENTER, 36.5, 28.5)
    unit = arena.add(MARINE, 25, 28)
    arena.order(unit, w.MOVE, 36.5, 28.5)
    arena.run(200)
    x, y = place(arena, unit)
    assert max(abs(x - 36.5), abs(y - 28.5)) < 2.5 + 1
    assert way(arena, (25, 28), (36.5, 28.5)) == 0  # there is no way


def test_a_group_that_is_sent_to_one_place_arrives_together(arena):
    group = [arena.add(MARINE, 25 + 0.8 * (i % 3), 26 + 0.8 * (i // 3)) for i in range(9)]
    for unit in group:
        arena.order(unit, w.MOVE, 36, 28)
    arena.run(140)
    assert [int(arena.unit(unit)["order"]) for unit in group] == [w.IDLE] * 9
    places = np.array([place(arena, unit) for unit in group])
    assert np.hypot(*(places - (36, 28)).T).max() < 3.2


def test_who_comes_later_to_a_place_stops_beside_the_one_that_has_arrived(arena):
    first, later = arena.add(MARINE, 33, 28), arena.add(MARINE, 27, 28, **RIGHT)
    for unit in (first, later):
        arena.order(unit, w.MOVE, 36, 28)
    arena.run(40)
    assert (arena.unit(first)["order"], arena.unit(later)["order"]) == (w.IDLE, w.MOVE)
    arena.run(30)
    assert arena.unit(later)["order"] == w.IDLE
    assert place(arena, first) == pytest.approx((36, 28), abs=0.1)
    assert np.hypot(*(np.array(place(arena, later)) - place(arena, first))) == pytest.approx(0.75, abs=0.02)


def test_one_that_stands_is_pushed_by_a_friend_and_not_when_it_holds(arena):
    for order, stays in ((w.IDLE, False), (w.HOLD, True)):
        arena.clear()
        stander, walker = arena.add(MARINE, 33, 28), arena.add(MARINE, 29, 28.05, **RIGHT)
        arena.order(stander, order)
        arena.order(walker, w.MOVE, 40, 28.05)
        arena.run(45)
        moved = np.hypot(*(np.array(place(arena, stander)) - (33, 28)))
        assert (moved < 0.01) == stays


@pytest.mark.parametrize(
    ("x", "y", "out"), [(32.2, 28.4, (32.875, 28.4)), (27.9, 28.2, (27.125, 28.2)), (30.3, 30.9, (30.3, 31.375))]
)
def test_one_that_gets_into_a_building_leaves_it_the_short_way(arena, x, y, out):
    arena.add(c.COMMAND_CENTER, 30, 28.5)  # 27.5 to 32.5, and 26 to 31
    unit = arena.add(MARINE, x, y)
    arena.run(1)
    assert place(arena, unit) == pytest.approx(out, abs=1e-3)


@pytest.mark.parametrize(
    ("order", "through"), [(w.GATHER, True), (w.RETURN, True), (w.BUILD + DEPOT, True), (w.MOVE, False)]
)
def test_workers_walk_through_others_when_they_work(arena, order, through):
    base, patch = arena.add(c.COMMAND_CENTER, 42.5, 28.5), arena.add(c.MINERAL_FIELD, 42, 24.5, owner=NEUTRAL)
    arena.env.games["minerals"] = 500
    worker = arena.add(SCV, 30, 28.5, cargo=w.MINERALS * (order == w.RETURN), **RIGHT)
    there, target = {w.GATHER: ((42, 24.5), patch), w.RETURN: ((42.5, 28.5), base)}.get(order, ((38, 28.5), -1))
    arena.order(worker, order, *there, target=target)
    way = np.array(there) - (30, 28.5)
    way /= np.hypot(*way)
    blocker = arena.add(MARINE, 30 + 2 * way[0], 28.5 + 2 * way[1] + 0.1)
    arena.order(blocker, w.HOLD)
    off = 0.0
    for _ in range(25):
        arena.run(1)
        dx, dy = np.array(place(arena, worker)) - (30, 28.5)
        off = max(off, abs(dx * way[1] - dy * way[0]))
    assert (off < 0.01) == through


def test_an_order_for_the_queue_of_one_that_is_idle_is_carried_out_at_once(arena):
    now, queued = arena.add(MARINE, 28, 24, **RIGHT), arena.add(MARINE, 28, 28, **RIGHT)
    arena.tell("Move_pt", [now], at=(36.5, 24.5))
    arena.tell("Move_pt", [queued], at=(36.5, 28.5), queued=1)
    assert arena.unit(queued)["x"] - 28 == pytest.approx((arena.unit(now)["x"] - 28) / 2, abs=0.01)
    assert arena.unit(queued)["queued"] == 0
