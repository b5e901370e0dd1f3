"""What belongs to a player: stocks, cheats, upgrades; and the table turned round, so that the other one acts."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.catalog import COMBAT_SHIELD, KINDS, MARINE
from envs.standin.rules.compiled import rule
from envs.standin.rules.world import ENEMY, LOST, NEUTRAL, OWN, PACE, SCANS, SHIELD, WON


@rule
def cheats_of(g: Any, owner: int) -> int:
    """The cheats that are on for a player."""
    return g.cheats if owner == OWN else g.other_cheats


@rule
def earn(g: Any, owner: int, minerals: int, vespene: int) -> None:
    """Add to a player's stocks; what is negative is spent."""
    if owner == OWN:
        g.minerals += minerals
        g.vespene += vespene
    else:
        g.other_minerals += minerals
        g.other_vespene += vespene


@rule
def upgrades_of(g: Any, owner: int) -> int:
    """The upgrades that a player has."""
    return g.upgrades if owner == OWN else g.other_upgrades


@rule
def has_upgrade(g: Any, owner: int, row: int) -> bool:
    """Has the player the upgrade of that row of the catalog?"""
    return upgrades_of(g, owner) & (1 << (row - KINDS)) != 0


@rule
def most_hp(g: Any, ts: Any, kind: int, owner: int) -> float:
    """Hit points of a unit that is unhurt."""
    if kind == MARINE and has_upgrade(g, owner, COMBAT_SHIELD):
        return ts[kind].hp + np.float32(SHIELD)
    return ts[kind].hp


@rule
def player_number(g: Any, owner: int) -> int:
    """The API's number of a player, whoever looks: 1 or 2, and 16 for nobody."""
    if owner == NEUTRAL:
        return 16
    return OWN + ENEMY - owner if g.turned else owner


@rule
def turn(g: Any, us: Any) -> None:
    """Turn the table round: the other player's units are OWN now, and all that a player has is theirs.

    What a player sees, chooses and commands is written from OWN's place alone; for the second player the table is
    turned before and after. Time does not pass meanwhile.
    """
    g.turned = 1 - g.turned
    g.enemies, g.fellows = g.fellows, g.enemies
    g.corner = 3 - g.corner
    if g.status in (LOST, WON):
        g.status = LOST + WON - g.status
    g.score, g.other_score = g.other_score, g.score
    g.camera_x, g.other_camera_x = g.other_camera_x, g.camera_x
    g.camera_y, g.other_camera_y = g.other_camera_y, g.camera_y
    g.cheats, g.other_cheats = g.other_cheats, g.cheats
    g.minerals, g.other_minerals = g.other_minerals, g.minerals
    g.vespene, g.other_vespene = g.other_vespene, g.vespene
    g.collected_minerals, g.other_collected_minerals = g.other_collected_minerals, g.collected_minerals
    g.collected_vespene, g.other_collected_vespene = g.other_collected_vespene, g.collected_vespene
    g.last_idle, g.other_last_idle = g.other_last_idle, g.last_idle
    g.difficulty, g.other_difficulty = g.other_difficulty, g.difficulty
    g.build, g.other_build = g.other_build, g.build
    g.plan, g.other_plan = g.other_plan, g.plan
    g.wave, g.other_wave = g.other_wave, g.wave
    g.attacking, g.other_attacking = g.other_attacking, g.attacking
    g.busy, g.other_busy = g.other_busy, g.busy
    g.target_x, g.other_target_x = g.other_target_x, g.target_x
    g.target_y, g.other_target_y = g.other_target_y, g.target_y
    g.upgrades, g.other_upgrades = g.other_upgrades, g.upgrades
    g.researching, g.other_researching = g.other_researching, g.researching
    for k in range(PACE):
        g.pace[k], g.other_pace[k] = g.other_pace[k], g.pace[k]
    for k in range(SCANS):
        g.scan_x[k], g.other_scan_x[k] = g.other_scan_x[k], g.scan_x[k]
        g.scan_y[k], g.other_scan_y[k] = g.other_scan_y[k], g.scan_y[k]
        g.scan_until[k], g.other_scan_until[k] = g.other_scan_until[k], g.scan_until[k]
    for i in range(g.top):
        u = us[i]
        if u.owner != NEUTRAL:
            u.owner = OWN + ENEMY - u.owner
        u.selected, u.other_selected = u.other_selected, u.selected
        u.groups, u.other_groups = u.other_groups, u.groups
        u.known, u.other_known = u.other_known, u.known
