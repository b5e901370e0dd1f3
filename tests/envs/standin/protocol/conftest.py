"""A process of the stand-in game, and how to talk to it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("websockets")
sc_pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")

from websockets.sync.client import ClientConnection, connect  # noqa: E402


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """A game process and the way to it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        binary = next(folder.glob("Versions/*/SC2_x64"))
        arguments = [binary, "-listen", "127.0.0.1", "-port", str(self.port), "-dataDir", folder, "-tempDir", "/tmp"]
        self.process = subprocess.Popen(arguments, env={**os.environ, **environment}, stderr=subprocess.PIPE)

    def connect(self) -> ClientConnection:
        deadline = time.monotonic() + 60
        while True:
            try:
                return connect(f"ws://127.0.0.1:{self.port}/sc2api", max_size=None, compression=None, close_timeout=1)
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def process(installation: Path) -> Iterator[Process]:
    started = Process(installation)
    yield started
    started.stop()


def ask(client: ClientConnection, *, text: bool = False, **request: object) -> "sc_pb.Response":  # type: ignore[name-defined]
    """Send a request, and read the response."""
    client.send(sc_pb.Request(id=7, **request).SerializeToString(), text=text or None)
    response = sc_pb.Response.FromString(client.recv())
    assert response.id == 7
    return response
