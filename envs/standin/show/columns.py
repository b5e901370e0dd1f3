"""The columns of units that only the whole interface asks for, for all games at once.

They are taken from the same arrays as the columns of :mod:`envs.standin.show.observe`, which the mini-games' hot path
needs and fills by itself. What no unit of the stand-in has, such as shields, stays 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.protocol.observation.abilities import order_ability, training_ability
from envs.standin.rules.catalog import GEYSER, REFINERY
from envs.standin.rules.world import BUILD, ENEMY, IDLE, NEUTRAL, OWN, PRODUCTION, QUEUE
from envs.standin.show.camera import sees
from envs.standin.show.observe import TERRAIN_HEIGHT
from envs.starcraft.interface import Interface
from envs.starcraft.static import vocabulary as words

NEUTRAL_OWNER, NOT_CLOAKED, VISIBLE = 16, 3, 1
HEIGHT = 32.0 * TERRAIN_HEIGHT / 255.0 - 16.0
"""Where the ground is, in world units, by the API's scale of heights."""
BUFFS = (0, 271, 274)
"""The buff of a worker that carries nothing, minerals or vespene (from a refinery on a geyser)."""

Array = npt.NDArray[Any]


class Seen:
    """The fields of the units that some rows show, from their players' places: ``seen(name)`` is [n, U, ...]."""

    def __init__(self, games: Array, units: Array, slots: Array, which: Array, players: int, types: Array) -> None:
        self._units, self._game, self._slots, self.types = units, (which // players)[:, None], slots, types
        self.there = slots >= 0
        second = (which % players == 1)[:, None]
        owner = self("owner")
        self.own = owner == np.where(second, ENEMY, OWN)
        self.number = np.where(owner == NEUTRAL, NEUTRAL_OWNER, np.where(owner == OWN, 1, 2))
        here = games[which // players]
        cameras = ((here[f"camera_{axis}"], here[f"other_camera_{axis}"]) for axis in "xy")
        self._camera = [np.where(second, other[:, None], own[:, None]) for own, other in cameras]

    def __call__(self, name: str) -> Array:
        return self._units[name][self._game, self._slots]

    @property
    def gas(self) -> Array:
        """Do they hold vespene?"""
        return np.isin(self("kind"), (GEYSER, REFINERY))

    @property
    def on_screen(self) -> Array:
        """Does the camera see them?"""
        dx, dy = (self(axis) - camera for axis, camera in zip("xy", self._camera, strict=True))
        return np.asarray(sees(dx, dy, self.types["radius"][self("kind")]))

    @property
    def progress(self) -> Array:
        """How much of the first thing in a building's queue is done."""
        left, loops = self("product_left"), self.types["build_loops"][self("product")[..., 0]]
        return np.where(left < 0, 0, 1 - left / np.maximum(loops, 1))


class Columns:
    """Fills the columns of an interface that are its own."""

    def __init__(self, face: Interface, types: Array) -> None:
        self.types = types
        self.kinds = np.array([face.kinds.get(number, 0) for number in types["api_id"].tolist()], np.int16)
        other = max(face.abilities.values(), default=0) + 1

        def number(ability: int) -> int:
            return face.abilities.get(ability, other) if ability else 0

        self.orders = np.array([number(order_ability(order)) for order in range(BUILD + len(types))])
        self.training = np.array([number(training_ability(kind)) for kind in range(len(types))])
        buffs = words.numbers("buffs", face.buffs)
        self.buffs = np.array([0, *(buffs.get(buff, len(face.buffs) + 1) for buff in BUFFS[1:])])
        # whether the kernels' numbers of kinds are the interface's, as in the mini-games
        self.plain = bool((self.kinds == np.arange(len(types))).all())
        self.mine = [(k, f) for k, name in enumerate(face.unit_features) if (f := self._column(name)) is not None]
        renumbered = {"unit_type": None if self.plain else self.kinds, "buffs": self.buffs if face.buffs else None}
        self.planes = [
            (part, k, table)
            for part, names in (("screen", face.screen_planes), ("minimap", face.minimap_planes))
            for k, name in enumerate(names) if (table := renumbered.get(name)) is not None
        ]  # fmt: skip
        wanted = list(words.unit_numbers(face.unit_types)) or types["api_id"][1:]
        self.shown = np.isin(types["api_id"], wanted).astype(np.int8)
        """For each kind, whether it is observed."""

    def finish(
        self, games: Array, units: Array, slots: Array, which: Array, players: int, observation: dict[str, Any]
    ) -> None:
        """Fill what is left in the rows ``which`` of an observation; ``slots`` [n, U] says where its units are kept."""
        if self.mine:
            seen = Seen(games, units, slots[which], which, players, self.types)
            for k, column in self.mine:
                observation["units"]["features"][which, :, k] = np.where(seen.there, column(seen), 0)
        for part, k, table in self.planes:
            observation[part][which, ..., k] = table[observation[part][which, ..., k]]

    def _column(self, name: str) -> Callable[[Seen], Any] | None:
        if name.startswith("order_id_"):
            return lambda seen: self._order(seen, int(name[-1]))
        if name == "unit_type":
            return None if self.plain else lambda seen: self.kinds[seen("kind")]
        return {
            "display_type": lambda s: VISIBLE,
            "owner": lambda s: s.number,
            "facing": lambda s: np.arctan2(s("face_y"), s("face_x")) % math.tau,
            "cloak": lambda s: NOT_CLOAKED,
            "active": lambda s: s.own & ((s("order") != IDLE) | (s("producing") > 0)),
            "is_on_screen": lambda s: s.on_screen,
            "mineral_contents": lambda s: np.where(s.gas, 0, np.floor(s("contents"))),
            "vespene_contents": lambda s: np.where(s.gas, np.floor(s("contents")), 0),
            "order_length": self._length,
            "order_progress_0": lambda s: np.where(s.own & (s("producing") > 0), s.progress, 0),
            "buff_id_0": lambda s: self.buffs[s("cargo")],
            "z": lambda s: HEIGHT,
        }.get(name)

    @staticmethod
    def _length(seen: Seen) -> Array:
        busy = np.where(seen("order") == IDLE, 0, 1 + seen("queued"))
        return np.where(seen.own, np.where(seen("producing") > 0, seen("producing"), busy), 0)

    def _order(self, seen: Seen, place: int) -> Array:
        """The command that is the place-th of a unit's, as the game lists them: what it makes, or what it is to do."""
        makes = self.training[seen("product")[..., place]] if place < PRODUCTION else 0
        does = seen("order") if place == 0 else seen("queue")[..., place - 1] if place <= QUEUE else 0
        number = np.where(seen("producing") > 0, makes, self.orders[does])
        return np.where(place < self._length(seen), number, 0)
