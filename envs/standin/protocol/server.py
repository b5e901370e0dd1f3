"""The game's process: a websocket on a port, one client at a time.

The game is played in the main thread. Who comes is met in threads of their own, so that nobody who is silent, slow or
in vain makes the client wait, nor anybody who comes after.
"""

from __future__ import annotations

import argparse
import gc
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from envs.standin.protocol.connection import PATH, Connection, is_loopback, is_welcome
from envs.standin.protocol.dispatch import respond
from envs.standin.protocol.faults import Faults
from envs.standin.protocol.session import QUIT, Session
from envs.standin.warm import load_kernels

HANDSHAKE_SECONDS = 5.0
"""How long a handshake may take."""
PATIENCE_SECONDS = 2.0
"""How long who comes waits for the client to go: one that comes back may be sooner than its last goodbye."""
AWAY_SECONDS = 10.0
"""How long a player of two may be away: one whose client has gone for longer has left the game."""
MOST_GUESTS = 64
"""Connections that are being met; the oldest has to go if there are more."""


class Door:
    """Meets who connects to the listening socket, and hands on one client after the other."""

    def __init__(self, listener: socket.socket, host: str) -> None:
        self._listener = listener
        self._names = (host.lower(), socket.gethostname().lower())
        self._seat = threading.Semaphore()
        self._clients: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._guests: dict[Connection, None] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def clients(self) -> Iterator[Connection]:
        """Who may play, one after the other; the next comes in when the one before is asked for no more."""
        while True:
            client = self._clients.get()
            try:
                yield client
            finally:
                client.close()
                self._seat.release()

    def _watch(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
                guest = Connection(sock)
            except OSError:
                if self._listener.fileno() < 0:
                    return
                time.sleep(0.1)  # too many open files, or a guest that has gone again
                continue
            with self._lock:
                self._guests[guest] = None
                oldest = next(iter(self._guests)) if len(self._guests) > MOST_GUESTS else None
            if oldest is not None:
                oldest.hang_up()
            try:
                threading.Thread(target=self._meet, args=(guest,), daemon=True).start()
            except RuntimeError:  # no room for another thread
                self._part(guest)

    def _meet(self, guest: Connection) -> None:
        let_in = False
        try:
            let_in = self._shake_hands(guest)
        finally:
            self._part(guest, stays=let_in)

    def _part(self, guest: Connection, stays: bool = False) -> None:
        with self._lock:
            del self._guests[guest]
        if stays:
            self._clients.put(guest)
        else:
            guest.close()

    def _shake_hands(self, guest: Connection) -> bool:
        """Is the guest the client now?"""
        request = guest.request(HANDSHAKE_SECONDS)
        if request is None:
            return False
        hosts = request.headers.get_all("Host")
        strangers = [
            origin
            for origin in request.headers.get_all("Origin")
            if not is_welcome(origin, hosts[0] if hosts else None, self._names)
        ]
        if strangers:
            guest.reject(HTTPStatus.FORBIDDEN, f"the game is for programs, not for web pages (Origin: {strangers[0]})")
        elif request.path != PATH:
            guest.reject(HTTPStatus.NOT_FOUND, f"the game is at {PATH}")
        elif not self._seat.acquire(timeout=PATIENCE_SECONDS):
            reason = "another client is connected: the game is for one at a time"
            guest.reject(HTTPStatus.SERVICE_UNAVAILABLE, reason)
        elif guest.accept(request):
            return True
        else:
            self._seat.release()
        return False


def serve(host: str, port: int, faults: Faults | None = None, announce: bool = False) -> None:
    """Play games with whoever connects, until a client asks to quit."""
    faults = faults or Faults()
    faults.launch(host, port)
    load_kernels()  # before anybody connects: clients set deadlines for their requests
    gc.freeze()  # what has been loaded stays: no use in looking through it again and again
    session = Session()
    session.host = host if is_loopback(host) else "127.0.0.1"  # the second player's process is on this machine
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        port = listener.getsockname()[1]
        if not is_loopback(host):
            where = host if host and host not in ("0.0.0.0", "::") else "all addresses of this machine"
            print(
                f"warning: the game listens at {where}, port {port}: the protocol knows no passwords, so whoever can "
                "reach it can play; 127.0.0.1 is for this machine alone",
                file=sys.stderr,
                flush=True,
            )
        if announce:
            shown = f"[{host}]" if ":" in host else host or "0.0.0.0"
            print(f"the stand-in game serves the StarCraft II API at ws://{shown}:{port}{PATH}", flush=True)
        away: threading.Timer | None = None
        for client in Door(listener, host).clients():
            for message in client.messages():
                if away is not None:
                    away.cancel()
                    away = None
                faults.before(message)
                client.send(faults.after(respond(session, message)))
                if session.status == QUIT:
                    return
            if session.played_by_two:
                away = threading.Timer(AWAY_SECONDS, session.leave)
                away.daemon = True
                away.start()


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
