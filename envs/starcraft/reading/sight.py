"""How long ago each cell of the minimap was in sight: what the game shows now, remembered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from envs.starcraft import interface as sc

LAST_SEEN, VISIBILITY = "last_seen", "visibility_map"
IN_SIGHT = 2
"""In PySC2's ``visibility_map``."""
LONG_AGO = -sc.SEEN_WITHIN[-1]


class Sight:
    """Of one game after the other, each from its first message on."""

    def __init__(self, size: sc.Size) -> None:
        self._at = np.full(size[::-1], LONG_AGO, np.int64)
        self._loop = 0

    def look(self, visibility: npt.NDArray[np.int16], loop: int) -> npt.NDArray[np.int16]:
        """``visibility_map`` at a game loop -> ``last_seen``, both [height, width]."""
        if loop < self._loop:  # another game
            self._at[:] = LONG_AGO
        self._loop = loop
        self._at[visibility == IN_SIGHT] = loop
        return np.searchsorted(sc.SEEN_WITHIN, loop - self._at, side="right").astype(np.int16)
