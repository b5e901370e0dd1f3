"""Between PySC2 and the interface: what PySC2 observed -> the interface's arrays, an action -> one of PySC2's calls.

Planes and the functions available are taken from PySC2's own observation, units from the game's message that it was
made of (:mod:`envs.starcraft.reading.units`). Only what the interface asks for is looked at.
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
from envs.starcraft.functions import ORDER_GRID, ORDER_TARGETS, Ground
from envs.starcraft.order_calls import Plots, order_calls, smallest_building
from envs.starcraft.pysc2 import Pysc2
from envs.starcraft.reading.sight import LAST_SEEN, VISIBILITY, Sight
from envs.starcraft.reading.units import ENEMY, GAS_BUFFS, MINERAL_BUFFS, SELF, Frame, UnitReader
from envs.starcraft.static import vocabulary as words

Nest = dict[str, Any]

WORKERS = (45, 84, 104)
"""Unit types of SCVs, probes and drones (PySC2's static data)."""
SHORT_NUMBERS = words.unit_numbers(tuple(sc.UNIT_TYPES.values()))


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
        self.units = UnitReader(interface, pysc2.orders, Frame(self.raw, height, self.span))
        self._sight = Sight(interface.minimap_size)
        self._screen = self._planes_of(interface.screen_planes, sc.SCREEN_PLANES, pysc2.planes, False)
        self._minimap = self._planes_of(interface.minimap_planes, sc.MINIMAP_PLANES, pysc2.planes, True)
        self._numbers = [self._number(name) for name in interface.numbers]
        functions = [interface.function_table[name] for name in interface.functions]
        self._ids = [function.id for function in functions]
        self._arguments = [function.arguments for function in functions]
        self._abilities = [pysc2.abilities(function) for function in functions] if self.raw else []
        self._attacks = np.flatnonzero([name.startswith("Attack") for name in interface.functions])
        self._building = np.flatnonzero([name.startswith(sc.BUILD) for name in interface.functions])
        self._upgrades = words.numbers("upgrades", interface.upgrades)

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
        if face.max_units:
            observation["units"] = self.units.read(message.raw_data)
        if face.max_effects:
            observation["effects"] = self.units.effects(message.raw_data)
        if face.upgrades:
            observation["upgrades"] = self._researched(message.raw_data.player.upgrade_ids)
        if face.screen_planes:
            observation["screen"] = self._planes(moment.observation["feature_screen"], self._screen, face.screen_size)
        if face.minimap_planes:
            layers = moment.observation["feature_minimap"]
            planes = observation["minimap"] = self._planes(layers, self._minimap, face.minimap_size)
            if LAST_SEEN in face.minimap_planes:
                place = face.minimap_planes.index(LAST_SEEN)
                planes[..., place] = self._sight.look(planes[..., place], message.game_loop)
        if self._numbers:
            observation["player"] = np.array([number(message) for number in self._numbers], np.float32)
        seen = (observation.get("player"), *(observation.get(n, {}).get("features") for n in ("units", "effects")))
        if not all(np.isfinite(values).all() for values in seen if values is not None):
            raise GameFailure("garbled", "a number that is not finite")
        if face.style == "orders":
            observation[ACTION_MASK] = self._order_masks(self.units.seen, abilities)
        elif self.raw:
            observation[ACTION_MASK] = self._raw_masks(self.units.seen, units, abilities)
        else:
            available = set(moment.observation["available_actions"].tolist())
            observation[ACTION_MASK] = {"function": np.array([id in available for id in self._ids], np.int8)}
        return observation

    def _researched(self, upgrades: Any) -> npt.NDArray[np.int8]:
        flags = np.zeros(len(self.interface.upgrades), np.int8)
        flags[[self._upgrades[upgrade] - 1 for upgrade in upgrades if upgrade in self._upgrades]] = 1
        return flags

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
        buffs = self.units.buffs.copy() if self.interface.buffs else self.units.carried
        buffs[0] = 0  # none
        tables = {"unit_type": self.units.types, "buffs": buffs}
        top = [
            int(table[n].scale) - 1 if table[n].kind == "category" else largest.get(n, np.iinfo(np.int16).max)
            for n in names
        ]
        top = [len(tables[n]) - 1 if n in tables else t for n, t in zip(names, top, strict=True)]
        return (
            places(tuple(VISIBILITY if name == LAST_SEEN else name for name in names), minimap),
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
        """Every function that some own unit could carry out; own units; all units; where only buildings have places,
        where one can stand."""
        capacity = self.interface.max_units
        own, target = np.zeros(capacity, np.int8), np.zeros(capacity, np.int8)
        own[: self.units.own], target[: len(shown)] = 1, 1
        found = self._abilities_of([unit for unit in units if unit.alliance == SELF], abilities)
        able = set[int]().union(*found.values())
        # what takes no ability, such as no_op, is always possible
        function = np.array([not wanted or not able.isdisjoint(wanted) for wanted in self._abilities], np.int8)
        masks: Nest = {"function": function, "unit_tags": own, "target_unit_tag": target}
        if self.interface.masks_by_function:
            aims, functions = self._aims(shown), self.interface.functions
            masks["unit_tags"] = self._able(shown[: self.units.own], found).T.copy()
            masks["target_unit_tag"] = np.array([aims[ORDER_TARGETS.get(name, "unit")] for name in functions])
        if self.interface.building_place:
            masks["world"] = self._sites(shown)
        return masks

    def _sites(self, shown: list[Any]) -> npt.NDArray[np.int8]:
        """Where the smallest building that can be placed overlaps none that is seen."""
        face, ground = self.interface, Ground(self.height, self.span, self.playable)
        if not (side := smallest_building(face)):
            return ground.inside(face.minimap_size)
        grid = (ORDER_GRID, ORDER_GRID) if face.style == "orders" else face.world_size
        return Plots(ground, face.minimap_size, side, grid).free(shown)

    def _order_masks(self, shown: list[Any], abilities: Callable[[list[int]], list[set[int]]] | None) -> Nest:
        """What each own unit could be told to do; whom orders can be aimed at."""
        face, own = self.interface, shown[: self.units.own]
        function = self._able(own, self._abilities_of(own, abilities))
        for row, unit in enumerate(own):
            if face.finish_building and self.units.builds(unit):
                function[row, 1:] = 0
            if not face.workers_fight and unit.unit_type in WORKERS:
                function[row, self._attacks] = 0
        if face.builders:
            hands = np.flatnonzero(function[:, self._building].any(1))
            function[hands[face.builders :, None], self._building] = 0
        aims = self._aims(shown)
        masks: Nest = {"function": function}
        for name, who in aims.items():
            if name in face.orders.arguments:
                masks[name] = who
        for name in face.orders.arguments:
            if name == face.building_place:
                masks[name] = self._sites(shown)
            elif name in sc.PLACES:
                masks[name] = Ground(self.height, self.span, self.playable).inside(face.minimap_size)
        return masks

    def _abilities_of(
        self, own: list[Any], abilities: Callable[[list[int]], list[set[int]]] | None
    ) -> dict[tuple[Any, ...], set[int]]:
        """The abilities of units, by what they depend on."""
        alike = {self._likeness(unit): unit.tag for unit in own}
        if abilities is None or not alike:
            return {}
        return dict(zip(alike, abilities(list(alike.values())), strict=True))

    def _able(self, own: list[Any], found: Mapping[tuple[Any, ...], set[int]]) -> npt.NDArray[np.int8]:
        """What each own unit could be told to do, [max_units, functions]."""
        able = np.zeros((self.interface.max_units, len(self.interface.functions)), np.int8)
        for row, unit in enumerate(own):
            mine = found.get(self._likeness(unit), set())
            # what takes no ability, such as no_op, is always possible
            able[row] = [not wanted or not mine.isdisjoint(wanted) for wanted in self._abilities]
        return able

    def _aims(self, shown: list[Any]) -> dict[str, npt.NDArray[np.int8]]:
        """Who can be aimed at by what kind of order, [max_units] each."""
        kinds = np.array([SHORT_NUMBERS.get(unit.unit_type, 0) for unit in shown], np.int16)
        is_a = {name: place + 1 for place, name in enumerate(sc.UNIT_TYPES.values())}
        built = np.array([unit.build_progress >= 1 for unit in shown], bool)
        found = {
            "enemy": np.array([unit.alliance == ENEMY for unit in shown], bool),
            "resource": (kinds == is_a["MineralField"]) | ((kinds == is_a["Refinery"]) & built),
            "geyser": kinds == is_a["VespeneGeyser"],
            "unit": np.ones(len(shown), bool),
        }
        free = self.interface.max_units - len(shown)
        return {name: np.pad(who.astype(np.int8), (0, free)) for name, who in found.items()}

    def _likeness(self, unit: Any) -> tuple[Any, ...]:
        """What decides the abilities of a unit: one of all that are alike is asked for them."""
        carries = any(buff in (*MINERAL_BUFFS, *GAS_BUFFS) for buff in unit.buff_ids)
        beside = self.units.type_of(unit.add_on_tag) if unit.add_on_tag else 0
        return (
            unit.unit_type, unit.build_progress < 1, carries, len(unit.orders), unit.is_burrowed, beside,
            int(unit.energy), unit.cargo_space_taken, unit.is_hallucination,
        )  # fmt: skip

    # ---- actions

    def calls(self, action: Mapping[str, Any], mask: npt.NDArray[np.int8]) -> tuple[list[Call], bool]:
        """What PySC2 is asked to do, and whether something was left out that could not be done."""
        if self.interface.style == "orders":
            ground = Ground(self.height, self.span, self.playable)
            return order_calls(self.interface, action, self.units.seen, self.units.rows, self.units.own, ground)
        call = self.function_call(action)
        return [call or (0, [])], call is None or not mask[int(action["function"])]

    def function_call(self, action: Mapping[str, Any]) -> Call | None:
        """PySC2's function and its arguments; None if it names no unit.

        One that is not available is sent all the same: it is the game that refuses it. ``action`` is one game's part of
        an action of the interface. Places are sent as (column, row).
        """
        number = int(action["function"])
        arguments = []
        for name in self._arguments[number]:
            if name in ("screen", "screen2"):
                arguments.append(_cell(action[name], self.interface.screen_size))
            elif name == "minimap":
                arguments.append(_cell(action[name], self.interface.minimap_size))
            elif name == "world":
                arguments.append(_cell(self.interface.world_cells(action), self.interface.world_size))
            elif name == "unit_tags":
                one = self.interface.one_unit
                tagged = np.atleast_1d(action[name]) if one else np.flatnonzero(action[name])
                tagged = tagged[tagged < self.units.own]
                if not len(tagged):
                    return None
                arguments.append([self.units.rows[row] for row in tagged])
            elif name == "target_unit_tag":
                if action[name] >= len(self.units.rows):
                    return None
                arguments.append([self.units.rows[int(action[name])]])
            else:  # one that the agent does not choose is held at 0
                arguments.append([int(action.get(name, 0))])
        return self._ids[number], arguments


def _cell(place: Any, size: sc.Size) -> list[int]:
    row, column = divmod(int(place), size[0])
    return [column, row]
