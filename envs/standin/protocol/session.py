"""The state of one game process: the game in it, who looks at it, and what has been done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from s2clientprotocol import debug_pb2, error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import debugging
from envs.standin.protocol.checks import Refused
from envs.standin.protocol.commands import carry_out, kind_of
from envs.standin.protocol.match import Match, Sizes
from envs.standin.protocol.observation.observation import Observer, picture_sizes
from envs.standin.protocol.replay import Replay, as_layers, rescaled
from envs.standin.protocol.shared.peers import Link, Relay
from envs.standin.protocol.shared.table import Table
from envs.standin.rules.cards import SUCCESS
from envs.starcraft.maps import MiniGame

LAUNCHED, INIT, IN_GAME, IN_REPLAY, ENDED, QUIT = (
    sc_pb.launched, sc_pb.init_game, sc_pb.in_game, sc_pb.in_replay, sc_pb.ended, sc_pb.quit,
)  # fmt: skip

MOST_TOLD = 10_000
"""Actions and errors that are kept for the next observation."""

T = TypeVar("T")


@dataclass
class Guest:
    """The second player as the first one's process knows it."""

    link: Link
    session: Session


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
        self.watched: Replay | None = None
        """The replay that is shown."""
        self._next_event = 0
        self.player = 1
        """From whose place it looks."""
        self.observing = False
        """Does it only look on?"""
        self.host = "127.0.0.1"
        """Where it listens to the second player's process."""
        self.guest: Guest | None = None
        """The second player, who has just come in through another process."""
        self.relay: Relay | None = None
        """The way to the process that plays the game, if another one does."""
        self.table: Table | None = None
        self.knows_result = False
        """Has its client been told how the game has ended?"""
        self._observer: Observer | None = None

    @property
    def match(self) -> Match:
        """The game in progress."""
        return _there(self.table).match

    @property
    def observer(self) -> Observer:
        """How the client looks at it."""
        return _there(self._observer)

    @property
    def recording(self) -> Replay:
        """What has been done in the game."""
        return _there(self.table).recording

    @property
    def realtime(self) -> bool:
        """Does time pass by itself?"""
        return self.table is not None and self.table.clock is not None

    @property
    def playing(self) -> bool:
        """Does the game, or the replay, go on?"""
        return self.status in (IN_GAME, IN_REPLAY)

    @property
    def played_by_two(self) -> bool:
        """Does another client play this game, too?"""
        return self.relay is not None or (self.table is not None and len(self.table.seats) > 1)

    @contextmanager
    def seated(self) -> Iterator[None]:
        """Ask and do things from the client's place, while nobody else does."""
        if self.table is None:
            yield
        else:
            with self.table.seat(self.player):
                yield

    def begin(self, match: Match, options: sc_pb.InterfaceOptions, sizes: Sizes) -> Table:
        """Play this match from now on; ``sizes``: the pixels of the layers."""
        episode = int(match.games["episode"][0])
        recording = Replay(self.setup, self.race, match.seed, episode, match.sizes)
        table = Table(match, recording, self.setup.realtime)
        self.sit(table, options, sizes)
        return table

    def sit(self, table: Table, options: sc_pb.InterfaceOptions, sizes: Sizes) -> None:
        """Take the player's place at a table."""
        self.table, self.options = table, options
        with table.seat(self.player):
            self._observer = Observer(table.match, options, sizes)
            table.seats[self.player] = self
        self.executed.clear()
        self.action_errors.clear()
        self.watched = None
        self.knows_result = False
        self.status = IN_GAME

    def end(self) -> None:
        """The game has come to its end."""
        if self.status == IN_GAME:
            self.status = ENDED

    def watch(self, replay: Replay, match: Match, asked: sc_pb.RequestStartReplay, sizes: Sizes) -> None:
        """Show a replay in this match, which has just begun."""
        self.begin(match, asked.options, sizes)
        with self.seated():
            self._observer = Observer(match, asked.options, sizes, asked.disable_fog)
        self.watched, self._next_event = replay, 0
        self.status = IN_REPLAY

    def relayed(self, message: bytes, request: sc_pb.Request) -> bytes:
        """The answer of the process that plays the game."""
        answer = _there(self.relay).ask(message, request)
        self.status = sc_pb.Response.FromString(answer).status
        return answer

    def leave(self) -> None:
        """Forget the game. If another plays it, that one has won."""
        if self.relay is not None:
            self.relay.close()
            self.relay = None
        if self.table is not None:
            self.table.part(self.player)
            self.table.leave(self.player)
        self.table = self._observer = self.watched = None
        self.player, self.observing = 1, False
        self.status = LAUNCHED

    def record(self, kind: str, message: Message) -> None:
        """Keep what is about to be done, for the replay."""
        self.recording.add(self.match.loop, kind + ("" if self.player == 1 else "2"), message.SerializeToString())

    def executed_as_shown(self, action: sc_pb.Action) -> sc_pb.Action:
        """A copy of an action, with its clicks counted in the pixels of the observer."""
        return rescaled(action, self.match.sizes, self.observer.sizes)

    def plain(self, one: sc_pb.Action) -> sc_pb.Action:
        """An action as one on feature layers, where its clicks are on a rendered image."""
        if not one.HasField("action_render"):
            return one
        return as_layers(one, picture_sizes(self.options), self.match.sizes)

    def act(self, one: sc_pb.Action, shown: sc_pb.Action | None = None) -> int:
        """Carry out one action, and keep what the next observation says about it: ``shown``, or the same."""
        result = carry_out(self.match, one)
        if result == SUCCESS:
            done = sc_pb.Action.FromString(shown.SerializeToString()) if shown else self.executed_as_shown(one)
            done.game_loop = self.match.loop
            self.executed.append(done)
        elif error := _error(one, result):
            self.action_errors.append(error)
        return result

    def step(self, loops: int) -> None:
        """Let so many game loops pass, or as many as are left."""
        table = _there(self.table)
        if self.watched is None:
            table.step(self.player, loops)
            return
        self._repeat(self.watched, min(self.match.loop + loops, self.watched.loops))
        self.observer.look()
        table.settle()
        if not self.match.playing or self.match.loop >= self.watched.loops:
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
        player = 2 if kind.endswith("2") else 1
        with self.match.seen_by(player):
            if kind.startswith("action") and player == self.player:
                self.act(sc_pb.Action.FromString(message))
            elif kind.startswith("action"):
                carry_out(self.match, sc_pb.Action.FromString(message))
            else:
                with suppress(Refused):  # as when it was recorded: what it did before stays done
                    debugging.carry_out(self.match, debug_pb2.DebugCommand.FromString(message))

    def catch_up(self) -> None:
        """In real time: let the loops pass that are due."""
        if self.table is None or not self.realtime:
            return
        with self.table.lock:
            if self.watched is None:
                self.table.catch_up()
            elif self.playing:
                with self.seated():
                    self.step(self.table.due(self.match.loop))


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
