"""Environments of any spaces, for property tests: they show legal values, in any form, and watch what is chosen.

What a mask allows is read here from Gymnasium's documentation, not by the code under test.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from hypothesis import strategies as st

from envs.spaces import Feature, Functions, Numbers, Place, Planes, Pointer, Pointers, Units

KEYS = st.sampled_from(["a", "b", "a/b", "", "~", "~0", "0", 0, 1, "x y"])
INTEGERS = st.sampled_from([np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64])
FEATURES = st.lists(
    st.sampled_from([Feature("n"), Feature("l", "log"), Feature("c", "category", 4), Feature("p", "position", 8)]),
    min_size=1,
    max_size=3,
)
BOUND = st.sampled_from([-np.inf, -3.4028234663852886e38, -5e5, -1.0, 0.0, 5.0, 1e7, 3.4028234663852886e38, np.inf])


def _box(pair: tuple[float, float], shape: tuple[int, ...], dtype: Any) -> spaces.Box:
    low, high = sorted(pair)
    if low == high:
        low, high = (-np.inf, high) if high > 0 else (low, np.inf)
    return spaces.Box(low, high, shape, dtype)


def _integer_box(dtype: Any, wide: bool, shape: tuple[int, ...]) -> spaces.Box:
    limits = np.iinfo(dtype)
    return spaces.Box(limits.min if wide else 0, limits.max if wide else 3, shape, dtype)


SHAPES = st.sampled_from([(), (1,), (3,), (2, 2), (2, 1, 2)])
DISCRETE = st.builds(lambda n, start, dtype: spaces.Discrete(n, start=start, dtype=dtype), st.integers(1, 6),
                     st.integers(0, 9), INTEGERS)  # fmt: skip
MULTI_DISCRETE = st.one_of(
    st.builds(
        lambda counts, dtype, start: spaces.MultiDiscrete(counts, dtype=dtype, start=[start] * len(counts)),
        st.lists(st.integers(1, 4), min_size=1, max_size=3), INTEGERS, st.integers(0, 5),
    ),
    st.builds(lambda dtype: spaces.MultiDiscrete(np.array([[2, 3], [4, 1]]), dtype=dtype), INTEGERS),
)  # fmt: skip
BOXES = st.one_of(
    st.builds(_box, st.tuples(BOUND, BOUND), SHAPES, st.sampled_from([np.float32, np.float64])),
    st.builds(_integer_box, INTEGERS, st.booleans(), SHAPES),
    st.builds(lambda shape: spaces.Box(0, 1, shape, np.bool_), SHAPES),
)
MULTI_BINARY = st.sampled_from([1, 3, (2, 2)]).map(spaces.MultiBinary)
PLAIN = st.sampled_from([DISCRETE, MULTI_DISCRETE, BOXES, MULTI_BINARY]).flatmap(lambda kind: kind)


TEXTS = st.builds(
    lambda length, charset: spaces.Text(length, min_length=0, charset=charset),
    st.integers(1, 6),
    st.sampled_from(["ab", "xyz ~"]),
)
GRAPHS = st.builds(
    spaces.Graph,
    st.sampled_from([spaces.Box(-1, 1, (2,)), spaces.Discrete(3, start=2), spaces.Box(-np.inf, np.inf, ())]),
    st.sampled_from([None, spaces.Discrete(2), spaces.Box(0, 1, (2,))]),
)


def nests(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Dicts and Tuples of them, two deep at most."""
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
            st.dictionaries(KEYS, inner, min_size=1, max_size=3).map(spaces.Dict),
        ),
        max_leaves=4,
    )


def objects(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Those, and Sequences and OneOfs of them: what is no array."""
    return st.recursive(
        st.one_of(leaf, TEXTS, GRAPHS),
        lambda inner: st.one_of(
            st.builds(lambda part, stack: spaces.Sequence(part, stack=stack), inner, st.booleans()),
            st.lists(inner, min_size=1, max_size=3).map(spaces.OneOf),
            st.lists(inner, min_size=1, max_size=2).map(spaces.Tuple),
            st.dictionaries(KEYS, inner, min_size=1, max_size=2).map(spaces.Dict),
        ),
        max_leaves=3,
    )


SETS = st.builds(Units, st.integers(1, 4), FEATURES)
MAPS = st.builds(
    lambda features, dtype: Planes(2, 4, features, dtype), FEATURES, st.sampled_from([np.uint8, np.float32])
)
OBSERVATIONS = nests(st.one_of(PLAIN, SETS, MAPS, FEATURES.map(Numbers), objects(st.one_of(PLAIN, SETS))))
ONE_OFS = st.lists(nests(PLAIN), min_size=1, max_size=3).map(spaces.OneOf)


@st.composite
def worlds(draw: Any) -> Any:
    """An observation space, an action space, and how an environment of these behaves."""
    observed = draw(OBSERVATIONS)
    leaves: st.SearchStrategy[Any] = st.one_of(PLAIN, ONE_OFS)
    if draw(st.booleans()):  # units and a map to point to
        capacity = draw(st.integers(1, 4))
        observed = spaces.Dict(
            {"u": Units(capacity, draw(FEATURES)), "m/p": Planes(2, 2, draw(FEATURES)), "o": observed}
        )
        pointers = [Pointer("u", capacity), Pointers("u", capacity), Place("m~1p", 2, 2)]
        calls = Functions(
            {"wait": (), "aim": ("one", "where"), "call": ("some", "much")},
            {"one": pointers[0], "some": pointers[1], "where": pointers[2], "much": draw(st.one_of(DISCRETE, BOXES))},
        )
        leaves = st.one_of(PLAIN, ONE_OFS, st.sampled_from([*pointers, calls]))
    return (
        observed,
        draw(nests(leaves)),
        draw(st.integers(0, 2**31)),
        draw(st.sampled_from(["none", "info", "shown", "info", "shown"])),
    )


class Anything(gymnasium.Env[Any, Any]):
    """Shows random values of a space, asks for masks, and keeps what is wrong with the actions that it is given."""

    wrong: list[str] = []  # noqa: RUF012 - of all games, so that a copy in a checkpoint tells, too

    def __init__(self, observed: spaces.Space[Any], chosen: spaces.Space[Any], seed: int, masks: str) -> None:
        self.random = np.random.default_rng(seed)
        self.shown_space, self.action_space, self.masks = observed, chosen, masks
        self.restricted = {keys for keys, _ in _leaves(chosen) if self.random.random() < 0.8}
        self.loose = bool(self.random.integers(2))
        self.observation_space = observed
        if masks == "shown":
            # a OneOf's is told in Gymnasium's form here, a tuple, which no Dict can hold
            self.restricted &= {keys for keys, _ in _leaves(chosen, spaces.Dict | spaces.Tuple)}
            mask = _mask_space(chosen, self.restricted)
            if mask is None:
                self.masks = "none"
            elif isinstance(observed, spaces.Dict) and not isinstance(observed, Units):
                self.observation_space = spaces.Dict({**observed.spaces, "action_mask": mask})
            else:
                self.observation_space = spaces.Dict({"observation": observed, "action_mask": mask})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps, self.length = 0, int(self.random.integers(1, 12))
        return self._show(first=True)

    def step(self, action: Any) -> Any:
        self.steps += 1
        action = _plain(action)
        if not self.action_space.contains(action):
            self.wrong.append(f"{action!r} is not in {self.action_space}")
        self.wrong += _violations(self.action_space, self.mask, action, self.truth)
        ended = self.steps >= self.length
        terminated = ended and bool(self.random.integers(2))
        observation, info = self._show(end=ended)
        if ended and self.random.random() < 0.5:
            info = {}  # a mask is not needed where an episode ends
        return observation, float(self.random.normal()), terminated, ended and not terminated, info

    def _show(self, first: bool = False, end: bool = False) -> Any:
        self.truth = value(self.shown_space, self.random)
        self.mask = random_mask(self.action_space, self.restricted, self.random, self.truth)
        shown, info = self.truth, {}
        if self.masks == "none":
            self.mask = None
        elif self.masks == "info" and self.mask is not None:
            if not first:
                self.mask = thinned(self.mask, self.random)
            info["action_mask"] = given(self.action_space, self.mask, self.random)
        elif self.masks == "shown":
            nested = self.observation_space is not self.shown_space and "observation" in self.observation_space.spaces
            nested = nested and self.observation_space["observation"] is self.shown_space
            shown = {"observation": self.truth} if nested else dict(self.truth)
            if not (end and self.random.random() < 0.5):
                shown["action_mask"] = self.mask
        return (loosened(shown) if self.loose else shown), info


def value(space: Any, random: np.random.Generator) -> Any:
    """A finite value of a space."""
    if isinstance(space, Units):
        mask = random.integers(0, 2, space.capacity).astype(np.int8)
        features = random.normal(0, 3, space["features"].shape).astype(np.float32)
        features[mask == 0] = np.nan  # means nothing
        return {"features": features, "mask": mask}
    if isinstance(space, spaces.Dict):
        return {key: value(part, random) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(value(part, random) for part in space.spaces)
    if isinstance(space, spaces.Box):
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        drawn = np.clip(random.normal(0, random.choice([1.0, 1e4]), space.shape), low, high)
        drawn = np.clip(np.rint(drawn), low, np.nextafter(high, -np.inf)) if space.dtype.kind in "iu" else drawn
        return np.clip(np.asarray(drawn).astype(space.dtype), space.low, space.high)
    if isinstance(space, spaces.Text):
        return "".join(random.choice(list(space.character_list), random.integers(space.max_length + 1)))
    if isinstance(space, spaces.Sequence):
        least = int(space.stack)  # Gymnasium cannot stack nothing
        each = tuple(value(space.feature_space, random) for _ in range(random.integers(least, 5)))
        if not space.stack:
            return each
        return concatenate(space.feature_space, each, create_empty_array(space.feature_space, len(each)))
    if isinstance(space, spaces.Graph):
        nodes, edges = random.integers(1, 5), random.integers(0, 6)
        carried = None if space.edge_space is None else [value(space.edge_space, random) for _ in range(edges)]
        return spaces.GraphInstance(
            np.array([value(space.node_space, random) for _ in range(nodes)]),
            carried,
            random.integers(nodes, size=(edges, 2)),
        )
    if isinstance(space, spaces.OneOf):
        which = int(random.integers(len(space.spaces)))
        return which, value(space.spaces[which], random)
    if isinstance(space, spaces.Discrete):
        return int(space.start) + int(random.integers(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return (space.start + (random.random(space.shape) * space.nvec).astype(space.dtype)).astype(space.dtype)
    return random.integers(0, 2, space.shape).astype(np.int8)


def loosened(nest: Any) -> Any:
    """The same as people write it: lists for arrays and tuples, and a note more than the space names."""
    if isinstance(nest, dict):
        return {**{key: loosened(part) for key, part in nest.items()}, "note": "more than the space names"}
    if isinstance(nest, tuple):
        return [loosened(part) for part in nest]
    return nest.tolist() if isinstance(nest, np.ndarray) and nest.dtype.kind != "u" else nest


def random_mask(space: Any, restricted: set[Any], random: np.random.Generator, shown: Any, keys: Any = ()) -> Any:
    """A mask that leaves something to choose: int8 arrays in dicts of what is restricted (a tuple's by position)."""
    if isinstance(space, spaces.Dict | spaces.Tuple | spaces.OneOf):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        found = {k: random_mask(p, restricted, random, shown, (*keys, k)) for k, p in inner}
        return {k: m for k, m in found.items() if m is not None} or None
    if isinstance(space, spaces.Box) or keys not in restricted:
        return None
    if isinstance(space, spaces.MultiBinary):
        return random.integers(0, 2 if isinstance(space, Pointers) else 3, space.shape).astype(np.int8)
    parts = []
    for n in space.nvec.ravel() if isinstance(space, spaces.MultiDiscrete) else [space.n]:
        part = random.integers(0, 2, int(n)).astype(np.int8)
        legal = np.arange(n)
        if isinstance(space, Pointer) and shown["u"]["mask"].any():
            legal = np.flatnonzero(shown["u"]["mask"])
        part[random.choice(legal)] = 1
        parts.append(part)
    return np.concatenate(parts)


def thinned(mask: Any, random: np.random.Generator) -> Any:
    """The mask without some of its parts."""
    if not isinstance(mask, dict):
        return mask
    return {key: thinned(part, random) for key, part in mask.items() if random.random() < 0.8}


def given(space: Any, mask: Any, random: np.random.Generator) -> Any:
    """The mask in one of the forms that people give."""
    if isinstance(space, spaces.Dict | spaces.Tuple | spaces.OneOf):
        inner = dict(space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces))
        each = {k: None if (mask or {}).get(k) is None else given(p, mask[k], random) for k, p in inner.items()}
        if not isinstance(space, spaces.Dict):
            return tuple(each.values())
        return {k: m for k, m in each.items() if m is not None or random.integers(2)}
    if isinstance(space, spaces.MultiDiscrete) and random.integers(2):
        parts = iter(np.split(mask, np.cumsum(space.nvec.ravel().astype(int))[:-1]))
        return _nest(space.shape, parts)
    return [mask, mask.astype(np.float64), mask.astype(np.int64), mask.tolist()][random.integers(4)]


def _nest(shape: Any, parts: Any) -> Any:
    return tuple(_nest(shape[1:], parts) for _ in range(shape[0])) if shape else next(parts)


def _mask_space(space: Any, restricted: set[Any], keys: Any = ()) -> Any:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        found = {k: _mask_space(p, restricted, (*keys, k)) for k, p in inner}
        found = {k: m for k, m in found.items() if m is not None}
        return spaces.Dict(found) if found else None
    if isinstance(space, spaces.Box) or keys not in restricted:
        return None
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiBinary(int(space.nvec.sum(dtype=int)))
    return spaces.Box(0, 2, space.shape if isinstance(space, spaces.MultiBinary) else (int(space.n),), np.int8)


def _leaves(space: Any, nests: Any = spaces.Dict | spaces.Tuple | spaces.OneOf, keys: Any = ()) -> Any:
    if isinstance(space, nests):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        return [leaf for key, part in inner for leaf in _leaves(part, nests, (*keys, key))]
    return [(keys, space)]


def _plain(action: Any) -> Any:
    return {key: _plain(part) for key, part in action.items()} if isinstance(action, dict) else action


def _violations(space: Any, mask: Any, action: Any, shown: Any) -> list[str]:
    """What of an action its mask or the units that are there forbid."""
    if isinstance(space, spaces.OneOf):
        which, inner = action
        return _violations(space.spaces[which], None if mask is None else mask.get(which), inner, shown)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        taken = set(dict(inner))
        if isinstance(space, Functions):
            taken = {"function", *space.functions[space.names[int(action["function"])]]}
        return [
            fault
            for key in taken
            for fault in _violations(space[key], None if mask is None else mask.get(key), action[key], shown)
        ]
    faults = []
    if isinstance(space, Pointer | Pointers):
        there = np.asarray(shown["u"]["mask"])
        chosen = np.flatnonzero(action) if isinstance(space, Pointers) else [int(action)]
        if (there.any() or isinstance(space, Pointers)) and not all(there[row] for row in chosen):
            faults.append(f"{space}: {chosen} of {there} are not there")
        elif not there.any():
            return faults  # nothing that a mask could point to
    if mask is None or isinstance(space, spaces.Box):
        return faults
    if isinstance(space, Pointers):
        legal = not (np.asarray(action) & (mask == 0)).any()
    elif isinstance(space, spaces.MultiBinary):
        legal = bool(((mask == 2) | (mask == action)).all())
    elif isinstance(space, spaces.MultiDiscrete):
        ends = np.cumsum(space.nvec.ravel().astype(int))[:-1]
        chosen = (action - space.start).ravel()
        legal = all(part[c] == 1 for part, c in zip(np.split(mask, ends), chosen, strict=True))
    else:
        legal = bool(mask[int(action) - int(space.start)] == 1)
    return faults if legal else [*faults, f"{space}: {action!r} against {mask}"]
