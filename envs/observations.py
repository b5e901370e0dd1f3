"""Observations as environments return them, read through their space: one gate for every environment's every step.

Lists, tuples, other number types and more keys than the space names are read as the space's arrays. What cannot be, or
is no number that a policy could learn from, is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import concatenate

from envs.spaces import Keys, Units, array_leaves, at, path_of, spell

LARGEST = float(np.finfo(np.float32).max)
"""What a policy, which computes in float32, can hold."""


class Fault(ValueError):
    """What is wrong with something that an environment returned, and in which game of several."""

    def __init__(self, message: str, game: int = 0) -> None:
        super().__init__(message)
        self.game = game


def read(space: spaces.Space[Any], observations: Sequence[Any], out: Any) -> Any:
    """The observations of several games as one nest of arrays [B, ...], written into ``out``.

    Raises Fault for the first that is none of ``space``: a key or a part is missing, a shape or a type is another.
    """
    with np.errstate(over="ignore"):  # checked afterwards, by name
        try:
            return concatenate(space, observations, out)
        except Exception:  # the quick way takes what fits; the other one takes more, and names what does not fit
            return concatenate(space, [fit(space, one, game) for game, one in enumerate(observations)], out)


def row(batch: Any, game: int) -> Any:
    """One game's part of a nest of arrays [B, ...]: views."""
    if isinstance(batch, Mapping):
        return {key: row(part, game) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(row(part, game) for part in batch)
    return None if batch is None else batch[game]


class Checker:
    """Looks for values in a batch of observations that a policy cannot read.

    Only numbers that could be infinite or no number, and integers that name one of so many values, cost anything.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        self.floats: list[tuple[Keys, Units | spaces.Box]] = []
        self.choices: list[tuple[Keys, Any, Any]] = []
        for keys, part in array_leaves(space):
            if isinstance(part, Units) or (isinstance(part, spaces.Box) and part.dtype.kind == "f"):
                self.floats.append((keys, part))
            elif isinstance(part, spaces.Discrete):
                self.choices.append((keys, int(part.start), int(part.start) + int(part.n) - 1))
            elif isinstance(part, spaces.MultiDiscrete):
                first = part.start.astype(np.int64)
                self.choices.append((keys, first, first + part.nvec.astype(np.int64) - 1))

    def __call__(self, batch: Any) -> None:
        """Raises Fault for the first value of ``batch`` [B, ...] that is not finite in float32, or is no choice."""
        for keys, part in self.floats:
            value = at(batch, keys)
            if isinstance(part, Units):
                good = np.isfinite(value["features"]) | (np.asarray(value["mask"])[..., None] == 0)
                value = value["features"]
            else:
                good = np.isfinite(value) if value.dtype.itemsize <= 4 else np.abs(value) <= LARGEST
            if not good.all():
                raise self._fault(keys, value, good, "which is not finite, or larger than a float32 can hold")
        for keys, first, last in self.choices:
            value = at(batch, keys)
            good = (value >= first) & (value <= last)
            if not good.all():
                raise self._fault(keys, value, good, f"but its space is {at(self.space, keys)}")

    def _fault(self, keys: Keys, value: np.ndarray, good: np.ndarray, why: str) -> Fault:
        where = tuple(int(i[0]) for i in np.nonzero(~good))
        element = f" at {list(where[1:])}" if len(where) > 1 else ""
        return Fault(f"{name_of(path_of(self.space, keys))} holds {value[where]}{element}, {why}", where[0])


def name_of(path: str) -> str:
    """How messages call the part under a path."""
    return f"observation {path!r}" if path else "the observation"


def fit(space: spaces.Space[Any], value: Any, game: int = 0, path: str = "") -> Any:
    """One game's value with arrays of the space's types, where nothing is lost by it. Raises Fault where it is none."""
    name, kind = name_of(path), type(value).__name__
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping):
            raise Fault(f"{name} is a {kind}; expected a dict with the keys {list(space.spaces)}", game)
        missing = [key for key in space.spaces if key not in value]
        if missing:
            raise Fault(f"{name} has no entry {missing[0]!r}, which its space names; it has {list(value)}", game)
        return {key: fit(part, value[key], game, _join(path, spell(key))) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        if not isinstance(value, tuple | list | np.ndarray) or len(value) != len(space.spaces):
            count = f" of {len(value)}" if isinstance(value, tuple | list | np.ndarray) else ""
            raise Fault(f"{name} is a {kind}{count}; expected a tuple of {len(space.spaces)} parts", game)
        parts = enumerate(zip(space.spaces, value, strict=True))
        return tuple(fit(part, inner, game, _join(path, str(i))) for i, (part, inner) in parts)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise Fault(f"{name} is no array: {error}", game) from None
    if array.dtype.kind not in "biuf":
        what = f"{kind} of {array.dtype}" if isinstance(value, np.ndarray) else kind
        raise Fault(f"{name} is a {what}, which is no number or array of numbers; its space is {space}", game)
    if array.shape != space.shape:
        raise Fault(f"{name} has the shape {array.shape}; its space has {space.shape}", game)
    with np.errstate(invalid="ignore"):
        fitted = array.astype(space.dtype)
        if not np.can_cast(array.dtype, fitted.dtype, "same_kind") and not (fitted == array).all():
            raise Fault(f"{name} is {array.dtype} that cannot be told as {fitted.dtype}, the type of its space", game)
    return fitted


def _join(path: str, word: str) -> str:
    return f"{path}/{word}" if path else word
