"""The state of one game process: the game in it, who looks at it, and what has been done."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Any, TypeVar

from google.protobuf.message import Message
from s2clientprotocol import debug_pb2, error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import debugging
from envs.standin.protocol.checks import Refused
from envs.standin.protocol.commands import carry_out, kind_of
from envs.standin.protocol.match import Match, Sizes
from envs.standin.protocol.observation.observation import Observer
from envs.standin.protocol.replay import Replay, rescaled
from envs.standin.protocol.version import LOOPS_A_SECOND
from envs.standin.rules.cards import SUCCESS
from envs.starcraft.maps import MiniGame

LAUNCHED, INIT, IN_GAME, IN_REPLAY, ENDED, QUIT = (
    sc_pb.launched, sc_pb.init_game, sc_pb.in_game, sc_pb.in_replay, sc_pb.ended, sc_pb.quit,
)  # fmt: skip

MOST_LOOPS = 2**14
"""Game loops that may pass in one request: twelve minutes of the game, a few seconds at worst."""
MOST_TOLD = 10_000
"""Actions and errors that are kept for the next observation."""

T = TypeVar("T")


class Session:
    """The state of one game process. It outlives the connection: a client may come back."""

    def __init__(self) -> None:
        self.status: int = LAUNCHED
        self.setup = sc_pb.RequestCreateGame()
        self.options = sc_pb.InterfaceOptions()
        self.map: MiniGame | None = None
        self.race: int = 0
        self.executed: deque[sc_pb.Action] = deque(maxlen=MOST_TOLD)
        self.action_errors: deque[sc_pb.ActionError] = deque(maxlen=MOST_TOLD)
        """What the next observation tells of; of a client that does not look, the newest are kept."""
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
        self.executed.clear()
        self.action_errors.clear()
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
        self.recording.add(self.match.loop, kind, message.SerializeToString())

    def executed_as_shown(self, action: sc_pb.Action) -> sc_pb.Action:
        """A copy of an action, with its clicks counted in the pixels of the observer."""
        return rescaled(action, self.match.sizes, self.observer.sizes)

    def act(self, one: sc_pb.Action) -> int:
        """Carry out one action, and keep what the next observation says about it."""
        result = carry_out(self.match, one)
        if result == SUCCESS:
            done = self.executed_as_shown(one)
            done.game_loop = self.match.loop
            self.executed.append(done)
        elif error := _error(one, result):
            self.action_errors.append(error)
        return result

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
                self._repeat_one(kind, message)
            following = events[self._next_event][0] if self._next_event < len(events) else until
            match.advance(min(following, until) - match.loop)

    def _repeat_one(self, kind: str, message: bytes) -> None:
        if kind == "action":
            self.act(sc_pb.Action.FromString(message))
        else:
            with suppress(Refused):  # as when it was recorded: what it did before stays done
                debugging.carry_out(self.match, debug_pb2.DebugCommand.FromString(message))

    def catch_up(self) -> None:
        """In real time: let the loops pass that are due."""
        if self.clock and self.playing:
            start, loop = self.clock
            due = loop + int((time.monotonic() - start) * LOOPS_A_SECOND)
            if due > self.match.loop:
                self.run(min(due - self.match.loop, MOST_LOOPS))


def _there(thing: T | None) -> T:
    if thing is None:
        raise Refused("there is no game")
    return thing


def _error(one: sc_pb.Action, result: int) -> sc_pb.ActionError | None:
    """What the next observation says of an action that failed: only of commands, as in the game."""
    kind, action = kind_of(one)
    if kind == "action_ui" or not action.HasField("unit_command"):
        return None
    command = action.unit_command
    error = sc_pb.ActionError(result=error_pb2.ActionResult.ValueType(result))
    if command.ability_id >= 0:  # a command's may be negative, an error's may not
        error.ability_id = command.ability_id
    if kind == "action_raw" and command.unit_tags:
        error.unit_tag = command.unit_tags[0]
    return error
