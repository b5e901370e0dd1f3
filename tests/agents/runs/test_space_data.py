"""Spaces as data: what comes back is the same space, by Gymnasium's own equality and by what a policy reads of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runs.space_data import from_data, to_data
from envs.arrays import as_arrays
from envs.spaces import Choice, Feature, Numbers, PerUnit, Place, Pointer, describe
from tests.policies import FUNCTIONS, SCREEN, UNITS

ORDERS = PerUnit(
    "units",
    5,
    {"stop": (), "go": ("screen", "pace"), "hit": ("unit",)},
    {"screen": Place(None, 4, 4, units="units"), "unit": Pointer("units", 5), "pace": spaces.Box(-1, 1, (2,))},
)
FLOATS = st.floats(width=32, allow_nan=False)


@st.composite
def boxes(draw: Any) -> spaces.Box:
    shape = draw(st.lists(st.integers(1, 5), max_size=3))
    dtype = draw(st.sampled_from(["float32", "float64", "int8", "uint8", "int64", "uint64", "bool"]))
    size = int(np.prod(shape, dtype=int))
    if dtype.startswith("float"):
        pairs = draw(st.lists(st.tuples(FLOATS, FLOATS), min_size=size, max_size=size))
    else:
        info = np.iinfo(dtype) if dtype != "bool" else None
        whole = st.integers(int(info.min), int(info.max)) if info else st.integers(0, 1)
        pairs = draw(st.lists(st.tuples(whole, whole), min_size=size, max_size=size))
    low, high = (np.array([f(pair) for pair in pairs], dtype).reshape(shape) for f in (min, max))
    infinite = np.isinf(low.astype(float)) & (low.astype(float) > 0) | np.isinf(high.astype(float)) & (high < 0)
    low, high = np.where(infinite, 0, low).astype(dtype), np.where(infinite, 0, high).astype(dtype)
    return spaces.Box(low, high, dtype=np.dtype(dtype).type)


LEAVES = st.one_of(
    boxes(),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5)),
    st.lists(st.integers(1, 5), min_size=1, max_size=3).map(spaces.MultiDiscrete),
    st.integers(1, 4).map(spaces.MultiBinary),
    st.sampled_from(
        [
            spaces.Text(3, charset="ab"),
            spaces.Sequence(spaces.Tuple([spaces.Discrete(2), spaces.Text(2)]), stack=True),
            spaces.Graph(spaces.Box(-1, 1, (2,)), None),
            spaces.Graph(spaces.Discrete(3), spaces.Discrete(2)),
            spaces.OneOf([spaces.Discrete(2), spaces.Sequence(spaces.MultiBinary(2))]),
        ]
    ).map(as_arrays),
    st.sampled_from([UNITS, SCREEN, FUNCTIONS, ORDERS, Choice(["up", "down"]), Numbers([Feature("gold", "log")])]),
)
NESTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(0, 9)), inner, min_size=1, max_size=3).map(
            lambda parts: spaces.Dict(list(parts.items()))
        ),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    ),
    max_leaves=5,
)


@given(NESTS)
@settings(max_examples=40, deadline=None)
def test_what_is_written_down_is_read_back(space: spaces.Space[Any]) -> None:
    again = from_data(json.loads(json.dumps(to_data(space), allow_nan=False)))
    assert again == space
    assert type(again) is type(space)
    assert describe(again) == describe(space)
    assert to_data(again) == to_data(
        space
    )  # with what no description tells, such as whose positions a Place's frame has


def test_a_picture_takes_little_room() -> None:
    ramp = np.arange(84 * 84, dtype=np.uint8).reshape(84, 84)
    space = spaces.Box(0 * ramp, ramp, dtype=np.uint8)
    data = json.dumps(to_data(space))
    assert len(data) < 1500
    assert from_data(json.loads(data)) == space


class Own(spaces.Discrete):
    """A space of one's own."""


@pytest.mark.parametrize(
    ("space", "named"),
    [(Own(3), "Own"), (spaces.Text(5), "Text"), (spaces.Dict([((1, 2), spaces.Discrete(2))]), "(1, 2)")],  # type: ignore[list-item]
)
def test_what_cannot_be_written_down_is_named(space: spaces.Space[Any], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("(", r"\(").replace(")", r"\)")):
        to_data(space)


@pytest.mark.parametrize("data", [{}, {"space": "Own"}, {"space": "Discrete"}, {"space": "Dict", "parts": [1]}])
def test_what_is_no_data_of_a_space_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="space"):
        from_data(data)
