import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.spaces import Feature, Functions, Numbers, PerUnit, Place, Planes, Pointer, Pointers, Units, at, describe


def functions() -> Functions:
    return Functions(
        {"no_op": [], "move": ["queued", "screen"], "attack": ["target"], "select": ["units"]},
        {
            "queued": spaces.Discrete(2),
            "screen": Place("screen", 3, 5),
            "target": Pointer("units", 6),
            "units": Pointers("units", 6),
        },
    )


def test_units_hold_their_features_and_their_mask():
    units = Units(4, [Feature("x", "position", 64), Feature("type", "category", 9)])
    assert units["features"].shape == (4, 2)
    assert units.contains({"features": np.full((4, 2), 7, np.float32), "mask": np.ones(4, np.int8)})
    assert not units.contains({"features": np.zeros((4, 3), np.float32), "mask": np.ones(4, np.int8)})


@pytest.mark.parametrize(
    ("name", "kind", "scale", "problem"),
    [
        ("x", "scaler", 1.0, "unknown kind"),
        ("x", "scalar", 0.0, "positive"),
        ("x", "category", 2.5, "number of values"),
    ],
)
def test_a_wrong_feature_is_refused_by_name(name, kind, scale, problem):
    with pytest.raises(ValueError, match=rf"'x'.*{problem}"):
        Feature(name, kind, scale)


def test_planes_bound_categories_and_fit_their_type():
    planes = Planes(2, 3, [Feature("who", "category", 5), Feature("light", scale=255)], np.uint8)
    assert planes.shape == (2, 3, 2)
    assert (planes.height, planes.width) == (2, 3)
    assert planes.high[0, 0].tolist() == [4, 255]
    assert not planes.contains(np.full((2, 3, 2), 5, np.uint8))


def test_numbers_have_a_column_for_each_name():
    assert Numbers([Feature("minerals", "log"), Feature("supply")]).shape == (2,)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.booleans(), min_size=4, max_size=4).filter(any),
    st.lists(st.booleans(), min_size=6, max_size=6).filter(any),
)
def test_sampled_choices_are_legal_and_leave_what_is_not_taken_at_zero(allowed, alive):
    space = functions()
    action = space.sample({"function": allowed, "target": alive})
    assert space.contains(action)
    function = space.names[action["function"]]
    assert allowed[action["function"]]
    for name in space.arguments:
        if name not in space.functions[function]:
            assert not np.any(action[name])
    if function == "attack":
        assert alive[action["target"]]


def test_uses_says_which_function_takes_which_argument():
    assert functions().uses.tolist() == [
        [False, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]


def test_a_function_with_an_unknown_argument_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'move'.*'where'"):
        Functions({"move": ["where"]}, {"screen": spaces.Discrete(3)})
    with pytest.raises(ValueError, match="function"):
        Functions({"move": []}, {"function": spaces.Discrete(3)})


def test_gymnasium_batches_them_and_takes_them_apart():
    space = functions()
    space.seed(3)
    batch = batch_space(space, 2)
    singles = list(iterate(batch, batch.sample()))
    assert len(singles) == 2
    assert all(space.contains(dict(single)) for single in singles)


def test_at_follows_keys_and_positions():
    assert at({"a": ({"b": 3}, 4)}, "a/0/b") == 3
    assert at({"a": 1}, "") == {"a": 1}
    assert at(spaces.Dict({"u": spaces.Tuple([spaces.Discrete(2), spaces.Discrete(7)])}), "u/1").n == 7


def test_a_description_is_a_line_that_tells_apart_what_policies_are_built_from():
    def scene(planes="selected", capacity=4, bound=1.0):
        return spaces.Dict(
            {
                "units": Units(capacity, [Feature("x", "position", 64)]),
                "screen": Planes(16, 16, [Feature(planes, "category", 2)]),
                "sound": spaces.Box(np.linspace(-bound, 0, 900, dtype=np.float32), bound, (900,)),
                "more": spaces.Tuple([spaces.Discrete(3, start=1), spaces.Box(-bound, bound, (2,))]),
            }
        )

    told = describe(scene())
    assert "\n" not in told
    assert len(told) < 300
    others = [scene(planes="creep"), scene(capacity=5), scene(bound=2.0), spaces.Discrete(3)]
    assert len({told, *map(describe, others)}) == 5
    assert describe(functions()) == (
        "Functions[no_op(), move(queued, screen), attack(target), select(units); queued: Discrete(2), "
        "screen: Place[3 x 5 of screen], target: Pointer[6 of units], units: Pointers[6 of units]]"
    )


@pytest.mark.parametrize("seed", [7, "by parts"])
def test_a_seed_decides_what_is_drawn_for_every_unit(seed):
    orders = PerUnit(
        "units", 5, {"keep": (), "go": ("where",), "turn": ("by",)},
        {"where": Place(None, 3, 4), "by": spaces.Box(-1, 1, (1,))},
    )  # fmt: skip
    draws = []
    for _ in range(2):
        orders.seed(seed if isinstance(seed, int) else {"function": 1, "where": 2, "by": 3})
        draws.append([orders.sample() for _ in range(20)])
    for one, other in zip(*draws, strict=True):
        for name in orders:
            np.testing.assert_array_equal(one[name], other[name])
