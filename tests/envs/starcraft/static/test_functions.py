"""Every function of PySC2's tables, chosen and translated: what reaches the protocol is what its table asks for."""

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from s2clientprotocol import common_pb2
from s2clientprotocol import sc2api_pb2 as messages

from envs.starcraft import interface as sc
from envs.starcraft.client import Moment
from envs.starcraft.functions import function_groups
from envs.starcraft.pysc2 import interface_format, load
from envs.starcraft.translate import Translator

SIZE = common_pb2.Size2DI(x=64, y=48)
OWN, ENEMY = 2**33 + 1, 2**33 + 2


def message():
    told = messages.ResponseObservation()
    told.observation.player_common.player_id = 1
    told.observation.raw_data.player.camera.x = told.observation.raw_data.player.camera.y = 24
    for tag, alliance in ((ENEMY, 4), (OWN, 1)):
        unit = told.observation.raw_data.units.add(tag=tag, alliance=alliance, unit_type=48, display_type=1)
        unit.pos.x, unit.pos.y = 20, 20
    return told


class Played:
    """An interface with all functions of a style, and PySC2's own features beside it."""

    def __init__(self, style, fineness=1):
        arguments = tuple(name for name, values in sc.ARGUMENTS.items() if values)
        self.face = sc.Interface(
            style=style, functions=("all",), arguments=arguments, screen=16, minimap=16, screen_planes=(),
            fineness=fineness,
        )  # fmt: skip
        self.told = message()
        self.theirs = load().features.Features(interface_format(self.face), map_size=SIZE, requested_races={1: 1})
        self.translator = Translator(self.face, load(), SIZE.x, SIZE.y)
        self.translator.observe(Moment(self.theirs.transform_obs(self.told), self.told, 0.0, False))

    def sent(self, name, action):
        call = self.translator.function_call({**action, "function": self.face.functions.index(name)})
        return self.theirs.transform_action(
            self.told.observation, load().actions.FunctionCall(*call), skip_available=True
        )


def test_every_function_of_the_feature_table_reaches_the_protocol():
    played, chosen = Played("feature"), dict.fromkeys(sc.ARGUMENTS, 0)
    chosen |= {"screen": 16 * 3 + 5, "screen2": 16 * 7 + 9, "minimap": 16 * 2 + 11, "queued": 1, "select_add": 1}
    table = list(load().actions.FUNCTIONS)
    assert len(table) == len(played.face.functions) == 573
    panels = set()
    for theirs in table:
        action = played.sent(theirs.name, chosen)
        command = action.action_feature_layer.unit_command
        kind = theirs.function_type.__name__
        if kind == "autocast":
            assert action.action_ui.toggle_autocast.ability_id == theirs.ability_id, theirs.name
        elif kind.startswith("cmd_"):
            assert (command.ability_id, command.queue_command) == (theirs.ability_id, True), theirs.name
            screen, minimap = command.target_screen_coord, command.target_minimap_coord
            assert command.HasField("target_screen_coord") == (kind == "cmd_screen"), theirs.name
            assert command.HasField("target_minimap_coord") == (kind == "cmd_minimap"), theirs.name
            assert (screen.x, screen.y) == ((5, 3) if kind == "cmd_screen" else (0, 0))
            assert (minimap.x, minimap.y) == ((11, 2) if kind == "cmd_minimap" else (0, 0))
        else:
            panels.add(str(action).split("{")[1].strip() if theirs.id else "")
    assert panels == {
        "", "camera_move", "unit_selection_point", "unit_selection_rect", "control_group", "multi_panel",
        "select_idle_worker", "select_army", "select_warp_gates", "select_larva", "cargo_panel", "production_panel",
    }  # fmt: skip
    box = played.sent("select_rect", chosen).action_feature_layer.unit_selection_rect.selection_screen_coord[0]
    assert sorted([(box.p0.x, box.p0.y), (box.p1.x, box.p1.y)]) == [(5, 3), (9, 7)]
    point = played.sent("select_point", chosen).action_feature_layer.unit_selection_point.selection_screen_coord
    assert (point.x, point.y) == (5, 3)
    center = played.sent("move_camera", chosen).action_feature_layer.camera_move.center_minimap
    assert (center.x, center.y) == (11, 2)


@pytest.mark.parametrize("fineness", [1, 4])
def test_every_function_of_the_raw_table_reaches_the_protocol(fineness):
    played = Played("raw", fineness)
    chosen = {"queued": 1, "unit_tags": np.array([1, 0, 0, 0]), "target_unit_tag": 1, "world": 16 * 2 + 5}
    where = (4 * 5 + 2.0, 48 - (4 * 2 + 2.0))  # 16 cells on a map 64 wide: four world units a cell, from its top
    if fineness == 4:
        chosen["world_part"] = 4 * 3 + 1  # one world unit each: the second from the left, the last from the top
        where = (4 * 5 + 1.5, 48 - (4 * 2 + 3.5))
    table = list(load().actions.RAW_FUNCTIONS)
    assert len(table) == len(played.face.functions) == 564
    for theirs in table:
        action = played.sent(theirs.name, chosen).action_raw
        command, kind = action.unit_command, theirs.function_type.__name__
        if kind == "raw_autocast":
            assert action.toggle_autocast.ability_id == theirs.ability_id, theirs.name
            assert list(action.toggle_autocast.unit_tags) == [OWN]
        elif kind == "raw_move_camera":
            assert (action.camera_move.center_world_space.x, action.camera_move.center_world_space.y) == where
        elif theirs.id:
            assert (command.ability_id, command.queue_command) == (theirs.ability_id, True), theirs.name
            assert list(command.unit_tags) == [OWN]
            assert command.target_unit_tag == (ENEMY if kind == "raw_cmd_unit" else 0), theirs.name
            assert command.HasField("target_world_space_pos") == (kind == "raw_cmd_pt"), theirs.name
            place = command.target_world_space_pos
            assert (place.x, place.y) == (where if kind == "raw_cmd_pt" else (0, 0)), theirs.name


@pytest.mark.parametrize("style", ["feature", "raw"])
def test_the_table_is_pysc2s(style):
    theirs = load().actions.RAW_FUNCTIONS if style == "raw" else load().actions.FUNCTIONS
    ours = sc.RAW_FUNCTIONS if style == "raw" else sc.FUNCTIONS
    assert {f.name for f in theirs} == set(ours)
    for f in theirs:
        mine = ours[f.name]
        assert (mine.id, mine.ability, mine.general) == (int(f.id), int(f.ability_id), int(f.general_id)), f.name
        assert mine.arguments == tuple(argument.name for argument in f.args), f.name


def test_a_races_functions_are_those_of_its_units():
    """By the game's own words: what a unit's data says makes it is its race's."""
    units = pytest.importorskip("pysc2_evolved.lib.units")
    groups = {race: set(function_groups("raw")[race]) for race in ("terran", "zerg", "protoss")}
    own = {"terran": units.Terran, "zerg": units.Zerg, "protoss": units.Protoss}
    for race, names in groups.items():
        assert {"no_op", "Move_pt", "Attack_unit", "Smart_pt", "Stop_quick"} <= names
        made = {name for name in names if name.startswith(("Train_", "Build_", "Morph_")) and name.count("_") == 2}
        for name in made:
            kind = name.split("_")[1]
            others = [other for other, known in own.items() if other != race and kind in known.__members__]
            assert not others, (race, name)
    assert {"Train_Marine_quick", "Effect_Scan_pt", "Effect_Stim_quick", "Effect_Repair_unit"} <= groups["terran"]
    assert {"Effect_InjectLarva_unit", "BurrowDown_quick", "Train_Zergling_quick"} <= groups["zerg"]
    assert {"Effect_Blink_pt", "Effect_ChronoBoostEnergyCost_unit", "TrainWarp_Zealot_pt"} <= groups["protoss"]
    assert "Effect_Stim_Marine_quick" not in groups["terran"]  # Effect_Stim_quick says it
    for mine, theirs in (("terran", "zerg"), ("zerg", "protoss"), ("protoss", "terran")):
        assert not any(name.startswith(("Train_", "Build_")) for name in groups[mine] & groups[theirs])
