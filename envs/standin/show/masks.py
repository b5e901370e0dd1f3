"""Masks of the raw and of the orders style: who can be told what, who can be aimed at, where a building has room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.orders import TARGETS, fill_order_masks, find_sites
from envs.starcraft import interface as sc
from envs.starcraft.functions import ORDER_TARGETS, Ground
from envs.starcraft.order_calls import smallest_building


class Masks:
    """Fills the masks of ``n`` rows in place; :attr:`parts` holds those that the interface asks for, by name."""

    def __init__(self, face: sc.Interface, ground: Ground, commands: npt.NDArray[np.int64], n: int) -> None:
        """``commands`` [F]: see :class:`~envs.standin.commands.Commands`."""
        self.face, self.commands = face, commands
        asked = face.orders.arguments if face.style == "orders" else (face.building_place,)
        inside = ground.inside(face.minimap_size)
        places = {name: np.repeat(inside[None], n, 0) for name in asked if name in (*sc.PLACES, "world")}
        site = places.get(face.building_place), inside, np.array(face.minimap_size), smallest_building(face)
        self._sites = *site, face.style == "orders"
        self.by_unit = face.style == "orders" or face.masks_by_function
        rows = face.max_units if self.by_unit else 0
        self._able = np.zeros((n, rows, len(face.functions)), np.int8)
        self._targets = np.zeros((n, len(TARGETS), rows), np.int8)
        self._aims = [TARGETS.index(ORDER_TARGETS.get(name, "unit")) for name in face.functions]
        self._aimed = np.zeros((n, len(face.functions), rows), np.int8)
        self.parts: dict[str, npt.NDArray[np.int8]] = {}
        if face.style == "orders":
            masks = places | {name: self._targets[:, i] for i, name in enumerate(TARGETS)}
            self.parts = {"function": self._able, **{name: masks[name] for name in asked}}
        elif self.by_unit:
            self.parts = {"unit_tags": self._able.swapaxes(1, 2), "target_unit_tag": self._aimed}
        if face.style == "raw":
            self.parts |= places

    def fill(self, share: Callable[[Any, Any], Any], rows: Callable[[int, int], tuple[Any, ...]], games: int) -> None:
        """``share(kernel, arguments)(games)`` calls a kernel, ``rows(lo, hi)`` are its first arguments."""
        if self._sites[3]:
            share(find_sites, lambda lo, hi: (*rows(lo, hi), *self._sites))(games)
        if not self.by_unit:
            return
        rules = self.face.finish_building, self.face.builders, self.face.workers_fight
        masks = self.commands, self._able, self._targets
        share(fill_order_masks, lambda lo, hi: (*rows(lo, hi), *masks, *rules))(games)
        if self.face.style == "raw":
            np.take(self._targets, self._aims, 1, out=self._aimed)
