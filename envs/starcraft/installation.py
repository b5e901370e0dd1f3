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
_EXECUTE_INFO = {"Darwin": ("~/Library/Application Support/Blizzard", 6), "Windows": ("~/Documents", 3)}
"""Where the game writes down what was executed last, and how many folders above that program it is installed."""
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
        file = self.maps_folder / path
        for candidate in (file, file.with_name(f"({players}){file.name}")):
            if candidate.is_file():
                return candidate
        return None

    @property
    def maps_folder(self) -> Path:
        """``Maps``, or ``maps`` as some have it."""
        return maps_folder(self.folder)

    def maps(self) -> dict[str, Path]:
        """Name -> file of all maps in the folder."""
        return map_files(self.folder)


def maps_folder(place: Path) -> Path:
    """Where an installation keeps its maps."""
    usual, lower = place / "Maps", place / "maps"
    return lower if lower.is_dir() and not usual.is_dir() else usual


def map_files(place: Path) -> dict[str, Path]:
    """Name -> file of all maps of an installation, those in folders that are linked to among them."""
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for inner, folders, files in os.walk(maps_folder(place), followlinks=True):
        real = os.path.realpath(inner)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(".sc2map"):
                found.setdefault(Path(file).stem, Path(inner) / file)
    return found


def folder() -> Path:
    """Where StarCraft II is or should be: ``SC2PATH``, or where PySC2 looks for it on this system."""
    return _folder()[0]


def _folder() -> tuple[Path, str]:
    """The folder, and what says so."""
    if named := os.environ.get("SC2PATH"):
        return Path(named).expanduser(), "SC2PATH"
    if executed := _executed():
        return executed, "the game's own ExecuteInfo.txt; SC2PATH is not set"
    usual = Path(_USUAL.get(platform.system(), "~/StarCraftII")).expanduser()
    return usual, "the usual place; SC2PATH is not set"


def _executed() -> Path | None:
    """Where the game was last played: on Windows and macOS it writes that down itself."""
    where, levels = _EXECUTE_INFO.get(platform.system(), ("", 0))
    if not where:
        return None
    try:
        text = (Path(where).expanduser() / "StarCraft II" / "ExecuteInfo.txt").read_bytes().decode(errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == "executable":
            program = Path(value.strip("\0 \t\r\n").replace("\\", "/"))
            return program.parents[levels - 1] if len(program.parents) >= levels else None
    return None


def find() -> Installation:
    """The installation that PySC2 will launch. Raises InstallationError naming the first thing that is missing."""
    place, told = _folder()
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
