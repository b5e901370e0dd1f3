"""The game's process over a real socket, with a websocket client that is not ours."""

import pytest
from s2clientprotocol import sc2api_pb2 as sc_pb
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.envs.standin.protocol.conftest import Process, ask


def create(name: str = "MoveToBeacon", seed: int = 1) -> sc_pb.RequestCreateGame:
    game = sc_pb.RequestCreateGame(random_seed=seed, local_map=sc_pb.LocalMap(map_path=f"mini_games/{name}.SC2Map"))
    game.player_setup.add(type=sc_pb.Participant)
    return game


def test_process_lives_through_clients_and_ends_with_quit(process: Process) -> None:
    # PySC2 sends bytes in text frames; python-sc2 in binary ones.
    with process.connect() as first:
        told = ask(first, text=True, ping=sc_pb.RequestPing())
        assert told.ping.base_build == 75689
        assert told.status == sc_pb.launched
        assert ask(first, text=True, create_game=create()).status == sc_pb.init_game
    with process.connect() as second:
        options = sc_pb.InterfaceOptions(raw=True)
        join = sc_pb.RequestJoinGame(race=1, options=options)
        assert ask(second, join_game=join).join_game.player_id == 1
        assert ask(second, step=sc_pb.RequestStep(count=3)).step.simulation_loop == 3
        told = ask(second, quit=sc_pb.RequestQuit())
        assert told.status == sc_pb.quit
    assert process.process.wait(10) == 0


def test_process_ends_with_a_signal(process: Process) -> None:
    with process.connect() as client:
        process.process.terminate()
        assert process.process.wait(10) == 0
        with pytest.raises(ConnectionClosed):
            client.recv()


def test_other_paths_are_not_found(process: Process) -> None:
    with process.connect():
        pass
    with pytest.raises(InvalidStatus, match="404"), connect(f"ws://127.0.0.1:{process.port}/elsewhere"):
        pass
    with process.connect() as client:
        assert ask(client, ping=sc_pb.RequestPing()).ping.game_version == "4.10.0"
