"""Which head chooses in which space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium import spaces

from envs.spaces import PerUnit, Place, Pointer, Pointers, SpaceError
from perceiver_policy.policy.heads import BernoulliHead, CategoricalHead, Head, NormalHead, PointerHead, box_counts
from perceiver_policy.policy.inputs import counts_of
from perceiver_policy.policy.per_unit import PerUnitHead


@dataclass(frozen=True)
class Choosing:
    """What a head is made for, and how."""

    observation_space: spaces.Space[Any]
    width: int
    bands: int
    deviation: str = "independent"
    bounds: str = "clip"
    distances: bool = False
    scatter: bool = False
    rows: Mapping[int, str] = field(default_factory=dict)
    """The path of the one table that has so many rows."""


def _box(space: spaces.Box, how: Choosing) -> Head:
    if not space.low.size:
        raise SpaceError("a Box without elements: leave it out")
    counts = box_counts(space)
    if counts is not None:
        return CategoricalHead(counts, space.shape, how.width, takes_mask=False)
    return NormalHead(space, how.width, how.deviation, how.bounds)


def _pointer(space: Any, how: Choosing) -> Head:
    return PointerHead(space, how.observation_space, how.width, how.bands, how.scatter)


HEADS: dict[type, Callable[[Any, Choosing], Head]] = {
    PerUnit: lambda space, how: PerUnitHead(space, how.observation_space, how.width, how.bands, how.distances),
    Pointer: _pointer,
    Pointers: _pointer,
    Place: _pointer,
    spaces.Discrete: lambda space, how: CategoricalHead(
        counts_of(space), (), how.width, rows=how.rows.get(int(space.n))
    ),
    spaces.MultiDiscrete: lambda space, how: CategoricalHead(counts_of(space), space.shape, how.width),
    spaces.MultiBinary: lambda space, how: BernoulliHead(space, how.width),
    spaces.Box: _box,
}
"""What chooses in a space: of the space's class, or of the nearest one above it."""


def make_head(space: spaces.Space[Any], path: str, how: Choosing) -> Head:
    """The head of a leaf space. Raises SpaceError for a space that has none."""
    make = next((HEADS[kind] for kind in type(space).__mro__ if kind in HEADS), None)
    if make is None:
        raise SpaceError(
            f"action {path or 'space'!r}: {space} is not supported; use Discrete, MultiDiscrete, MultiBinary, Box, "
            "OneOf, Pointer, Pointers, Place, PerUnit, Functions, or a Dict or Tuple of these"
        )
    try:
        return make(space, how)
    except SpaceError as error:
        raise SpaceError(f"action {path or 'space'!r}: {error}") from None
