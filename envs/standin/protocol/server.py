"""The game's process: a websocket on a port, one client at a time.

The protocol comes from the ``websockets`` library, without its threads or its event loop: a game answers one request
after the other, so a plain loop over a socket does, and costs least. PySC2 sends its messages as text frames although
they are bytes; they are taken as bytes whatever the frame says, and answered with binary frames.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from envs.standin.protocol.dispatch import respond
from envs.standin.protocol.faults import Faults
from envs.standin.protocol.session import QUIT, Session
from envs.standin.warm import load_kernels

PATH = "/sc2api"
LARGEST = 256 * 2**20
"""Bytes that a message may have; maps travel in them."""


class Connection:
    """A client's connection: messages in, messages out."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ServerProtocol(max_size=LARGEST)

    def messages(self) -> Iterator[bytes]:
        """The client's messages, until it goes."""
        parts: list[bytes] = []
        while data := self._receive():
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    self._shake_hands(event)
                elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    parts.append(bytes(event.data))
                    if event.fin:
                        message, parts = b"".join(parts), []
                        yield message
            self.flush()

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(2**18)
        except ConnectionError:
            return b""

    def _shake_hands(self, request: Request) -> None:
        if request.path != PATH:
            self._protocol.send_response(self._protocol.reject(404, f"the game is at {PATH}\n"))
        else:
            self._protocol.send_response(self._protocol.accept(request))

    def send(self, message: bytes) -> None:
        """Answer. PySC2 does not wait for the answer to ``quit``: it may be gone already."""
        if self._protocol.state is OPEN:
            self._protocol.send_binary(message)
            self.flush()

    def flush(self) -> None:
        """Put on the wire what is to go there."""
        for data in self._protocol.data_to_send():
            try:
                if data:
                    self.sock.sendall(data)
                else:
                    self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                return


def serve(host: str, port: int, faults: Faults | None = None, announce: bool = False) -> None:
    """Play games with whoever connects, until a client asks to quit."""
    faults = faults or Faults()
    faults.launch(host, port)
    load_kernels()  # before anybody connects: clients set deadlines for their requests
    gc.freeze()  # what has been loaded stays: no use in looking through it again and again
    session = Session()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        if announce:
            print(f"the stand-in game serves the StarCraft II API at ws://{host}:{listener.getsockname()[1]}{PATH}")
            sys.stdout.flush()
        while session.status != QUIT:
            sock, _ = listener.accept()
            with sock:
                connection = Connection(sock)
                for message in connection.messages():
                    faults.before(message)
                    answer = respond(session, message)
                    connection.send(faults.after(answer, sock))
                    if session.status == QUIT:
                        break


def main(argv: Sequence[str] | None = None) -> None:
    """The process that PySC2 and python-sc2 start as ``SC2_x64``, with the arguments that they give the real one."""
    signal.signal(signal.SIGTERM, _leave)
    parser = argparse.ArgumentParser(prog="SC2_x64", allow_abbrev=False)
    parser.add_argument("-listen", default="127.0.0.1")
    parser.add_argument("-port", type=int, default=5000)
    told, _ = parser.parse_known_args(argv)
    try:
        serve(told.listen, told.port, Faults.from_environment())
    except OSError as error:
        sys.exit(f"cannot listen at {told.listen}:{told.port}: {error.strerror}")


def _leave(number: int, frame: Any) -> None:
    # At once: PySC2 sends the signal while the interpreter is already on its way out.
    os._exit(0)
