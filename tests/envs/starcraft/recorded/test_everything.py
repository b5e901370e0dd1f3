"""Whole messages of the real game through the whole interface: each unit, in each column, against the message itself.

The message is decoded here by hand, from its bytes, as the wire format has it: nothing of what the interface reads it
with is trusted.
"""

import gzip
import struct

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from s2clientprotocol import common_pb2, raw_pb2

from envs.starcraft import interface as sc
from envs.starcraft.client import Moment
from envs.starcraft.pysc2 import interface_format, load
from envs.starcraft.translate import Translator
from tests.envs.starcraft import recorded as recordings

WHOLE = sc.Interface(
    style="raw", max_units=512, unit_features=("all",), vocabulary=("all",), buffs=("all",), upgrades=("all",),
    max_effects=8, numbers=tuple(sc.NUMBERS), minimap=128, fineness=2, screen_planes=(), functions=("all",),
    max_delay=128,
)  # fmt: skip

UNIT = {
    1: "display_type", 2: "alliance", 3: "tag", 4: "unit_type", 5: "owner", 6: "pos", 7: "facing", 8: "radius",
    9: "build_progress", 10: "cloak", 11: "is_selected", 12: "is_on_screen", 13: "is_blip", 14: "health",
    15: "health_max", 16: "shield", 17: "energy", 18: "mineral_contents", 19: "vespene_contents", 20: "is_flying",
    21: "is_burrowed", 22: "orders", 23: "add_on_tag", 24: "passengers", 25: "cargo_space_taken",
    26: "cargo_space_max", 27: "buff_ids", 28: "assigned_harvesters", 29: "ideal_harvesters", 30: "weapon_cooldown",
    31: "detect_range", 32: "radar_range", 34: "engaged_target_tag", 35: "is_powered", 36: "shield_max",
    37: "energy_max", 38: "is_hallucination", 39: "is_active", 40: "attack_upgrade_level", 41: "armor_upgrade_level",
    42: "shield_upgrade_level", 43: "buff_duration_remain", 44: "buff_duration_max", 45: "rally_targets",
}  # fmt: skip
"""The numbers of ``raw.proto``."""


def fields(data):
    """A message's fields as (number, value): whole numbers, floats, bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 5:
            yield key >> 3, struct.unpack("<f", data[at : (at := at + 4)])[0]
        else:
            assert key & 7 == 2
            length = varint()
            yield key >> 3, data[at : (at := at + length)]


def one(data, number):
    return next((value for key, value in fields(data) if key == number), b"")


def units_of(observation):
    """ResponseObservation.observation (3) .raw_data (5) .units (2): as dicts, in the order of the message."""
    found = []
    for key, data in fields(one(one(observation, 3), 5)):
        if key == 2:
            unit = dict.fromkeys(UNIT.values(), 0) | {"orders": [], "buff_ids": []}
            for number, value in fields(data):
                name = UNIT[number]
                if name == "orders":
                    unit["orders"].append(dict(fields(value)))  # 1 the ability, 4 the progress
                elif name == "buff_ids":
                    unit["buff_ids"] += [value] if isinstance(value, int) else list(packed(value))
                else:
                    unit[name] = value
            unit["pos"] = {1: 0.0, 2: 0.0, 3: 0.0, **dict(fields(unit["pos"]))}
            found.append(unit)
    return found


def packed(data):
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def raw(name):
    """The bytes of a recorded observation, and the size of its map."""
    if name == "layers":
        return recordings.with_layers().SerializeToString(), common_pb2.Size2DI(x=168, y=184)
    data = gzip.decompress((recordings.folder() / name / "observation.pb.gz").read_bytes())
    return data, recordings.ladder(name)[1].start_raw.map_size


def raw_functions():
    return [f for f in load().actions.RAW_FUNCTIONS if f.ability_id]


def ability_names():
    """Ability -> the name that PySC2's raw functions have for its general form, without how it is aimed."""
    stems = {int(f.ability_id): f.name.rsplit("_", 1)[0] for f in raw_functions()}
    return stems | {int(f.ability_id): stems[int(f.general_id)] for f in raw_functions() if f.general_id}


def entry_names(kind, *enums):
    """Number -> PySC2's name, or where it lists the number alone the game's."""
    static = pytest.importorskip("pysc2_evolved.lib.static_data")
    theirs = {int(entry): entry.name for enum in enums for entry in enum}
    data = {getattr(e, f"{kind[:-1]}_id"): e.name for e in getattr(recordings.data(), kind)}
    listed = getattr(static, {"units": "UNIT_TYPES"}.get(kind, kind.upper()))
    return {0: ""} | {int(n): theirs.get(int(n)) or data.get(int(n)) or f"{kind[:-1].capitalize()}{n}" for n in listed}


def expected(unit, size, alive, names, kinds, buffs):
    """What every column should say of a unit; by names where the numbers are the interface's own."""
    span = max(size.x, size.y)

    def share(part):
        return unit[part] / unit[f"{part}_max"] if unit[f"{part}_max"] else 0

    def order(k, field):
        return unit["orders"][k].get(field, 0) if len(unit["orders"]) > k else 0

    def buff(k):
        return buffs[unit["buff_ids"][k]] if len(unit["buff_ids"]) > k else ""

    same = {
        name: unit[name]
        for name in (
            "alliance", "health", "radius", "build_progress", "assigned_harvesters", "ideal_harvesters", "shield",
            "energy", "cargo_space_taken", "cargo_space_max", "display_type", "owner", "facing", "cloak", "is_blip",
            "is_powered", "is_flying", "is_burrowed", "is_on_screen", "mineral_contents", "vespene_contents",
            "attack_upgrade_level", "armor_upgrade_level", "shield_upgrade_level", "detect_range", "radar_range",
            "buff_duration_remain", "buff_duration_max",
        )
    }  # fmt: skip
    carries = [1 if b in (271, 272) else 2 if b in (273, 274, 275) else 0 for b in unit["buff_ids"]]
    mine = unit["alliance"] == 1
    return same | {
        "unit_type": kinds[unit["unit_type"]], "x": unit["pos"][1] / span, "y": (size.y - unit["pos"][2]) / span,
        "z": unit["pos"][3], "health_ratio": share("health"), "shield_ratio": share("shield"),
        "energy_ratio": share("energy"), "selected": unit["is_selected"], "active": unit["is_active"],
        "hallucination": unit["is_hallucination"],
        "weapon_cooldown": max(unit["weapon_cooldown"], 0) if mine else 0,
        "carrying": max(carries, default=0), "contents": unit["mineral_contents"] + unit["vespene_contents"],
        "order_length": len(unit["orders"]), "order_progress_0": order(0, 4), "order_progress_1": order(1, 4),
        "buff_id_0": buff(0), "buff_id_1": buff(1), "addon_unit_type": kinds[alive.get(unit["add_on_tag"], 0)],
        "order": kind_of_order(names.get(order(0, 1), "")) if mine and unit["orders"] else "none",
        "queue": sum(names.get(o[1], "").startswith("Train_") for o in unit["orders"]),
        **{f"order_id_{k}": names.get(order(k, 1), "") for k in range(4)},
    }  # fmt: skip


def kind_of_order(name):
    kinds = {"Harvest_Gather": "gather", "Harvest_Return": "return", "Train": "train", "Build": "build", "Move": "move"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "other")


def told(face):
    """Columns whose numbers are the interface's own -> the names that the numbers stand for."""
    general = {f.name: int(f.general_id or f.ability_id) for f in raw_functions()}
    forms = dict.fromkeys(general[name] for name in face.functions if name in general)
    orders = ["", *(ability_names()[form] for form in forms), "?"]
    kinds, buffs = ["", *face.vocabulary], ["", *face.buffs, "?"]
    return {
        "unit_type": kinds, "addon_unit_type": kinds, "buff_id_0": buffs, "buff_id_1": buffs, "order": sc.ORDERS,
        **{f"order_id_{k}": orders for k in range(4)},
    }  # fmt: skip


def seen(message, size, face=WHOLE):
    """What the interface makes of a message."""
    layers = {"feature_minimap": np.zeros((11, 128, 128), np.int32)}
    return Translator(face, load(), size.x, size.y).observe(Moment(layers, message, 0.0, False))


def enums():
    units = pytest.importorskip("pysc2_evolved.lib.units")
    return units.Neutral, units.Terran, units.Zerg, units.Protoss


@pytest.mark.parametrize("name", [*recordings.MAPS, "layers"])
def test_each_unit_of_the_message_is_a_row_with_every_column_right(name):
    data, size = raw(name)
    units = units_of(data)
    message = recordings.with_layers() if name == "layers" else recordings.ladder(name)[0]
    observation = seen(message, size)
    assert WHOLE.observation_space.contains(observation)
    rows, mask = observation["units"]["features"], observation["units"]["mask"]
    assert mask.sum() == len(units) == len(message.observation.raw_data.units) > 150
    assert sum(unit["display_type"] == 2 for unit in units) > 100  # remembered
    units.sort(key=lambda unit: (1, 2, 4, 3).index(unit["alliance"]))
    alive, names, called = {unit["tag"]: unit["unit_type"] for unit in units}, ability_names(), told(WHOLE)
    kinds = entry_names("units", *enums())
    buffs = entry_names("buffs", pytest.importorskip("pysc2_evolved.lib.buffs").Buffs)
    for row, unit in zip(rows.tolist(), units, strict=False):
        wanted = expected(unit, size, alive, names, kinds, buffs)
        assert set(wanted) == set(sc.UNIT_FEATURES)
        for column, value in zip(WHOLE.unit_features, row, strict=True):
            if column in called:
                assert called[column][int(value)] == wanted[column], (unit["tag"], column)
            else:
                assert value == pytest.approx(wanted[column], rel=1e-6), (unit["tag"], column)


def test_what_the_recordings_lack_is_read_as_pysc2_reads_it():
    """Cloaks, energy, cargo, add-ons, effects and upgrades: drawn at random into a message, against PySC2's tables."""
    rng = np.random.default_rng(0)
    message, size = type(recordings.with_layers())(), common_pb2.Size2DI(x=168, y=184)
    message.CopyFrom(recordings.with_layers())
    told_raw = message.observation.raw_data
    flags = ("is_blip", "is_flying", "is_burrowed", "is_hallucination", "is_powered", "is_active", "is_on_screen")
    buffs = list(pytest.importorskip("pysc2_evolved.lib.static_data").BUFFS)
    tags = [unit.tag for unit in told_raw.units]
    for unit in told_raw.units:
        for name in flags:
            setattr(unit, name, bool(rng.integers(2)))
        unit.health_max, unit.shield_max, unit.energy_max = 200, 100, 150
        unit.health, unit.shield, unit.energy = (int(v) for v in rng.integers(0, 100, 3))
        unit.cloak, unit.display_type = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        unit.cargo_space_taken, unit.cargo_space_max = (int(v) for v in rng.integers(0, 9, 2))
        unit.attack_upgrade_level, unit.armor_upgrade_level = (int(v) for v in rng.integers(0, 4, 2))
        unit.buff_duration_remain, unit.buff_duration_max = (int(v) for v in rng.integers(0, 999, 2))
        unit.add_on_tag = int(rng.choice([0, *tags[:9]]))
        del unit.buff_ids[:]
        unit.buff_ids.extend(int(b) for b in rng.choice(buffs, rng.integers(0, 4)))
        del unit.orders[:]
        for f in rng.choice(len(raw_functions()), rng.integers(0, 6)):
            unit.orders.add(ability_id=int(raw_functions()[f].ability_id), progress=float(rng.random()))
    for number in rng.integers(1, 13, 6):
        effect = told_raw.effects.add(effect_id=int(number), alliance=int(rng.integers(1, 5)), owner=2, radius=4)
        for x, y in rng.uniform(20, 150, (2, 2)):
            effect.pos.add(x=x, y=y)
    told_raw.player.upgrade_ids.extend((15, 52, 7))
    reads = load().features.Features(interface_format(WHOLE), map_size=size).transform_obs(message)
    observation = Translator(WHOLE, load(), size.x, size.y).observe(Moment(reads, message, 0.0, False))
    order = np.argsort([(1, 2, 4, 3).index(unit.alliance) for unit in told_raw.units], kind="stable")
    theirs = np.asarray(reads["raw_units"])[order]
    ours = dict(zip(WHOLE.unit_features, observation["units"]["features"][: len(order)].T, strict=True))
    column = {f.name: int(f) for f in load().features.FeatureUnit}
    kinds, numbers = entry_names("units", *enums()), told(WHOLE)
    named = entry_names("buffs", pytest.importorskip("pysc2_evolved.lib.buffs").Buffs)
    functions, names = list(load().actions.RAW_FUNCTIONS), ability_names()
    for name in sorted(set(column) & set(ours) - {"x", "y", "radius", "facing", "weapon_cooldown"}):
        values, wanted = ours[name], theirs[:, column[name]]
        if name in numbers:
            said = {"addon": kinds.get, "unit": kinds.get, "buff": named.get}.get(name.partition("_")[0])
            said = said or (lambda f: names.get(int(functions[f].ability_id), ""))
            assert [numbers[name][int(v)] for v in values] == [said(int(v)) for v in wanted], name
        else:
            scale = {"build_progress": 100, "order_progress_0": 100, "order_progress_1": 100}.get(name)
            scale = scale or (255 if name.endswith("_ratio") else 1)
            np.testing.assert_array_equal(np.floor(values.astype(np.float64) * scale + 1e-6), wanted, name)
    assert observation["effects"]["mask"].tolist() == [1] * 8  # of twelve places
    effects, seen_there = observation["effects"]["features"], np.asarray(reads["raw_effects"])[:8]
    np.testing.assert_array_equal(effects[:, :4], seen_there[:, :4])
    np.testing.assert_array_equal(np.floor(effects[:, 4:] * 256), seen_there[:, 4:])
    upgrades = entry_names("upgrades", pytest.importorskip("pysc2_evolved.lib.upgrades").Upgrades)
    have = [name for name, flag in zip(WHOLE.upgrades, observation["upgrades"], strict=True) if flag]
    assert have == [upgrades[n] for n in (7, 15, 52)]


def test_what_is_not_told_apart_is_any_other():
    data, size = raw("AcropolisLE")
    face = sc.Interface(
        style="raw",
        max_units=512,
        unit_features=("unit_type", "order_id_0"),
        vocabulary=("SCV", "terran"),
        functions=("no_op",),
        screen_planes=(),
    )
    message = recordings.ladder("AcropolisLE")[0]
    rows, orders = seen(message, size, face)["units"]["features"].T
    units = sorted(units_of(data), key=lambda unit: (1, 2, 4, 3).index(unit["alliance"]))
    workers = [unit["unit_type"] == 45 for unit in units]
    assert sum(workers) == 12
    np.testing.assert_array_equal(rows[: len(units)] == 1, workers)
    np.testing.assert_array_equal(orders[: len(units)], [bool(unit["orders"]) for unit in units])
    neutral = [unit["alliance"] == 3 for unit in units]
    assert not rows[: len(units)][neutral].any()
    for number, name in UNIT.items():
        assert raw_pb2.Unit.DESCRIPTOR.fields_by_number[number].name == name
