"""The command line: ``perceiver-rl train | status | check | info | evaluate | watch | export | compare | ...``.

The console script enters in :mod:`perceiver_rl`, whose name is nobody else's.

Options are parsed and checked before anything heavy is imported. Exit codes: 0 done, 2 for what the user can mend,
128 + n
where signal n has ended it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from agents.commands import check as checking
from agents.commands import demonstrate, experiments, export, options, status
from agents.commands import info as informing
from agents.commands import play as playing
from agents.commands import serve as serving
from agents.commands import train as training
from agents.commands.output import lenient_output
from agents.commands.train import NAME
from agents.errors import Stopped, UserError
from envs.errors import EnvError, EnvFailure
from envs.spelling import did_you_mean


@dataclass(frozen=True)
class Doctor:
    """Say what this machine has, and what each missing thing would take."""


def main() -> None:
    """``perceiver-rl``."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str], prog: str | None = None) -> int:
    """Do what the command line says and return the exit code; errors that a user can mend are shown without a trace."""
    with lenient_output():
        return _run(argv, prog)


def _run(argv: Sequence[str], prog: str | None) -> int:
    commands: dict[str, Callable[[Sequence[str], str], None]] = {
        "train": training.train,
        "status": status.status,
        "runs": status.runs,
        "compare": experiments.compare,
        "average": experiments.average,
        "sweep": experiments.sweep,
        "record": demonstrate.record,
        "imitate": demonstrate.imitate,
        "check": checking.check,
        "info": informing.info,
        "evaluate": playing.evaluate,
        "watch": playing.watch,
        "export": export.export,
        "push": export.push,
        "pull": export.pull,
        "doctor": doctor,
        "serve": serving.serve,
        "standin-install": serving.standin_install,
    }
    summary = "\n".join(f"  {name:<17}{str(command.__doc__).splitlines()[0]}" for name, command in commands.items())
    usage = (
        f"usage: {NAME} COMMAND [OPTIONS]\n\n{summary}\n\n{NAME} COMMAND --help explains its options; {NAME} --version."
    )
    if not argv or argv[0] in ("-h", "--help"):
        print(usage)
        return 0 if argv else 2
    try:
        if argv[0] not in commands:
            raise UserError(f"no such command: {argv[0]}{did_you_mean(argv[0], commands)}\n{usage}")
        commands[argv[0]](argv[1:], prog or f"{NAME} {argv[0]}")
    except (UserError, EnvError, EnvFailure) as error:
        Console(stderr=True).print("[bold red]error:[/] ", end="")
        print(error, file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"error: out of memory ({error}); ask for less: fewer environments, steps or latents", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        return error.code if isinstance(error, Stopped) else 130
    return 0


def doctor(argv: Sequence[str], prog: str) -> None:
    """Say what this machine has."""
    options.parse(Doctor, Doctor(), argv, prog)
    from agents.commands.doctor import examine, table

    Console().print(table(examine()))


if __name__ == "__main__":
    main()
