"""Sets of units cut to what a batch of them holds, where the batch is made: on the host, from its arrays.

A set has room for all that there may ever be; most of it is empty, and would be embedded, attended to and masked all
the same. Where that is for another device the sizes are few, so that what was captured for one of them is used again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import Tensor

from envs.spaces import Keys, Units, at, leaves
from perceiver_policy.core.cost import on_host

SIZES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)


class Trim:
    """Cuts observations [..., B]: a set after its last unit, the masks of orders after the last unit that may get one.

    ``orders``: where those masks are. An observation that is not on the host is returned as it is.
    """

    def __init__(self, space: spaces.Space[Any], orders: Collection[Keys]) -> None:
        self.sets = [keys for keys, leaf in leaves(space) if isinstance(leaf, Units)]
        self.orders = [keys for keys in orders if _has(space, keys)]

    def __call__(self, observation: Any, *, exactly: bool = True) -> Any:
        """``exactly``: to the longest of the batch; else to one of a few sizes."""
        for keys in self.sets:
            units = at(observation, keys)
            size = _size(units["mask"], 0, exactly)
            if size is not None:
                cut = {"features": units["features"][..., :size, :], "mask": units["mask"][..., :size]}
                observation = _with(observation, keys, cut)
        for keys in self.orders:
            mask = at(observation, keys)
            size = _size(mask["function"], 1, exactly)
            if size is not None:
                observation = _with(observation, keys, {**mask, "function": mask["function"][..., :size, :]})
        return observation

    def lengths(self, observation: Any) -> np.ndarray | None:
        """Rows that each of the observations [B, ...] needs, of all sets and orders.

        None: without sets, where all are alike, or where that is not on the host.
        """
        masks = [at(observation, keys)["mask"] for keys in self.sets]
        masks += [at(observation, keys)["function"] for keys in self.orders]
        if not masks or not on_host(masks[0]):
            return None
        found = [_lengths(mask.numpy() if mask.dim() == 2 else mask.numpy().any(-1)) for mask in masks]
        total: np.ndarray = np.sum(found, 0)
        return None if (total == total[0]).all() else total


def _size(mask: Tensor, after: int, exactly: bool) -> int | None:
    """The smallest size that holds all that is set, of the axis with that many ``after`` it; None: all of it."""
    if not on_host(mask):
        return None
    here = mask.numpy()
    axis = here.ndim - 1 - after
    used = np.flatnonzero(here.any(tuple(i for i in range(here.ndim) if i != axis)))
    longest = int(used[-1]) + 1 if len(used) else 1
    size = longest if exactly else next((size for size in SIZES if size >= longest), here.shape[axis])
    return size if size < here.shape[axis] else None


def _lengths(mask: np.ndarray) -> np.ndarray:
    """Of each row [..., n], how many there are up to the last that is set."""
    n = mask.shape[-1]
    return np.where(mask.any(-1), n - np.argmax(mask[..., ::-1] != 0, -1), 0)


def _has(space: Any, keys: Keys) -> bool:
    for key in keys:
        if not isinstance(space, spaces.Dict) or key not in space.spaces:
            return False
        space = space.spaces[key]
    return isinstance(space, spaces.Dict) and "function" in space.spaces


def _with(nest: Any, keys: Keys, value: Any) -> Any:
    """The nest with another value at ``keys``; the rest is shared."""
    if not keys:
        return value
    key, *rest = keys
    changed = _with(nest[key], tuple(rest), value)
    if isinstance(nest, dict):
        return {**nest, key: changed}
    return tuple(changed if i == key else part for i, part in enumerate(nest))
