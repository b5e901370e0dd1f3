"""From the game's records to a ``ResponseObservation``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import raw_pb2, score_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin import game
from envs.standin.protocol.match import Match, Sizes, shown_tag
from envs.standin.protocol.observation import alerts, panels, pictures
from envs.standin.protocol.observation.abilities import BY_COMMAND
from envs.standin.protocol.observation.layers import MINIMAP, SCREEN, Layers
from envs.standin.protocol.observation.units import Units, records
from envs.standin.rules.cards import COMMANDS
from envs.standin.rules.catalog import KINDS
from envs.standin.rules.world import LOST, SCAN_RADIUS, SCANS, TIME_UP, WON
from envs.standin.show.planes import NEVER
from envs.starcraft import interface as sc

_VICTORY, _DEFEAT = (sc_pb.Victory, sc_pb.Defeat), (sc_pb.Defeat, sc_pb.Victory)
RESULTS = (
    # The mini-games' scripts tell no winner: who is alive when the time is up has won.
    {TIME_UP: _VICTORY, LOST: _DEFEAT, WON: _VICTORY},
    {TIME_UP: (sc_pb.Tie, sc_pb.Tie), LOST: _DEFEAT, WON: _VICTORY},
)
"""By whether the map is a melee, and by how the game ended for the first player: its result and the second's."""
SCANNER_SWEEP = 6
_FUNCTIONS = np.arange(len(COMMANDS))
_NAMES = list(sc.NUMBERS)
_NUMBERS = np.arange(len(_NAMES))
_COLUMNS = ("build_progress", "assigned_harvesters", "ideal_harvesters")
_COMMON = (
    "minerals", "vespene", "food_cap", "food_used", "food_army", "food_workers", "idle_worker_count", "army_count",
)  # fmt: skip


def picture_sizes(options: sc_pb.InterfaceOptions) -> Sizes:
    """Pixels that the rendered screen and minimap are wide and high."""
    sides = [
        int(side) or 64
        for size in (options.render.resolution, options.render.minimap_resolution)
        for side in (size.x, size.y)
    ]
    return sides[0], sides[1], sides[2], sides[3]


class Observer:
    """Looks at a match through the interface that the client has asked for.

    ``sizes``: the pixels of the layers, which need not be those that clicks are counted in. ``disable_fog``: see all,
    whatever the player sees.
    """

    def __init__(self, match: Match, options: sc_pb.InterfaceOptions, sizes: Sizes, disable_fog: bool = False) -> None:
        self.match, self.options, self.sizes, self.disable_fog = match, options, sizes, disable_fog
        self.units = Units(match)
        self.alerts = alerts.Alerts(match)
        capacity = match.units.shape[1]
        self._numbers = np.zeros((1, len(_NUMBERS)), np.float32)
        self._available = np.zeros((1, len(_FUNCTIONS)), np.int8)
        self._features = np.zeros((1, capacity, len(_COLUMNS)), np.float32)
        self._mask, self._own, self._targets = (np.zeros((1, capacity), np.int8) for _ in range(3))
        self._slots = np.full((1, capacity), -1, np.int32)
        explored = match.size[::-1] if match.map.fog else (0, 0)
        self._explored = np.full((1, *explored), NEVER, np.int32)
        self._in_sight = playable(match, 2).tobytes()
        """What is visible where there is no fog."""
        self._seen: set[int] = set()
        self._ground_key: Any = None
        self._ground = b""
        self.shows_layers = options.HasField("feature_layer")
        if self.shows_layers:
            ids = match.types["api_id"].astype(np.int32)
            cheats = options.feature_layer.allow_cheating_layers
            self._screen = Layers("renders", sizes[:2], SCREEN, ids, cheats)
            self._minimap = Layers("minimap_renders", sizes[2:], MINIMAP, ids, cheats)
            self._blank = self._screen.blank + self._minimap.blank

    def _run(
        self,
        raw: bool,
        columns: tuple[str, ...],
        screen: list[str],
        minimap: list[str],
        sizes: Sizes | None = None,
    ) -> list[npt.NDArray[Any]]:
        """Run the kernel for the named columns and planes, of other sizes than the layers' if there are any."""
        match, sizes = self.match, sizes or self.sizes
        planes = [
            np.zeros((1, height, width, len(names)), np.int16)
            for width, height, names in ((*sizes[:2], screen), (*sizes[2:], minimap))
        ]
        game.observe(
            match.games, match.units, match.types, np.arange(1), 1, raw, self._explored,
            np.arange(len(match.types)),
            _places(tuple(sc.UNIT_FEATURES), columns),
            self._features, self._mask, self._slots,
            _places(tuple(SCREEN), tuple(screen)), planes[0],
            _places(tuple(MINIMAP), tuple(minimap)), planes[1],
            _NUMBERS, self._numbers, _FUNCTIONS, self._available, self._own, self._targets,
        )  # fmt: skip
        return [surface[0] for surface in planes]

    def look(self) -> None:
        """Take notice of what is in sight now: where there is fog, the map remembers it."""
        if self._explored.size:
            self._run(False, (), [], [])

    def observe(self, told: sc_pb.ResponseObservation, disable_fog: bool = False) -> bytes:
        """Fill ``told``; what is returned belongs behind the serialised response."""
        fog = self.match.games["fog"][0]
        if disable_fog or self.disable_fog:
            self.match.games["fog"] = 0
        try:
            return self._observe(told)
        finally:
            self.match.games["fog"] = fog

    def _observe(self, told: sc_pb.ResponseObservation) -> bytes:
        match = self.match
        seen = told.observation
        seen.game_loop = match.loop
        images = self._layers() if self.shows_layers else b""
        if not self.shows_layers:
            self._run(False, (), [], [])
        self._player(seen)
        seen.alerts.extend(self.alerts.since_last_time())
        if self.options.score:
            if match.ledger is not None:
                seen.score.score_type = score_pb2.Score.Melee
                match.ledger.fill(seen.score, match.player, match.games[0])
            else:
                seen.score.score_type = score_pb2.Score.Curriculum
                seen.score.score = int(match.games["score"][0])
                seen.score.score_details.collected_minerals = match.games["collected_minerals"][0]
                seen.score.score_details.collected_vespene = match.games["collected_vespene"][0]
        if self.options.HasField("render"):
            names = list(pictures.PLANES)
            screen, minimap = self._run(False, (), names, names, picture_sizes(self.options))
            pictures.fill(seen.render_data.map, screen)
            pictures.fill(seen.render_data.minimap, minimap)
        panels.fill(match, seen.ui_data)
        if self.options.raw:
            self._raw(seen.raw_data)
        for player, result in results(match):
            told.player_result.add(player_id=player, result=sc_pb.Result.ValueType(result))
        return images

    def _layers(self) -> bytes:
        g = self.match.games[0]
        key = (self.match.games["episode"][0], g["camera_x"], g["camera_y"], g["obstacles"], g["fog"])
        pieces = [self._blank]
        if g["fog"] or key != self._ground_key:
            names = self._screen.of_ground, self._minimap.of_ground
            screen, minimap = self._run(False, (), *names)
            self._ground = b"".join(self._screen.encode(names[0], screen) + self._minimap.encode(names[1], minimap))
            self._ground_key = key
        screen, minimap = self._run(False, (), self._screen.of_units, self._minimap.of_units)
        pieces.append(self._ground)
        pieces += self._screen.encode(self._screen.of_units, screen)
        pieces += self._minimap.encode(self._minimap.of_units, minimap)
        return b"".join(pieces)

    def _player(self, seen: sc_pb.Observation) -> None:
        common, match = seen.player_common, self.match
        common.player_id = match.player
        numbers = dict(zip(_NAMES, self._numbers[0].tolist(), strict=True))
        for name in _COMMON:
            setattr(common, name, int(numbers[name]))
        common.warp_gate_count = common.larva_count = 0
        for command, available in zip(COMMANDS, self._available[0].tolist(), strict=True):
            if available and command in BY_COMMAND:
                ability = BY_COMMAND[command]
                seen.abilities.add(ability_id=ability.id, requires_point=ability.aimed)

    def _raw(self, raw: raw_pb2.ObservationRaw) -> None:
        match = self.match
        self._run(True, _COLUMNS, [], [])
        g = match.games[0]
        raw.player.camera.x, raw.player.camera.y, raw.player.camera.z = float(g["camera_x"]), float(g["camera_y"]), 0.0
        count = int(self._mask[0].sum())
        # The kernel puts own units first; the API tells of units in the order of their slots.
        rows = np.argsort(self._slots[0, :count], kind="stable")
        shown = records(match.units[0, self._slots[0, rows]])
        for u, features in zip(shown, self._features[0, rows].tolist(), strict=True):
            self.units.fill(raw.units.add(), u, features)
        upgrades = int(g["upgrades"])
        raw.player.upgrade_ids.extend(
            int(match.types["api_id"][row]) for row in range(KINDS, len(match.types)) if upgrades >> (row - KINDS) & 1
        )
        for k in range(SCANS):
            if g["scan_until"][k] > g["loop"]:
                scan = raw.effects.add(
                    effect_id=SCANNER_SWEEP, alliance=raw_pb2.Self, owner=match.player, radius=SCAN_RADIUS
                )
                scan.pos.add(x=float(g["scan_x"][k]), y=float(g["scan_y"][k]))
        width, height = match.size
        state = raw.map_state
        for image, bits in ((state.visibility, 8), (state.creep, 1)):
            image.bits_per_pixel, image.size.x, image.size.y = bits, width, height
        known = np.where(self._explored == g["loop"], 2, self._explored > NEVER).astype(np.uint8)
        state.visibility.data = known.tobytes() if g["fog"] else self._in_sight
        state.creep.data = bytes(width * height // 8)
        there = match.units["tag"][0][match.units["kind"][0] != 0].tolist()
        raw.event.dead_units.extend(shown_tag(tag) for tag in sorted(self._seen.difference(there)))
        self._seen = self._seen.intersection(there).union(u.tag for u in shown)


@lru_cache(maxsize=32)
def _places(table: tuple[str, ...], names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Where in ``table`` the names are."""
    return np.array([table.index(name) for name in names], np.int64)


def results(match: Match) -> list[tuple[int, int]]:
    """(player, result) for each player of a game that has ended."""
    if match.playing:
        return []
    with match.seen_by(1):
        own, theirs = RESULTS[match.map.melee][int(match.games["status"][0])]
    return [(1, int(own)), (2, int(theirs))][: 2 if match.map.melee else 1]


def playable(match: Match, value: int) -> npt.NDArray[np.uint8]:
    """A value in the cells of the playable rectangle, 0 elsewhere; the map's rows from the bottom."""
    cells = np.zeros(match.size[::-1], np.uint8)
    left, bottom, right, top = match.playable
    cells[bottom:top, left:right] = value
    return cells
