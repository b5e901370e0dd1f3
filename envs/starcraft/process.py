"""A game's process: started in a group of its own, ended with all that it started, and never left behind.

On Linux the kernel kills the game when this program dies, however it dies: the game is started by a few lines that ask
for it (``PR_SET_PDEATHSIG``) and then become the game. Elsewhere only an ordinary end of the program ends the games.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence

_BECOME = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the program that started this game is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
# 1 is PR_SET_PDEATHSIG (linux/prctl.h). The parent may have died before it was asked for.

_running: set[GameProcess] = set()


class GameProcess(subprocess.Popen[bytes]):
    """One game. What it prints is kept for :meth:`last_words`."""

    def __init__(self, command: Sequence[str], cwd: str | None = None, env: Mapping[str, str] | None = None) -> None:
        """Raises OSError if the program cannot be run."""
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 closed when the process is
        linux = sys.platform == "linux"
        launcher = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid())] if linux else []
        super().__init__(
            [*launcher, *command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        _running.add(self)

    def end(self, patience: float = 0.0) -> None:
        """Leave the game ``patience`` seconds to end by itself, then kill it and everything in its group, once."""
        if self not in _running:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(patience)
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        else:
            self.kill()
        self.wait()
        _running.discard(self)

    def how_it_ended(self) -> str:
        """``exit code 1`` or ``SIGSEGV``; empty while it runs."""
        code = self.poll()
        if code is None:
            return ""
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def last_words(self) -> str:
        """The last line that the game printed, or nothing."""
        with contextlib.suppress(ValueError, OSError):
            size = self.output.seek(0, os.SEEK_END)
            self.output.seek(max(0, size - 2000))
            lines = self.output.read().decode(errors="replace").strip().splitlines()
            return lines[-1].strip()[:200] if lines else ""
        return ""

    def memory(self) -> float:
        """Megabytes that the game and what it started hold in memory; 0 if it is gone."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            family = [process, *process.children(recursive=True)]
            return sum(member.memory_info().rss for member in family) / 2**20
        except psutil.Error:
            return 0.0


@atexit.register
def _end_all() -> None:
    for process in list(_running):
        process.end()


class Stagger:
    """Lets launches through no faster than one every ``seconds``: games that load together run out of memory."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is this launch's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self.seconds
        time.sleep(turn - now)
