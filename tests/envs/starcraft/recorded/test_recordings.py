"""What the real game sent, through the short interface: every array against the message and PySC2's own reading."""

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from envs.starcraft import interface as sc
from envs.starcraft.client import Moment
from envs.starcraft.pysc2 import interface_format, load
from envs.starcraft.static.vocabulary import VARIANTS
from envs.starcraft.translate import Translator
from tests.envs.starcraft import recorded as recordings

OWN, NEUTRAL, ENEMY = 1, 3, 4
SIZE = 128
SHORT_COLUMNS = tuple(sc.UNIT_FEATURES)[:16]


def raw_interface(units=200):
    return sc.Interface(
        style="raw",
        max_units=units,
        unit_features=SHORT_COLUMNS,
        screen_planes=(),
        minimap=64,
        numbers=tuple(sc.NUMBERS)[:13],
        functions=("no_op", "Move_pt", "Harvest_Gather_unit", "Train_SCV_quick", "Attack_unit"),
    )


def pysc2_reads(message, interface, size):
    """PySC2's own observation of a message."""
    pysc2 = load()
    reader = pysc2.features.Features(interface_format(interface), map_size=size)
    return reader.transform_obs(message)


def moment(message, interface, size):
    return Moment(pysc2_reads(message, interface, size), message, 0.0, False)


def shown(message, on_screen=False):
    units, camera = list(message.observation.raw_data.units), message.observation.raw_data.player.camera
    if on_screen:
        units = [u for u in units if max(abs(u.pos.x - camera.x), abs(u.pos.y - camera.y)) <= 12]
    return [u for alliance in (OWN, ENEMY, NEUTRAL) for u in units if u.alliance == alliance]


def order_by_name(unit):
    """A unit's order, by what the game itself calls the ability."""
    if not unit.orders:
        return "none"
    link = {a.ability_id: a.link_name.lower() for a in recordings.data().abilities}[unit.orders[0].ability_id]
    return "gather" if "harvest" in link else "other"


@pytest.mark.parametrize("name", recordings.MAPS)
def test_the_units_of_a_ladder_map_are_those_of_the_message(name):
    message, info = recordings.ladder(name)
    size = info.start_raw.map_size
    face = raw_interface()
    observation = Translator(face, load(), size.x, size.y).observe(moment(message, face, size))
    units, span = shown(message), max(size.x, size.y)
    assert len(units) >= 150
    rows, column = observation["units"]["features"], {n: k for k, n in enumerate(face.unit_features)}
    assert observation["units"]["mask"].tolist() == [1] * len(units) + [0] * (200 - len(units))
    assert not rows[len(units) :].any()
    kinds = list(sc.UNIT_TYPES)
    for row, unit in zip(rows, units, strict=False):
        same = next((kind for kind, others in VARIANTS.items() if unit.unit_type in others), unit.unit_type)
        expected = {
            "unit_type": kinds.index(same) + 1 if same in kinds else 0,
            "alliance": unit.alliance,
            "x": unit.pos.x / span,
            "y": (size.y - unit.pos.y) / span,
            "health": unit.health,
            "health_ratio": unit.health / unit.health_max if unit.health_max else 0,
            "selected": int(unit.is_selected),
            "radius": unit.radius,
            "weapon_cooldown": unit.weapon_cooldown if unit.alliance == OWN else 0,
            "order": sc.ORDERS.index(order_by_name(unit)) if unit.alliance == OWN else 0,
            "carrying": 0,
            "build_progress": unit.build_progress,
            "contents": unit.mineral_contents or unit.vespene_contents,
            "assigned_harvesters": unit.assigned_harvesters,
            "ideal_harvesters": unit.ideal_harvesters,
            "queue": 0,
        }
        for key, value in expected.items():
            assert row[column[key]] == pytest.approx(value, rel=1e-6), (unit.tag, key)
    assert (rows[:13, column["order"]] == sc.ORDERS.index("gather")).sum() == 12  # the workers, told to at the start


@pytest.mark.parametrize("name", recordings.MAPS)
def test_the_units_agree_with_pysc2s_own_table_of_them(name):
    message, info = recordings.ladder(name)
    size = info.start_raw.map_size
    face = raw_interface()
    pysc2 = load()
    reads = pysc2_reads(message, face, size)
    translator = Translator(face, pysc2, size.x, size.y)
    observation = translator.observe(Moment(reads, message, 0.0, False))
    count = int(observation["units"]["mask"].sum())
    rows = observation["units"]["features"][:count]
    call = translator.function_call({"function": 0})
    assert call == (0, [])
    table = np.asarray(reads["raw_units"])[translator.units.rows]
    fields = {f.name: int(f) for f in pysc2.features.FeatureUnit}
    column = {n: k for k, n in enumerate(face.unit_features)}
    for ours, theirs in (
        ("alliance", "alliance"), ("selected", "is_selected"), ("assigned_harvesters", "assigned_harvesters"),
        ("ideal_harvesters", "ideal_harvesters"),
    ):  # fmt: skip
        np.testing.assert_array_equal(rows[:, column[ours]], table[:, fields[theirs]], ours)
    np.testing.assert_array_equal(np.floor(rows[:, column["health"]]), table[:, fields["health"]])
    np.testing.assert_array_equal(np.floor(rows[:, column["health_ratio"]] * 255), table[:, fields["health_ratio"]])
    np.testing.assert_array_equal(np.floor(rows[:, column["build_progress"]] * 100), table[:, fields["build_progress"]])
    np.testing.assert_array_equal(np.floor(rows[:, column["x"]] * 64), table[:, fields["x"]])
    np.testing.assert_array_equal(np.floor(rows[:, column["y"]] * 64), table[:, fields["y"]])
    resources = table[:, fields["mineral_contents"]] + table[:, fields["vespene_contents"]]
    np.testing.assert_array_equal(rows[:, column["contents"]], resources)


@pytest.mark.parametrize("name", recordings.MAPS)
def test_numbers_and_masks_of_a_ladder_map(name):
    message, info = recordings.ladder(name)
    size = info.start_raw.map_size
    face = raw_interface(units=20)
    asked = []

    def abilities(tags):
        asked.extend(tags)
        return [{295} if tag == tags[0] else {524} for tag in tags]  # one gathers, the others train workers

    translator = Translator(face, load(), size.x, size.y)
    observation = translator.observe(moment(message, face, size), abilities)
    player, camera = message.observation.player_common, message.observation.raw_data.player.camera
    span = max(size.x, size.y)
    expected = {
        "game_loop": 0, "score": message.observation.score.score, "selected_count": 0, "minerals": 50, "vespene": 0,
        "food_used": 12, "food_cap": 15, "food_workers": 12, "food_army": 0, "army_count": 0,
        "idle_worker_count": player.idle_worker_count, "camera_x": camera.x / span,
        "camera_y": (size.y - camera.y) / span,
    }  # fmt: skip
    for key, value in zip(face.numbers, observation["player"], strict=True):
        assert value == pytest.approx(expected[key], rel=1e-6), key
    own = {u.tag for u in message.observation.raw_data.units if u.alliance == OWN}
    assert 2 <= len(asked) <= 3  # a worker, the main building: alike units are asked for once
    assert set(asked) <= own
    assert observation["action_mask"]["function"].tolist() == [1, 0, 1, 1, 0]
    assert observation["action_mask"]["unit_tags"].tolist() == [1] * 13 + [0] * 7
    assert observation["action_mask"]["target_unit_tag"].tolist() == [1] * 20


# ---- feature layers


def feature_interface():
    return sc.Interface(
        max_units=8,
        unit_features=tuple(sc.UNIT_FEATURES),
        screen=SIZE,
        screen_planes=tuple(sc.SCREEN_PLANES),
        minimap=SIZE,
        minimap_planes=tuple(name for name in sc.MINIMAP_PLANES if name != "last_seen"),
        numbers=tuple(sc.NUMBERS),
        functions=tuple(sc.FUNCTIONS),
    )


def cells(layer):
    """A layer's values, read as ``spatial.proto`` says, one by one."""
    if not layer.size.x:
        return [[0] * SIZE] * SIZE
    data, bits = layer.data, layer.bits_per_pixel
    values = []
    for place in range(layer.size.x * layer.size.y):
        if bits == 1:
            values.append(data[place // 8] >> (7 - place % 8) & 1)
        else:
            width = bits // 8
            values.append(int.from_bytes(data[place * width : (place + 1) * width], "little", signed=bits == 32))
    return [values[row * layer.size.x : (row + 1) * layer.size.x] for row in range(layer.size.y)]


@pytest.fixture(scope="module")
def layered():
    from s2clientprotocol import common_pb2

    message, face = recordings.with_layers(), feature_interface()
    size = common_pb2.Size2DI(x=168, y=184)
    translator = Translator(face, load(), size.x, size.y)
    return message, face, translator.observe(moment(message, face, size)), size


def expected_plane(name, values):
    values = np.array(values)
    if name == "unit_type":
        kinds = list(sc.UNIT_TYPES)
        known = {k: kinds.index(k) + 1 for k in kinds}
        known |= {other: known[kind] for kind, others in VARIANTS.items() for other in others}
        return np.vectorize(lambda kind: known.get(int(kind), 0))(values)
    if name == "buffs":
        return np.where(np.isin(values, (271, 272)), 1, 0) + np.where(np.isin(values, (273, 274, 275)), 2, 0)
    if name == "unit_hit_points":
        return np.minimum(values, 1599)
    return np.minimum(values, 999) if name in ("unit_shields", "unit_energy") else values


def test_every_plane_is_the_messages_layer(layered):
    message, face, observation, _ = layered
    layers = message.observation.feature_layer_data
    seen = 0
    for part, names, stack in (
        ("screen", face.screen_planes, layers.renders),
        ("minimap", face.minimap_planes, layers.minimap_renders),
    ):
        for k, name in enumerate(names):
            values = cells(getattr(stack, name))
            np.testing.assert_array_equal(observation[part][..., k], expected_plane(name, values), f"{part} {name}")
            seen += bool(np.any(values))
    assert seen == 11  # the others are empty in this observation
    for part in ("screen", "minimap"):
        assert face.observation_space[part].contains(observation[part])


def test_units_on_the_screen_stand_where_the_planes_show_them(layered):
    message, face, observation, _ = layered
    units = shown(message, on_screen=True)
    assert int(observation["units"]["mask"].sum()) == len(units) == 1  # another one stands outside and reaches in
    relative = observation["screen"][..., face.screen_planes.index("player_relative")]
    camera = message.observation.raw_data.player.camera
    for row, unit in zip(observation["units"]["features"], units, strict=False):
        x, y, alliance = (row[face.unit_features.index(n)] for n in ("x", "y", "alliance"))
        assert x == pytest.approx((unit.pos.x - camera.x) / 24 + 0.5, abs=1e-6)
        assert y == pytest.approx((camera.y - unit.pos.y) / 24 + 0.5, abs=1e-6)
        assert relative[int(y * SIZE), int(x * SIZE)] == alliance


def test_numbers_and_functions_of_the_message(layered):
    message, face, observation, size = layered
    o = message.observation
    numbers = dict(zip(face.numbers, observation["player"].tolist(), strict=True))
    assert numbers["game_loop"] == 849
    assert numbers["score"] == o.score.score
    for name in ("minerals", "vespene", "food_used", "food_cap", "food_army", "food_workers", "army_count"):
        assert numbers[name] == getattr(o.player_common, name)
    assert numbers["selected_count"] == sum(u.is_selected for u in o.raw_data.units if u.alliance == OWN)
    assert numbers["camera_x"] == pytest.approx(o.raw_data.player.camera.x / size.y)
    # Nothing is selected, nobody idle, no army: what remains is always possible.
    possible = {"no_op", "move_camera", "select_point", "select_rect", "select_control_group"}
    mask = observation["action_mask"]["function"]
    assert {name for name, can in zip(face.functions, mask, strict=True) if can} == possible
