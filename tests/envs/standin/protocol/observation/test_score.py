"""The melee's score against the recorded games' first, and against what is done on purpose."""

import gzip
import os
from pathlib import Path

import pytest

sc_pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")
pytest.importorskip("websockets")

from s2clientprotocol import debug_pb2  # noqa: E402

from tests.envs.standin.protocol.player import Player  # noqa: E402


def test_it_begins_as_every_recorded_game_does():
    folder = os.environ.get("PERCEIVER_RL_TEST_DATA")
    if not folder:
        pytest.skip("PERCEIVER_RL_TEST_DATA names no folder with recordings")
    mine = Player().see().observation.score
    files = sorted((Path(folder) / "real_game").glob("*/observation.pb.gz"))
    assert files
    for path in files:
        recorded = sc_pb.ResponseObservation.FromString(gzip.decompress(path.read_bytes())).observation.score
        assert mine == recorded, path


def test_what_is_made_lost_and_killed_is_counted():
    player = Player()
    player.command(524, player.units(18)[0])
    player.step(300)
    details = player.see().observation.score.score_details
    assert (details.spent_minerals, details.total_value_units, details.used_minerals.economy) == (50, 650, 1050)

    def kill(owner, unit_type):
        units = [u for u in player.see().observation.raw_data.units if (u.owner, u.unit_type) == (owner, unit_type)]
        one = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=[units[0].tag]))
        player.ask(debug=sc_pb.RequestDebug(debug=[one]))
        player.step()

    kill(1, 45)
    marine = debug_pb2.DebugCreateUnit(unit_type=48, owner=2, quantity=1)
    marine.pos.x = marine.pos.y = 32
    player.ask(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(create_unit=marine)]))
    player.ask(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(game_state=debug_pb2.show_map)]))
    player.step()
    before = player.see().observation.score.score
    kill(2, 48)
    told = player.see().observation.score
    details = told.score_details
    assert (details.lost_minerals.economy, details.killed_minerals.army, details.killed_value_units) == (50, 50, 50)
    assert details.food_used.economy == 12
    assert told.score >= before + 50
