"""The game's process over a real socket, with a websocket client that is not ours."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

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


@pytest.fixture(scope="module")
def shared(installation: Path) -> Iterator[Process]:
    """A process for tests that leave it as it was."""
    started = Process(installation)
    with started.connect():
        pass
    yield started
    assert started.process.poll() is None
    started.stop()


def plays(process: Process) -> None:
    """A client is let in at once, and answered."""
    with connect(f"ws://127.0.0.1:{process.port}/sc2api", open_timeout=4, close_timeout=1) as client:
        assert ask(client, ping=sc_pb.RequestPing()).ping.base_build == 75689


HANDSHAKE = b"GET /sc2api HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    "said",
    [b"", b"G", HANDSHAKE, b"\0" * 100, b"A" * 100_000, HANDSHAKE + b"X: y\r\n" * 1000, HANDSHAKE + b"\r\n"],
    ids=["mute", "a byte", "half", "zeros", "a long line", "many headers", "no key"],
)
def test_who_says_too_little_or_nonsense_keeps_nobody_waiting(shared: Process, said: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", shared.port)))
            with suppress(OSError):  # refused already
                sock.sendall(said)
        plays(shared)


def test_a_handshake_that_is_not_completed_is_cut_off(shared: Process) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as sock:
        sock.sendall(HANDSHAKE)
        sock.settimeout(60)
        assert sock.recv(100) == b""


def test_more_mute_connections_than_are_kept(shared: Process) -> None:
    with ExitStack() as stack:
        first, *_ = (stack.enter_context(socket.create_connection(("127.0.0.1", shared.port))) for _ in range(80))
        plays(shared)
        first.settimeout(60)
        assert first.recv(100) == b""


def test_a_second_client_is_refused_in_words_and_the_first_plays_on(shared: Process) -> None:
    with shared.connect() as first:
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{shared.port}/sc2api"):
            pass
        assert refused.value.response.status_code == 503
        assert b"another client" in refused.value.response.body
        assert ask(first, ping=sc_pb.RequestPing()).ping.base_build == 75689
    plays(shared)


def test_a_client_that_stops_in_the_middle_of_a_message_leaves_others_their_answer(shared: Process) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as sock:
        sock.sendall(HANDSHAKE + KEY + b"\r\n")
        assert b" 101 " in sock.recv(1000)
        sock.sendall(b"\x82\xff" + (2**20).to_bytes(8, "big") + b"mask" + b"x" * 1000)
        with pytest.raises(InvalidStatus, match="503"), connect(f"ws://127.0.0.1:{shared.port}/sc2api"):
            pass
    plays(shared)


def test_messages_that_came_with_the_handshake_are_answered(shared: Process) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as sock:
        ping = sc_pb.Request(ping=sc_pb.RequestPing()).SerializeToString()
        sock.sendall(HANDSHAKE + KEY + b"\r\n\x82" + bytes([128 + len(ping)]) + b"\0\0\0\0" + ping)
        told = b""
        while b"4.10.0" not in told:
            more = sock.recv(1000)
            assert more
            told += more


def test_what_is_too_large_ends_the_connection_only(shared: Process) -> None:
    with shared.connect() as client:
        with suppress(ConnectionClosed):
            client.send(b"\0" * (65 * 2**20))
        with pytest.raises(ConnectionClosed):
            client.recv()
    plays(shared)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://127.0.0.1.evil.example", "null", "file://", "http://["]
)
def test_web_pages_are_refused(shared: Process, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{shared.port}/sc2api", origin=origin)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    assert origin.encode() in refused.value.response.body


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:5000", "http://localhost:8888", "http://[::1]"])
def test_programs_and_pages_of_this_machine_are_not(shared: Process, origin: str | None) -> None:
    with connect(f"ws://127.0.0.1:{shared.port}/sc2api", origin=origin) as client:  # type: ignore[arg-type]
        assert ask(client, ping=sc_pb.RequestPing()).ping.base_build == 75689


def test_a_name_that_was_made_to_point_here_is_no_welcome() -> None:
    from envs.standin.protocol.connection import is_welcome

    mine = ("0.0.0.0", "box")
    assert is_welcome("http://box:5000", "box:5000", mine)
    assert is_welcome("http://192.0.2.7:5000", "192.0.2.7:5000", mine)
    assert not is_welcome("http://192.0.2.8:5000", "192.0.2.7:5000", mine)
    assert not is_welcome("http://evil.example:5000", "evil.example:5000", mine)
    assert not is_welcome("http://box:5000", "192.0.2.7:5000", mine)


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True), ("", True)])
def test_listening_to_others_is_warned_of(host: str, warns: bool) -> None:
    command = [sys.executable, "-m", "agents.commands.cli", "serve", "--host", host, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("the stand-in game serves")
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert ("warning: the game listens at" in said) == warns
    assert ("all addresses" in said) == warns


def test_a_long_request_does_not_keep_others_from_their_answer(process: Process) -> None:
    with process.connect() as client:
        ask(client, create_game=create())
        ask(client, join_game=sc_pb.RequestJoinGame(race=1, options=sc_pb.InterfaceOptions(raw=True)))
        request = sc_pb.Request()
        request.debug.debug.add().test_process.test = 1  # hang
        client.send(request.SerializeToString())
        with pytest.raises(InvalidStatus, match="503"), connect(f"ws://127.0.0.1:{process.port}/sc2api"):
            pass
