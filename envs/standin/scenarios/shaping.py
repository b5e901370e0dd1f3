"""Rewards on the way to what is many steps off: the change in who holds how much, or in how much has been seen.

As changes of a potential they say nothing of how a game should be played (Ng, Harada and Russell, 1999), but where it
ends by time, which is then worth what is held or seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.rules.catalog import COMMAND_CENTER, KINDS, ORBITAL_COMMAND
from envs.standin.rules.world import ENEMY, OWN
from envs.starcraft.maps import MiniGame

ECONOMIES = ("CollectMineralsAndGas", "BuildMarines")
"""Maps that are about what is built."""


def worths(types: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Minerals and vespene that a unit of each kind has cost in all: [KINDS]."""
    worth = (types["minerals"] + types["vespene"])[:KINDS].astype(np.float32)
    worth[ORBITAL_COMMAND] += worth[COMMAND_CENTER]
    return worth


def potential(
    map_: MiniGame,
    players: int,
    units: npt.NDArray[Any],
    worth: npt.NDArray[np.float32],
    explored: npt.NDArray[np.int32],
    playable: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """What is rewarded the change of, [B], as suits the map: :func:`held`, :func:`seen` or :func:`balance`."""
    if map_.name in ECONOMIES:
        return held(units, worth)
    if not map_.melee:
        return seen(explored, playable)
    mine = balance(units, worth)
    return np.column_stack([mine, -mine][:players]).ravel()


def balance(units: npt.NDArray[Any], worth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Who holds how much in each game: (own - enemy) / (own + enemy) in what units and buildings have cost, [B].

    0 at the start of a melee, 1 where the enemy has nothing left.
    """
    each, owner = worth[units["kind"]], units["owner"]
    own, enemy = (np.where(owner == who, each, 0.0).sum(1) for who in (OWN, ENEMY))
    return np.asarray((own - enemy) / np.maximum(own + enemy, 1.0), np.float32)


def held(units: npt.NDArray[Any], worth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What one's own units and buildings have cost, in thousands of minerals and gas: [B]."""
    return np.where(units["owner"] == OWN, worth[units["kind"]], 0.0).sum(1, dtype=np.float32) / 1000


def seen(explored: npt.NDArray[np.int32], playable: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How much of the ground has ever been in sight, of 1: [B]. ``explored``: the loop at which each cell [B, H, W]
    last was, or -1; ``playable``: left, bottom, right, top."""
    left, bottom, right, top = (int(edge) for edge in playable)
    return (explored[:, bottom:top, left:right] >= 0).mean((1, 2), dtype=np.float32)
