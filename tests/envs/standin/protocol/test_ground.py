"""Ground with cliffs, as clients see it."""

import numpy as np
import pytest

sc_pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")

from s2clientprotocol import raw_pb2  # noqa: E402

from envs.standin.rules.terrain import simple64  # noqa: E402
from tests.envs.standin.protocol.player import Player  # noqa: E402


@pytest.fixture(scope="module")
def player():
    return Player("Melee/Cliffs64.SC2Map")


def test_fog_shows_resources_out_of_sight_as_snapshots(player):
    """As in the recorded games' first observations: contents and health 0, at their heights."""
    units = [u for u in player.see().observation.raw_data.units if u.alliance == raw_pb2.Neutral]
    assert len(units) == 40
    far = [u for u in units if u.display_type == raw_pb2.Snapshot]
    assert 25 <= len(far) <= 31
    for u in units:
        left = u.mineral_contents + u.vespene_contents
        assert (left, u.health_max) == ((0, 0) if u in far else (left, 10000))
        assert (u in far) == (left == 0)
    assert {round(u.pos.z, 2) for u in units} == {10.0, 12.0}


def test_python_sc2_finds_its_ramps_and_bases(player):
    game_info = pytest.importorskip("sc2.game_info")
    info = game_info.GameInfo(player.ask(game_info=sc_pb.RequestGameInfo()).game_info)
    assert (info.map_size.width, info.map_size.height) == (88, 96)
    ramps, _ = info._find_ramps_and_vision_blockers()
    assert sorted(len(ramp.points) for ramp in ramps) == [15, 15]
    for ramp in ramps:
        assert len(ramp.upper) == 2
        assert {info.terrain_height[point] for point in ramp.upper} == {175 + 2 * 22}
    heights = simple64.heights()
    assert (info.pathing_grid.data_numpy.astype(bool) == (heights > 0)).all()
    assert (info.placement_grid.data_numpy.astype(bool) == np.isin(heights, (16, 24))).all()
    assert [tuple(at) for at in info.start_locations] in ([(29.5, 60.5)], [(58.5, 27.5)])
