"""A game that is played, and who sits at it: one player, or two that come through processes of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from envs.standin.protocol.match import Match
from envs.standin.protocol.observation.observation import Observer
from envs.standin.protocol.replay import Replay
from envs.standin.protocol.version import LOOPS_A_SECOND
from envs.standin.rules.world import LOST

MOST_LOOPS = 2**14
"""Game loops that may pass in one request: twelve minutes of the game, a few seconds at worst."""
FAREWELL = 5.0
"""Seconds for which the process of a game that has ended waits for the second player to hear how."""
PATIENCE = 300.0
"""Seconds that one player's step waits for the other's; after that the other has left."""


class Seat(Protocol):
    """Who sits at a table."""

    knows_result: bool
    """Has it been told how the game has ended?"""

    @property
    def observer(self) -> Observer:
        """How it looks at the game."""

    def end(self) -> None:
        """Hear that the game has ended."""


class Table:
    """One game in progress.

    Whoever asks or does something holds ``lock``, and leaves the match as the first player sees it.
    """

    def __init__(self, match: Match, recording: Replay, realtime: bool) -> None:
        self.match, self.recording = match, recording
        self.clock = (time.monotonic(), 0) if realtime else None
        """Of a game in real time: when it was at which loop."""
        self.saved: tuple[Any, int] | None = None
        """What quick_save has kept: the game, and how much had been recorded."""
        self.seats: dict[int, Seat] = {}
        self.lock = threading.Condition(threading.RLock())
        self._due: dict[int, int] = {}

    @contextmanager
    def seat(self, player: int) -> Iterator[None]:
        """Ask and do things from that player's place, alone."""
        with self.lock, self.match.seen_by(player):
            yield

    def wait(self, seconds: float) -> bool:
        """Let the other player act; False if nothing has happened for so long."""
        player = self.match.player
        self.match.turn_to(1)
        happened = self.lock.wait(seconds)
        self.match.turn_to(player)
        return happened

    def step(self, player: int, loops: int) -> None:
        """Let time pass for a player: time passes when all who play have asked for it."""
        self._due[player] = max(self._due.get(player, 0), self.match.loop) + loops
        while self.match.playing and player in self.seats and self.match.loop < self._due[player]:
            ready = min(max(self._due.get(other, 0), self.match.loop) for other in self.seats)
            if ready > self.match.loop:
                self.run(ready - self.match.loop)
            elif not self.wait(PATIENCE):
                for other in [seat for seat in self.seats if self._due.get(seat, 0) <= self.match.loop]:
                    self.leave(other)
        self.settle()

    def run(self, loops: int) -> None:
        """Let so many game loops pass, or as many as are left."""
        self.match.advance(loops)
        for player, session in self.seats.items():
            with self.match.seen_by(player):
                session.observer.look()
        self.settle()

    def settle(self) -> None:
        """Tell all who play if the game has ended."""
        for session in self.seats.values():
            if not self.match.playing:
                session.end()
        self.lock.notify_all()

    def catch_up(self) -> None:
        """In real time: let the loops pass that are due."""
        if self.match.playing and (due := self.due(self.match.loop)):
            self.run(due)

    def due(self, now: int) -> int:
        """Loops by which real time is ahead of ``now``, at most :data:`MOST_LOOPS`; 0 where it does not count."""
        if self.clock is None:
            return 0
        start, loop = self.clock
        return min(max(loop + int((time.monotonic() - start) * LOOPS_A_SECOND) - now, 0), MOST_LOOPS)

    def leave(self, player: int) -> None:
        """A player gets up. If another plays on, that one has won."""
        with self.seat(player):
            self.seats.pop(player, None)
            if self.seats and self.match.playing:
                g = self.match.games[0]
                g["status"], g["score"], g["other_score"] = LOST, -1.0, 1.0
            self.settle()

    def part(self, player: int) -> None:
        """Before the process that plays the game goes: let the others hear how it has ended."""
        if self.match.playing or player != 1:
            return
        deadline = time.monotonic() + FAREWELL
        with self.seat(player):
            while any(not seat.knows_result for other, seat in self.seats.items() if other != player):
                if not self.wait(deadline - time.monotonic()):
                    return
