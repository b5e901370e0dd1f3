import pickle

import numpy as np
import optree
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agents.placement.transport import ALIGNMENT, pack, unpack

DTYPES = st.sampled_from(["float32", "float64", "int64", "int8", "uint8", "bool", "int32"])
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
LEAVES = st.one_of(ARRAYS, ARRAYS.map(torch.from_numpy), st.integers(), st.text(max_size=3), st.none())
NESTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(NESTS)
def test_a_nest_comes_back_as_it_went(nest):
    packed = pickle.loads(pickle.dumps(pack(nest)))
    found = unpack(packed)
    assert packed.buffer.ndim == 1
    a, structure = optree.tree_flatten(nest, none_is_leaf=True)
    b, same = optree.tree_flatten(found, none_is_leaf=True)
    assert structure == same
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y)
        if isinstance(x, torch.Tensor):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x.numpy(), y.numpy())
        elif isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y


def test_unpacking_copies_nothing():
    packed = pack({"a": torch.arange(6).view(2, 3), "b": np.ones(3, np.float32)})
    found = unpack(packed)
    packed.buffer[:] = 0
    assert found["a"].sum() == 0
    assert found["b"].sum() == 0
    assert found["a"].data_ptr() % ALIGNMENT == packed.buffer.ctypes.data % ALIGNMENT


def test_what_is_not_contiguous_is_copied_in_its_order():
    x = torch.arange(12).view(3, 4).t()
    assert torch.equal(unpack(pack(x)), x)


def test_the_buffer_travels_out_of_band():
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(pack([torch.zeros(10_000), np.zeros(10_000)]), protocol=5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    assert buffers[0].raw().nbytes == pytest.approx(120_000, abs=2 * ALIGNMENT)
    assert len(stream) < 2000
