"""Faults on purpose: each does what its name says, when it should, and is seen from the other end of the socket."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytest.importorskip("websockets")

from google.protobuf.message import DecodeError
from s2clientprotocol import sc2api_pb2 as sc_pb
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from agents.commands.cli import run
from envs.standin.protocol.faults import Fault, Faults
from tests.envs.standin.protocol.conftest import Process, ask
from tests.envs.standin.protocol.test_session import BEACON, game, layers


@contextmanager
def faulty(folder: Path, fault: str, **environment: str) -> Iterator[Process]:
    started = Process(folder, PERCEIVER_RL_FAULT=fault, **environment)
    try:
        yield started
    finally:
        started.stop()


def join(client: ClientConnection) -> None:
    ask(client, create_game=game(BEACON))
    ask(client, join_game=sc_pb.RequestJoinGame(race=1, options=layers((16, 16), (16, 16))))


def step(client: ClientConnection) -> None:
    assert ask(client, step=sc_pb.RequestStep(count=8)).step.simulation_loop


def test_crash_at_the_third_step(installation: Path) -> None:
    with faulty(installation, "crash@step:3") as process, process.connect() as client:
        join(client)
        step(client)
        step(client)
        with pytest.raises(ConnectionClosed):
            step(client)
        assert process.process.wait(10) == -signal.SIGKILL


def test_hang(installation: Path) -> None:
    with faulty(installation, "hang@observation:1") as process, process.connect() as client:
        join(client)
        client.send(sc_pb.Request(observation=sc_pb.RequestObservation()).SerializeToString())
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.5)
        assert process.process.poll() is None


def test_slow_then_garbage_then_truncated_then_whole(installation: Path) -> None:
    faults = "slow=0.4@observation:1,garbage@observation:2,truncate@observation:3"
    with faulty(installation, faults) as process, process.connect() as client:
        join(client)
        asked = sc_pb.Request(observation=sc_pb.RequestObservation()).SerializeToString()
        answers = []
        for _ in range(4):
            start = time.monotonic()
            client.send(asked)
            answers.append(client.recv())
            if len(answers) == 1:
                assert time.monotonic() - start >= 0.4
        whole = sc_pb.Response.FromString(answers[0])
        assert whole == sc_pb.Response.FromString(answers[3])
        for broken in answers[1:3]:
            try:
                told = sc_pb.Response.FromString(broken)
            except DecodeError:
                continue
            assert told != whole


def test_layers_of_the_wrong_size(installation: Path) -> None:
    with faulty(installation, "wrong-size@observation:2") as process, process.connect() as client:
        join(client)
        widths = []
        for _ in range(2):
            seen = ask(client, observation=sc_pb.RequestObservation()).observation.observation
            widths.append(seen.feature_layer_data.renders.player_relative.size.x)
        assert widths == [16, 15]


def test_memory_grows(installation: Path) -> None:
    with faulty(installation, "leak=50@step:1+") as process, process.connect() as client:
        join(client)
        memory = psutil.Process(process.process.pid).memory_info
        before = memory().rss
        for _ in range(3):
            step(client)
        assert memory().rss - before > 140 * 2**20


def test_faults_at_launch(installation: Path) -> None:
    with faulty(installation, "exit@launch") as process:
        assert process.process.wait(60) == 1
    with faulty(installation, "port-taken@launch") as process:
        assert process.process.wait(60) != 0
        assert b"Address already in use" in process.process.stderr.read()  # type: ignore[union-attr]


def test_a_fault_once_among_all_processes(installation: Path, tmp_path: Path) -> None:
    once = {"PERCEIVER_RL_FAULT_ONCE": str(tmp_path / "fired")}
    with faulty(installation, "exit@launch", **once) as process:
        assert process.process.wait(60) == 1
    with faulty(installation, "exit@launch", **once) as process, process.connect() as client:
        assert ask(client, ping=sc_pb.RequestPing()).status == sc_pb.launched


def test_probability_and_range() -> None:
    faults = Faults.parse("slow=0@step:p0.25, slow=0@action:3+")
    message = {n: sc_pb.Request(**{n: r}).SerializeToString() for n, r in (("step", {}), ("action", {}))}
    fired = {"step": 0, "action": 0}
    for name, count in (("step", 2000), ("action", 10)):
        for _ in range(count):
            faults.before(message[name])
            fired[name] += len(faults.fired)
    assert 400 < fired["step"] < 600  # the chance that it is not: 3 in 10 million
    assert fired["action"] == 8


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("crsh@step:4", "kinds: hang"),
        ("crash", "expected"),
        ("crash@stp:4", "no request"),
        ("crash@step:x", "expected"),
    ],
)
def test_faults_that_are_not(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Fault.parse(text)


def test_a_taken_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--port", str(port)]) == 2
        assert f"--port {port}" in capsys.readouterr().err
