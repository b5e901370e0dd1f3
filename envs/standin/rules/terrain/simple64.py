"""The ground of Simple64: 88 x 96 cells, three levels, two ramps, the same turned by half a turn around (44, 44).

Written down from the map's public data: where its cliffs are (they take the cells that are left out here), the level of
each cell, and the slope of the ramps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NUMBER = 1
SIZE = WIDTH, HEIGHT = 88, 96
PLAYABLE = (12.0, 12.0, 76.0, 76.0)
LOW, HIGH = 16, 24
"""Heights, in eighths of a level: a level is two world units, so height 16 is at 10."""

_TOP = (
    # rows of cells (y), where the high ground is, where the low ground is
    ("75 74", "", "62-66"),
    ("73 72", "", "50-72"),
    ("71 70", "24-26 30-32", "46-74"),
    ("69 68", "20-42", "44-74"),
    ("67", "18-42", "46-47 48-74"),
    ("66", "18-42", "49-74"),
    ("65", "18-42", "50-74"),
    ("64", "18-42 44-45", "49-74"),
    ("63", "18-46", "50-74"),
    ("62", "18-47", "50-74"),
    ("61 60", "18-46", "50-74"),
    ("59 58", "18-48", "50-74"),
    ("57 56", "18-46", "50-74"),
    ("55 54", "18-44", "48-72"),
    ("53 52", "20-36", "46-72"),
    ("51 50", "24-32", "38-70"),
    ("49 48", "", "34-66"),
    ("47 46", "", "30-44 52-64"),
    ("45 44", "", "30-40 52-60"),
)
_RAMP = (
    # the cells at one height, from the top of the upper left base's ramp down: x, y
    (22, ((45, 64), (46, 63))),
    (21, ((45, 65), (46, 64), (47, 63))),
    (20, ((46, 65), (47, 64))),
    (19, ((46, 66), (47, 65), (48, 64))),
    (18, ((47, 66), (48, 65))),
    (17, ((47, 67), (48, 66), (49, 65))),
)

BASES = ((29.5, 60.5), (58.5, 27.5))
_MINERALS = ((22, 60.5), (22, 62.5), (23, 65.5), (27, 66.5), (69, 64.5), (70, 67.5), (66, 71.5), (62, 70.5))
_SMALL_MINERALS = ((21, 61.5), (22, 64.5), (24, 66.5), (28, 67.5), (70, 65.5), (69, 68.5), (67, 70.5), (63, 71.5))
_GEYSERS = ((21.5, 57.5), (31.5, 67.5), (69.5, 61.5), (58.5, 71.5))
"""Those of the upper half."""


def heights() -> npt.NDArray[np.uint8]:
    """The height of each cell [HEIGHT, WIDTH] that units can walk on; 0 elsewhere."""
    cells = np.zeros((HEIGHT, WIDTH), np.uint8)
    for rows, high, low in _TOP:
        for y in map(int, rows.split()):
            for value, runs in ((HIGH, high), (LOW, low)):
                for run in runs.split():
                    first, end = map(int, run.split("-"))
                    cells[y, first:end] = value
    for value, places in _RAMP:
        for x, y in places:
            cells[y, x] = value
    for y in range(44):
        cells[y] = cells[87 - y, ::-1]
    return cells


def resources() -> tuple[tuple[float, float, float], ...]:
    """Rows of (what, x, y): 0 is a mineral field, 1 a geyser, 2 a small mineral field; base by base."""
    rows = []
    for what, places in ((0.0, _MINERALS), (2.0, _SMALL_MINERALS), (1.0, _GEYSERS)):
        rows += [(what, float(x), float(y)) for x, y in places]
        rows += [(what, 88.0 - x, 88.0 - y) for x, y in places]
    return tuple(rows)
