"""A plain of 64 x 64 cells with a base in each of two corners: the stand-in's own."""

from __future__ import annotations

NUMBER = 0
SIZE = 64, 64
PLAYABLE = (3.0, 3.0, 61.0, 61.0)

BASES = ((14.5, 14.5), (49.5, 49.5))
_MINERALS = ((-6.5, 3), (-6.5, 2), (-7.5, 0), (-6.5, -2), (-6.5, -4), (-3.5, -6), (-0.5, -7), (1.5, -6))
_GEYSERS = ((-7, 6), (5, -7))


def resources() -> tuple[tuple[float, float, float], ...]:
    """Rows of (0 mineral field or 1 geyser, x, y): each base's, on the side of its corner of the map."""
    rows = []
    for (x, y), outward in zip(BASES, (1, -1), strict=True):
        for kind, offsets in ((0.0, _MINERALS), (1.0, _GEYSERS)):
            rows += [(kind, x + outward * dx, y + outward * dy) for dx, dy in offsets]
    return tuple(rows)
