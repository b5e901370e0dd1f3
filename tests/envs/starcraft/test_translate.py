"""Choices as PySC2's calls: what PySC2 makes of each is held against the action that the protocol asks for."""

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from s2clientprotocol import sc2api_pb2 as messages

from envs.starcraft import interface as sc
from envs.starcraft.client import GameFailure, Moment
from envs.starcraft.pysc2 import interface_format, load
from envs.starcraft.reading.sight import Sight
from envs.starcraft.translate import Translator

EVERYTHING = tuple(name for name, values in sc.ARGUMENTS.items() if values)


def observation(units=(), abilities=(), **common):
    """A message as a game sends it, without layers."""
    message = messages.ResponseObservation()
    message.observation.player_common.player_id = 1
    for name, value in common.items():
        setattr(message.observation.player_common, name, value)
    message.observation.raw_data.player.camera.x = 33
    message.observation.raw_data.player.camera.y = 25
    for unit in units:
        new = message.observation.raw_data.units.add(display_type=1, is_on_screen=True, alliance=1, **unit)
        new.pos.x, new.pos.y = new.pos.x or 30, new.pos.y or 25
    for ability, point in abilities:
        message.observation.abilities.add(ability_id=ability, requires_point=point)
    return message


class Played:
    """A translator, and PySC2's own features beside it."""

    def __init__(self, interface, message):
        from s2clientprotocol import common_pb2

        self.interface = interface
        self.features = load().features.Features(
            interface_format(interface), map_size=common_pb2.Size2DI(x=64, y=64), requested_races={1: 1}
        )
        self.translator = Translator(interface, load(), 64, 64)
        moment = Moment(self.features.transform_obs(message), message, 0.0, False)
        self.message = message
        self.observation = self.translator.observe(moment, lambda tags: [set(range(4000)) for _ in tags])

    def action(self, **action):
        """What PySC2 sends for an action; None if it is refused."""
        names = self.interface.functions
        action["function"] = names.index(action["function"])
        call = self.translator.function_call(action)
        if call is None:
            return None
        function_call = load().actions.FunctionCall(*call)
        return self.features.transform_action(self.message.observation, function_call, skip_available=True)


def feature(**options):
    face = sc.Interface(
        max_units=8, screen=16, minimap=16, screen_planes=(), functions=tuple(sc.FUNCTIONS), arguments=EVERYTHING
    )
    return Played(face, options.pop("message", observation()))


@pytest.mark.parametrize(
    ("action", "field", "wanted"),
    [
        ({"function": "select_army", "select_add": 1}, "select_army", {"selection_add": True}),
        ({"function": "select_control_group", "control_group_act": 1, "control_group_id": 3}, "control_group",
         {"action": 2, "control_group_index": 3}),
        ({"function": "select_unit", "select_unit_act": 2, "select_unit_id": 4}, "multi_panel",
         {"type": 3, "unit_index": 4}),
        ({"function": "select_idle_worker", "select_worker": 2}, "select_idle_worker", {"type": 3}),
        ({"function": "build_queue", "build_queue_id": 2}, "production_panel", {"unit_index": 2}),
    ],
)  # fmt: skip
def test_what_is_done_in_the_panels(action, field, wanted):
    # the enumerations of ui.proto count from 1
    action = feature().action(**action)
    part = getattr(action.action_ui, field)
    assert {name: getattr(part, name) for name in wanted} == wanted


def test_arguments_that_are_not_chosen_are_held_at_zero():
    face = sc.Interface(screen_planes=())
    action = Played(face, observation()).action(function="Move_screen", screen=17)
    command = action.action_feature_layer.unit_command
    assert not command.queue_command
    assert (command.target_screen_coord.x, command.target_screen_coord.y) == (1, 1)


UNITS = (
    {"unit_type": 341, "tag": 2**33 + 1, "alliance": 3},
    {"unit_type": 48, "tag": 2**33 + 2, "alliance": 1},
    {"unit_type": 110, "tag": 2**33 + 3, "alliance": 4},
    {"unit_type": 48, "tag": 2**33 + 4, "alliance": 1},
)


def with_alliances():
    message = observation([{k: v for k, v in u.items() if k != "alliance"} for u in UNITS])
    for unit, given in zip(message.observation.raw_data.units, UNITS, strict=True):
        unit.alliance = given["alliance"]
    face = sc.Interface(
        style="raw", max_units=4, screen_planes=(), minimap=16, functions=tuple(sc.RAW_FUNCTIONS),
        arguments=("queued",),
    )  # fmt: skip
    return Played(face, message)


def test_pointers_are_the_tags_of_the_rows():
    played = with_alliances()
    kinds = played.observation["units"]["features"][:, 0].tolist()
    names = ["", *sc.UNIT_TYPES.values()]
    assert [names[int(k)] for k in kinds] == ["Marine", "Marine", "Roach", "MineralField"]  # own, enemy, neutral
    action = played.action(function="Attack_unit", queued=1, unit_tags=np.array([1, 1, 0, 0]), target_unit_tag=2)
    command = action.action_raw.unit_command
    assert list(command.unit_tags) == [2**33 + 2, 2**33 + 4]
    assert command.target_unit_tag == 2**33 + 3
    assert command.queue_command
    assert command.ability_id == 3674  # the general Attack


def test_only_own_units_are_commanded_and_nobody_is_a_refusal():
    played = with_alliances()
    action = played.action(function="Stop_quick", queued=0, unit_tags=np.array([0, 1, 1, 1]))
    assert list(action.action_raw.unit_command.unit_tags) == [2**33 + 4]
    assert played.action(function="Stop_quick", queued=0, unit_tags=np.array([0, 0, 1, 1])) is None


def test_one_unit_is_pointed_to_where_asked_for():
    face = sc.Interface(
        style="raw", one_unit=True, max_units=4, screen_planes=(), minimap=16, functions=tuple(sc.RAW_FUNCTIONS)
    )
    played = Played(face, with_alliances().message)
    action = played.action(function="Attack_unit", unit_tags=1, target_unit_tag=2)
    assert list(action.action_raw.unit_command.unit_tags) == [2**33 + 4]
    assert action.action_raw.unit_command.target_unit_tag == 2**33 + 3
    assert played.action(function="Stop_quick", unit_tags=2) is None  # the enemy's


def test_places_are_the_centers_of_cells():
    played = with_alliances()
    action = played.action(function="Move_pt", queued=0, unit_tags=np.array([1, 0, 0, 0]), world=16 * 2 + 5)
    place = action.action_raw.unit_command.target_world_space_pos
    # 16 cells on a map 64 wide: four units a cell, rows from the top
    assert (place.x, place.y) == (4 * 5 + 2, 64 - (4 * 2 + 2))


def test_what_is_not_available_is_refused():
    face = sc.Interface(screen_planes=())
    played = Played(face, observation(abilities=[(16, True)], army_count=2))
    mask = dict(zip(face.functions, played.observation["action_mask"]["function"].tolist(), strict=True))
    assert mask == {"no_op": 1, "select_army": 1, "select_point": 1, "Move_screen": 1}
    played = Played(face, observation())
    assert played.observation["action_mask"]["function"].tolist() == [1, 0, 1, 0]
    # sent all the same, for the game to refuse it
    mask = played.observation["action_mask"]["function"]
    assert played.translator.calls({"function": 3, "screen": 17}, mask) == ([(331, [[0], [1, 1]])], True)
    assert played.translator.calls({"function": 2, "screen": 17}, mask) == ([(2, [[0], [1, 1]])], False)


def test_every_column_number_and_plane_of_the_interface_is_the_games():
    face = sc.Interface(
        unit_features=tuple(sc.UNIT_FEATURES), numbers=tuple(sc.NUMBERS), screen_planes=tuple(sc.SCREEN_PLANES),
        minimap_planes=tuple(sc.MINIMAP_PLANES), screen=8, minimap=4,
    )  # fmt: skip
    message = observation()
    told = message.observation
    told.game_loop, told.score.score = 77, 41
    numbers = {"game_loop": 77, "score": 41, "selected_count": 1, "camera_x": 33 / 64, "camera_y": 1 - 25 / 64}
    for value, name in enumerate(sorted(set(sc.NUMBERS) - set(numbers)), 3):
        setattr(told.player_common, name, value)
        numbers[name] = value
    own, foe = (told.raw_data.units.add(display_type=1, is_on_screen=True, alliance=side) for side in (1, 4))
    own.unit_type, foe.unit_type = 18, 105
    own.pos.x, own.pos.y = 33 - 12 + 6, 25 + 12 - 18  # a quarter of the screen from the left, three from the top
    own.health, own.health_max, own.radius, own.build_progress = 30, 120, 2.75, 0.625
    own.weapon_cooldown, own.mineral_contents, own.vespene_contents = 4.5, 900, 20
    own.shield, own.shield_max, own.energy, own.energy_max, own.owner, own.facing = 12, 48, 30, 120, 2, 1.5
    own.cargo_space_taken, own.cargo_space_max, own.cloak, own.pos.z = 3, 8, 2, 11.5
    own.is_blip = own.is_powered = own.is_flying = own.is_burrowed = own.is_hallucination = own.is_active = True
    own.buff_duration_remain, own.buff_duration_max, own.detect_range, own.radar_range = 30, 600, 11, 25
    own.attack_upgrade_level, own.armor_upgrade_level, own.shield_upgrade_level = 1, 2, 3
    own.add_on_tag, foe.tag = 77, 77
    own.assigned_harvesters, own.ideal_harvesters, own.is_selected = 13, 16, True
    own.buff_ids.append(274)
    own.orders.add(ability_id=524, progress=0.25)
    own.orders.add(ability_id=524, progress=0.5)
    foe.is_selected, foe.weapon_cooldown = True, 3.0  # which nobody may know
    foe.pos.x, foe.pos.y = 33, 25
    foe.orders.add(ability_id=23)
    columns = {
        "unit_type": 1 + list(sc.UNIT_TYPES).index(18), "alliance": 1, "x": 0.25, "y": 0.75, "health_ratio": 0.25,
        "health": 30, "selected": 1, "radius": 2.75, "weapon_cooldown": 4.5, "order": sc.ORDERS.index("train"),
        "carrying": 2, "build_progress": 0.625, "contents": 920, "assigned_harvesters": 13, "ideal_harvesters": 16,
        "queue": 2, "shield": 12, "energy": 30, "shield_ratio": 0.25, "energy_ratio": 0.25, "cargo_space_taken": 3,
        "cargo_space_max": 8, "display_type": 1, "owner": 2, "facing": 1.5, "cloak": 2, "mineral_contents": 900,
        "vespene_contents": 20, "order_length": 2, "order_progress_0": 0.25, "order_progress_1": 0.5, "buff_id_0": 1,
        "buff_duration_remain": 30, "buff_duration_max": 600, "attack_upgrade_level": 1, "armor_upgrade_level": 2,
        "shield_upgrade_level": 3, "z": 11.5, "detect_range": 11, "radar_range": 25, "order_id_2": 0, "order_id_3": 0,
        "addon_unit_type": 1 + list(sc.UNIT_TYPES).index(105), "buff_id_1": 0,
        # the interface has one command, to move: training is another one
        "order_id_0": 2, "order_id_1": 2,
    }  # fmt: skip
    flags = ("is_blip", "is_powered", "is_flying", "is_burrowed", "hallucination", "active", "is_on_screen")
    columns |= dict.fromkeys(flags, 1)
    known = load().features
    tables = {
        "screen": (known.SCREEN_FEATURES, sc.SCREEN_PLANES, 8),
        "minimap": (known.MINIMAP_FEATURES, sc.MINIMAP_PLANES, 4),
    }
    layers = {"available_actions": np.zeros(0, int)}
    for key, (theirs, _, size) in tables.items():
        layer = np.arange(len(theirs._fields), dtype=np.int32)[:, None, None] + np.zeros((size, size), np.int32)
        layer[:, 1, 2] = 3000  # more than any plane holds
        layers[f"feature_{key}"] = layer
    found = Translator(face, load(), 64, 64).observe(Moment(layers, message, 0.0, False))
    assert dict(zip(sc.NUMBERS, found["player"].tolist(), strict=True)) == pytest.approx(numbers)
    rows = found["units"]["features"]
    assert dict(zip(sc.UNIT_FEATURES, rows[0].tolist(), strict=True)) == pytest.approx(columns)
    other = dict(zip(sc.UNIT_FEATURES, rows[1].tolist(), strict=True))
    assert [other[name] for name in ("alliance", "x", "y", "weapon_cooldown", "order")] == [4, 0.5, 0.5, 0, 0]
    for key, (theirs, ours, _) in tables.items():
        for i, (name, plane) in enumerate(ours.items()):
            if name in ("unit_type", "buffs", "last_seen"):  # looked up: see the tests of recordings; by its own below
                continue
            value, most = getattr(theirs, name).index, found[key][1, 2, i]
            assert (found[key][0, 0, i], name) == (
                min(value, plane.scale - 1) if plane.kind == "category" else value,
                name,
            )
            assert most == plane.scale - 1 if plane.kind == "category" else most >= 255, name


def test_how_long_ago_a_cell_was_in_sight_is_remembered_for_a_game():
    sight, visible = Sight((3, 1)), np.zeros((1, 3), np.int16)
    for loop, seen, expected in (
        (0, [2, 0, 0], [0, 5, 5]),
        (8, [1, 2, 0], [1, 0, 5]),
        (127, [1, 2, 0], [1, 0, 5]),
        (128, [1, 1, 3], [2, 1, 5]),  # hidden is not seen
        (128 + 384, [1, 1, 0], [3, 3, 5]),
        (1023, [1, 1, 2], [4, 4, 0]),
        (1920, [1, 1, 1], [5, 4, 4]),
        (16, [2, 0, 0], [0, 5, 5]),  # another game
    ):
        visible[0] = seen
        assert sight.look(visible, loop).tolist() == [expected], loop


def test_what_a_worker_carries_does_and_a_building_trains():
    face = sc.Interface(
        max_units=4, unit_features=("carrying", "order", "queue", "contents", "build_progress"), screen_planes=()
    )
    message = observation(
        [
            {"unit_type": 45, "tag": 1, "buff_ids": [271], "build_progress": 1.0},
            {"unit_type": 45, "tag": 2, "buff_ids": [273], "build_progress": 1.0},
            {"unit_type": 18, "tag": 3, "build_progress": 0.25},
            {"unit_type": 342, "tag": 4, "vespene_contents": 1800},
        ]
    )
    units = message.observation.raw_data.units
    units[0].orders.add(ability_id=296)  # Harvest_Return of the SCV
    units[1].orders.add(ability_id=319)  # Build_SupplyDepot
    for _ in range(3):
        units[2].orders.add(ability_id=524)  # Train_SCV
    rows = Played(face, message).observation["units"]["features"]
    order = sc.ORDERS.index
    np.testing.assert_allclose(
        rows,
        [[1, order("return"), 0, 0, 1], [2, order("build"), 0, 0, 1], [0, order("train"), 3, 0, 0.25],
         [0, 0, 0, 1800, 0]],
    )  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(88, 96), (96, 88), (64, 64)])
def test_places_on_a_map_that_is_not_square_are_pysc2s(width, height):
    from s2clientprotocol import common_pb2

    face = sc.Interface(
        style="raw", max_units=4, unit_features=("x", "y"), numbers=("camera_x", "camera_y"), screen_planes=(),
        minimap=96, functions=tuple(sc.RAW_FUNCTIONS),
    )  # fmt: skip
    places = [(0.12 * width, 0.83 * height), (0.73 * width, 0.14 * height), (0.51 * width, 0.61 * height)]
    message = observation([{"unit_type": 48, "tag": 1 + 2**20 * i} for i in range(len(places))])
    for unit, (x, y) in zip(message.observation.raw_data.units, places, strict=True):
        unit.pos.x, unit.pos.y = x, y
    theirs = load().features.Features(
        interface_format(face), map_size=common_pb2.Size2DI(x=width, y=height), requested_races={1: 1}
    )
    seen = theirs.transform_obs(message)
    translator = Translator(face, load(), width, height)
    ours = translator.observe(Moment(seen, message, 0.0, False))
    rows = ours["units"]["features"][: len(places)]
    np.testing.assert_array_equal(np.floor(rows * 96), [[u.x, u.y] for u in seen["raw_units"]])
    longest = max(width, height)
    np.testing.assert_allclose(rows, [[x / longest, (height - y) / longest] for x, y in places], rtol=1e-6)
    np.testing.assert_allclose(ours["player"], [33 / longest, (height - 25) / longest], rtol=1e-6)
    # and a place that is pointed to is where the unit in that cell is
    for row, (x, y) in zip(rows, places, strict=True):
        column, line = (int(part * 96) for part in row)
        action = {"function": face.functions.index("Move_pt"), "unit_tags": np.eye(4)[0], "world": line * 96 + column}
        call = translator.function_call(action)
        sent = theirs.transform_action(message.observation, load().actions.FunctionCall(*call), skip_available=True)
        target = sent.action_raw.unit_command.target_world_space_pos
        assert abs(target.x - x) <= longest / 96
        assert abs(target.y - y) <= longest / 96


def test_layers_of_another_size_are_a_failure():
    face = sc.Interface(screen=16)
    translator = Translator(face, load(), 64, 64)
    layers = {"feature_screen": np.zeros((27, 15, 16), np.int32), "available_actions": np.zeros(0, int)}
    with pytest.raises(GameFailure, match="garbled") as failure:
        translator.observe(Moment(layers, observation(), 0.0, False))
    assert failure.value.kind == "garbled"
    wide = Translator(sc.Interface(screen=(16, 15)), load(), 64, 64)
    assert wide.observe(Moment(layers, observation(), 0.0, False))["screen"].shape == (15, 16, 3)


@pytest.mark.parametrize("health", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_a_failure(health):
    face = sc.Interface(max_units=2, unit_features=("health",), screen_planes=())
    with pytest.raises(GameFailure, match="garbled: a number that is not finite"):
        Played(face, observation([{"unit_type": 48, "tag": 1, "health": health}]))
