"""What the player's camera sees of the ground: a trapezoid, narrow below and wide above.

The camera looks at its place from :data:`DISTANCE` away, :data:`PITCH` below the horizontal (the game's own catalog,
``CameraData.xml``). The angles of view are those with which every unit of the recorded observations at hand, 98 on the
screen and 769 not, is where ``is_on_screen`` says; a unit is on the screen if a ball of its radius reaches into it.
"""

from __future__ import annotations

import math
from typing import Any

DISTANCE, PITCH = 34.0, math.radians(56.0)
UP, ASIDE = 0.21, 0.51
"""Tangents of half the angles of view."""

_BACK, _HIGH = DISTANCE * math.cos(PITCH), DISTANCE * math.sin(PITCH)


def sees(dx: Any, dy: Any, radius: Any, dz: Any = 0.0) -> Any:
    """Is a unit so far from the camera's place, in world units, on the screen? For numbers and for arrays."""
    forward, high = dy + _BACK, dz - _HIGH
    depth = forward * math.cos(PITCH) - high * math.sin(PITCH)
    above = forward * math.sin(PITCH) + high * math.cos(PITCH)
    return (abs(above) <= UP * depth + radius * math.hypot(1, UP)) & (
        abs(dx) <= ASIDE * depth + radius * math.hypot(1, ASIDE)
    )
