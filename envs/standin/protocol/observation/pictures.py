"""Rendered images: the screen and the minimap in colors, drawn from what the feature layers show.

A person would see something else; what is there, whose it is, what is selected and what the fog hides can be told
apart. Nothing that the layers hide is drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import common_pb2

PLANES = ("visibility_map", "player_relative", "unit_type", "selected")
"""What the pictures are made of."""

_GROUND = np.array([(20, 22, 26), (60, 64, 74), (104, 110, 124)], np.float32)
"""Ground that was never seen, was seen before, and is in sight."""
_RELATIVE = np.array([(0, 0, 0), (86, 196, 98), (90, 160, 220), (88, 150, 240), (222, 84, 76)], np.float32)
"""By PySC2's PlayerRelative."""
_WHITE = np.array((255, 255, 255), np.float32)
_SHADES = 8


def draw(planes: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """A picture, uint8 [height, width, 3], of :data:`PLANES`, [height, width, 4]."""
    visibility, relative, kind, selected = (planes[..., i] for i in range(4))
    picture = _GROUND[np.minimum(visibility, 2)]
    shade = 0.65 + 0.35 * (kind % _SHADES) / (_SHADES - 1)
    units = _RELATIVE[relative] * shade[..., None].astype(np.float32)
    picture = np.where((relative > 0)[..., None], units, picture)
    picture = np.where((selected > 0)[..., None], (picture + _WHITE) / 2, picture)
    return picture.astype(np.uint8)


def fill(told: Any, surface: npt.NDArray[np.int16]) -> None:
    """Put a picture of the planes into an ``ImageData``."""
    picture = draw(surface)
    told.CopyFrom(
        common_pb2.ImageData(
            bits_per_pixel=24,
            size=common_pb2.Size2DI(x=picture.shape[1], y=picture.shape[0]),
            data=picture.tobytes(),
        )
    )
