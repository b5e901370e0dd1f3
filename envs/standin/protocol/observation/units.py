"""The player's raw data: units as the API tells of them, and the map's state."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

from s2clientprotocol import raw_pb2

from envs.standin.protocol.match import Match, shown_tag
from envs.standin.protocol.observation.abilities import order_ability, training_ability
from envs.standin.protocol.observation.layers import BUFFS
from envs.standin.rules.abilities.bunker import PLACES
from envs.standin.rules.abilities.orbital import ENERGY_A_LOOP
from envs.standin.rules.catalog import (
    BARRACKS,
    BUNKER,
    COMBAT_SHIELD,
    GEYSER,
    INFANTRY_ARMOR,
    INFANTRY_WEAPONS,
    KINDS,
    MARAUDER,
    MARINE,
    MINERAL_FIELD,
    REFINERY,
    SCV,
    SMALL_MINERAL_FIELD,
)
from envs.standin.rules.world import ENEMY, GARRISON, IDLE, NEUTRAL, OWN, REMEMBERED, SHIELD, UNIT
from envs.standin.show.camera import sees
from envs.standin.show.columns import (
    HEIGHT,
    NEUTRAL_OWNER,
    SLOWED,
    STIMMED,
    STIMMED_MARAUDER,
    SUPPLY_DROPPED,
    height_of,
)

ALLIANCE = {OWN: raw_pb2.Self, ENEMY: raw_pb2.Enemy, NEUTRAL: raw_pb2.Neutral}

Record = namedtuple("Record", UNIT.names or ())  # type: ignore[misc]
"""A unit's record as Python's own numbers: reading them out one by one costs more than converting all at once."""


def records(rows: Any) -> list[Any]:
    """Rows of :data:`envs.standin.rules.world.UNIT` as :class:`Record`."""
    return [Record._make(row) for row in rows.tolist()]


def progress_of(match: Match, u: Any, index: int) -> float:
    """How much of a thing in a building's queue is done."""
    left = (u.product_left, u.second_left)[index] if index < 2 else -1.0
    return 0.0 if left < 0.0 else 1.0 - left / float(match.types["build_loops"][u.product[index]])


class Units:
    """Tells of a match's units."""

    def __init__(self, match: Match) -> None:
        self.match = match
        self._types = [{name: t[name].item() for name in t.dtype.names} for t in match.types]

    def fill(self, shown: raw_pb2.Unit, u: Any, features: list[float]) -> None:
        """One unit. ``features``: its progress, and a town hall's or refinery's workers, assigned and ideal."""
        t = self._types[u.kind]
        g = self.match.games[0]
        snapshot = u.known == REMEMBERED and u.owner != OWN
        shown.display_type = raw_pb2.Snapshot if snapshot else raw_pb2.Visible
        shown.alliance = ALLIANCE[u.owner]
        shown.tag = shown_tag(u.tag)
        shown.unit_type = t["api_id"]
        shown.owner = self._numbers()[u.owner]
        shown.pos.x, shown.pos.y, shown.pos.z = u.x, u.y, self._height(u.x, u.y)
        shown.facing = math.atan2(u.face_y, u.face_x) % math.tau
        shown.radius = t["radius"]
        shown.build_progress, assigned, ideal = features
        shown.cloak = raw_pb2.NotCloaked
        x, y = float(g["camera_x"]), float(g["camera_y"])
        shown.is_on_screen = sees(u.x - x, u.y - y, t["radius"], shown.pos.z - self._height(x, y))
        shown.is_selected = u.selected != 0
        shown.is_blip = shown.is_flying = shown.is_burrowed = shown.is_hallucination = shown.is_powered = False
        shown.health, shown.health_max = u.hp, self._most_hp(u)
        shown.shield = shown.shield_max = shown.energy = 0.0
        shown.energy_max = t["energy"]
        if t["energy"]:
            shown.energy = min(u.energy + ENERGY_A_LOOP * (self.match.loop - u.energy_at), t["energy"])
        if snapshot:
            shown.health = shown.health_max = 0.0
        elif u.kind in (MINERAL_FIELD, SMALL_MINERAL_FIELD):
            shown.mineral_contents = int(u.contents)
        elif u.kind in (GEYSER, REFINERY):
            shown.vespene_contents = int(u.contents)
        if u.cargo:
            shown.buff_ids.append(BUFFS[u.cargo])
        if u.stim_until > self.match.loop:
            shown.buff_ids.append(STIMMED_MARAUDER if u.kind == MARAUDER else STIMMED)
        if u.slow_until > self.match.loop:
            shown.buff_ids.append(SLOWED)
        if u.extra:
            shown.buff_ids.append(SUPPLY_DROPPED)
        if u.addon >= 0 and u.kind == BARRACKS and self._is_there(u.addon, u.addon_tag):
            shown.add_on_tag = shown_tag(u.addon_tag)
        if u.owner == OWN:
            self._fill_own(shown, u, t, int(assigned), int(ideal))

    def _most_hp(self, u: Any) -> float:
        g = self.match.games[0]
        has = int(g["upgrades"] if u.owner == OWN else g["other_upgrades"]) >> (COMBAT_SHIELD - KINDS) & 1
        return float(self._types[u.kind]["hp"]) + (SHIELD if has and u.kind == MARINE else 0)

    def _level(self, row: int) -> int:
        return int(self.match.games[0]["upgrades"]) >> (row - KINDS) & 1

    def _passengers(self, shown: raw_pb2.Unit, u: Any) -> None:
        units = self.match.units[0]
        inside = (units["kind"] != 0) & (units["order"] == GARRISON) & (units["order_tag"] == u.tag)
        shown.cargo_space_max = PLACES
        for p in records(units[inside]):
            shown.cargo_space_taken += self._types[p.kind]["cargo_size"]
            shown.passengers.add(
                tag=shown_tag(p.tag), unit_type=self._types[p.kind]["api_id"], health=p.hp, health_max=self._most_hp(p)
            )

    def _height(self, x: float, y: float) -> float:
        ground = int(self.match.games["ground"][0])
        return float(height_of(ground, x, y)) if ground else HEIGHT

    def _numbers(self) -> tuple[int, int, int]:
        """The players' numbers, by NEUTRAL, OWN and ENEMY."""
        player = self.match.player
        return NEUTRAL_OWNER, player, 3 - player

    def _fill_own(self, shown: raw_pb2.Unit, u: Any, t: dict[str, Any], assigned: int, ideal: int) -> None:
        shown.is_active = u.order != IDLE or u.producing > 0
        shown.assigned_harvesters, shown.ideal_harvesters = assigned, ideal
        shown.cargo_space_taken, shown.cargo_space_max = 0, 0
        if u.kind == BUNKER and u.build_left <= 0:
            self._passengers(shown, u)
        shown.attack_upgrade_level = self._level(INFANTRY_WEAPONS) if t["damage"] > 0 and u.kind != SCV else 0
        shown.armor_upgrade_level = self._level(INFANTRY_ARMOR) if t["supply"] > 0 else 0
        shown.shield_upgrade_level = 0
        shown.weapon_cooldown = max(u.cooldown, 0.0) if t["damage"] > 0 else 0.0
        if u.target >= 0 and u.kind != SCV and self._is_there(u.target, u.target_tag):
            shown.engaged_target_tag = shown_tag(u.target_tag)
        if u.producing:
            for i in range(u.producing):
                order = shown.orders.add(ability_id=training_ability(u.product[i]))
                order.progress = progress_of(self.match, u, i)
        elif u.order != IDLE:
            self._order(shown.orders.add(), u.order, u.order_x, u.order_y, u.order_slot, u.order_tag)
            for i in range(u.queued):
                self._order(shown.orders.add(), u.queue[i], u.queue_x[i], u.queue_y[i], u.queue_slot[i], u.queue_tag[i])
        if u.rally:
            rally = shown.rally_targets.add()
            rally.point.x, rally.point.y, rally.point.z = u.rally_x, u.rally_y, HEIGHT
            if u.rally == 2 and self._is_there(u.rally_slot, u.rally_tag):
                rally.tag = shown_tag(u.rally_tag)

    def _is_there(self, slot: int, tag: int) -> bool:
        if slot < 0:
            return False
        unit = self.match.units[0, slot]
        return bool(unit["kind"] and unit["tag"] == tag)

    def _order(self, told: raw_pb2.UnitOrder, order: int, x: float, y: float, slot: int, tag: int) -> None:
        told.ability_id = order_ability(order)
        if self._is_there(slot, tag):
            told.target_unit_tag = shown_tag(tag)
        elif x >= 0:
            told.target_world_space_pos.x, told.target_world_space_pos.y = x, y
            told.target_world_space_pos.z = HEIGHT
