"""Between PySC2 and the interface: what PySC2 observed -> the interface's arrays, an action -> one of PySC2's calls.

Planes and the functions available are taken from PySC2's own observation. Units are taken from the game's message that
it was made of: PySC2 rounds positions to cells and shares to 1/255. Only what the interface asks for is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.spaces import ACTION_MASK
from envs.starcraft import interface as sc
from envs.starcraft.client import Call, GameFailure, Moment
from envs.starcraft.functions import Ground
from envs.starcraft.order_calls import order_calls
from envs.starcraft.pysc2 import Pysc2

Nest = dict[str, Any]

SELF, ALLY, NEUTRAL, ENEMY = 1, 2, 3, 4
"""``Alliance`` (``raw.proto``)."""
VISIBLE = 1
"""``DisplayType`` (``raw.proto``) of what is seen now; others are remembered, hidden, or a building's placeholder."""

MINERAL_BUFFS, GAS_BUFFS = (271, 272), (273, 274, 275)
"""Buffs of a worker that carries minerals or vespene (``stableid.json``)."""

VARIANTS: Mapping[int, tuple[int, ...]] = {
    341: (146, 147, 483, 665, 666, 796, 797, 884, 885, 886, 887, 1961, 1996, 1997, 1998),
    342: (343, 344, 608, 880, 881),
}
"""Unit types that look different and are the same: mineral fields and geysers of the other tilesets and sizes."""


def _type_table() -> npt.NDArray[np.int16]:
    """Unit type of the API -> the interface's."""
    table = np.zeros(4096, np.int16)
    for place, kind in enumerate(sc.UNIT_TYPES):
        table[[kind, *VARIANTS.get(kind, ())]] = place + 1
    return table


def _buff_table() -> npt.NDArray[np.int16]:
    """Buff -> what is carried."""
    table = np.zeros(4096, np.int16)
    table[list(MINERAL_BUFFS)], table[list(GAS_BUFFS)] = 1, 2
    return table


class Translator:
    """Translates for one interface on one map.

    ``width``, ``height``: world units of the map. Its larger side is as long as the minimap, as in PySC2. ``playable``:
    left, bottom, right and top of where units can be; without it, the whole map.
    """

    def __init__(
        self,
        interface: sc.Interface,
        pysc2: Pysc2,
        width: float,
        height: float,
        playable: tuple[float, float, float, float] | None = None,
    ) -> None:
        self.interface, self.raw = interface, interface.whole_map
        self.playable = playable or (0.0, 0.0, width, height)
        self.width, self.height, self.span = width, height, max(width, height)
        self._types, self._buffs = _type_table(), _buff_table()
        kinds = list(sc.UNIT_TYPES.values())
        self._wanted = {1 + kinds.index(name) for name in interface.unit_types} or None
        self._orders = pysc2.orders
        self._train = sc.ORDERS.index("train")
        self._screen = self._planes_of(interface.screen_planes, sc.SCREEN_PLANES, pysc2.planes, False)
        self._minimap = self._planes_of(interface.minimap_planes, sc.MINIMAP_PLANES, pysc2.planes, True)
        self._columns = [self._column(name) for name in interface.unit_features] if interface.max_units else []
        self._numbers = [self._number(name) for name in interface.numbers]
        functions = [interface.function_table[name] for name in interface.functions]
        self._ids = [function.id for function in functions]
        self._arguments = [function.arguments for function in functions]
        self._abilities = [pysc2.abilities(function) for function in functions] if self.raw else []
        self._rows: list[int] = []  # of the units observed last: their places in the message
        self._own = 0  # how many of them are own ones
        self._seen: list[Any] = []  # and they themselves

    # ---- observations

    def observe(self, moment: Moment, abilities: Callable[[list[int]], list[set[int]]] | None = None) -> Nest:
        """The interface's observation, in arrays of its own.

        ``abilities`` asks the game what each of some units can do, by their tags; the raw style needs it to know which
        functions are available, and without it takes none to be. Raises GameFailure if the planes have another size
        or a number is not finite.
        """
        face, message = self.interface, moment.response.observation
        observation: Nest = {}
        units = message.raw_data.units
        shown = self._shown(units) if face.max_units else []
        if face.max_units:
            observation["units"] = self._units(shown, message.raw_data.player.camera)
        if face.screen_planes:
            observation["screen"] = self._planes(moment.observation["feature_screen"], self._screen, face.screen_size)
        if face.minimap_planes:
            layers = moment.observation["feature_minimap"]
            observation["minimap"] = self._planes(layers, self._minimap, face.minimap_size)
        if self._numbers:
            observation["player"] = np.array([number(message) for number in self._numbers], np.float32)
        numbers = (observation.get("player"), observation.get("units", {}).get("features"))
        if not all(np.isfinite(values).all() for values in numbers if values is not None):
            raise GameFailure("garbled", "a number that is not finite")
        self._seen = shown
        if face.style == "orders":
            observation[ACTION_MASK] = self._order_masks(shown, abilities)
        elif self.raw:
            observation[ACTION_MASK] = self._raw_masks(shown, units, abilities)
        else:
            available = set(moment.observation["available_actions"].tolist())
            observation[ACTION_MASK] = {"function": np.array([id in available for id in self._ids], np.int8)}
        return observation

    def _shown(self, units: Any) -> list[Any]:
        """The units observed, in order: own, allied, enemy, neutral ones, each as in the message; and their places."""
        groups: dict[int, list[tuple[int, Any]]] = {SELF: [], ALLY: [], ENEMY: [], NEUTRAL: []}
        for place, unit in enumerate(units):
            wanted = self._wanted is None or self._types[unit.unit_type] in self._wanted
            if wanted and unit.display_type == VISIBLE and (self.raw or unit.is_on_screen):
                groups.setdefault(unit.alliance, []).append((place, unit))
        rows = [row for group in groups.values() for row in group][: self.interface.max_units]
        self._rows = [place for place, _ in rows]
        self._own = min(len(groups[SELF]), len(rows))
        return [unit for _, unit in rows]

    def _units(self, shown: list[Any], camera: Any) -> Nest:
        capacity, count = self.interface.max_units, len(shown)
        features = np.zeros((capacity, len(self._columns)), np.float32)
        mask = np.zeros(capacity, np.int8)
        mask[:count] = 1
        for k, column in enumerate(self._columns):
            features[:count, k] = column(shown, camera)
        return {"features": features, "mask": mask}

    def _column(self, name: str) -> Callable[[list[Any], Any], Any]:
        """The function that takes a column of the units' table from units and camera."""
        if name == "unit_type":
            return lambda units, _: self._types[[unit.unit_type for unit in units]]
        if name == "x":
            return self._x
        if name == "y":
            return self._y
        one: Mapping[str, Callable[[Any], float]] = {
            "alliance": attrgetter("alliance"),
            "health": attrgetter("health"),
            "health_ratio": lambda u: u.health / u.health_max if u.health_max else 0.0,
            "selected": attrgetter("is_selected"),
            "radius": attrgetter("radius"),
            "weapon_cooldown": lambda u: max(u.weapon_cooldown, 0.0) if u.alliance == SELF else 0.0,
            "order": lambda u: self._order(u) if u.alliance == SELF else 0,
            "carrying": lambda u: max((self._buffs[buff] for buff in u.buff_ids), default=0),
            "build_progress": attrgetter("build_progress"),
            "contents": lambda u: u.mineral_contents + u.vespene_contents,
            "assigned_harvesters": attrgetter("assigned_harvesters"),
            "ideal_harvesters": attrgetter("ideal_harvesters"),
            "queue": self._queue,
        }
        take = one[name]
        return lambda units, _: [take(unit) for unit in units]

    def _x(self, units: list[Any], camera: Any) -> npt.NDArray[np.float64]:
        left, width = (0.0, self.span) if self.raw else (camera.x - sc.CAMERA_WIDTH / 2, sc.CAMERA_WIDTH)
        return (np.array([unit.pos.x for unit in units]) - left) / width

    def _y(self, units: list[Any], camera: Any) -> npt.NDArray[np.float64]:
        top, width = (self.height, self.span) if self.raw else (camera.y + sc.CAMERA_WIDTH / 2, sc.CAMERA_WIDTH)
        return (top - np.array([unit.pos.y for unit in units])) / width

    def _order(self, unit: Any) -> int:
        other = len(sc.ORDERS) - 1
        return self._orders.get(unit.orders[0].ability_id, other) if len(unit.orders) else 0

    def _queue(self, unit: Any) -> int:
        return sum(self._orders.get(order.ability_id) == self._train for order in unit.orders)

    def _number(self, name: str) -> Callable[[Any], float]:
        """The function that takes a number from the game's message."""
        if name == "game_loop":
            return attrgetter("game_loop")
        if name == "score":
            return attrgetter("score.score")
        if name == "selected_count":
            return lambda message: sum(u.is_selected and u.alliance == SELF for u in message.raw_data.units)
        if name == "camera_x":
            return lambda message: message.raw_data.player.camera.x / self.span
        if name == "camera_y":
            return lambda message: (self.height - message.raw_data.player.camera.y) / self.span
        return attrgetter(f"player_common.{name}")

    def _planes_of(
        self,
        names: tuple[str, ...],
        table: Mapping[str, Any],
        places: Callable[[tuple[str, ...], bool], list[int]],
        minimap: bool,
    ) -> tuple[list[int], npt.NDArray[np.int32], list[tuple[int, npt.NDArray[np.int16]]]]:
        """Where PySC2 keeps the planes, the largest value of each, and which are looked up in which table."""
        largest = {"unit_hit_points": 1599, "unit_energy": 999, "unit_shields": 999}  # PySC2's scales
        tables = {"unit_type": self._types, "buffs": self._buffs}
        top = [
            int(table[n].scale) - 1 if table[n].kind == "category" else largest.get(n, np.iinfo(np.int16).max)
            for n in names
        ]
        top = [len(tables[n]) - 1 if n in tables else t for n, t in zip(names, top, strict=True)]
        return (
            places(names, minimap),
            np.array(top, np.int32),
            [(i, tables[n]) for i, n in enumerate(names) if n in tables],
        )

    @staticmethod
    def _planes(layers: Any, wanted: Any, size: sc.Size) -> npt.NDArray[np.int16]:
        places, top, tables = wanted
        layers = np.asarray(layers)
        if layers.shape[1:] != size[::-1]:
            raise GameFailure("garbled", f"feature layers of {layers.shape[1:]}, asked for {size[1]} x {size[0]}")
        planes = np.minimum(layers[places].transpose(1, 2, 0), top)
        for k, table in tables:
            planes[..., k] = table[planes[..., k]]
        return planes.astype(np.int16)

    # ---- masks of the raw style

    def _raw_masks(self, shown: list[Any], units: Any, abilities: Callable[[list[int]], list[set[int]]] | None) -> Nest:
        """Every function that some own unit could carry out; own units; all units."""
        capacity = self.interface.max_units
        own, target = np.zeros(capacity, np.int8), np.zeros(capacity, np.int8)
        own[: self._own], target[: len(shown)] = 1, 1
        able: set[int] = set()
        if abilities is not None:
            alike = {self._likeness(unit): unit.tag for unit in units if unit.alliance == SELF}
            able = able.union(*abilities(list(alike.values()))) if alike else able
        function = np.array([not able.isdisjoint(wanted) for wanted in self._abilities], np.int8)
        function[0] = 1  # no_op
        return {"function": function, "unit_tags": own, "target_unit_tag": target}

    def _order_masks(self, shown: list[Any], abilities: Callable[[list[int]], list[set[int]]] | None) -> Nest:
        """What each own unit could be told to do; whom orders can be aimed at."""
        face, own = self.interface, shown[: self._own]
        function = np.zeros((face.max_units, len(face.functions)), np.int8)
        function[: len(own), 0] = 1  # no_op
        alike = {self._likeness(unit): unit.tag for unit in own}
        if abilities is not None and alike:
            able = dict(zip(alike, abilities(list(alike.values())), strict=True))
            for row, unit in enumerate(own):
                mine = able[self._likeness(unit)]
                function[row, 1:] = [not mine.isdisjoint(wanted) for wanted in self._abilities[1:]]
        kinds = self._types[[unit.unit_type for unit in shown]]
        is_a = {name: place + 1 for place, name in enumerate(sc.UNIT_TYPES.values())}
        built = np.array([unit.build_progress >= 1 for unit in shown], bool)
        aims = {
            "enemy": np.array([unit.alliance == ENEMY for unit in shown], bool),
            "resource": (kinds == is_a["MineralField"]) | ((kinds == is_a["Refinery"]) & built),
            "geyser": kinds == is_a["VespeneGeyser"],
            "unit": np.ones(len(shown), bool),
        }
        masks: Nest = {"function": function}
        for name, who in aims.items():
            if name in face.orders.arguments:
                masks[name] = np.zeros(face.max_units, np.int8)
                masks[name][: len(shown)] = who
        if "place" in face.orders.arguments:
            masks["place"] = Ground(self.height, self.span, self.playable).inside(face.minimap_size)
        return masks

    @staticmethod
    def _likeness(unit: Any) -> tuple[Any, ...]:
        """What decides the abilities of a unit: one of all that are alike is asked for them."""
        carries = any(buff in (*MINERAL_BUFFS, *GAS_BUFFS) for buff in unit.buff_ids)
        return unit.unit_type, unit.build_progress < 1, carries, len(unit.orders), unit.is_burrowed, unit.add_on_tag > 0

    # ---- actions

    def calls(self, action: Mapping[str, Any], mask: npt.NDArray[np.int8]) -> tuple[list[Call], bool]:
        """What PySC2 is asked to do, and whether something was left out that could not be done."""
        if self.interface.style == "orders":
            ground = Ground(self.height, self.span, self.playable)
            return order_calls(self.interface, action, self._seen, self._rows, self._own, ground)
        call = self.function_call(action, mask)
        return [call or (0, [])], call is None

    def function_call(self, action: Mapping[str, Any], mask: npt.NDArray[np.int8]) -> Call | None:
        """PySC2's function and its arguments; None if it is not available, as ``mask`` says, or names no unit.

        ``action`` is one game's part of an action of the interface. Places are sent as (column, row).
        """
        number = int(action["function"])
        if not mask[number]:
            return None
        arguments = []
        for name in self._arguments[number]:
            if name in ("screen", "screen2"):
                arguments.append(_cell(action[name], self.interface.screen_size))
            elif name in ("minimap", "world"):
                arguments.append(_cell(action[name], self.interface.minimap_size))
            elif name == "unit_tags":
                tagged = np.flatnonzero(action[name][: self._own])
                if not len(tagged):
                    return None
                arguments.append([self._rows[row] for row in tagged])
            elif name == "target_unit_tag":
                if action[name] >= len(self._rows):
                    return None
                arguments.append([self._rows[int(action[name])]])
            else:  # one that the agent does not choose is held at 0
                arguments.append([int(action.get(name, 0))])
        return self._ids[number], arguments


def _cell(place: Any, size: sc.Size) -> list[int]:
    row, column = divmod(int(place), size[0])
    return [column, row]
