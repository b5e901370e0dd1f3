"""The same seed and the same actions: the same game through PySC2 as natively, layer by layer, unit by unit.

PySC2's own ``Features`` turns actions into messages and messages into arrays; the session answers them without a
socket in between.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

features = pytest.importorskip("pysc2_evolved.lib.features")

from pysc2_evolved.lib import actions  # noqa: E402
from s2clientprotocol import sc2api_pb2 as sc_pb  # noqa: E402

from envs.spaces import ACTION_MASK  # noqa: E402
from envs.standin.players.roster import interface_for_player, make_player, random_player  # noqa: E402
from envs.standin.protocol.dispatch import respond  # noqa: E402
from envs.standin.protocol.session import Session  # noqa: E402
from envs.standin.rules.catalog import type_table  # noqa: E402
from envs.standin.vector_env import make  # noqa: E402
from envs.starcraft import interface as sc  # noqa: E402
from envs.starcraft.maps import MAPS, interface_for  # noqa: E402

API_IDS = type_table()["api_id"]
BUFFS = np.array([0, 271, 274])
STEPS = 60


class Client:
    """PySC2's half of the protocol, with the session at its other end."""

    def __init__(self, name: str, seed: int, interface: sc.Interface) -> None:
        self.session = Session()
        self.raw = interface.style == "raw"
        if self.raw:
            form = features.AgentInterfaceFormat(
                use_raw_units=True, use_raw_actions=True, raw_resolution=interface.minimap
            )
            options = sc_pb.InterfaceOptions(raw=True, score=True)
        else:
            sides = features.Dimensions(screen=interface.screen, minimap=interface.minimap)
            form = features.AgentInterfaceFormat(
                feature_dimensions=sides, use_feature_units=True, hide_specific_actions=not interface.special
            )
            options = sc_pb.InterfaceOptions(raw=True, score=True)
            layers = options.feature_layer
            layers.width, layers.allow_cheating_layers = sc.CAMERA_WIDTH, True
            sides.screen.assign_to(layers.resolution)
            sides.minimap.assign_to(layers.minimap_resolution)
        game = sc_pb.RequestCreateGame(random_seed=seed, local_map=sc_pb.LocalMap(map_path=f"mini_games/{name}.SC2Map"))
        game.player_setup.add(type=sc_pb.Participant)
        self.ask(create_game=game)
        self.ask(join_game=sc_pb.RequestJoinGame(race=1, options=options))
        info = self.ask(game_info=sc_pb.RequestGameInfo()).game_info
        self.features = features.features_from_game_info(info, agent_interface_format=form)
        self.observe()

    def ask(self, **request: Any) -> Any:
        response = sc_pb.Response.FromString(respond(self.session, sc_pb.Request(**request).SerializeToString()))
        assert not response.error
        return response

    def observe(self) -> None:
        self.told = self.ask(observation=sc_pb.RequestObservation()).observation
        self.arrays = self.features.transform_obs(self.told)

    def act(self, function: int, arguments: list[list[int]], loops: int) -> int:
        call = actions.FunctionCall.init_with_validation(function, arguments, raw=self.raw)
        action = self.features.transform_action(self.told.observation, call)
        result = self.ask(action=sc_pb.RequestAction(actions=[action])).action.result[0]
        self.ask(step=sc_pb.RequestStep(count=loops))
        self.observe()
        return result


def everything(interface: sc.Interface) -> sc.Interface:
    """The same functions, but with all planes, numbers and columns observed."""
    return replace(
        interface,
        unit_features=tuple(sc.UNIT_FEATURES),
        screen_planes=() if interface.style == "raw" else tuple(sc.SCREEN_PLANES),
        minimap_planes=() if interface.style == "raw" else tuple(sc.MINIMAP_PLANES),
        numbers=tuple(sc.NUMBERS),
    )


def compare(client: Client, env: Any, observation: Any) -> None:
    told, arrays = client.told.observation, client.arrays
    if not client.raw:
        layers(observation["screen"][0], arrays["feature_screen"], sc.SCREEN_PLANES)
        layers(observation["minimap"][0], arrays["feature_minimap"], sc.MINIMAP_PLANES)
        allowed = set(arrays["available_actions"].tolist())
        for name, possible in zip(env.interface.functions, observation[ACTION_MASK]["function"][0], strict=True):
            assert (sc.FUNCTIONS[name].id in allowed) == bool(possible), name
    numbers(dict(zip(sc.NUMBERS, observation["player"][0].tolist(), strict=True)), told, arrays)
    camera = told.raw_data.player.camera
    shown = [
        u for u in told.raw_data.units if client.raw or max(abs(u.pos.x - camera.x), abs(u.pos.y - camera.y)) <= 12
    ]
    # The interface shows own units first, then enemies, then neutrals; the game shows them as they came.
    order = sorted(range(len(shown)), key=lambda i: {1: 0, 4: 1, 3: 2}[shown[i].alliance])
    mask = observation["units"]["mask"][0]
    assert mask.sum() == min(len(shown), len(mask))
    names = list(sc.UNIT_FEATURES)
    pixels = {  # PySC2 lists those that the camera sees, not those that the planes show
        told_of.tag: row
        for told_of, row in zip(
            [u for u in told.raw_data.units if client.raw or u.is_on_screen],
            arrays["raw_units" if client.raw else "feature_units"],
            strict=True,
        )
    }
    for row, i in zip(observation["units"]["features"][0], order, strict=False):
        unit(dict(zip(names, row.tolist(), strict=True)), shown[i], camera, pixels.get(shown[i].tag), env)


def layers(native: Any, pysc2: Any, table: Any) -> None:
    for i, name in enumerate(table):
        if name == "last_seen":  # made of what PySC2 shows: see test_orders.py
            continue
        expected = native[:, :, i].astype(np.int64)
        if name == "unit_type":
            expected = API_IDS[expected]
        elif name == "buffs":
            expected = BUFFS[expected]
        np.testing.assert_array_equal(pysc2[name], expected, err_msg=name)


def numbers(native: dict[str, float], told: Any, arrays: Any) -> None:
    assert native["game_loop"] == told.game_loop == arrays["game_loop"][0]
    assert native["score"] == told.score.score
    for name in ("minerals", "vespene", "food_cap", "food_workers", "idle_worker_count", "army_count"):
        assert native[name] == arrays["player"][name], name
    for name in ("food_used", "food_army"):
        assert int(native[name]) == arrays["player"][name], name
    camera = told.raw_data.player.camera
    assert native["camera_x"] == pytest.approx(camera.x / sc.MAP_SIZE)
    assert native["camera_y"] == pytest.approx(1 - camera.y / sc.MAP_SIZE)
    panel = len(arrays["single_select"]) or len(arrays["multi_select"])
    assert native["selected_count"] == panel or not native["selected_count"]


def unit(native: dict[str, float], told: Any, camera: Any, pixels: Any, env: Any) -> None:
    raw = env.interface.style == "raw"
    left, top, width = (0.0, sc.MAP_SIZE, sc.MAP_SIZE) if raw else (camera.x - 12, camera.y + 12, 24.0)
    columns, rows = env.interface.minimap_size if raw else env.interface.screen_size
    x, y = (told.pos.x - left) / width, (top - told.pos.y) / width
    assert (native["x"], native["y"]) == pytest.approx((x, y), abs=1e-6)
    assert pixels is not None or not told.is_on_screen
    for seen, place, size in ((pixels.x, x, columns), (pixels.y, y, rows)) if pixels is not None else ():
        assert seen == math.floor(place * size) or abs(place * size - round(place * size)) < 1e-4
    assert API_IDS[int(native["unit_type"])] == told.unit_type
    assert native["alliance"] == told.alliance
    assert native["health"] == pytest.approx(told.health)
    assert native["health_ratio"] == pytest.approx(told.health / told.health_max)
    assert native["selected"] == told.is_selected
    assert native["radius"] == told.radius
    assert native["weapon_cooldown"] == pytest.approx(told.weapon_cooldown)
    assert BUFFS[int(native["carrying"])] == (told.buff_ids[0] if told.buff_ids else 0)
    assert native["build_progress"] == pytest.approx(told.build_progress)
    assert int(native["contents"]) == told.mineral_contents + told.vespene_contents
    if told.alliance == 1:
        training = {524, 560}
        assert native["queue"] == sum(order.ability_id in training for order in told.orders)
        first = told.orders[0].ability_id if told.orders else 0
        assert sc.ORDERS[int(native["order"])] == ORDERS[first]
    whole_interface(native, told, env)
    assert native["ideal_harvesters"] == told.ideal_harvesters
    assert native["assigned_harvesters"] == told.assigned_harvesters


def whole_interface(native: dict[str, float], told: Any, env: Any) -> None:
    """The columns that have the protocol's own names."""
    for name in (
        "shield", "energy", "cargo_space_taken", "cargo_space_max", "display_type", "owner", "cloak", "is_blip",
        "is_powered", "is_flying", "is_burrowed", "is_on_screen", "mineral_contents", "vespene_contents",
        "attack_upgrade_level", "armor_upgrade_level", "shield_upgrade_level", "detect_range", "radar_range",
    ):  # fmt: skip
        assert native[name] == getattr(told, name), name
    assert native["active"] == told.is_active
    assert native["facing"] == pytest.approx(told.facing, abs=1e-5) or abs(native["facing"] - told.facing) > 6.28
    assert native["z"] == pytest.approx(told.pos.z)
    assert native["order_length"] == len(told.orders)
    assert native["order_progress_0"] == pytest.approx(told.orders[0].progress if told.orders else 0, abs=1e-6)
    other = max(env.interface.abilities.values(), default=0) + 1
    for k in range(4):
        ability = told.orders[k].ability_id if len(told.orders) > k else 0
        expected = env.interface.abilities.get(ability, other) if ability else 0
        assert native[f"order_id_{k}"] == expected, k
    assert native["buff_id_0"] == (1 if told.buff_ids else 0)  # none are told apart


ORDERS = {
    0: "none", 16: "move", 23: "attack", 17: "patrol", 18: "hold", 295: "gather", 296: "return",
    318: "build", 319: "build", 320: "build", 321: "build", 524: "train", 560: "train",
}  # fmt: skip


def call(env: Any, action: dict[str, Any], arrays: Any, tags: Any) -> tuple[int, list[list[int]]]:
    """PySC2's function and arguments for a choice of the interface's."""
    name = env.interface.functions[int(action["function"][0])]
    function = env.interface.function_table[name]
    arguments = []
    for argument in function.arguments:
        value = action[argument][0] if argument in action else 0
        if argument in ("screen", "screen2", "minimap", "world"):
            face = env.interface
            width, _ = face.screen_size if argument.startswith("screen") else face.minimap_size
            arguments.append([int(value) % width, int(value) // width])
        elif argument == "unit_tags":
            arguments.append([tags[i] for i in np.flatnonzero(value)])
        elif argument == "target_unit_tag":
            arguments.append([tags[int(value)]])
        else:
            arguments.append([int(value)])
    return function.id, arguments


def play(name: str, seed: int, player: Any, interface: sc.Interface, steps: int, restart_at: int) -> None:
    env = make(name, 1, interface=interface)
    observation, _ = env.reset(seed=seed)
    client = Client(name, seed, interface)
    compare(client, env, observation)
    score = 0
    for step in range(steps):
        if step == restart_at:
            observation, _ = env.reset()
            client.ask(restart_game=sc_pb.RequestRestartGame())
            client.observe()
            score = 0
        action = player(observation)
        tags: list[int] = []
        if client.raw:
            tags = raw_tags(client)
            action["unit_tags"] &= observation[ACTION_MASK]["unit_tags"]
            if not action["unit_tags"].any():
                action["function"][:] = 0
            action["target_unit_tag"] %= len(tags)
        result = client.act(*call(env, action, client.arrays, tags), 8)
        observation, reward, terminated, truncated, info = env.step(action)
        assert (result != 1) == bool(info["refused"][0])
        over = bool(terminated[0] or truncated[0])
        assert over == (len(client.told.player_result) > 0) == (client.session.status == sc_pb.ended)
        assert reward[0] == client.told.observation.score.score - score
        score = client.told.observation.score.score
        if over:
            assert client.told.player_result[0].result == (sc_pb.Victory if truncated[0] else sc_pb.Defeat)
            client.ask(restart_game=sc_pb.RequestRestartGame())
            client.observe()
            score = 0
        compare(client, env, observation)


def raw_tags(client: Client) -> list[int]:
    """Each row's tag, in the order of the interface."""
    shown = client.told.observation.raw_data.units
    return [shown[i].tag for i in sorted(range(len(shown)), key=lambda i: {1: 0, 4: 1, 3: 2}[shown[i].alliance])]


@pytest.mark.parametrize("name", MAPS)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), restart=st.integers(1, STEPS))
def test_random_choices(name: str, seed: int, restart: int) -> None:
    interface = everything(interface_for_player("random", name))
    interface = replace(interface, max_units=MAPS[name].capacity, minimap=48)
    play(name, seed, random_player(interface, seed), interface, STEPS, restart)


@pytest.mark.parametrize("style", ["feature", "raw"])
@pytest.mark.parametrize(("screen", "minimap"), [((84, 64), (48, 32)), ((30, 50), (64, 40))])
def test_rectangles(style: str, screen: tuple[int, int], minimap: tuple[int, int]) -> None:
    chosen = interface_for_player("random", "FindAndDefeatZerglings")
    interface = everything(interface_for("FindAndDefeatZerglings", style="raw") if style == "raw" else chosen)
    interface = replace(interface, max_units=28, screen=screen, minimap=minimap)
    play("FindAndDefeatZerglings", 5, random_player(interface, 5), interface, STEPS, -1)


@pytest.mark.parametrize("name", MAPS)
@settings(max_examples=2, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_scripted_choices(name: str, seed: int) -> None:
    interface = everything(interface_for_player("scripted", name))
    steps = 240 if name == "BuildMarines" else 120
    play(name, seed, make_player("scripted", name, interface), interface, steps, -1)


@pytest.mark.parametrize("name", MAPS)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), restart=st.integers(1, STEPS))
def test_raw_choices(name: str, seed: int, restart: int) -> None:
    interface = everything(interface_for(name, style="raw", max_units=MAPS[name].capacity, minimap=32))
    play(name, seed, random_player(interface, seed), interface, STEPS, restart)


@pytest.mark.parametrize("style", ["feature", "raw"])
@pytest.mark.parametrize("name", ["FindAndDefeatZerglings", "CollectMineralsAndGas"])
def test_all_functions_of_pysc2(name: str, style: str) -> None:
    """What the stand-in knows is obeyed; what it does not know the server refuses, and so it is natively."""
    interface = everything(interface_for(name, style=style, functions=["all"], max_units=MAPS[name].capacity))
    play(name, 3, random_player(interface, 3), interface, STEPS, -1)
