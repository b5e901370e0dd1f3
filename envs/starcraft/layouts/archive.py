"""Where things are on a map; the mini-games' layouts, read from the archives that ship in ``pysc2_evolved``."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

Rect = tuple[float, float, float, float]
Resource = tuple[float, float, float]

COMMAND_CENTER = (29.5, 27.5)
"""Where the command center stands. The scripts ask for (29.8251, 28.0083), and a 5 x 5 footprint fits the grid here and
at (29.5, 28.5). No source at hand says which, but the resources lie evenly around this point, and only from here are
places free where published agents built a second command center and depots by screen coordinates."""


@dataclass(frozen=True)
class Layout:
    """Where things are on a map, in world units.

    ``places`` are rows of four numbers. Row 0 is the playable rectangle (left, bottom, right, top); what the others are
    says the map's entry in :data:`MAPS`. ``resources`` are rows (0 mineral field, 1 geyser or 2 small field, x, y).
    """

    loops: int
    places: tuple[Rect, ...]
    resources: tuple[Resource, ...] = ()
    size: tuple[int, int] = (64, 64)
    """Cells that the map is wide and high."""


def archive(name: str) -> Path | None:
    """The map's archive in the installed ``pysc2_evolved`` package, or None. Imports neither it nor anything else."""
    if importlib.util.find_spec("mpyq") is None:
        return None
    spec = importlib.util.find_spec("pysc2_evolved")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "maps" / "mini_games" / f"{name}.SC2Map"
    return path if path.is_file() else None


@lru_cache(maxsize=16)
def read_layout(name: str, path: Path, order: tuple[Resource, ...]) -> Layout:
    """A map's layout, read from its archive: the script's timer, ``Regions`` and ``Objects``.

    Resources are told in ``order``, which decides ties, so that it must not depend on what is installed.
    """
    import mpyq

    files = mpyq.MPQArchive(str(path))
    script, regions, objects = (
        files.read_file(part).decode("utf-8-sig") for part in ("MapScript.galaxy", "Regions", "Objects")
    )
    timer = re.search(r"TimerStart\(gv_episodeCountdownTimer, ([\w.]+), false, c_timeGame\)", script)
    if timer and not timer[1][0].isdigit():
        timer = re.search(rf"\b{timer[1]} = ([0-9.]+);", script)
    if timer is None:
        raise ValueError(f"{path}: its script starts no episode timer")
    shapes = _shapes(regions)
    kinds = {"MineralField": 0.0, "VespeneGeyser": 1.0}
    resources = []
    for node in ElementTree.fromstring(objects).iter("ObjectUnit"):
        x, y, *_ = _numbers(node.get("Position", ""))
        if node.get("UnitType") in kinds:
            resources.append((kinds[node.get("UnitType", "")], x, y))
    return Layout(
        round(float(timer[1]) * 16),
        _places(name, shapes, objects),
        tuple(sorted(resources, key=lambda row: order.index(row) if row in order else len(order))),
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _shapes(regions: str) -> dict[int, list[tuple[float, ...]]]:
    """Region number -> its shapes in order: a rectangle's four numbers, or a disc's center and radius."""
    found: dict[int, list[tuple[float, ...]]] = {}
    for region in ElementTree.fromstring(regions).iter("region"):
        shapes = found.setdefault(int(region.get("id", "0")), [])
        for shape in region.iter("shape"):
            parts = {part.tag: _numbers(part.get("value") or "0") for part in shape}
            shapes.append(parts["quad"] if "quad" in parts else parts["center"] + parts["radius"])
    return found


def _places(name: str, shapes: dict[int, list[tuple[float, ...]]], objects: str) -> tuple[Rect, ...]:
    rows: list[tuple[float, ...]] = [shapes[1][0]]
    if name == "MoveToBeacon":
        rows += [*shapes[3], shapes[2][0][2:]]
    elif name == "CollectMineralShards":
        rows += shapes[3]
    elif name in ("DefeatRoaches", "DefeatZerglingsAndBanelings"):
        rows += [shapes[4][0], shapes[5][0]]
    elif name == "FindAndDefeatZerglings":
        outer, inner = shapes[4]
        rows += [*shapes[3], (*inner, outer[2])]
    else:
        points = ElementTree.fromstring(objects).iter("ObjectPoint")
        asked = next(_numbers(p.get("Position", "")) for p in points if p.get("Name") == "Command Center")
        rows += [COMMAND_CENTER, asked[:2]]
    return tuple((*row, 0.0, 0.0, 0.0)[:4] for row in rows)  # type: ignore[misc]
