"""The interface against PySC2's own tables, and its refusals."""

import copy

import numpy as np
import pytest
import torch

from agents.config import Config, PPOConfig
from agents.placement.local import Training
from envs import registry
from envs.spaces import ACTION_MASK, Pointer, Pointers
from envs.standin.vector_env import make
from envs.starcraft import interface as sc
from envs.starcraft.maps import MAPS, common_interface, interface_for
from perceiver_policy.policy.config import PolicyConfig


@pytest.fixture(scope="module")
def pysc2():
    pytest.importorskip("pysc2_evolved", reason="the functions are compared with those of pysc2_evolved")
    from pysc2_evolved.lib import actions, features

    return actions, features


@pytest.mark.parametrize("raw", [False, True])
def test_functions_are_pysc2s(pysc2, raw):
    actions, _ = pysc2
    theirs = actions.RAW_FUNCTIONS if raw else actions.FUNCTIONS
    ours = sc.RAW_FUNCTIONS if raw else sc.FUNCTIONS
    for name, function in ours.items():
        assert function.id == int(theirs[name].id), name
        assert function.arguments == tuple(t.name for t in theirs[name].args), name


def test_argument_sizes_are_pysc2s(pysc2):
    actions, _ = pysc2
    for name, size in sc.ARGUMENTS.items():
        if size:
            assert getattr(actions.TYPES, name).sizes == (size,), name


def test_planes_are_pysc2s(pysc2):
    _, features = pysc2
    for ours, theirs in (
        (sc.SCREEN_PLANES, features.SCREEN_FEATURES),
        (sc.MINIMAP_PLANES, features.MINIMAP_FEATURES),
    ):
        assert [name for name in ours if name != "last_seen"] == [f.name for f in theirs]
        for f in theirs:
            categorical = f.type == features.FeatureType.CATEGORICAL
            assert (ours[f.name].kind == "category") == categorical, f.name
            if categorical and f.name not in ("unit_type", "buffs"):
                assert ours[f.name].scale == f.scale, f.name


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("style", ["feature", "raw"])
def test_spaces_hold_their_own_samples(name, style):
    face = interface_for(name, style=style)
    assert face.observation_space.contains(face.observation_space.sample())
    action = face.action_space.sample({"function": np.ones(len(face.functions), np.int8)})
    assert face.action_space.contains(action)


@pytest.mark.parametrize("name", [*MAPS, "Simple64"])
def test_the_raw_style_shows_no_screen(name):
    face = interface_for(name, style="raw")
    assert face.screen_planes == ()
    assert "screen" not in face.observation_space.spaces
    assert interface_for(name, style="raw", screen_planes=["selected"]).screen_planes == ("selected",)
    both = common_interface(["MoveToBeacon", "DefeatRoaches"], style="raw")
    assert both.screen_planes == ()


@pytest.mark.parametrize("name", [*MAPS, "Simple64"])
def test_every_map_can_be_learned_in_the_raw_style(name):
    """A policy acts and is updated, places that no planes show included."""
    options = {"opponent": "terran:easy"} if name == "Simple64" else {}
    env = registry.make(f"sim/{name}", 2, style="raw", **options)
    small = PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, position_bands=2)
    config = Config(num_envs=2, policy=small, ppo=PPOConfig(unroll=4, minibatch=8, epochs=1))
    training = Training(config, env, torch.device("cpu"))
    for _ in range(2):
        training.step()
    assert training.learner.steps == 16


def test_a_command_to_one_unit_is_one_to_a_set_of_one():
    """And of no other: two games, a command each."""
    options = {"style": "raw", "functions": ["no_op", "Move_unit"], "unit_features": ["x", "y", "order"]}
    env, sets = (make("CollectMineralShards", 2, **options, one_unit=one) for one in (True, False))
    assert isinstance(env.single_action_space["unit_tags"], Pointer)
    assert isinstance(sets.single_action_space["unit_tags"], Pointers)
    env.reset(seed=0)
    sets.reset(seed=0)
    rows, shards = np.array([1, 0]), np.array([5, 9])
    for _ in range(3):
        told = {"function": np.ones(2, np.int64), "target_unit_tag": shards}
        ours, *_ = env.step({**told, "unit_tags": rows})
        theirs, *_ = sets.step({**told, "unit_tags": np.eye(env.interface.max_units, dtype=np.int8)[rows]})
        np.testing.assert_array_equal(ours["units"]["features"], theirs["units"]["features"])
        moving = ours["units"]["features"][:, :2, 2] != 0
        assert moving.tolist() == [[False, True], [True, False]]
    with pytest.raises(sc.InterfaceError, match="one_unit: only the raw style"):
        sc.Interface(one_unit=True)


@pytest.mark.parametrize("minimap", [32, 40, 64])
def test_raw_places_are_masked_where_only_buildings_have_some(minimap):
    """A depot can be begun at each cell that the mask leaves and at no other: two away from the map's edges, where it
    would stick out."""
    functions = ["no_op", "Build_SupplyDepot_pt"]
    options = {"style": "raw", "one_unit": True, "max_units": 64, "minimap": minimap, "functions": functions}
    env = make("BuildMarines", 64, step_mul=250, **options)
    env.reset(seed=0)
    stand = np.zeros(64, np.int64)
    wait = {"function": stand, "unit_tags": stand, "world": stand}
    env.step(wait)
    seen = copy.deepcopy(env.step(wait)[0])
    assert (seen["player"][:, env.interface.numbers.index("minerals")] >= 100).all()
    mask = seen[ACTION_MASK]["world"][0]
    lines, columns = np.nonzero(mask.reshape(minimap, minimap))
    line, column = np.arange(minimap**2) // minimap, np.arange(minimap**2) % minimap
    middle = (line > lines.min() + 1) & (line < lines.max() - 1)
    middle &= (column > columns.min() + 1) & (column < columns.max() - 1)
    generator = np.random.default_rng(minimap)
    cells = np.concatenate([generator.choice(np.flatnonzero(middle & (mask == legal)), 32) for legal in (1, 0)])
    scv = env.interface.vocabulary.index("SCV") + 1
    worker = np.array([np.flatnonzero(units[:, 0] == scv)[0] for units in seen["units"]["features"]])
    *_, info = env.step({"function": np.ones(64, np.int64), "unit_tags": worker, "world": cells})
    assert info["refused"].tolist() == [0] * 32 + [1] * 32


def test_raw_places_are_not_masked_where_armies_go_there_too():
    env = make("BuildMarines", 1, style="raw", functions=["no_op", "Build_SupplyDepot_pt", "Move_pt"])
    assert "world" not in env.reset(seed=0)[0][ACTION_MASK]
    env = make("BuildMarines", 1, style="raw", functions=["no_op", "Train_SCV_quick"])
    assert "world" not in env.reset(seed=0)[0][ACTION_MASK]


@pytest.mark.parametrize(("screen", "minimap"), [([84, 64], 64), ((16, 20), [30, 24])])
def test_screens_may_be_rectangles_as_in_pysc2(screen, minimap):
    planes = {"screen_planes": ("selected",), "minimap_planes": ("camera",)}
    face = sc.Interface(screen=screen, minimap=minimap, functions=("no_op", "Move_screen", "Move_minimap"), **planes)
    assert face.screen_size == tuple(screen)
    assert face == sc.Interface(**{**vars(face), "screen": tuple(screen)})
    assert hash(face)
    observed, chosen = face.observation_space, face.action_space
    assert observed["screen"].shape == (screen[1], screen[0], 1)
    assert (chosen["screen"].width, chosen["screen"].height) == face.screen_size
    assert (chosen["minimap"].width, chosen["minimap"].height) == face.minimap_size
    env = make("MoveToBeacon", 2, interface=face)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert sc.Interface(screen=[32, 32]) == sc.Interface(screen=32)


def test_only_what_is_asked_for_is_in_the_spaces():
    face = sc.Interface(max_units=0, screen_planes=(), minimap_planes=("camera",), numbers=())
    assert set(face.observation_space.spaces) == {"minimap", "action_mask"}
    assert set(face.action_space.spaces) == {"function", "screen"}
    assert set(sc.Interface(functions=("no_op", "select_army"), arguments=("select_add",)).action_space.spaces) == {
        "function",
        "select_add",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"functions": ("no_op", "Move_scren")}, "Move_screen"),
        ({"functions": ("Move_screen",)}, "no_op"),
        ({"functions": ("no_op", "no_op")}, "twice"),
        ({"screen_planes": ("player_relativ",)}, "player_relative"),
        ({"unit_features": ("typ",)}, "unit_features"),
        ({"numbers": ("mineral",)}, "minerals"),
        ({"arguments": ("queue",)}, "queued"),
        ({"screen": 0}, "screen: expected a whole number from 1 to 512, or two"),
        ({"screen": 16.0}, "screen"),
        ({"screen": True}, "screen"),
        ({"screen": [84]}, "screen"),
        ({"screen": [84, 64, 3]}, "screen"),
        ({"screen": [84, "64"]}, "screen"),
        ({"minimap": 1e9}, "minimap"),
        ({"max_units": True}, "max_units"),
        ({"max_units": 8.5}, "max_units"),
        ({"max_units": 513}, "max_units"),
        ({"functions": "no_op"}, "functions: expected a list of names"),
        ({"screen_planes": 3}, "screen_planes: expected a list of names"),
        ({"style": "both"}, "style"),
        ({"style": "raw", "functions": ("no_op",), "max_units": 0}, "max_units"),
        ({"max_units": 0, "screen_planes": (), "numbers": ()}, "nothing"),
    ],
)
def test_refusals_name_the_option_and_the_way_out(options, message):
    with pytest.raises(sc.InterfaceError, match=message):
        sc.Interface(**options)
