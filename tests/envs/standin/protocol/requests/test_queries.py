"""Questions to the game, against what happens when one tries, and against a search that is not the game's own."""

import math

import numpy as np
import pytest

pytest.importorskip("websockets")

from s2clientprotocol import error_pb2, query_pb2
from scipy.sparse import lil_matrix
from scipy.sparse.csgraph import dijkstra

from tests.envs.standin.protocol.player import Player
from tests.envs.standin.protocol.test_session import GAS, MARINES


def query(player: Player, **questions: object) -> query_pb2.ResponseQuery:
    return player.ask(query=query_pb2.RequestQuery(**questions)).query  # type: ignore[arg-type]


def test_placement_is_what_a_build_order_finds() -> None:
    rng = np.random.default_rng(1)
    fits = 0
    for ability in (319, 318, 320):
        for _ in range(40):
            player = Player(GAS, seed=3)
            player.session.match.games["minerals"] = 1000
            x, y = rng.uniform((20, 19), (46, 37))
            if ability == 320 and rng.random() < 0.5:
                x, y = 26.5, 20.5
            place = query_pb2.RequestQueryBuildingPlacement(ability_id=ability)
            place.target_pos.x, place.target_pos.y = x, y
            told = query(player, placements=[place]).placements[0].result
            assert told == player.command(ability, player.units(45)[0], x, y)
            fits += told == error_pb2.Success
    assert 20 < fits < 100


def test_placement_counts_the_cost_unless_told_not_to() -> None:
    player = Player(MARINES)
    place = query_pb2.RequestQueryBuildingPlacement(ability_id=319)
    place.target_pos.x, place.target_pos.y = 36.0, 22.0
    assert query(player, placements=[place]).placements[0].result == error_pb2.NotEnoughMinerals
    free = query(player, placements=[place], ignore_resource_requirements=True)
    assert free.placements[0].result == error_pb2.Success


def test_abilities() -> None:
    player = Player(MARINES)
    base, worker, patch = player.units(18)[0], player.units(45)[0], player.units(341, 3)[0]
    asked = [query_pb2.RequestQueryAvailableAbilities(unit_tag=u.tag) for u in (base, worker, patch)]
    told = query(player, abilities=asked).abilities
    assert [one.unit_type_id for one in told] == [18, 45, 341]
    # 50 minerals: a worker can be trained, a depot cannot be built. The map takes the other commands away.
    assert {a.ability_id for a in told[0].abilities} == {1, 203, 524}
    assert {a.ability_id for a in told[1].abilities} == {1, 295}
    assert not told[2].abilities
    free = query(player, abilities=asked[1:2], ignore_resource_requirements=True).abilities[0]
    assert {319, 321} <= {a.ability_id for a in free.abilities}
    assert {a.ability_id for a in free.abilities if not a.requires_point} == set()


def test_pathing_against_dijkstra() -> None:
    player = Player(GAS, seed=1)
    blocked = np.ones((64, 64), bool)
    blocked[19:36, 20:45] = False  # cells that are playable as a whole
    for unit in player.see().observation.raw_data.units:
        width, height = {18: (5, 5), 341: (2, 1), 342: (3, 3)}.get(unit.unit_type, (0, 0))
        left, bottom = round(unit.pos.x - width / 2), round(unit.pos.y - height / 2)
        blocked[bottom : bottom + height, left : left + width] = True
    graph = grid(blocked)
    rng = np.random.default_rng(0)
    free = np.argwhere(~blocked)
    for _ in range(25):
        (r0, c0), (r1, c1) = free[rng.integers(len(free), size=2)]
        way = query_pb2.RequestQueryPathing()
        way.start_pos.x, way.start_pos.y, way.end_pos.x, way.end_pos.y = c0 + 0.5, r0 + 0.5, c1 + 0.5, r1 + 0.5
        told = query(player, pathing=[way]).pathing[0].distance
        steps = dijkstra(graph, indices=r0 * 64 + c0)[r1 * 64 + c1]
        straight = math.hypot(c1 - c0, r1 - r0)
        if math.isinf(steps):
            assert told == 0 or told >= straight
        else:
            # Corners are cut, so it is no longer than the way from cell to cell.
            assert straight - 1e-3 <= told <= steps + 1e-3
    into_base = query_pb2.RequestQueryPathing()
    base = player.units(18)[0].pos
    into_base.start_pos.x, into_base.start_pos.y, into_base.end_pos.x, into_base.end_pos.y = 36, 28, base.x, base.y
    assert query(player, pathing=[into_base]).pathing[0].distance == 0


def grid(blocked: np.ndarray) -> lil_matrix:
    graph = lil_matrix((64 * 64, 64 * 64))
    for row in range(1, 63):
        for column in range(1, 63):
            for dr in (-1, 0, 1):
                for dc in (-1, 0, 1):
                    corner = blocked[row + dr, column] or blocked[row, column + dc]
                    if (dr or dc) and not (blocked[row, column] or blocked[row + dr, column + dc] or corner):
                        graph[row * 64 + column, (row + dr) * 64 + column + dc] = math.hypot(dr, dc)
    return graph.tocsr()
