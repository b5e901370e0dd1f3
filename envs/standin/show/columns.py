"""What only the whole interface asks for, for all games at once: more columns of units, effects, upgrades.

It is taken from the same arrays as the columns of :mod:`envs.standin.show.observe`, which the mini-games' hot path
needs and fills by itself. What no unit of the stand-in has, such as shields, stays 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.protocol.observation.abilities import order_ability, training_ability
from envs.standin.rules.abilities.bunker import PLACES
from envs.standin.rules.abilities.orbital import ENERGY_A_LOOP
from envs.standin.rules.catalog import (
    BARRACKS,
    BUNKER,
    GEYSER,
    INFANTRY_ARMOR,
    INFANTRY_WEAPONS,
    KINDS,
    MARAUDER,
    REFINERY,
    SCV,
)
from envs.standin.rules.terrain.levels import FILLED
from envs.standin.rules.world import (
    BUILD,
    ENEMY,
    GARRISON,
    IDLE,
    NEUTRAL,
    OWN,
    PRODUCTION,
    QUEUE,
    REMEMBERED,
    SCAN_RADIUS,
    SCANS,
)
from envs.standin.show.camera import sees
from envs.standin.show.planes import TERRAIN_HEIGHT
from envs.starcraft.interface import CAMERA_WIDTH, EFFECT_FEATURES, Interface
from envs.starcraft.static import vocabulary as words

NEUTRAL_OWNER, NOT_CLOAKED, VISIBLE, SNAPSHOT, SELF, SCANNER_SWEEP = 16, 3, 1, 2, 1, 6
HEIGHT = 32.0 * TERRAIN_HEIGHT / 255.0 - 16.0
"""Where the ground is, in world units, by the API's scale of heights."""
BUFFS = (0, 271, 274)
"""The buff of a worker that carries nothing, minerals or vespene (from a refinery on a geyser)."""
STIMMED, STIMMED_MARAUDER, SUPPLY_DROPPED, SLOWED = 27, 24, 25, 33
"""Buffs, by the API's numbers."""

Array = npt.NDArray[Any]


def height_of(ground: Any, x: Any, y: Any) -> Any:
    """Where the ground is at a place, in world units; for numbers and for arrays."""
    row = np.clip(np.floor(y).astype(int), 0, FILLED.shape[1] - 1)
    column = np.clip(np.floor(x).astype(int), 0, FILLED.shape[2] - 1)
    return np.where(ground > 0, FILLED[ground, row, column] / 4.0 + 6.0, HEIGHT)


class Seen:
    """The fields of the units that some rows show, from their players' places: ``seen(name)`` is [n, U, ...]."""

    def __init__(self, games: Array, units: Array, slots: Array, which: Array, players: int, types: Array) -> None:
        self._units, self._game, self._slots, self.types = units, (which // players)[:, None], slots, types
        self.there, self.here = slots >= 0, games[which // players]
        self.second = (which % players == 1)[:, None]
        owner = self("owner")
        self.own = owner == np.where(self.second, ENEMY, OWN)
        self.number = np.where(owner == NEUTRAL, NEUTRAL_OWNER, np.where(owner == OWN, 1, 2))

    def __call__(self, name: str) -> Array:
        return self._units[name][self._game, self._slots]

    def mine(self, name: str) -> Array:
        """A field of the player's own, [n, 1]."""
        field, other = self.here[name], self.here[f"other_{name}"]
        return np.where(self.second, other[:, None], field[:, None])

    def type(self, name: str) -> Array:
        """What the catalog says of the units."""
        return self.types[name][self.kind]

    @cached_property
    def kind(self) -> Array:
        """The kinds."""
        return self("kind")

    @property
    def gas(self) -> Array:
        """Do they hold vespene?"""
        return np.isin(self.kind, (GEYSER, REFINERY))

    @property
    def remembered(self) -> Array:
        """Are they not in sight any more?"""
        known = np.where(self.second, self("other_known"), self("known"))
        return np.asarray(~self.own & (known == REMEMBERED))

    @property
    def on_screen(self) -> Array:
        """Does the camera see them?"""
        ground, x, y = self.here["ground"][:, None], self.mine("camera_x"), self.mine("camera_y")
        above = height_of(ground, self("x"), self("y")) - height_of(ground, x, y)
        return np.asarray(sees(self("x") - x, self("y") - y, self.type("radius"), above))

    @property
    def energy(self) -> Array:
        """The energy that they have by now."""
        gained = ENERGY_A_LOOP * (self.here["loop"][:, None] - self("energy_at"))
        return np.where(self.type("energy") > 0, np.minimum(self("energy") + gained, self.type("energy")), 0)

    def progress(self, place: int) -> Array:
        """How much of the place-th thing in a building's queue is done."""
        left = self(("product_left", "second_left")[place]).astype(np.float64)
        loops = self.types["build_loops"][self("product")[..., place]]
        return np.where((left < 0) | (self("producing") <= place), 0, 1 - left / np.maximum(loops, 1))

    def level(self, upgrade: int) -> Array:
        """Has the player that upgrade?"""
        return self.mine("upgrades") >> (upgrade - KINDS) & 1

    @property
    def cargo(self) -> Array:
        """Places taken in own bunkers."""
        game, inside = self._units[self._game[:, 0]], self._units["order"][self._game[:, 0]] == GARRISON
        found = np.zeros(self.there.shape, np.int64)
        for row, slot in np.argwhere(self.own & (self.kind == BUNKER) & self.there):
            me = self._slots[row, slot]
            within = inside[row] & (game["kind"][row] != 0) & (game["order_tag"][row] == game["tag"][row, me])
            found[row, slot] = self.types["cargo_size"][game["kind"][row, within]].sum()
        return found

    @property
    def addon(self) -> Array:
        """The kind of the add-on beside a barracks, 0 for none."""
        slot = self("addon")
        beside = self._units[self._game, np.maximum(slot, 0)]
        is_there = (slot >= 0) & (beside["kind"] != 0) & (beside["tag"] == self("addon_tag"))
        return np.where((self.kind == BARRACKS) & is_there, beside["kind"], 0)


class Columns:
    """Fills what an interface asks for beside the kernels' columns."""

    def __init__(self, face: Interface, types: Array) -> None:
        self.types, self.face = types, face
        numbers = np.array([face.kinds.get(int(number), 0) for number in types["api_id"]])
        self.numbers = numbers * (np.arange(len(types)) < KINDS)  # the upgrades among the rows have other ids
        wanted = list(words.unit_numbers(face.unit_types))
        hidden = ~np.isin(types["api_id"], wanted) if wanted else np.zeros(len(types), bool)
        self.kinds = np.where(hidden, -1 - self.numbers, self.numbers)
        """Each kind's number in observations, or -1 - that number for one that is not observed."""
        other = max(face.abilities.values(), default=0) + 1

        def number(ability: int) -> int:
            return face.abilities.get(ability, other) if ability else 0

        self.orders = np.array([number(order_ability(order)) for order in range(BUILD + len(types))])
        self.training = np.array([number(training_ability(kind)) for kind in range(len(types))])
        self._buffs = words.numbers("buffs", face.buffs)
        self.carried = np.array([0, *map(self._buff, BUFFS[1:])])
        self.mine = [(k, f) for k, name in enumerate(face.unit_features) if (f := self._column(name)) is not None]
        at = face.screen_planes.index("buffs") if "buffs" in face.screen_planes and face.buffs else None
        self.buff_plane = at
        upgrades = words.numbers("upgrades", face.upgrades)
        self.upgrades = [(upgrades.get(int(types["api_id"][row]), 0), row - KINDS) for row in range(KINDS, len(types))]

    def _buff(self, number: int) -> int:
        return self._buffs.get(number, len(self.face.buffs) + 1)

    def finish(
        self, games: Array, units: Array, slots: Array, which: Array, players: int, observation: dict[str, Any]
    ) -> None:
        """Fill what is left in the rows ``which`` of an observation; ``slots`` [n, U] says where its units are kept."""
        face = self.face
        if not (self.mine or self.buff_plane is not None or face.upgrades or face.max_effects):
            return
        seen = Seen(games, units, slots[which], which, players, self.types)
        for k, column in self.mine:
            observation["units"]["features"][which, :, k] = np.where(seen.there, column(seen), 0)
        if self.buff_plane is not None:
            plane = observation["screen"][..., self.buff_plane]
            plane[which] = self.carried[plane[which]]
        if face.upgrades:
            for number, bit in self.upgrades:
                if number:
                    observation["upgrades"][which, number - 1] = seen.mine("upgrades")[:, 0] >> bit & 1
        if face.max_effects:
            self._effects(seen, which, observation["effects"])

    def _effects(self, seen: Seen, which: Array, effects: dict[str, Array]) -> None:
        """Own scans: there are no others."""
        camera, names = [seen.mine(f"camera_{axis}")[:, 0] for axis in "xy"], list(EFFECT_FEATURES)
        whole, second = self.face.whole_map, seen.second[:, 0]
        high = seen.here["height"].astype(float)
        span = np.maximum(seen.here["width"], high)
        scans = [
            np.where(second[:, None], seen.here[f"other_scan_{part}"], seen.here[f"scan_{part}"])
            for part in ("x", "y", "until")
        ]  # fmt: skip
        for n, row in enumerate(which):
            features, mask = effects["features"][row], effects["mask"][row]
            features[:], mask[:], shown = 0, 0, 0
            for k in range(SCANS):
                x, y, until = (float(part[n, k]) for part in scans)
                half = CAMERA_WIDTH / 2
                dx, dy = x - camera[0][n], y - camera[1][n]
                near = whole or max(abs(dx), abs(dy)) <= half
                if until <= seen.here["loop"][n] or shown == len(mask) or not near:
                    continue
                place = (
                    (x / span[n], (high[n] - y) / span[n]) if whole else (dx / (2 * half) + 0.5, 0.5 - dy / (2 * half))
                )
                told = {
                    "effect": SCANNER_SWEEP, "alliance": SELF, "owner": 1 + second[n], "radius": SCAN_RADIUS,
                    "x": place[0], "y": place[1],
                }  # fmt: skip
                features[shown], mask[shown] = [told[name] for name in names], 1
                shown += 1

    def _column(self, name: str) -> Callable[[Seen], Any] | None:
        if name.startswith("order_id_"):
            return lambda seen: self._order(seen, int(name[-1]))
        if name.startswith("buff_id_"):
            return lambda seen: self._buff_at(seen, int(name[-1]))
        return {
            "display_type": lambda s: np.where(s.remembered, SNAPSHOT, VISIBLE),
            "owner": lambda s: s.number,
            "facing": lambda s: np.arctan2(s("face_y"), s("face_x"), dtype=np.float64) % math.tau,
            "cloak": lambda s: NOT_CLOAKED,
            "active": lambda s: s.own & ((s("order") != IDLE) | (s("producing") > 0)),
            "is_on_screen": lambda s: s.on_screen,
            "mineral_contents": lambda s: np.where(s.gas | s.remembered, 0, np.floor(s("contents"))),
            "vespene_contents": lambda s: np.where(s.gas & ~s.remembered, np.floor(s("contents")), 0),
            "energy": lambda s: s.energy,
            "energy_ratio": lambda s: s.energy / np.maximum(s.type("energy"), 1),
            "cargo_space_taken": lambda s: s.cargo,
            "cargo_space_max": lambda s: PLACES * (s.own & (s.kind == BUNKER) & (s("build_left") <= 0)),
            "addon_unit_type": lambda s: self.numbers[s.addon],
            "attack_upgrade_level": lambda s: (
                (s.own & (s.type("damage") > 0) & (s.kind != SCV)) * s.level(INFANTRY_WEAPONS)
            ),
            "armor_upgrade_level": lambda s: (s.own & (s.type("supply") > 0)) * s.level(INFANTRY_ARMOR),
            "order_length": self._length,
            "order_progress_0": lambda s: np.where(s.own, s.progress(0), 0),
            "order_progress_1": lambda s: np.where(s.own, s.progress(1), 0),
            "z": lambda s: height_of(s.here["ground"][:, None], s("x"), s("y")),
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

    def _buff_at(self, seen: Seen, place: int) -> Array:
        """The place-th buff of those that a unit has, in the order in which the server tells of them."""
        loop = seen.here["loop"][:, None]
        stim = np.where(seen.kind == MARAUDER, self._buff(STIMMED_MARAUDER), self._buff(STIMMED))
        each = [
            self.carried[seen("cargo")],
            np.where(seen("stim_until") > loop, stim, 0),
            np.where(seen("slow_until") > loop, self._buff(SLOWED), 0),
            np.where(seen("extra") > 0, self._buff(SUPPLY_DROPPED), 0),
        ]
        have = np.stack(each)
        rank = np.cumsum(have > 0, 0)
        return np.where((have > 0) & (rank == place + 1), have, 0).sum(0)
