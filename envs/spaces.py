"""The language between games and policies: Gymnasium's spaces plus the few things they cannot say.

A set of units (:class:`Units`), feature planes (:class:`Planes`), named numbers (:class:`Numbers`), a pointer to a unit
(:class:`Pointer`) or to several (:class:`Pointers`), a place on a map (:class:`Place`), and a choice of function with
its own arguments (:class:`Functions`). Each is a subclass of the Gymnasium space that holds the same arrays, so that
Gymnasium's own tools (vectorisation, sampling, checking) work on them unchanged.

An observation may hold, under the key ``action_mask``, what may be chosen: the structure that ``action_space.sample``
takes as its mask, where an entry that is left out means "anything". 1 is legal, 0 is not; of a MultiBinary, as
Gymnasium has it, 0 is held at 0, 1 at 1, and 2 is free. `envs.masks` reads them.

A part of a nest has a path: its keys and positions joined by "/", spelled as :func:`spell` does, so that no two parts
share one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from envs.errors import EnvError

ACTION_MASK = "action_mask"

Kind = Literal["scalar", "log", "category", "position"]

Keys = tuple[Any, ...]
"""Where a part of a nest is: the keys of dicts and positions in tuples on the way to it."""


class SpaceError(EnvError):
    """A space that no policy can read or choose from; the message names the part and what would serve."""


@dataclass(frozen=True)
class Feature:
    """One column of a unit, one plane of a map, or one number: its name and how to read its value.

    ``scalar``: value / ``scale`` is of order one. ``log``: log(1 + value) matters, value may be large.
    ``category``: an integer in [0, ``scale``). ``position``: a coordinate in [0, ``scale``].
    """

    name: str
    kind: Kind = "scalar"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("scalar", "log", "category", "position"):
            raise ValueError(
                f"feature {self.name!r}: unknown kind {self.kind!r}; use scalar, log, category or position"
            )
        if not self.scale > 0:
            raise ValueError(f"feature {self.name!r}: scale must be positive, got {self.scale}")
        if self.kind == "category" and self.scale != int(self.scale):
            raise ValueError(f"feature {self.name!r}: a category's scale is its number of values, got {self.scale}")


class Whole(spaces.Dict):
    """A Dict whose parts belong together: one part of a nest, that an embedder of its own reads."""

    @abstractmethod
    def described(self) -> str:
        """All that decides how a policy for it is built, in one line."""


class Units(Whole):
    """A set of at most ``capacity`` units, in no order: ``features`` [capacity, F] float32 and ``mask`` [capacity].

    Rows whose mask is 0 hold no unit; their features mean nothing.
    """

    def __init__(self, capacity: int, features: Sequence[Feature]) -> None:
        self.capacity = int(capacity)
        self.columns = tuple(features)
        super().__init__(
            {
                "features": spaces.Box(-np.inf, np.inf, (self.capacity, len(self.columns)), np.float32),
                "mask": spaces.MultiBinary(self.capacity),
            }
        )

    def described(self) -> str:
        """See :func:`describe`."""
        return f"Units[{self.capacity}: {_columns(self.columns)}]"


class Planes(spaces.Box):
    """Maps of one place, channels last: [height, width, planes] of ``dtype``, values as their features say."""

    def __init__(self, height: int, width: int, planes: Sequence[Feature], dtype: Any = np.float32) -> None:
        self.planes = tuple(planes)
        top = [p.scale - 1 if p.kind == "category" else np.inf for p in self.planes]
        if np.issubdtype(dtype, np.integer):
            top = [min(t, np.iinfo(dtype).max) for t in top]
        high = np.broadcast_to(np.asarray(top, np.float64), (height, width, len(self.planes))).astype(dtype)
        super().__init__(np.zeros_like(high), high, dtype=dtype)

    @property
    def height(self) -> int:
        """Rows, the first one at the top."""
        return int(self.shape[0])

    @property
    def width(self) -> int:
        """Columns, the first one at the left."""
        return int(self.shape[1])


class Numbers(spaces.Box):
    """Named numbers: [K] float32."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.columns = tuple(features)
        super().__init__(-np.inf, np.inf, (len(self.columns),), np.float32)


class Pointer(spaces.Discrete):
    """One row of the :class:`Units` found in the observation under the path ``of`` (keys joined by "/")."""

    def __init__(self, of: str, capacity: int) -> None:
        self.of = of
        super().__init__(int(capacity))


class Pointers(spaces.MultiBinary):
    """Any number of rows of the :class:`Units` found in the observation under the path ``of``.

    Its mask says which rows may be chosen (1) and which may not (0): none is held at 1, as a MultiBinary's would be.
    A policy selects at least one where the action mask and the set leave one to select.
    """

    def __init__(self, of: str, capacity: int) -> None:
        self.of = of
        super().__init__(int(capacity))

    def sample(self, mask: Any = None, probability: Any = None) -> np.ndarray:
        """Draw each row that ``mask`` [capacity] allows with probability 1/2, or with its own."""
        drawn = super().sample(probability=probability)
        return drawn if mask is None else np.where(np.asarray(mask) != 0, drawn, 0).astype(self.dtype)


class Place(spaces.Discrete):
    """One cell, ``row * width + column``, of the :class:`Planes` found in the observation under the path ``of``.

    None: no planes show it, and all that is known of a cell is where it is. ``units``: the path of the :class:`Units`
    whose two positions, x and then y, are in its frame: from its left edge to its right, from its upper to its lower.
    """

    def __init__(self, of: str | None, height: int, width: int, units: str | None = None) -> None:
        self.of, self.units = of, units
        self.height, self.width = int(height), int(width)
        super().__init__(self.height * self.width)


class Choice(spaces.Discrete):
    """One of several values that have names."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(len(self.names))


class Functions(spaces.Dict):
    """A choice of function with its own arguments: ``{"function": n, argument: value, ...}``.

    ``functions`` maps each function's name to the names of the arguments that it takes, in the order of their action.
    An argument that the chosen function does not take is there all the same, and is all zeros (or what is nearest to
    them in its space).
    """

    def __init__(self, functions: Mapping[str, Sequence[str]], arguments: Mapping[str, spaces.Space[Any]]) -> None:
        if "function" in arguments:
            raise ValueError('an argument cannot be called "function": that name holds the choice itself')
        for name, taken in functions.items():
            for argument in taken:
                if argument not in arguments:
                    raise ValueError(
                        f"function {name!r} takes an unknown argument {argument!r}; known: {list(arguments)}"
                    )
        self.functions = {name: tuple(taken) for name, taken in functions.items()}
        self.names = tuple(self.functions)
        self.arguments = tuple(arguments)
        self.uses = np.array([[a in taken for a in self.arguments] for taken in self.functions.values()], bool)
        self.uses = self.uses.reshape(len(self.names), len(self.arguments))
        super().__init__(spaces={"function": spaces.Discrete(len(self.names)), **arguments})

    def sample(self, mask: Any = None, probability: Any = None) -> dict[str, Any]:
        """Draw a legal function uniformly, then its arguments; ``mask`` may leave entries out.

        A function is passed over that takes an argument of which the mask allows nothing, unless all do.
        """
        if probability is not None:
            raise ValueError("Functions.sample takes a mask, not probabilities")
        mask = mask or {}
        legal = np.ones(len(self.names), np.int8) if mask.get("function") is None else _int8(mask["function"])
        empty = np.array([self._allows_nothing(name, mask.get(name)) for name in self.arguments], bool)
        possible = legal & ~(self.uses & empty.reshape(len(self.arguments), len(self.names)).T).any(1)
        action: dict[str, Any] = {"function": self["function"].sample(possible if possible.any() else legal)}
        for i, name in enumerate(self.arguments):
            space = self[name]
            if self.uses[action["function"], i]:
                action[name] = space.sample(_int8(self._of_function(name, mask.get(name))[action["function"]]))
            else:
                action[name] = nearest_to_zero(space)
        return action

    def _of_function(self, name: str, mask: Any) -> Sequence[Any]:
        """An argument's mask for each function: its rows, or the same for all."""
        alone = isinstance(self[name], spaces.Discrete | Pointers) and np.ndim(mask) == 2
        return list(mask) if alone else [mask] * len(self.names)

    def _allows_nothing(self, name: str, mask: Any) -> list[bool]:
        given = self._of_function(name, mask)
        return [isinstance(self[name], spaces.Discrete) and one is not None and not np.any(one) for one in given]


class PerUnit(spaces.Dict):
    """An order for each row of the :class:`Units` under ``of``: {"function": [capacity], argument: [capacity, ...]}.

    ``functions`` and ``arguments`` are as in :class:`Functions`; an argument is a Discrete (a :class:`Pointer` or a
    :class:`Place` too) or a Box of floats, and is chosen by each unit for itself. The mask's ``function`` is
    [capacity, functions]: a row of zeros is not to be ordered. An argument's mask is [n], for all units alike, or
    [capacity, n]. Rows without a unit, and arguments that the chosen function does not take, are all zeros.
    """

    def __init__(
        self,
        of: str,
        capacity: int,
        functions: Mapping[str, Sequence[str]],
        arguments: Mapping[str, spaces.Space[Any]] | None = None,
    ) -> None:
        each = Functions(functions, arguments or {})
        self.of, self.capacity, self.each = of, int(capacity), each
        self.names, self.functions, self.arguments, self.uses = each.names, each.functions, each.arguments, each.uses
        super().__init__({name: self._of_all(name, space) for name, space in each.items()})

    def _of_all(self, name: str, space: spaces.Space[Any]) -> spaces.Space[Any]:
        if isinstance(space, spaces.Discrete):
            start = np.full(self.capacity, space.start)
            return spaces.MultiDiscrete(np.full(self.capacity, space.n), start=start)
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            low, high = (np.repeat(bound[None], self.capacity, 0) for bound in (space.low, space.high))
            return spaces.Box(low, high, dtype=space.dtype.type)
        raise ValueError(f"argument {name!r} of a unit's order must be a Discrete or a Box of floats, got {space}")

    def seed(self, seed: int | dict[str, Any] | None = None) -> dict[str, Any]:
        """Seed the draws, which are made unit by unit; see :meth:`gymnasium.Space.seed`."""
        found = super().seed(seed)
        self.each.seed(seed)
        return found

    def sample(self, mask: Any = None, probability: Any = None) -> dict[str, Any]:
        """Draw a legal order for each unit that may have one; ``mask`` may leave entries out."""
        if probability is not None:
            raise ValueError("PerUnit.sample takes a mask, not probabilities")
        mask = mask or {}
        orders = {
            name: np.zeros(space.shape or (), space.dtype) + getattr(space, "start", 0) for name, space in self.items()
        }
        legal = mask.get("function")
        for row in range(self.capacity):
            if legal is not None and not np.any(legal[row]):
                continue
            own = {name: part[row] if np.ndim(part) == 2 else part for name, part in mask.items() if part is not None}
            order = self.each.sample(own)
            for name in ("function", *self.functions[self.names[order["function"]]]):
                orders[name][row] = order[name]
        return orders


def _int8(mask: Any) -> Any:
    if isinstance(mask, tuple):
        return tuple(_int8(part) for part in mask)
    return None if mask is None else np.asarray(mask, np.int8)


def nearest_to_zero(space: spaces.Space[Any]) -> Any:
    """A value of the space, or of every part of a nest."""
    if isinstance(space, spaces.Dict):
        return {key: nearest_to_zero(part) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(map(nearest_to_zero, space.spaces))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        last = space.start + (space.n if isinstance(space, spaces.Discrete) else space.nvec) - space.dtype.type(1)
        value = np.clip(np.zeros_like(space.start), space.start, last)
    elif isinstance(space, spaces.Box):
        value = np.clip(np.zeros_like(space.low), space.low, space.high)
    else:
        value = np.zeros(space.shape or (), space.dtype)
    return value if space.shape else np.dtype(space.dtype).type(value)


def describe(space: spaces.Space[Any]) -> str:
    """A space in one line: all that decides how a policy for it is built, and no bound of every cell of a map."""
    if isinstance(space, Functions):
        calls = ", ".join(f"{name}({', '.join(taken)})" for name, taken in space.functions.items())
        arguments = ", ".join(f"{name}: {describe(space[name])}" for name in space.arguments)
        return f"Functions[{calls}; {arguments}]"
    if isinstance(space, PerUnit):
        return f"PerUnit[{space.capacity} of {space.of}: {describe(space.each)}]"
    if isinstance(space, Whole):
        return space.described()
    if isinstance(space, Numbers):
        return f"Numbers[{_columns(space.columns)}]"
    if isinstance(space, Planes):
        return f"Planes[{space.height} x {space.width}: {_columns(space.planes)}]"
    if isinstance(space, Place):
        of = f" of {space.of}" if space.of is not None else ""
        return f"Place[{space.height} x {space.width}{of}]"
    if isinstance(space, Pointer | Pointers):
        return f"{type(space).__name__}[{space.n} of {space.of}]"
    if isinstance(space, spaces.Dict):
        return "{" + ", ".join(f"{key}: {describe(part)}" for key, part in space.items()) + "}"
    if isinstance(space, spaces.Tuple):
        return "(" + ", ".join(map(describe, space)) + ")"
    if isinstance(space, spaces.Box) and np.size(space.low) > 16 and not _alike(space.low, space.high):
        return f"Box[{' x '.join(map(str, space.shape))} of {space.dtype}]"
    return " ".join(str(space).split())


def _alike(*bounds: np.ndarray) -> bool:
    return all(bool((bound == bound.flat[0]).all()) for bound in bounds)


def describe_spaces(env: VectorEnv[Any, Any, Any]) -> dict[str, str]:
    """What a checkpoint remembers of the spaces that its policy was built for."""
    return {
        "observation_space": describe(env.single_observation_space),
        "action_space": describe(env.single_action_space),
    }


def _columns(features: Sequence[Feature]) -> str:
    return ", ".join(f"{f.name} ({f.kind} {f.scale:g})" for f in features)


def spell(key: object) -> str:
    """A key in a path: "~" is ~0, "/" is ~1 (as in JSON Pointer, RFC 6901), "" is ~, and what is no string, say 7, ~:7.

    Positions in a tuple are plain numbers.
    """
    if not isinstance(key, str):
        return "~:" + str(key).replace("~", "~0").replace("/", "~1")
    return key.replace("~", "~0").replace("/", "~1") or "~"


def path_of(space: Any, keys: Keys) -> str:
    """The path of the part of ``space`` (or of a nest of values) that is under ``keys``."""
    words = []
    for key in keys:
        mapping = isinstance(space, Mapping | spaces.Dict)
        words.append(spell(key) if mapping else str(key))
        space = space[key]
    return "/".join(words)


def at(value: Any, path: str | Keys) -> Any:
    """What lies under a path, or under its keys themselves, in a nest of dicts and tuples, or of spaces.

    Raises KeyError, IndexError, TypeError or ValueError where nothing does.
    """
    if isinstance(path, tuple):
        for key in path:
            value = value[key]
        return value
    for word in path.split("/") if path else ():
        if not isinstance(value, Mapping | spaces.Dict):
            value = value[int(word)]
        elif "~" in word:
            value = value[next((key for key in value if spell(key) == word), word)]
        else:
            value = value[word]
    return value


def leaves(space: spaces.Space[Any], keys: Keys = ()) -> Iterator[tuple[Keys, spaces.Space[Any]]]:
    """The parts of a nest of Dicts and Tuples that are neither, with their keys; a :class:`Whole` is one part."""
    inner: Any = ()
    if isinstance(space, spaces.Dict) and not isinstance(space, Whole):
        inner = space.spaces.items()
    elif isinstance(space, spaces.Tuple):
        inner = enumerate(space.spaces)
    else:
        yield keys, space
    for key, part in inner:
        yield from leaves(part, (*keys, key))


def array_leaves(space: spaces.Space[Any]) -> Iterator[tuple[Keys, spaces.Space[Any]]]:
    """The leaves, and those within what is read whole. Units stay one: only the rows that are there mean anything."""
    for keys, part in leaves(space):
        if isinstance(part, Whole) and not isinstance(part, Units):
            yield from (((*keys, *inner), leaf) for inner, leaf in array_leaves(spaces.Dict(part.spaces)))
        else:
            yield keys, part
