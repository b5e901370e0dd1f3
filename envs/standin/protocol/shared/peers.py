"""Two processes, one game: the second player's process hands its client's requests on to the first player's.

The first player's process, which the game was created in, plays the game for both. It listens at the game port that
``join_game`` names; the other process, which joins with the same ports without having created a game, connects there.
How a game has ended the second looks up at once, before the first can go. If the first dies before that, the second
has won: it tells its client so, with what was observed last.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.checks import Refused

GREETING = b"perceiver-rl stand-in game for two, version 1\n"
JOIN_SECONDS = 60.0
"""How long one process waits for the other."""
_LARGEST = 64 * 2**20
_RETRY_SECONDS = 0.05


class Link:
    """A way to the other process: whole messages, each with its length before it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None)

    def send(self, message: bytes) -> None:
        """Send a message. Raises OSError if the other is gone."""
        self._sock.sendall(struct.pack("!I", len(message)) + message)

    def receive(self) -> bytes:
        """The next message. Raises OSError if the other is gone."""
        (size,) = struct.unpack("!I", self._exactly(4))
        if size > _LARGEST:
            raise OSError(f"a message of {size} bytes")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._sock.recv(min(size, 2**20))
            if not part:
                raise OSError("the other process is gone")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let go; whoever waits for a message hears of it."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def ports_of(asked: sc_pb.RequestJoinGame) -> int:
    """The port where the two meet. Raises Refused if the request names none."""
    port = asked.server_ports.game_port
    if not 0 < port < 2**16:
        raise Refused(f"join_game: server_ports.game_port is {port}, no port where two players could meet")
    return port


def wait_for_guest(host: str, port: int) -> tuple[Link, sc_pb.Request]:
    """The other process, and its request to join. Raises Refused if nobody comes."""
    deadline = time.monotonic() + JOIN_SECONDS
    try:
        with socket.create_server((host, port)) as listener:
            while (left := deadline - time.monotonic()) > 0:
                listener.settimeout(left)
                sock, _ = listener.accept()
                sock.settimeout(5.0)
                link = None
                try:
                    if sock.recv(len(GREETING), socket.MSG_WAITALL) == GREETING:
                        link = Link(sock)
                        return link, sc_pb.Request.FromString(link.receive())
                except Exception:  # somebody else, who knocks at the wrong door
                    pass
                sock.close()
    except TimeoutError:
        pass
    except OSError as error:
        raise Refused(f"join_game: cannot listen at {host}:{port}: {error.strerror or error}") from error
    raise Refused(f"join_game: no second player has come to port {port} within {JOIN_SECONDS:g} s")


def find_host(host: str, port: int, request: sc_pb.Request) -> tuple[Link, bytes]:
    """The process that the game was created in, and its answer to the request to join. Raises Refused."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            sock = socket.create_connection((host, port), 5.0)
            sock.sendall(GREETING)
            link = Link(sock)
            link.send(request.SerializeToString())
            return link, link.receive()
        except OSError as error:
            if time.monotonic() > deadline:
                raise Refused(
                    f"join_game: no game that was created waits at {host}:{port} for a second player ({error})"
                ) from error
            time.sleep(_RETRY_SECONDS)


class Relay:
    """What the second player's process keeps of a game that the other process plays."""

    def __init__(self, link: Link, player: int) -> None:
        self.player, self._link = player, link
        self._last = sc_pb.Response()
        self._final: bytes | None = None
        """What is seen of a game that has ended, looked up before the client has asked."""
        self._alive = True
        self._lock = threading.Lock()

    def ask(self, message: bytes, request: sc_pb.Request) -> bytes:
        """The other process's answer; if it is gone, one that says how the game has ended: that its player has lost,
        if nothing else is known."""
        looks = request.HasField("observation")
        with self._lock:
            if looks and self._final is not None:
                return self._final + sc_pb.Response(id=request.id).SerializeToString()
            if self._alive:
                try:
                    answer = self._exchange(message)
                    if looks:
                        self._last = sc_pb.Response.FromString(answer)
                    elif self._final is None and sc_pb.Response.FromString(answer).status == sc_pb.ended:
                        look = sc_pb.Request(observation=sc_pb.RequestObservation())
                        self._final = self._exchange(look.SerializeToString())
                    return answer
                except OSError:
                    self._alive = False
        return self._alone(request).SerializeToString()

    def _exchange(self, message: bytes) -> bytes:
        self._link.send(message)
        return self._link.receive()

    def _alone(self, request: sc_pb.Request) -> sc_pb.Response:
        response = sc_pb.Response(status=sc_pb.ended)
        name = request.WhichOneof("request")
        match name:
            case "observation":
                response.observation.CopyFrom(self._last.observation)
                if not response.observation.player_result:
                    for player in (1, 2):
                        result = sc_pb.Victory if player == self.player else sc_pb.Defeat
                        response.observation.player_result.add(player_id=player, result=result)
            case "step":
                response.step.simulation_loop = self._last.observation.observation.game_loop
            case _:
                response.error.append("Game has already ended")
        return response

    def close(self) -> None:
        """Get up from the table."""
        with self._lock:
            self._alive = False
        self._link.close()
