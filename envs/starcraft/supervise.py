"""What keeps a game honest from outside: deadlines and a limit to its memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from envs.starcraft.client import GameFailure, Session

LOOK_EVERY = 0.1
WEIGH_EVERY = 2.0
"""Seconds between two looks at the deadlines, and at the memory."""


class Watchdog:
    """A thread that ends every game that keeps its caller waiting too long, or holds twice ``memory_limit`` megabytes.

    What the game was being asked then fails at once, whatever PySC2 was waiting for; so it does where the process has
    ended and PySC2 waits all the same, because another program is at its port.
    """

    def __init__(self, memory_limit: float) -> None:
        self.memory_limit = memory_limit
        self._due: dict[Session, tuple[float, GameFailure]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="starcraft-watchdog", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def watch(self, session: Session, seconds: float, what: str) -> Iterator[None]:
        """Allow ``seconds`` for the body, which asks something of the game."""
        self._due[session] = time.monotonic() + seconds, GameFailure("hang", f"no answer to {what} in {seconds:g} s")
        try:
            yield
        finally:
            del self._due[session]

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        weigh = 0.0
        while not self._stop.wait(LOOK_EVERY):
            now = time.monotonic()
            weighing = now >= weigh
            weigh = now + WEIGH_EVERY if weighing else weigh
            for session, (due, failure) in list(self._due.items()):
                if now > due:
                    session.kill(failure)  # at every look: PySC2 may not have started or connected at the first
                elif session.process is not None and session.process.poll() is not None:
                    session.hang_up()
                elif weighing and session.process is not None:
                    held = session.process.memory()
                    if held > 2 * self.memory_limit:
                        session.kill(GameFailure("memory", f"{held:.0f} MB, twice the limit of {self.memory_limit:g}"))
