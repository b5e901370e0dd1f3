"""``perceiver-rl`` and ``python -m perceiver_rl``: see who else has our packages' names, then do what is asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perceiver_rl import __version__, names


def main() -> None:
    """``perceiver-rl COMMAND ...``."""
    _enter(sys.argv[1:], None)


def train_main() -> None:
    """``python train_agent.py``: ``perceiver-rl train``."""
    _enter(["train", *sys.argv[1:]], Path(sys.argv[0]).name)


def _enter(argv: list[str], prog: str | None) -> None:
    try:
        if argv in (["--version"], ["-V"]):
            print(f"perceiver-rl {__version__}")
            code = 0
        else:
            code = _run(argv, prog)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read what is printed has seen enough, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141  # as a shell calls it: 128 + SIGPIPE
    sys.exit(code)


def _run(argv: list[str], prog: str | None) -> int:
    overwritten = names.overwritten()
    if not overwritten.keys() <= names.UNUSED:
        print(f"error: {names.tell_overwritten(overwritten)}", file=sys.stderr)
        return 2
    names.pin(overwritten)
    for line in names.neighbours():
        print(f"note: {line}", file=sys.stderr)
    from agents.commands.cli import run

    return run(argv, prog)


if __name__ == "__main__":
    main()
