"""The interface against PySC2's own tables, and its refusals."""

import numpy as np
import pytest

from envs.starcraft import interface as sc
from envs.starcraft.maps import MAPS, interface_for


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
        assert list(ours) == [f.name for f in theirs]
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
        ({"screen": 0}, "screen"),
        ({"style": "both"}, "style"),
        ({"style": "raw", "functions": ("no_op",), "max_units": 0}, "max_units"),
        ({"max_units": 0, "screen_planes": (), "numbers": ()}, "nothing"),
    ],
)
def test_refusals_name_the_option_and_the_way_out(options, message):
    with pytest.raises(sc.InterfaceError, match=message):
        sc.Interface(**options)
