"""What a program prints to must not end it: the terminal closes, `tee` dies, the disk of a log is full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class Lenient:
    """A text stream that falls silent where it would fail."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.silent = stream, False

    def write(self, text: str) -> int:
        """Write what can be written."""
        if not self.silent:
            try:
                self.stream.write(text)
            except UnicodeEncodeError as error:
                self.write(text.encode(error.encoding, "replace").decode(error.encoding))
            except RuntimeError:  # a signal came in the middle of another write, and its handler has something to say
                pass
            except (OSError, ValueError):
                self._fall_silent()
        return len(text)

    def flush(self) -> None:
        """Flush, or fall silent."""
        if not self.silent:
            try:
                self.stream.flush()
            except RuntimeError:
                pass
            except (OSError, ValueError):
                self._fall_silent()

    def _fall_silent(self) -> None:
        self.silent = True
        with suppress(OSError, ValueError, AttributeError):  # what is left in a buffer is written when Python ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def lenient_output() -> Iterator[None]:
    """Standard output and standard error as :class:`Lenient` streams."""
    before = sys.stdout, sys.stderr
    lenient = Lenient(sys.stdout), Lenient(sys.stderr)
    sys.stdout, sys.stderr = lenient
    try:
        yield
    finally:
        for stream in lenient:
            stream.flush()
        sys.stdout, sys.stderr = before


def to_standard_output(path: Path | None) -> bool:
    """Whether a file that was asked for is standard output."""
    return path is not None and str(path) in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
