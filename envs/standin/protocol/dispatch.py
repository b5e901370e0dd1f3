"""What a client asks for, and what it is told.

:data:`HANDLERS` holds a function for each request. It gets the session, the request's own message and the response's,
and fills the latter; bytes that it returns go behind the serialised response. It may raise :class:`Refused`, whose
text becomes ``Response.error``. It gets only requests that :mod:`envs.standin.protocol.checks` lets through, and must
have an answer to each of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.checks import Refused, check, parse
from envs.standin.protocol.requests import lifecycle, playing, replays
from envs.standin.protocol.requests.data import data
from envs.standin.protocol.requests.queries import query
from envs.standin.protocol.session import ENDED, IN_GAME, IN_REPLAY, INIT, LAUNCHED, Guest, Session

Handler = Callable[[Session, Any, Any], bytes | None]


log = logging.getLogger(__name__)


def respond(session: Session, message: bytes) -> bytes:
    """The answer to a message of the client's, whatever it is."""
    request = sc_pb.Request()
    response = sc_pb.Response()
    more = None
    try:
        request = parse(message)
        name = request.WhichOneof("request")
        if name is not None:
            getattr(response, name).SetInParent()
        check(request)
        if session.relay is not None and name not in _AT_HOME:
            return session.relayed(message, request)
        session.catch_up()
        with session.seated():
            more = _handle(session, name, request, response)
        if session.guest is not None:
            guest, session.guest = session.guest, None
            threading.Thread(target=_serve, args=(guest,), daemon=True).start()
    except Refused as refused:
        response.error.append(str(refused))
    except DecodeError as error:
        response.error.append(f"not a request: {error}")
    except Exception as error:
        # No request should get here; but one that does must not take the game of this client, or the next, with it.
        name = request.WhichOneof("request")
        log.exception("the stand-in game failed at %s", name)
        response = sc_pb.Response(error=[f"{name}: the stand-in game failed ({type(error).__name__}), see its log"])
    if request.HasField("id"):
        response.id = request.id
    response.status = sc_pb.Status.ValueType(session.status)
    return response.SerializeToString() + (more or b"")


def _serve(guest: Guest) -> None:
    """Answer the second player, whose requests come from another process, until that is gone."""
    try:
        welcome = sc_pb.ResponseJoinGame(player_id=guest.session.player)
        guest.link.send(sc_pb.Response(join_game=welcome, status=IN_GAME).SerializeToString())
        while guest.session.table is not None:
            guest.link.send(respond(guest.session, guest.link.receive()))
    except OSError:
        log.info("the second player's process is gone")
    finally:
        guest.session.leave()
        guest.link.close()


def _handle(session: Session, name: str | None, request: sc_pb.Request, response: sc_pb.Response) -> bytes | None:
    if name is None:
        raise Refused("the request asks for nothing")
    allowed = ALLOWED.get(name)
    if allowed is not None and session.status not in allowed:
        if session.status == ENDED:
            raise Refused("Game has already ended")  # in the game's own words: clients look for them
        states = ", ".join(sc_pb.Status.Name(s) for s in allowed)
        raise Refused(f"{name}: the game is {sc_pb.Status.Name(session.status)}; this request needs it to be {states}")
    return HANDLERS[name](session, getattr(request, name), getattr(response, name))


HANDLERS: dict[str, Handler] = {
    "ping": lifecycle.ping,
    "available_maps": lifecycle.available_maps,
    "save_map": lifecycle.save_map,
    "create_game": lifecycle.create_game,
    "join_game": lifecycle.join_game,
    "restart_game": lifecycle.restart_game,
    "leave_game": lifecycle.leave_game,
    "quit": lifecycle.quit_game,
    "game_info": lifecycle.game_info,
    "map_command": lifecycle.map_command,
    "observation": playing.observation,
    "action": playing.action,
    "obs_action": playing.obs_action,
    "step": playing.step,
    "quick_save": playing.quick_save,
    "quick_load": playing.quick_load,
    "query": query,
    "data": data,
    "debug": playing.debug,
    "save_replay": replays.save_replay,
    "replay_info": replays.replay_info,
    "start_replay": replays.start_replay,
}
_AT_HOME = ("ping", "available_maps", "save_map", "create_game", "start_replay", "replay_info", "leave_game", "quit")
"""What a process answers by itself when another one plays its client's game."""
_SEEN = (IN_GAME, IN_REPLAY, ENDED)
ALLOWED: dict[str, tuple[int, ...]] = {
    "save_map": (LAUNCHED, INIT),
    "create_game": (LAUNCHED, INIT, *_SEEN),
    "start_replay": (LAUNCHED, INIT, *_SEEN),
    "join_game": (LAUNCHED, INIT),
    "restart_game": (IN_GAME, ENDED),
    "leave_game": _SEEN,
    "game_info": _SEEN,
    "observation": _SEEN,
    "data": _SEEN,
    "query": (IN_GAME, IN_REPLAY),
    "action": (IN_GAME,),
    "obs_action": (IN_REPLAY,),
    "debug": (IN_GAME,),
    "map_command": (IN_GAME,),
    "quick_save": (IN_GAME,),
    "quick_load": (IN_GAME, ENDED),
    "step": (IN_GAME, IN_REPLAY),
    "save_replay": (IN_GAME, ENDED),
}
"""In which states a request is served; those that are not named are always served."""
