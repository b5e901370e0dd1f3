"""From a client's actions to the stand-in's actions."""

from __future__ import annotations

from typing import Any

from s2clientprotocol import error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.match import Match
from envs.standin.protocol.observation.abilities import BY_ID
from envs.standin.rules.cards import BAD_TARGET, ERROR, NOT_SUPPORTED, SUCCESS
from envs.standin.rules.catalog import BEACON
from envs.standin.rules.world import OWN

MUST_TARGET = int(error_pb2.MustTargetUnit)

GROUPS = 10
"""Control groups that a player has."""


def carry_out(match: Match, action: sc_pb.Action) -> int:
    """Do what an action says; the ``ActionResult`` of it. Of several kinds in one, the first counts."""
    name, message = kind_of(action)
    return _KINDS[name](match, message) if name else SUCCESS


def kind_of(action: sc_pb.Action) -> tuple[str, Any]:
    """What kind of action it is, and its message; no name for one that does nothing to units."""
    for field, message in action.ListFields():
        if field.name in _KINDS:
            return field.name, message
    return "", None


def _cell(point: Any, size: tuple[int, int]) -> int:
    """The number of a cell; a click beyond the edge counts as one on it."""
    x, y = (min(max(value, 0), most - 1) for value, most in zip((point.x, point.y), size, strict=True))
    return int(y * size[0] + x)


def _spatial(match: Match, action: Any) -> int:
    screen, minimap = match.sizes[:2], match.sizes[2:]
    match action.WhichOneof("action"):
        case "unit_command":
            told = action.unit_command
            ability = BY_ID.get(told.ability_id)
            if ability is None:
                return NOT_SUPPORTED
            arguments = {"queued": int(told.queue_command)}
            mode = "quick"
            if told.HasField("target_screen_coord"):
                mode, arguments["screen"] = "screen", _cell(told.target_screen_coord, screen)
            elif told.HasField("target_minimap_coord"):
                mode, arguments["minimap"] = "minimap", _cell(told.target_minimap_coord, minimap)
            elif ability.aimed:
                return MUST_TARGET
            return match.choose(ability.command, mode, arguments)
        case "camera_move":
            return match.choose("move_camera", "ui", {"minimap": _cell(action.camera_move.center_minimap, minimap)})
        case "unit_selection_point":
            told = action.unit_selection_point
            arguments = {
                "screen": _cell(told.selection_screen_coord, screen),
                "select_point_act": max(told.type - 1, 0),
            }
            return match.choose("select_point", "ui", arguments)
        case "unit_selection_rect":
            done = SUCCESS
            for i, box in enumerate(action.unit_selection_rect.selection_screen_coord):
                add = int(action.unit_selection_rect.selection_add or i > 0)
                arguments = {"screen": _cell(box.p0, screen), "screen2": _cell(box.p1, screen), "select_add": add}
                done = match.choose("select_rect", "ui", arguments)
            return done
    return SUCCESS


def _ui(match: Match, action: Any) -> int:
    match action.WhichOneof("action"):
        case "control_group":
            told = action.control_group
            if told.control_group_index >= GROUPS:
                return ERROR
            arguments = {"control_group_act": told.action - 1, "control_group_id": told.control_group_index}
            return match.choose("select_control_group", "ui", arguments)
        case "select_army":
            arguments = {"select_add": int(action.select_army.selection_add)}
            return match.choose("select_army", "ui", arguments)
        case "select_idle_worker":
            arguments = {"select_worker": action.select_idle_worker.type - 1}
            return match.choose("select_idle_worker", "ui", arguments)
        case "multi_panel":
            told = action.multi_panel
            arguments = {"select_unit_act": told.type - 1, "select_unit_id": told.unit_index}
            return match.choose("select_unit", "ui", arguments)
        case "production_panel":
            index = action.production_panel.unit_index
            if index < 0:  # the game's rules take it for the last
                return ERROR
            arguments = {"build_queue_id": index}
            return match.choose("build_queue", "ui", arguments)
    return NOT_SUPPORTED


def _raw(match: Match, action: Any) -> int:
    match action.WhichOneof("action"):
        case "camera_move":
            center = action.camera_move.center_world_space
            return SUCCESS if match.move_camera(center.x, center.y) else ERROR
        case "unit_command":
            return _raw_command(match, action.unit_command)
    return NOT_SUPPORTED


def _raw_command(match: Match, told: Any) -> int:
    ability = BY_ID.get(told.ability_id)
    if ability is None:
        return NOT_SUPPORTED
    slots = match.slots(told.unit_tags)
    chosen = slots[match.units["owner"][0, slots] == OWN]
    if told.HasField("target_unit_tag"):
        target = match.slot(told.target_unit_tag)
        if target < 0 or match.units[0, target]["kind"] == BEACON or not match.sees(target):
            return BAD_TARGET
        at = match.units[0, target]
        return match.command(ability.command, chosen, told.queue_command, at["x"], at["y"], target)
    if told.HasField("target_world_space_pos"):
        place = told.target_world_space_pos
        return match.command(ability.command, chosen, told.queue_command, place.x, place.y)
    if ability.aimed:
        return MUST_TARGET
    return match.command(ability.command, chosen, told.queue_command)


_KINDS = {"action_feature_layer": _spatial, "action_ui": _ui, "action_raw": _raw}
