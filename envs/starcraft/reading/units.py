"""The units of the game's message: which of them are rows, and each column of theirs.

They are taken from the message that PySC2's observation was made of: PySC2 rounds positions to cells and shares to
1/255.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.starcraft import interface as sc
from envs.starcraft.static import vocabulary as words

SELF, ALLY, NEUTRAL, ENEMY = 1, 2, 3, 4
"""``Alliance`` (``raw.proto``)."""

MINERAL_BUFFS, GAS_BUFFS = (271, 272), (273, 274, 275)
"""Buffs of a worker that carries minerals or vespene (``stableid.json``)."""

RENAMED = {
    "hallucination": "is_hallucination", "active": "is_active", "selected": "is_selected", "z": "pos.z",
}  # fmt: skip
"""Columns that the protocol has another name for."""


class Frame:
    """Where things are seen: the map, or the screen around its camera, as a square of side 1."""

    def __init__(self, raw: bool, height: float, span: float) -> None:
        self.raw, self.height = raw, height
        self.side = span if raw else sc.CAMERA_WIDTH

    def origin(self, camera: Any) -> tuple[float, float]:
        """World x of the left edge and world y of the upper one."""
        half = self.side / 2
        return (0.0, self.height) if self.raw else (camera.x - half, camera.y + half)

    def shows(self, place: Any, camera: Any) -> bool:
        """Is it within?"""
        half = self.side / 2
        return self.raw or (abs(place.x - camera.x) <= half and abs(place.y - camera.y) <= half)


def lookup(numbers: Mapping[int, int], other: int = 0) -> npt.NDArray[np.int16]:
    """A table of the game's numbers; what is not among them is ``other``."""
    table = np.full(4096, other, np.int16)
    table[list(numbers)] = list(numbers.values())
    return table


def carried() -> npt.NDArray[np.int16]:
    """Buff -> what it says is carried: 1 minerals, 2 vespene."""
    return lookup({**dict.fromkeys(MINERAL_BUFFS, 1), **dict.fromkeys(GAS_BUFFS, 2)})


class UnitReader:
    """Reads the units of one message after the other.

    ``rows``: of the units read last, their places in the message. ``own``: how many of them, the first ones, are the
    player's. ``seen``: they themselves.
    """

    def __init__(self, interface: sc.Interface, orders: Mapping[int, int], frame: Frame) -> None:
        self.interface, self.frame = interface, frame
        self.types, self.carried = lookup(interface.kinds), carried()
        self.buffs = lookup(words.numbers("buffs", interface.buffs), len(interface.buffs) + 1)
        self.wanted = set(words.unit_numbers(interface.unit_types)) or None
        self._abilities = interface.abilities
        self._other = max(self._abilities.values(), default=0) + 1
        self._orders, self._train = orders, sc.ORDERS.index("train")
        self._all: Sequence[Any] = ()
        self._columns = [self._column(name) for name in interface.unit_features] if interface.max_units else []
        self.rows: list[int] = []
        self.own = 0
        self.seen: list[Any] = []

    def read(self, raw_data: Any) -> dict[str, Any]:
        """The features [capacity, F] and the mask [capacity] of what is shown."""
        camera, capacity = raw_data.player.camera, self.interface.max_units
        self.seen = seen = self._shown(raw_data.units, camera)
        self._all = raw_data.units
        features = np.zeros((capacity, len(self._columns)), np.float32)
        mask = np.zeros(capacity, np.int8)
        mask[: len(seen)] = 1
        for k, column in enumerate(self._columns):
            features[: len(seen), k] = column(seen, camera)
        return {"features": features, "mask": mask}

    def _shown(self, units: Any, camera: Any) -> list[Any]:
        """Own, allied, enemy, neutral ones, each as in the message."""
        groups: dict[int, list[tuple[int, Any]]] = {SELF: [], ALLY: [], ENEMY: [], NEUTRAL: []}
        for place, unit in enumerate(units):
            wanted = self.wanted is None or unit.unit_type in self.wanted
            if wanted and self.frame.shows(unit.pos, camera):
                groups.setdefault(unit.alliance, []).append((place, unit))
        rows = [row for group in groups.values() for row in group][: self.interface.max_units]
        self.rows = [place for place, _ in rows]
        self.own = min(len(groups[SELF]), len(rows))
        return [unit for _, unit in rows]

    def _column(self, name: str) -> Callable[[list[Any], Any], Any]:
        """The function that takes a column of the units' table from units and camera."""
        if name == "unit_type":
            return lambda units, _: self.types[[unit.unit_type for unit in units]]
        if name in ("x", "y"):
            return lambda units, camera: self.places([unit.pos for unit in units], camera)[name == "y"]
        if name.startswith(("order_id_", "order_progress_", "buff_id_")):
            return self._listed(name.removesuffix(name[-2:]), int(name[-1]))
        one: Mapping[str, Callable[[Any], float]] = {
            "health_ratio": lambda u: u.health / u.health_max if u.health_max else 0.0,
            "shield_ratio": lambda u: u.shield / u.shield_max if u.shield_max else 0.0,
            "energy_ratio": lambda u: u.energy / u.energy_max if u.energy_max else 0.0,
            "weapon_cooldown": lambda u: max(u.weapon_cooldown, 0.0) if u.alliance == SELF else 0.0,
            "order": lambda u: self._order(u) if u.alliance == SELF else 0,
            "order_length": lambda u: len(u.orders),
            "carrying": lambda u: max((self.carried[buff] for buff in u.buff_ids), default=0),
            "contents": lambda u: u.mineral_contents + u.vespene_contents,
            "queue": self._queue,
            "addon_unit_type": lambda u: self.types[self.type_of(u.add_on_tag)] if u.add_on_tag else 0,
        }
        take = one.get(name) or attrgetter(RENAMED.get(name, name))
        return lambda units, _: [take(unit) for unit in units]

    def _listed(self, name: str, place: int) -> Callable[[list[Any], Any], Any]:
        """A column of what there are several of: its place among them, 0 where there are fewer."""
        if name == "order_progress":
            return lambda units, _: [u.orders[place].progress if len(u.orders) > place else 0.0 for u in units]
        if name == "buff_id":
            return lambda units, _: [self.buffs[u.buff_ids[place]] if len(u.buff_ids) > place else 0 for u in units]
        number = self._abilities.get
        return lambda units, _: [
            number(u.orders[place].ability_id, self._other) if len(u.orders) > place else 0 for u in units
        ]

    def places(self, points: Sequence[Any], camera: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points of the world in the frame: x from the left, y from the top."""
        left, top = self.frame.origin(camera)
        x, y = np.array([point.x for point in points]), np.array([point.y for point in points])
        return (x - left) / self.frame.side, (top - y) / self.frame.side

    def type_of(self, tag: int) -> int:
        """The unit type of the unit with that tag, 0 if it is not in the message."""
        return next((unit.unit_type for unit in self._all if unit.tag == tag), 0)

    def builds(self, unit: Any) -> bool:
        """Whether that is its order."""
        return self._order(unit) == sc.ORDERS.index("build")

    def _order(self, unit: Any) -> int:
        other = len(sc.ORDERS) - 1
        return self._orders.get(unit.orders[0].ability_id, other) if len(unit.orders) else 0

    def _queue(self, unit: Any) -> int:
        return sum(self._orders.get(order.ability_id) == self._train for order in unit.orders)

    def effects(self, raw_data: Any) -> dict[str, Any]:
        """As units: a row for each place of an effect, in the order of the message."""
        capacity, camera = self.interface.max_effects, raw_data.player.camera
        found = [(effect, place) for effect in raw_data.effects for place in effect.pos]
        found = [row for row in found if self.frame.shows(row[1], camera)][:capacity]
        features, mask = np.zeros((capacity, len(sc.EFFECT_FEATURES)), np.float32), np.zeros(capacity, np.int8)
        if found:
            own = [[e.effect_id if e.effect_id < 16 else 0, e.alliance, e.owner, e.radius] for e, _ in found]
            places = self.places([place for _, place in found], camera)
            features[: len(found)] = np.column_stack((own, *places))
            mask[: len(found)] = 1
        return {"features": features, "mask": mask}
