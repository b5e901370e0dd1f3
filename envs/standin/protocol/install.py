"""A folder that PySC2 and python-sc2 take for a StarCraft II installation, with the stand-in game in it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import envs
from envs.standin.protocol.version import BUILD
from envs.starcraft.layouts.archive import archive
from envs.starcraft.maps import MAPS, MELEE

MARK = "PERCEIVER_RL_STANDIN"
"""The file that marks a folder as one of ours."""


class NotOurs(ValueError):
    """The folder holds something else."""


@dataclass(frozen=True)
class Installed:
    """What an installation consists of."""

    folder: Path
    binary: Path
    linked: tuple[str, ...]
    placeholders: tuple[str, ...]


def install(folder: Path) -> Installed:
    """Make the folder, or bring it up to date.

    Raises :class:`NotOurs` if there is something in it that this function did not put there, such as a real
    installation, and an OSError if it cannot be written.
    """
    folder = folder.expanduser().absolute()
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise NotOurs(f"{folder} is a file; name a folder that does not exist yet, or an empty one")
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        real = " (it looks like an installation of StarCraft II)" if (folder / "Versions").exists() else ""
        raise NotOurs(
            f"{folder} is not empty and was not made by standin-install{real}; "
            "name a folder that does not exist yet, or an empty one"
        )
    binary = folder / "Versions" / f"Base{BUILD}" / "SC2_x64"
    binary.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text("Made by `perceiver-rl standin-install`: the stand-in game, not StarCraft II.\n")
    binary.write_text(_script())
    binary.chmod(0o755)
    linked: list[str] = []
    placeholders: list[str] = []
    for name in MAPS:
        target = folder / "Maps" / "mini_games" / f"{name}.SC2Map"
        source = archive(name)
        _place(target, source)
        (linked if source else placeholders).append(name)
    for name in MELEE:
        _place(folder / "Maps" / "Melee" / f"{name}.SC2Map", None)
        placeholders.append(name)
    return Installed(folder, binary, tuple(linked), tuple(placeholders))


def _place(target: Path, source: Path | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if source is None:
        target.touch()
    else:
        target.symlink_to(source)


def _script() -> str:
    """The program that stands for the game's own: this Python with this package, wherever it is started from."""
    root = Path(envs.__file__).absolute().parent.parent
    python = os.path.abspath(sys.executable)
    start = f"import sys; sys.path.insert(0, {str(root)!r}); from envs.standin.protocol.server import main; main()"
    return f'#!/bin/sh\nexec {_quoted(python)} -P -c {_quoted(start)} "$@"\n'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
