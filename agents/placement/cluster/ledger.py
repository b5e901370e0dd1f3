"""What went wrong in a run and what became of every trajectory: counted, and each cause shown once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import ray

from agents.errors import UserError
from envs.errors import EnvError, EnvFailure

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds before something that failed is tried again; doubled each time
ROLES = ("worker", "environment", "inference", "learner")
PATIENCE = 5  # failures in a row after which nothing more is hoped for


class Ledger:
    """Every trajectory asked of a worker is in the end learned from, lost, too old, or left over."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note
        self.shown: set[tuple[str, str]] = set()
        self.restarts: Counter[str] = Counter()
        """By role."""
        self.asked = self.learned = self.lost = self.too_old = 0

    def restart(self, role: str, name: str, error: BaseException) -> None:
        """Something of one of the ROLES failed and is started anew."""
        self.restarts[role] += 1
        self.tell(role, f"{name}: {cause_of(error)}; it is started anew")

    def tell(self, kind: str, text: str) -> None:
        """Show a line, once for all lines that differ in numbers only."""
        key = (kind, "".join(c for c in text if not c.isdigit()))
        if key not in self.shown:
            self.shown.add(key)
            self.note(f"note: {text}")

    def metrics(self) -> dict[str, float]:
        """Counts since the run began, or went on."""
        roles = {f"cluster/{role}_restarts": float(self.restarts[role]) for role in ROLES}
        return roles | {
            "cluster/restarts": float(sum(self.restarts.values())),
            "cluster/trajectories": float(self.asked),
            "cluster/learned": float(self.learned),
            "cluster/lost": float(self.lost),
            "cluster/too_old": float(self.too_old),
        }


class Health:
    """Of something that is started anew when it fails: how often in a row it has, and when to try again."""

    def __init__(self) -> None:
        self.failures = 0
        self.not_before = 0.0
        self.error: BaseException | None = None

    def failed(self, error: BaseException) -> None:
        self.error = error
        self.failures += 1
        self.pause()

    def pause(self) -> None:
        """Wait before the next try, twice as long each time."""
        self.not_before = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self.failures - 1))

    def well(self) -> None:
        self.failures, self.not_before, self.error = 0, 0.0, None

    @property
    def due(self) -> bool:
        """Whether it may be tried (again)."""
        return time.monotonic() >= self.not_before

    @property
    def hopeless(self) -> bool:
        """Whether it has failed too often, or for a reason that will not pass."""
        return self.failures >= PATIENCE or isinstance(reason(self.error), UserError | EnvError)


def reason(error: BaseException | None) -> BaseException | None:
    """What was raised in the other process."""
    return error.cause if isinstance(error, ray.exceptions.RayTaskError) else error


def cause_of(error: BaseException) -> str:
    """An error in one line."""
    cause = reason(error)
    if isinstance(cause, EnvFailure):
        return _line(str(cause), 0)
    if not isinstance(cause, ray.exceptions.RayActorError):
        return f"{type(cause).__name__}: {_line(str(cause), 0)}"
    text = str(cause)
    if "creation task" in text:
        return f"its process cannot start: {_line(text, -1)}"
    if "node has died" in text or "node was terminated" in text:
        return "its machine was lost"
    if "memory" in text and "OutOfMemory" in text:
        return "its process was killed for want of memory"
    return "its process died"


def _line(text: str, which: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    return lines[which][:200]
