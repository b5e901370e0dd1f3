"""Spaces whose values are Python objects, as spaces of arrays: what policies read and choose.

| Gymnasium's | here | tokens |
|---|---|---|
| `Text`, MiniGrid's `MissionSpace` | :class:`Characters` | one a character |
| `Sequence` of anything, stacked or not | :class:`Elements` | one an element |
| `Graph` | :class:`Linked` | one a node, one an edge |
| `OneOf` to observe | :class:`Alternatives` | which, and those of the one that is there |
| `OneOf` to choose | `Functions`, one an alternative | |

Arrays have a size, which a Sequence and a Graph do not name: it is the space's attribute ``capacity`` (of a Graph's
edges ``edge_capacity``) where somebody has set it, else 64 (256). What is beyond it is left out, with a word once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from envs.guard import Guarded
from envs.observations import Fault, fit, name_of
from envs.spaces import (
    ACTION_MASK,
    Functions,
    PerUnit,
    Units,
    Whole,
    at,
    describe,
    leaves,
    nearest_to_zero,
    path_of,
    spell,
)

CAPACITY, EDGE_CAPACITY = 64, 256
BABY_MISSION = 96
ASCII = "".join(map(chr, range(32, 127)))
_log = logging.getLogger(__name__)


class Characters(spaces.MultiDiscrete):
    """A text of at most ``length`` characters: 0 where it has ended, 1 for a character that ``charset`` has not."""

    def __init__(self, length: int, charset: str) -> None:
        self.charset = charset
        super().__init__(np.full(length, len(charset) + 2))


class Elements(Whole):
    """At most ``capacity`` values of the space ``element``, in an order: {"elements": [capacity, ...], "mask"}."""

    def __init__(self, capacity: int, element: spaces.Space[Any]) -> None:
        self.capacity, self.element = int(capacity), element
        super().__init__({"elements": batch_space(element, self.capacity), "mask": spaces.MultiBinary(self.capacity)})

    def described(self) -> str:
        """See `envs.spaces.describe`."""
        return f"Elements[{self.capacity}: {describe(self.element)}]"


class Linked(Whole):
    """A graph: {"nodes": [capacity, ...], "node_mask", "links": [edges, 2], "edge_mask"} and "edges" where they carry
    something. A link is the rows of the nodes that it leads from and to."""

    def __init__(
        self, capacity: int, node: spaces.Space[Any], edge_capacity: int, edge: spaces.Space[Any] | None
    ) -> None:
        self.capacity, self.edge_capacity, self.node, self.edge = int(capacity), int(edge_capacity), node, edge
        parts = {
            "nodes": batch_space(node, self.capacity),
            "node_mask": spaces.MultiBinary(self.capacity),
            "links": spaces.Box(0, self.capacity - 1, (self.edge_capacity, 2), np.int64),
            "edge_mask": spaces.MultiBinary(self.edge_capacity),
        }
        super().__init__(parts if edge is None else {**parts, "edges": batch_space(edge, self.edge_capacity)})

    def described(self) -> str:
        """See `envs.spaces.describe`."""
        edges = describe(self.edge) if self.edge else "bare"
        return f"Linked[{self.capacity}: {describe(self.node)}, {self.edge_capacity}: {edges}]"


class Alternatives(Whole):
    """One of several: {"which": n, "0": ..., "1": ...}; those that are not there hold what is nearest to zero."""

    def __init__(self, alternatives: Iterable[spaces.Space[Any]]) -> None:
        self.alternatives = tuple(alternatives)
        numbered = {str(i): part for i, part in enumerate(self.alternatives)}
        super().__init__({"which": spaces.Discrete(len(self.alternatives)), **numbered})

    def described(self) -> str:
        """See `envs.spaces.describe`."""
        return "OneOf[" + ", ".join(map(describe, self.alternatives)) + "]"


def as_arrays(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The space of arrays that observations of ``space`` are read as; itself where it is one."""
    text = _text(space)
    if text:
        return Characters(*text)
    if isinstance(space, spaces.Sequence):
        return Elements(getattr(space, "capacity", CAPACITY), as_arrays(space.feature_space))
    if isinstance(space, spaces.Graph):
        capacity, edges = getattr(space, "capacity", CAPACITY), getattr(space, "edge_capacity", EDGE_CAPACITY)
        return Linked(capacity, space.node_space, edges, space.edge_space)
    if isinstance(space, spaces.OneOf):
        return Alternatives(map(as_arrays, space.spaces))
    return _rebuilt(space, as_arrays)


def as_choices(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The space that actions of ``space`` are chosen in; itself where it is one that can be chosen in."""
    if isinstance(space, spaces.OneOf):
        calls: dict[str, tuple[str, ...]] = {}
        arguments: dict[str, spaces.Space[Any]] = {}
        for i, alternative in enumerate(space.spaces):
            own = {_argument(alternative, i, keys): part for keys, part in leaves(alternative)}
            calls[str(i)] = tuple(own)
            arguments |= own
        return Functions(calls, arguments)
    return _rebuilt(space, as_choices)


def _argument(alternative: spaces.Space[Any], i: int, keys: Any) -> str:
    return "/".join(filter(None, (str(i), path_of(alternative, keys))))


def _rebuilt(space: spaces.Space[Any], change: Any) -> spaces.Space[Any]:
    if isinstance(space, Whole | Functions | PerUnit):
        return space
    if isinstance(space, spaces.Dict):
        parts = {key: change(part) for key, part in space.spaces.items()}
        return space if all(parts[key] is space[key] for key in parts) else spaces.Dict(parts)
    if isinstance(space, spaces.Tuple):
        each = tuple(map(change, space.spaces))
        return space if all(a is b for a, b in zip(each, space.spaces, strict=True)) else spaces.Tuple(each)
    return space


def _text(space: Any) -> tuple[int, str] | None:
    """The longest text of a space of texts, and its characters."""
    if isinstance(space, spaces.Text):
        return max(space.max_length, 1), "".join(space.character_list)
    if callable(getattr(space, "mission_func", None)) and hasattr(space, "ordered_placeholders"):  # MiniGrid's
        words = [max(choices, key=len) for choices in space.ordered_placeholders or ()]
        longest = len(space.mission_func(*words))
        return longest if longest > len("go to") else BABY_MISSION, ASCII  # BabyAI's does not say what its missions are
    return None


class Arrays(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Shows and takes arrays where the environment shows and takes Python objects."""

    env: Guarded

    def __init__(self, env: Guarded) -> None:
        super().__init__(env)
        self.shown, self.taken = env.observation_space, env.action_space
        self.observation_space, self.action_space = as_arrays(self.shown), as_choices(self.taken)
        self._told: set[str] = set()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See `gymnasium.Env.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._read(observation), self._with_mask(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """See `gymnasium.Env.step`."""
        observation, reward, terminated, truncated, info = self.env.step(chosen(self.taken, self.action_space, action))
        return self._read(observation), reward, terminated, truncated, self._with_mask(dict(info))

    def _read(self, observation: Any) -> Any:
        try:
            return to_arrays(self.shown, self.observation_space, observation, "", self._tell)
        except Fault as fault:
            raise self.env.failure(str(fault)) from None

    def _with_mask(self, info: dict[str, Any]) -> dict[str, Any]:
        if info.get(ACTION_MASK) is None or self.action_space is self.taken:
            return info
        return {**info, ACTION_MASK: mask_of_choices(self.taken, info[ACTION_MASK])}

    def _tell(self, path: str, count: int, capacity: int) -> None:
        if path not in self._told:
            self._told.add(path)
            _log.warning(
                "%s: %s holds %d, of which the first %d are read; set its space's attribute capacity (of a graph's "
                "edges edge_capacity, of a text max_length)", self.env.name, name_of(path), count, capacity
            )  # fmt: skip


def arrays(env: Guarded) -> gymnasium.Env[Any, Any]:
    """The environment with spaces of arrays; itself where they are."""
    shown, taken = env.observation_space, env.action_space
    return env if as_arrays(shown) is shown and as_choices(taken) is taken else Arrays(env)


def to_arrays(space: Any, known: Any, value: Any, path: str, tell: Any = lambda *_: None) -> Any:
    """``value`` of ``space`` as ``known``, its :func:`as_arrays`, has it. Raises Fault where it is none of it."""
    if known is space:
        return value
    if isinstance(known, Characters):
        if isinstance(value, str) and len(value) > known.shape[0]:
            tell(path, len(value), known.shape[0])
        return _characters(known, value, path)
    if isinstance(known, Elements):
        if not isinstance(value, Iterable):
            raise Fault(f"{name_of(path)} is a {type(value).__name__}; expected a sequence")
        items = list(iterate(space.stacked_feature_space, value)) if space.stack else list(value)
        each = [to_arrays(space.feature_space, known.element, item, f"{path}/{i}" if path else str(i), tell)
                for i, item in enumerate(items[: known.capacity])]  # fmt: skip
        if len(items) > known.capacity:
            tell(path, len(items), known.capacity)
        return dict(zip(("elements", "mask"), _padded(known.element, each, known.capacity, path), strict=True))
    if isinstance(known, Linked):
        return _graph(known, value, path, tell)
    if isinstance(known, Alternatives):
        return _alternative(space, known, value, path, tell)
    if isinstance(known, spaces.Dict):
        if not isinstance(value, Mapping):
            return value  # named by whoever reads it
        found = {**value}
        for key in known.spaces:
            if key in value:
                found[key] = to_arrays(space[key], known[key], value[key], _join(path, spell(key)), tell)
        return found
    if not isinstance(value, tuple | list) or len(value) != len(known.spaces):
        return value
    pairs = enumerate(zip(space.spaces, known.spaces, value, strict=True))
    return tuple(to_arrays(*parts, _join(path, str(i)), tell) for i, parts in pairs)


def _join(path: str, word: str) -> str:
    return f"{path}/{word}" if path else word


def _characters(known: Characters, value: Any, path: str) -> np.ndarray:
    if not isinstance(value, str):
        raise Fault(f"{name_of(path)} is a {type(value).__name__}; expected a text")
    codes = np.zeros(known.shape, known.dtype)
    for i, character in enumerate(value[: len(codes)]):
        codes[i] = known.charset.find(character) + 2  # find says -1 for none
    return codes


def _padded(element: Any, each: list[Any], capacity: int, path: str) -> tuple[Any, np.ndarray]:
    fitted = [
        _present(element, fit(element, item, 0, f"{path}/{i}" if path else str(i))) for i, item in enumerate(each)
    ]
    blank = [nearest_to_zero(element)] * (capacity - len(each))
    mask = (np.arange(capacity) < len(each)).astype(np.int8)
    out: Any = create_empty_array(element, capacity)
    return concatenate(element, fitted + blank, out), mask


def _present(space: Any, value: Any) -> Any:
    """The value, with zeros in the rows of Units where there is none: what they hold means nothing."""
    if isinstance(space, Units):
        there = value["mask"].astype(bool)[:, None]
        return {**value, "features": np.where(there, value["features"], 0).astype(value["features"].dtype)}
    if isinstance(space, spaces.Dict):
        return {key: _present(part, value[key]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_present(part, inner) for part, inner in zip(space.spaces, value, strict=True))
    return value


def _graph(known: Linked, value: Any, path: str, tell: Any) -> dict[str, Any]:
    try:
        nodes, edges, links = value
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise Fault(f"{name_of(path)} is a {kind}; expected a GraphInstance of nodes, edges, edge_links") from None
    links = np.zeros((0, 2), np.int64) if links is None else np.asarray(links, np.int64).reshape(-1, 2)
    nodes = [] if nodes is None else list(nodes)
    if len(links) and not ((links >= 0) & (links < len(nodes))).all():
        raise Fault(f"{name_of(path)} has a link {links[((links < 0) | (links >= len(nodes))).any(1)][0].tolist()}, "
                    f"but {len(nodes)} nodes")  # fmt: skip
    if known.edge is not None and len(links) != len(edges if edges is not None else ()):
        raise Fault(f"{name_of(path)} has {0 if edges is None else len(edges)} edges, but {len(links)} edge_links")
    if len(nodes) > known.capacity:
        tell(path, len(nodes), known.capacity)
    kept = np.flatnonzero((links < known.capacity).all(1))
    if len(kept) > known.edge_capacity:
        tell(path, len(kept), known.edge_capacity)
    kept = kept[: known.edge_capacity]
    found: dict[str, Any] = {}
    found["nodes"], found["node_mask"] = _padded(known.node, nodes[: known.capacity], known.capacity, path)
    found["links"] = np.zeros((known.edge_capacity, 2), np.int64)
    found["links"][: len(kept)] = links[kept]
    found["edge_mask"] = (np.arange(known.edge_capacity) < len(kept)).astype(np.int8)
    if known.edge is not None:
        found["edges"], _ = _padded(known.edge, [edges[i] for i in kept], known.edge_capacity, path)
    return found


def _alternative(space: spaces.OneOf, known: Alternatives, value: Any, path: str, tell: Any) -> dict[str, Any]:
    try:
        which, inner = value
        which = int(which)
        part = known.alternatives[which]
    except (TypeError, ValueError, IndexError):
        count = len(known.alternatives)
        raise Fault(f"{name_of(path)} is {value!r:.60}; expected a number below {count} and a value") from None
    found: dict[str, Any] = {"which": np.int64(which)}
    for i, other in enumerate(known.alternatives):
        found[str(i)] = nearest_to_zero(other) if i != which else None
    shown = to_arrays(space.spaces[which], part, inner, _join(path, str(which)), tell)
    found[str(which)] = fit(part, shown, 0, _join(path, str(which)))
    return found


def chosen(space: Any, known: Any, action: Any) -> Any:
    """An action of ``known``, the :func:`as_choices` of ``space``, as ``space`` has it."""
    if known is space:
        return action
    if isinstance(space, spaces.OneOf):
        which = int(action["function"])
        alternative = space.spaces[which]
        values = {keys: action[_argument(alternative, which, keys)] for keys, _ in leaves(alternative)}
        return which, _nested(alternative, (), values)
    if isinstance(space, spaces.Dict):
        return {key: chosen(part, known[key], action[key]) for key, part in space.spaces.items()}
    return tuple(chosen(*parts) for parts in zip(space.spaces, known.spaces, action, strict=True))


def _nested(space: Any, keys: Any, values: Mapping[Any, Any]) -> Any:
    if isinstance(space, spaces.Dict) and not isinstance(space, Whole):
        return {key: _nested(part, (*keys, key), values) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nested(part, (*keys, i), values) for i, part in enumerate(space.spaces))
    return values[keys]


def mask_of_choices(space: Any, mask: Any) -> Any:
    """A mask as Gymnasium has it, a tuple for a OneOf, as that of Functions; what is no such mask stays as it is."""
    if isinstance(space, spaces.OneOf):
        if not isinstance(mask, tuple | list) or len(mask) != len(space.spaces):
            return mask
        found = {}
        for i, (alternative, part) in enumerate(zip(space.spaces, mask, strict=True)):
            for keys, _ in leaves(alternative):
                try:
                    found[_argument(alternative, i, keys)] = None if part is None else at(part, keys)
                except (KeyError, IndexError, TypeError):
                    continue  # left out: unrestricted
        return {name: part for name, part in found.items() if part is not None}
    if isinstance(space, spaces.Dict) and isinstance(mask, Mapping) and not isinstance(space, Functions | PerUnit):
        return {key: mask_of_choices(space[key], part) if key in space.spaces else part for key, part in mask.items()}
    if isinstance(space, spaces.Tuple) and isinstance(mask, tuple | list) and len(mask) == len(space.spaces):
        return tuple(map(mask_of_choices, space.spaces, mask))
    return mask
