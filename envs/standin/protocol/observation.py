"""From the game's records to a ``ResponseObservation``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import raw_pb2, score_pb2, ui_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin import game
from envs.standin.cards import COMMANDS
from envs.standin.catalog import COMMAND_CENTER, GEYSER, MINERAL_FIELD, REFINERY
from envs.standin.protocol.abilities import BY_COMMAND, order_ability, training_ability
from envs.standin.protocol.layers import BUFFS, MINIMAP, SCREEN, Layers
from envs.standin.protocol.match import Match, shown_tag
from envs.standin.world import ENEMY, IDLE, LOST, NEUTRAL, OWN, TIME_UP, WON
from envs.starcraft import interface as sc

PLAYER = 1
"""The player's number."""
COMPUTER = 2
"""The number of the computer player."""
NEUTRAL_OWNER = 16
HEIGHT = 12.0
"""Where the ground is, in world units: what the z of every position says."""

ALLIANCE = {OWN: raw_pb2.Self, ENEMY: raw_pb2.Enemy, NEUTRAL: raw_pb2.Neutral}
_VICTORY, _DEFEAT = (sc_pb.Victory, sc_pb.Defeat), (sc_pb.Defeat, sc_pb.Victory)
RESULTS = (
    # The mini-games' scripts tell no winner: who is alive when the time is up has won.
    {TIME_UP: _VICTORY, LOST: _DEFEAT, WON: _VICTORY},
    {TIME_UP: (sc_pb.Tie, sc_pb.Tie), LOST: _DEFEAT, WON: _VICTORY},
)
"""By whether the map is a melee, and by how the game ended: the player's result and the computer's."""
_FUNCTIONS = np.arange(len(COMMANDS))
_NAMES = list(sc.NUMBERS)
_NUMBERS = np.arange(len(_NAMES))
_COLUMNS = ("build_progress", "assigned_harvesters", "ideal_harvesters")
_COMMON = (
    "minerals", "vespene", "food_cap", "food_used", "food_army", "food_workers", "idle_worker_count", "army_count",
)  # fmt: skip


class Observer:
    """Looks at a match through the interface that the client has asked for."""

    def __init__(self, match: Match, options: sc_pb.InterfaceOptions) -> None:
        self.match, self.options = match, options
        capacity = match.units.shape[1]
        self._ids = match.types["api_id"].astype(np.int32)
        self._numbers = np.zeros((1, len(_NUMBERS)), np.float32)
        self._available = np.zeros((1, len(_FUNCTIONS)), np.int8)
        self._features = np.zeros((1, capacity, len(_COLUMNS)), np.float32)
        self._mask, self._own, self._targets = (np.zeros((1, capacity), np.int8) for _ in range(3))
        self._slots = np.full((1, capacity), -1, np.int32)
        explored = int(sc.MAP_SIZE) if match.map.fog else 0
        self._explored = np.zeros((1, explored, explored), np.uint8)
        self._ground_key: Any = None
        self._ground = b""
        self.shows_layers = options.HasField("feature_layer")
        if self.shows_layers:
            cheats = options.feature_layer.allow_cheating_layers
            self._screen = Layers("renders", match.screen, SCREEN, self._ids, cheats)
            self._minimap = Layers("minimap_renders", match.minimap, MINIMAP, self._ids, cheats)
            self._blank = self._screen.blank + self._minimap.blank

    def _run(
        self, raw: bool, columns: tuple[str, ...], screen: list[str], minimap: list[str]
    ) -> list[npt.NDArray[Any]]:
        """Run the kernel for the named columns and planes."""
        match = self.match
        planes = [
            np.zeros((1, size, size, len(names)), np.int16)
            for size, names in ((match.screen, screen), (match.minimap, minimap))
        ]
        game.observe(
            match.games, match.units, match.types, np.arange(1), raw, self._explored,
            np.array([list(sc.UNIT_FEATURES).index(c) for c in columns], np.int64),
            self._features, self._mask, self._slots,
            np.array([SCREEN.index(n) for n in screen], np.int64), planes[0],
            np.array([MINIMAP.index(n) for n in minimap], np.int64), planes[1],
            _NUMBERS, self._numbers, _FUNCTIONS, self._available, self._own, self._targets,
        )  # fmt: skip
        return [surface[0] for surface in planes]

    def observe(self, told: sc_pb.ResponseObservation) -> bytes:
        """Fill ``told``; what is returned belongs behind the serialised response."""
        match = self.match
        seen = told.observation
        seen.game_loop = match.loop
        images = self._layers() if self.shows_layers else b""
        if not self.shows_layers:
            self._run(False, (), [], [])
        self._player(seen)
        if self.options.score:
            seen.score.score_type = score_pb2.Score.Melee if match.map.melee else score_pb2.Score.Curriculum
            seen.score.score = int(match.games["score"][0])
            details = seen.score.score_details
            details.collected_minerals = match.games["collected_minerals"][0]
            details.collected_vespene = match.games["collected_vespene"][0]
        self._panels(seen.ui_data)
        if self.options.raw:
            self._raw(seen.raw_data)
        if not match.playing:
            result, theirs = RESULTS[match.map.melee][int(match.games["status"][0])]
            told.player_result.add(player_id=PLAYER, result=result)
            if match.map.melee:
                told.player_result.add(player_id=COMPUTER, result=theirs)
        return images

    def _layers(self) -> bytes:
        g = self.match.games[0]
        key = (self.match.games["episode"][0], g["camera_x"], g["camera_y"], g["obstacles"])
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
        common = seen.player_common
        common.player_id = PLAYER
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
        slots = self._slots[0]
        count = int(self._mask[0].sum())
        rows = np.argsort(slots[:count], kind="stable")
        for row in rows:
            self._unit(raw.units.add(), match.units[0, slots[row]], self._features[0, row].tolist())

    def _unit(self, shown: raw_pb2.Unit, u: Any, features: list[float]) -> None:
        g, t = self.match.games[0], self.match.types[u["kind"]]
        kind, owner, order = int(u["kind"]), int(u["owner"]), int(u["order"])
        x, y = float(u["x"]), float(u["y"])
        progress, assigned, ideal = features
        shown.display_type = raw_pb2.Visible
        shown.alliance = ALLIANCE[owner]
        shown.tag = shown_tag(u["tag"])
        shown.unit_type = int(self._ids[kind])
        shown.owner = owner or NEUTRAL_OWNER
        shown.pos.x, shown.pos.y, shown.pos.z = x, y, HEIGHT
        shown.facing = math.atan2(u["face_y"], u["face_x"]) % math.tau
        shown.radius = float(t["radius"])
        shown.build_progress = progress
        shown.cloak = raw_pb2.NotCloaked
        half = sc.CAMERA_WIDTH / 2
        shown.is_on_screen = abs(x - float(g["camera_x"])) <= half and abs(y - float(g["camera_y"])) <= half
        shown.is_selected = bool(u["selected"])
        shown.is_blip = shown.is_flying = shown.is_burrowed = shown.is_hallucination = False
        shown.health, shown.health_max = float(u["hp"]), float(t["hp"])
        if kind == int(MINERAL_FIELD):
            shown.mineral_contents = int(u["contents"])
        elif kind in (GEYSER, REFINERY):
            shown.vespene_contents = int(u["contents"])
        if owner != OWN:
            return
        shown.is_active = order != IDLE or u["producing"] > 0
        if kind in (COMMAND_CENTER, REFINERY):
            shown.assigned_harvesters, shown.ideal_harvesters = int(assigned), int(ideal)
        if u["cargo"]:
            shown.buff_ids.append(BUFFS[u["cargo"]])
        if t["damage"] > 0:
            shown.weapon_cooldown = max(float(u["cooldown"]), 0.0)
        self._orders(shown, u)

    def _orders(self, shown: raw_pb2.Unit, u: Any) -> None:
        if u["producing"]:
            first = int(u["product"][0])
            left, whole = float(u["product_left"]), float(self.match.types[first]["build_loops"])
            for i in range(int(u["producing"])):
                order = shown.orders.add(ability_id=training_ability(int(u["product"][i])))
                order.progress = 1.0 - left / whole if i == 0 and left >= 0.0 else 0.0
            return
        if u["order"] != IDLE:
            self._order(shown.orders.add(), *(u[f"order{end}"] for end in ("", "_x", "_y", "_slot", "_tag")))
        for i in range(int(u["queued"])):
            self._order(shown.orders.add(), *(u[f"queue{end}"][i] for end in ("", "_x", "_y", "_slot", "_tag")))

    def _order(self, told: raw_pb2.UnitOrder, order: Any, x: Any, y: Any, slot: Any, tag: Any) -> None:
        told.ability_id = order_ability(int(order))
        target = self.match.units[0, slot] if slot >= 0 else None
        if target is not None and target["kind"] and target["tag"] == tag:
            told.target_unit_tag = shown_tag(tag)
        elif x >= 0:
            told.target_world_space_pos.x, told.target_world_space_pos.y = float(x), float(y)
            told.target_world_space_pos.z = HEIGHT

    def _panels(self, ui: ui_pb2.ObservationUI) -> None:
        units = self.match.units[0]
        selected = np.flatnonzero((units["kind"] != 0) & (units["selected"] != 0))
        if len(selected) == 1:
            u = units[selected[0]]
            if u["producing"]:
                self._info(ui.production.unit, u)
                for i in range(int(u["producing"])):
                    what = int(u["product"][i])
                    left, whole = float(u["product_left"]), float(self.match.types[what]["build_loops"])
                    progress = 1.0 - left / whole if i == 0 and left >= 0 else 0.0
                    ui.production.build_queue.add(
                        unit_type=int(self._ids[what]), player_relative=raw_pb2.Self, build_progress=progress
                    )
                    ui.production.production_queue.add(ability_id=training_ability(what), build_progress=progress)
            else:
                self._info(ui.single.unit, u)
        for slot in selected if len(selected) > 1 else ():
            self._info(ui.multi.units.add(), units[slot])
        groups = units["groups"] * (units["kind"] != 0)
        for index in range(10) if groups.any() else ():
            members = np.flatnonzero(groups & (1 << index))
            if len(members):
                leader = int(self._ids[units[members[0]]["kind"]])
                ui.groups.add(control_group_index=index, leader_unit_type=leader, count=len(members))

    def _info(self, told: ui_pb2.UnitInfo, u: Any) -> None:
        t = self.match.types[u["kind"]]
        told.unit_type = int(self._ids[u["kind"]])
        told.player_relative = ALLIANCE[int(u["owner"])]
        told.health, told.max_health = int(u["hp"]), int(t["hp"])
        if u["build_left"] > 0:
            told.build_progress = 1.0 - float(u["build_left"]) / float(t["build_loops"])
