"""``perceiver-rl serve`` and ``perceiver-rl standin-install``: the stand-in game for StarCraft II clients."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from tyro.conf import Positional

from agents.errors import UserError

EXTRA = "pip install 'perceiver-rl[starcraft]'"


@dataclass(frozen=True)
class Serve:
    """Serve the StarCraft II API with the stand-in game, for PySC2, python-sc2 and whoever else speaks it."""

    port: int = 5000
    """The port; 0 takes a free one and says which."""
    host: str = "127.0.0.1"
    """The address to listen at. Who can reach it can play; the protocol knows no passwords."""
    fault: str = ""
    """Go wrong on purpose, for tests of a client: KIND[=VALUE]@REQUEST:WHEN, such as crash@step:40."""


@dataclass(frozen=True)
class StandinInstall:
    """Make a folder that PySC2 and python-sc2 take for a StarCraft II installation, with the stand-in game in it."""

    folder: Positional[Path]
    """The folder: one that does not exist yet, is empty, or was made by this command."""


def _need_starcraft() -> None:
    import importlib.util

    missing = [name for name in ("websockets", "s2clientprotocol") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"this needs {' and '.join(missing)}: {EXTRA}")


def serve(argv: Sequence[str], prog: str) -> None:
    """Serve the stand-in game to StarCraft II clients."""
    asked = tyro.cli(Serve, args=argv, prog=prog, description=Serve.__doc__)
    if not 0 <= asked.port <= 65535:
        raise UserError(f"--port should be from 0 to 65535, got {asked.port}")
    _need_starcraft()
    from envs.standin.protocol.faults import Faults
    from envs.standin.protocol.server import serve as run

    try:
        faults = Faults.parse(asked.fault)
    except ValueError as error:
        raise UserError(f"--fault: {error}") from error
    signal.signal(signal.SIGTERM, _leave)
    try:
        run(asked.host, asked.port, faults, announce=True)
    except OSError as error:
        raise UserError(f"--host {asked.host} --port {asked.port}: cannot listen there ({error.strerror})") from error


def _leave(number: int, frame: Any) -> None:
    sys.exit(0)


def standin_install(argv: Sequence[str], prog: str) -> None:
    """Make a folder that passes for a StarCraft II installation."""
    asked = tyro.cli(StandinInstall, args=argv, prog=prog, description=StandinInstall.__doc__)
    _need_starcraft()
    from envs.standin.protocol.install import NotOurs, install
    from envs.standin.warm import load_kernels

    try:
        made = install(asked.folder)
    except NotOurs as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{asked.folder}: cannot be written ({error})") from error
    print(f"the stand-in game is installed in {made.folder}")
    print(f"  program       {made.binary.relative_to(made.folder)}")
    print(f"  maps          {', '.join(made.linked) or 'none'}")
    if made.placeholders:
        print(f"  placeholders  {', '.join(made.placeholders)}")
    print("loading the game's kernels; compiling them takes one to two minutes, once")
    load_kernels()
    print(f"PySC2 and python-sc2 find it with: export SC2PATH={made.folder}")
