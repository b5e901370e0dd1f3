"""Ground with cliffs: where units walk, what they see and shoot at, where buildings fit, what fog leaves."""

import heapq
import itertools

import numba
import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.rules.cards import BAD_PLACE, SUCCESS
from envs.standin.rules.terrain import levels, paths, simple64
from envs.starcraft.maps import CLIFFS, MELEE
from tests.envs.standin.arena import ENEMY, Arena

HEIGHTS = simple64.heights()
LOW, HIGH = (60, 60), (34, 60)
"""Places below and above the ramp of the base in the upper left."""


@pytest.fixture(scope="module")
def ground():
    return Arena(CLIFFS, opponent="terran:very_easy")


@pytest.fixture
def arena(ground):
    ground.env.reset(seed=0)
    ground.clear()
    ground.env.games["corner"] = 1
    ground.add(c.COMMAND_CENTER, 29.5, 60.5)
    ground.add(c.COMMAND_CENTER, 58.5, 27.5, owner=ENEMY)
    return ground


def test_the_ground_is_that_of_simple64():
    """88 x 96 cells, two levels above nothing, the same after half a turn, 32 patches, 8 geysers, two ramps."""
    assert HEIGHTS.shape == (96, 88)
    assert set(np.unique(HEIGHTS)) == {0, *range(16, 23), 24}
    assert (HEIGHTS[:88] == HEIGHTS[:88][::-1, ::-1]).all()
    assert ((HEIGHTS > 16) & (HEIGHTS < 24)).sum() == 2 * 15
    layout = MELEE[CLIFFS].layout()
    assert [sum(row[0] == kind for row in layout.resources) for kind in (0, 1, 2)] == [16, 8, 16]
    assert {place[:2] for place in layout.places[1:3]} == {(29.5, 60.5), (58.5, 27.5)}
    places = {tuple(row[1:]) for row in layout.resources}
    assert places == {(88 - x, 88 - y) for x, y in places}
    assert all(HEIGHTS[int(y), int(x)] for x, y in places)
    inside = np.argwhere(HEIGHTS)[:, ::-1]
    assert (inside >= 12).all()
    assert (inside < 76).all()


def walk(arena, kind, start, end, loops):
    """Where a unit has been on its way."""
    me = arena.add(kind, *start)
    arena.command("Move", [me], at=end)
    been = []
    for _ in range(loops):
        arena.run(1)
        u = arena.unit(me)
        been.append((float(u["x"]), float(u["y"])))
        if np.hypot(been[-1][0] - end[0], been[-1][1] - end[1]) < 0.1:
            break
    arena.env.units["kind"][0, me] = 0
    return np.array(been)


def test_units_walk_by_the_ramp_and_reapers_over_the_cliff(arena):
    for kind in (c.MARINE, c.REAPER):
        been = walk(arena, kind, HIGH, LOW, 600)
        assert np.hypot(*(been[-1] - LOW)) < 0.1
        cells = been.astype(int)
        by_the_ramp = HEIGHTS[cells[:, 1], cells[:, 0]].all()
        assert by_the_ramp == (kind == c.MARINE)
        length = np.hypot(*np.diff(been, axis=0).T).sum()
        assert (length > 27.5) == (kind == c.MARINE)
    assert levels.LEAPT[1, 60, 47]
    assert not HEIGHTS[60, 47]


def test_from_one_base_to_the_other(arena):
    been = walk(arena, c.MARINE, (33, 60), (55, 28), 1200)
    assert np.hypot(*(been[-1] - (55, 28))) < 0.1
    cells = been.astype(int)
    assert HEIGHTS[cells[:, 1], cells[:, 0]].all()


def seen(arena, *slots):
    arena.env.load_state(arena.env.save_state())
    return [bool((arena.env.slots == slot).any()) for slot in slots]


def test_what_is_above_is_not_seen_from_below_and_not_shot_at(arena):
    arena.env.units["kind"][0, 0] = 0  # whose sight reaches there
    arena.add(c.SUPPLY_DEPOT, 60, 40)
    above, below = arena.add(c.MARINE, 45, 60, owner=ENEMY, order=w.HOLD), arena.add(c.MARINE, 50.5, 60)
    arena.env.units["look"][0, above] = 10**6
    assert seen(arena, above) == [False]
    arena.run(40)
    assert arena.unit(above)["hp"] == 45
    arena.env.units["look"][0, above] = 0
    arena.run(40)
    assert arena.unit(below)["hp"] < 45  # who stands above sees down
    friend = arena.add(c.SUPPLY_DEPOT, 40, 64)
    assert seen(arena, above) == [True]
    arena.env.units["hp"][0, [above, below]] = 45
    arena.env.units["look"][0, above] = 10**6
    arena.run(60)
    assert arena.unit(above)["hp"] < 45
    assert arena.unit(friend)["kind"]


@pytest.mark.parametrize(
    ("at", "fits"), [((30.5, 54.5), True), ((46.5, 65.5), False), ((43.5, 58.5), True), ((47.5, 58.5), False)]
)
def test_buildings_stand_on_level_ground(arena, at, fits):
    arena.env.games["minerals"] = 500
    arena.add(c.SUPPLY_DEPOT, 22, 56)
    worker = arena.add(c.SCV, 34, 60)
    assert arena.command("Build_Barracks", [worker], at=at) == (SUCCESS if fits else BAD_PLACE)


def test_the_computers_play_on_it():
    """It builds on its own ground, and its workers bring in minerals."""
    arena = Arena(CLIFFS, opponent="terran:very_hard")
    arena.env.reset(seed=3)
    arena.env.step_mul = 3000
    arena.run(1)
    units = arena.env.units[0]
    theirs = units[(units["owner"] == ENEMY) & (units["kind"] > 0)]
    assert (theirs["kind"] == c.BARRACKS).sum() >= 1
    assert (theirs["kind"] == c.SCV).sum() > 12
    assert arena.game["other_collected_minerals"] > 500
    built = theirs[np.isin(theirs["kind"], (c.BARRACKS, c.SUPPLY_DEPOT))]
    assert (HEIGHTS[built["y"].astype(int), built["x"].astype(int)] == simple64.HIGH).all()


def test_fog_leaves_what_was_seen_as_it_was(arena):
    """Of a building out of sight its place is known, and neither its health nor, of resources, what is left in them."""
    arena.env.units["kind"][0, 0] = 0
    arena.add(c.SUPPLY_DEPOT, 22, 56)
    theirs = arena.add(c.BARRACKS, 60.5, 60.5, owner=ENEMY)
    patch = arena.add(c.MINERAL_FIELD, 64, 60.5, owner=w.NEUTRAL, known=1, other_known=1)
    scout = arena.add(c.MARINE, 56, 60)
    assert seen(arena, theirs, patch) == [True, True]
    arena.env.units["x"][0, scout] = 30
    assert seen(arena, theirs, patch) == [True, True]
    assert [int(arena.unit(slot)["known"]) for slot in (theirs, patch)] == [w.REMEMBERED, w.REMEMBERED]
    never = arena.add(c.BARRACKS, 60.5, 70.5, owner=ENEMY)
    assert seen(arena, never) == [False]


def cheapest(blocked: np.ndarray, start: int, width: int) -> dict[int, int]:
    """What it costs to get to each cell that can be got to: Dijkstra over rows and columns, no cut corners."""
    free = blocked.reshape(-1, width) == 0
    cost, waiting = {}, [(0, start // width, start % width)]
    while waiting:
        so_far, row, column = heapq.heappop(waiting)
        if row * width + column in cost:
            continue
        cost[row * width + column] = so_far
        for r, q in np.ndindex(3, 3):
            y, x = row + r - 1, column + q - 1
            if 0 <= y < len(free) and 0 <= x < width and free[y, x] and free[row, x] and free[y, column]:
                heapq.heappush(waiting, (so_far + (7 if y != row and x != column else 5), y, x))
    return cost


find_path = numba.njit(paths.find_path.py_func)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_ways_are_the_shortest(seed, inside):
    """Over random ground, the goal ``inside`` a building or not; where it cannot be got to, the way ends at the cell
    nearest to it."""
    rng, width, height = np.random.default_rng(seed), 17, 14
    blocked = (rng.random(width * height) < (0.1, 0.3, 0.45)[seed % 3]).astype(np.uint8)
    start, goal = (int(cell) for cell in rng.choice(width * height, 2, replace=False))
    if inside:
        row, column = max(1, goal // width), max(1, goal % width)
        blocked.reshape(-1, width)[row - 1 : row + 2, column - 1 : column + 2] = 1
    blocked[[start, goal]] = 0
    cost = cheapest(blocked, start, width)
    way = [start, *(int(cell) for cell in find_path(blocked, width, start, goal))]
    spent = 0
    for here, there in itertools.pairwise(way):
        dr, dc = there // width - here // width, there % width - here % width
        assert max(abs(dr), abs(dc)) == 1
        assert not blocked[[there, here + dc, here + dr * width]].any()
        spent += 7 if dr and dc else 5

    def left(cell: int) -> int:
        across, along = sorted((abs(cell % width - goal % width), abs(cell // width - goal // width)))
        return 5 * along + 2 * across

    assert spent == cost[way[-1]]
    assert left(way[-1]) == min(left(cell) for cell in cost)
