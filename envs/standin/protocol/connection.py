"""A client's connection: the handshake, then messages in and messages out.

The protocol comes from the ``websockets`` library, without its threads or its event loop: a game answers one request
after the other, so a plain loop over a socket does, and costs least. PySC2 sends its messages as text frames although
they are bytes; they are taken as bytes whatever the frame says, and answered with binary frames.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

PATH = "/sc2api"
LARGEST = 64 * 2**20
"""Bytes that a message may have; maps travel in them."""
MESSAGE_SECONDS = 60.0
"""How long a message may take to come, and an answer to be taken."""
CLOSING_SECONDS = 1.0
"""How long a client that is told to go may take to."""


class Connection:
    """A client's connection, or that of someone who would be one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # or a machine that is switched off plays for ever
        self._protocol = ServerProtocol(max_size=LARGEST)
        self._gone = False

    def request(self, seconds: float) -> Request | None:
        """What the handshake asks for; None if that takes longer, or is no handshake."""
        deadline = time.monotonic() + seconds
        while data := self._receive(deadline):
            self._protocol.receive_data(data)
            # What is behind it are messages already; they wait in the protocol until the handshake is answered.
            if self._protocol.events:
                event = self._protocol.events.pop(0)
                return event if isinstance(event, Request) else None
            if self._protocol.handshake_exc is not None:
                return None
        return None

    def accept(self, request: Request) -> bool:
        """Complete the handshake; False if the request does not fit."""
        self._protocol.send_response(self._protocol.accept(request))
        self.flush()
        return self._protocol.state is OPEN and not self._gone

    def reject(self, status: HTTPStatus, reason: str) -> None:
        """Answer the handshake with a refusal, and wait for a moment until it has been read."""
        self._protocol.send_response(self._protocol.reject(status, f"{reason}\n"))
        self.flush()
        self._drain()

    def messages(self) -> Iterator[bytes]:
        """The client's messages, until it goes."""
        message = bytearray()
        began: float | None = None
        while True:
            for event in self._protocol.events_received():
                began = None
                if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    message += event.data
                    if event.fin:
                        whole, message = bytes(message), bytearray()
                        yield whole
            self.flush()
            if self._gone or self._protocol.state is not OPEN:
                return self._drain()
            data = self._receive(None if began is None else began + MESSAGE_SECONDS)
            if not data:
                return None
            began = began or time.monotonic()
            self._protocol.receive_data(data)

    def _receive(self, deadline: float | None) -> bytes:
        """What comes next; nothing if the client has gone, or nothing comes in time."""
        try:
            if deadline is not None:
                self.sock.settimeout(max(deadline - time.monotonic(), 1e-3))
            return self.sock.recv(2**18)
        except OSError:
            return b""
        finally:
            if deadline is not None:
                self.sock.settimeout(None)

    def _drain(self) -> None:
        """Let the client read what it was told: closing with its bytes unread would take that away."""
        deadline = time.monotonic() + CLOSING_SECONDS
        while not self._gone and time.monotonic() < deadline and self._receive(deadline):
            pass

    def send(self, message: bytes) -> None:
        """Answer. PySC2 does not wait for the answer to ``quit``: it may be gone already."""
        if self._protocol.state is OPEN:
            self._protocol.send_binary(message)
            self.flush()

    def flush(self) -> None:
        """Put on the wire what is to go there; a client that does not take it in time is one that has gone."""
        waiting = self._protocol.data_to_send()
        if not waiting or self._gone:
            return
        try:
            self.sock.settimeout(MESSAGE_SECONDS)
            for data in waiting:
                if data:
                    self.sock.sendall(data)
                else:
                    self.sock.shutdown(socket.SHUT_WR)
            self.sock.settimeout(None)
        except OSError:
            self._gone = True

    def hang_up(self) -> None:
        """Let whoever reads or writes here, in whatever thread, find the client gone."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Be done with it."""
        self.sock.close()


def is_loopback(host: str) -> bool:
    """Is this the machine itself, seen from itself alone?"""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_welcome(origin: str, asked: str | None, names: tuple[str, ...]) -> bool:
    """May a handshake with this ``Origin`` be answered? ``asked``: its ``Host``; ``names``: the names of this machine.

    Browsers send where the page is from that opens a websocket, and let any page open one to any address: without this
    check a page could play, and have files read. Programs send nothing, or the address that they connect to. That
    address does not suffice if it is a name: whoever owns a name can make it point here.
    """
    try:
        page, here = urlsplit(origin).hostname, urlsplit(f"//{asked or ''}").hostname
    except ValueError:
        return False
    if page is None:
        return False
    return is_loopback(page) or (page == here and (_is_address(page) or page in names))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
