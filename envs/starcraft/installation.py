"""Where StarCraft II is, and what to do where it is not. Looks at files only; PySC2 is not imported."""

from __future__ import annotations

import importlib.util
import os
import platform
from dataclasses import dataclass
from pathlib import Path

STANDIN_MARK = "PERCEIVER_RL_STANDIN"
"""The file that tells the stand-in's folder from StarCraft II's."""

HOW_TO_GET = (
    "unpack Blizzard's Linux package there (4.10 is the newest; about 4 GB, under their license) or set SC2PATH to "
    "where StarCraft II is. Without StarCraft II, PySC2 can play the stand-in game: "
    "`perceiver-rl standin-install DIR` and `export SC2PATH=DIR`"
)
HOW_TO_GET_PYSC2 = "pip install 'perceiver-rl[starcraft]'"

_USUAL = {"Darwin": "/Applications/StarCraft II", "Windows": "C:/Program Files (x86)/StarCraft II"}
_PROGRAM = {"Darwin": "SC2.app/Contents/MacOS/SC2", "Windows": "SC2_x64.exe"}


class InstallationError(ValueError):
    """StarCraft II, PySC2 or a map is not there; the message says what was looked for, where, and how to get it."""


@dataclass(frozen=True)
class Installation:
    """A folder with StarCraft II, or with the stand-in for it."""

    folder: Path
    builds: tuple[int, ...]

    @property
    def is_standin(self) -> bool:
        """Whether it is the stand-in game that answers."""
        return (self.folder / STANDIN_MARK).exists()

    @property
    def name(self) -> str:
        """What results on it must be called."""
        return "stand-in game through PySC2" if self.is_standin else "StarCraft II"

    def map_file(self, path: str, players: int | None = None) -> Path | None:
        """The map's file, ``Maps/<path>``, or with the number of players in its name as some maps have it."""
        file = self.folder / "Maps" / path
        for candidate in (file, file.with_name(f"({players}){file.name}")):
            if candidate.is_file():
                return candidate
        return None

    def maps(self) -> dict[str, Path]:
        """Name -> file of all maps in the folder."""
        return {file.stem: file for file in sorted((self.folder / "Maps").rglob("*.SC2Map"))}


def folder() -> Path:
    """Where StarCraft II is or should be: ``SC2PATH``, or PySC2's default for this system."""
    return Path(os.environ.get("SC2PATH") or _USUAL.get(platform.system(), "~/StarCraftII")).expanduser()


def find() -> Installation:
    """The installation that PySC2 will launch. Raises InstallationError naming the first thing that is missing."""
    place = folder()
    told = "SC2PATH" if os.environ.get("SC2PATH") else "the usual place; SC2PATH is not set"
    if not place.is_dir():
        raise InstallationError(f"no StarCraft II: there is no folder {place} ({told}); {HOW_TO_GET}")
    versions = place / "Versions"
    builds = tuple(
        sorted(int(p.name[4:]) for p in versions.glob("[Bb]ase*") if p.name[4:].isdigit()) if versions.is_dir() else ()
    )
    if not builds:
        raise InstallationError(f"no StarCraft II in {place} ({told}): it has no Versions/Base<number>; {HOW_TO_GET}")
    program = versions / f"Base{builds[-1]:05d}" / _PROGRAM.get(platform.system(), "SC2_x64")
    if not program.is_file():
        raise InstallationError(f"no StarCraft II in {place} ({told}): there is no {program}; {HOW_TO_GET}")
    if not os.access(program, os.X_OK):
        raise InstallationError(f"{program} may not be executed; chmod +x {program}")
    return Installation(place, builds)


def pysc2_package() -> str:
    """``pysc2_evolved``, or ``pysc2``, the original. Raises InstallationError if neither is installed."""
    for package in ("pysc2_evolved", "pysc2"):
        if importlib.util.find_spec(package) is not None:
            return package
    raise InstallationError(f"PySC2 is not installed (neither pysc2_evolved nor pysc2); {HOW_TO_GET_PYSC2}")
