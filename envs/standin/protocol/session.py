"""What a client asks for, and what it is told.

:data:`HANDLERS` holds a function for each request. It gets the session, the request's own message and the response's,
and fills the latter; bytes that it returns go behind the serialised response. It may raise :class:`Refused`, whose
text becomes ``Response.error``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import lifecycle, playing, replays
from envs.standin.protocol.data import data
from envs.standin.protocol.debug import debug
from envs.standin.protocol.match import Match, Refused, Sizes
from envs.standin.protocol.observation import Observer
from envs.standin.protocol.queries import query
from envs.standin.protocol.replays import Replay
from envs.standin.protocol.version import LOOPS_A_SECOND
from envs.starcraft.maps import MiniGame

LAUNCHED, INIT, IN_GAME, IN_REPLAY, ENDED, QUIT = (
    sc_pb.launched, sc_pb.init_game, sc_pb.in_game, sc_pb.in_replay, sc_pb.ended, sc_pb.quit,
)  # fmt: skip

T = TypeVar("T")
Handler = Callable[["Session", Any, Any], bytes | None]


class Session:
    """The state of one game process. It outlives the connection: a client may come back."""

    def __init__(self) -> None:
        self.status: int = LAUNCHED
        self.setup = sc_pb.RequestCreateGame()
        self.options = sc_pb.InterfaceOptions()
        self.map: MiniGame | None = None
        self.race: int = 0
        self.executed: list[sc_pb.Action] = []
        self.action_errors: list[sc_pb.ActionError] = []
        self.clock: tuple[float, int] | None = None
        """Of a game in real time: when it was at which loop."""
        self.saved: tuple[Any, int] | None = None
        """What quick_save has kept: the game, and how much had been recorded."""
        self.watched: Replay | None = None
        """The replay that is shown."""
        self._next_event = 0
        self._recording: Replay | None = None
        self._match: Match | None = None
        self._observer: Observer | None = None

    @property
    def match(self) -> Match:
        """The game in progress."""
        return _there(self._match)

    @property
    def observer(self) -> Observer:
        """How the client looks at it."""
        return _there(self._observer)

    @property
    def recording(self) -> Replay:
        """What has been done in the game."""
        return _there(self._recording)

    @property
    def playing(self) -> bool:
        """Does the game, or the replay, go on?"""
        return self.status in (IN_GAME, IN_REPLAY)

    def begin(self, match: Match, options: sc_pb.InterfaceOptions, sizes: Sizes) -> None:
        """Play this match from now on; ``sizes``: the pixels of the layers."""
        self._match, self.options = match, options
        self._observer = Observer(match, options, sizes)
        self.executed, self.action_errors = [], []
        self.watched, self.saved = None, None
        episode = int(match.games["episode"][0])
        self._recording = Replay(self.setup, self.race, match.seed, episode, match.sizes)
        self.clock = (time.monotonic(), 0) if self.setup.realtime else None
        self.status = IN_GAME

    def watch(self, replay: Replay, match: Match, asked: sc_pb.RequestStartReplay, sizes: Sizes) -> None:
        """Show a replay in this match, which has just begun."""
        self.begin(match, asked.options, sizes)
        self._observer = Observer(match, asked.options, sizes, asked.disable_fog)
        self.watched, self._next_event = replay, 0
        self.status = IN_REPLAY

    def leave(self) -> None:
        """Forget the game."""
        self._match = self._observer = self._recording = self.watched = self.clock = None
        self.status = LAUNCHED

    def record(self, kind: str, message: Message) -> None:
        """Keep what is about to be done, for the replay."""
        self.recording.events.append((self.match.loop, kind, message.SerializeToString()))

    def executed_as_shown(self, action: sc_pb.Action) -> sc_pb.Action:
        """A copy of an action, with its clicks counted in the pixels of the observer."""
        return replays.rescaled(action, self.match.sizes, self.observer.sizes)

    def run(self, loops: int) -> None:
        """Let so many game loops pass, or as many as are left."""
        match = self.match
        if self.watched is None:
            match.advance(loops)
        else:
            self._repeat(self.watched, min(match.loop + loops, self.watched.loops))
        self.observer.look()
        if not match.playing or (self.watched is not None and match.loop >= self.watched.loops):
            self.status = ENDED

    def _repeat(self, replay: Replay, until: int) -> None:
        match = self.match
        while match.playing and match.loop < until:
            events = replay.events
            while self._next_event < len(events) and events[self._next_event][0] <= match.loop:
                _, kind, message = events[self._next_event]
                self._next_event += 1
                replays.repeat(self, kind, message)
            following = events[self._next_event][0] if self._next_event < len(events) else until
            match.advance(min(following, until) - match.loop)

    def catch_up(self) -> None:
        """In real time: let the loops pass that are due."""
        if self.clock and self.playing:
            start, loop = self.clock
            due = loop + int((time.monotonic() - start) * LOOPS_A_SECOND)
            if due > self.match.loop:
                self.run(due - self.match.loop)

    def respond(self, message: bytes) -> bytes:
        """The answer to a message of the client's."""
        request = sc_pb.Request()
        response = sc_pb.Response()
        more = None
        try:
            request.ParseFromString(message)
            name = request.WhichOneof("request")
            if name is not None:
                getattr(response, name).SetInParent()
            if request.HasField("id"):
                response.id = request.id
            self.catch_up()
            more = self._handle(name, request, response)
        except Refused as refused:
            response.error.append(str(refused))
        except DecodeError as error:
            response.error.append(f"not a request: {error}")
        response.status = sc_pb.Status.ValueType(self.status)
        return response.SerializeToString() + (more or b"")

    def _handle(self, name: str | None, request: sc_pb.Request, response: sc_pb.Response) -> bytes | None:
        if name is None:
            raise Refused("the request asks for nothing")
        allowed = ALLOWED.get(name)
        if allowed is not None and self.status not in allowed:
            if self.status == ENDED:
                raise Refused("Game has already ended")  # in the game's own words: clients look for them
            states = ", ".join(sc_pb.Status.Name(s) for s in allowed)
            raise Refused(f"{name}: the game is {sc_pb.Status.Name(self.status)}; this request needs it to be {states}")
        return HANDLERS[name](self, getattr(request, name), getattr(response, name))


def _there(thing: T | None) -> T:
    if thing is None:
        raise Refused("there is no game")
    return thing


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
    "debug": debug,
    "save_replay": replays.save_replay,
    "replay_info": replays.replay_info,
    "start_replay": replays.start_replay,
}
_SEEN = (IN_GAME, IN_REPLAY, ENDED)
ALLOWED: dict[str, tuple[int, ...]] = {
    "save_map": (LAUNCHED, INIT),
    "create_game": (LAUNCHED, INIT, *_SEEN),
    "start_replay": (LAUNCHED, INIT, *_SEEN),
    "join_game": (INIT,),
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
