"""An observation -> one array of input tokens.

Every leaf of the observation space is a modality with an embedder of its own. All tokens have one width; the bias of a
modality's last projection is its learned modality vector. Nothing here knows a game: a Gymnasium space says it all.

| leaf | tokens |
|---|---|
| `Units` | one a unit, masked where there is none |
| `Planes` | one a patch of cells, made from what the cells show and their Fourier positions |
| `Box` of three axes and more, or a gray picture | one a patch, at most 64 of them, with Fourier positions |
| `Box` of two axes | one a row, with a vector that says which |
| `Numbers`, other `Box` | one |
| `Discrete` | one; `MultiDiscrete`: one a component; `MultiBinary`: one |
| `Characters`, `Elements`, `Linked`, `Alternatives` | those of Text, Sequence, Graph and OneOf, see `envs.arrays` |

How a Box is read can be said by its path, see `boxes.box_embedder`; "ignore" leaves any part out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from envs.arrays import Alternatives, Characters, Elements, Linked
from envs.spaces import Keys, Numbers, Planes, SpaceError, Units, at, leaves, path_of
from perceiver_policy.policy.inputs.boxes import BoxScale, RowsEmbedder, Total, VectorEmbedder, box_embedder
from perceiver_policy.policy.inputs.entities import NumbersEmbedder, PlanesEmbedder, UnitsEmbedder
from perceiver_policy.policy.inputs.sets import (
    AlternativesEmbedder,
    CharactersEmbedder,
    DiscreteEmbedder,
    ElementsEmbedder,
    LinkedEmbedder,
)

IGNORE = "ignore"


@dataclass
class Tokens:
    """Input tokens [B, M, C], their mask [B, M] (None: all valid), and what an output may point to.

    ``elements``: each modality's units, cells or other parts [B, n, C] by its path; ``masks`` [B, n] likewise.
    ``near``: of units whose distances count, their `nearness` to one another [B, n, n, steps]. ``positions``: of those
    that are scattered over the cells of places, where they are, [B, n, 2] from 0 to 1.
    """

    tokens: Tensor
    mask: Tensor | None
    elements: dict[str, Tensor]
    masks: dict[str, Tensor | None]
    near: dict[str, Tensor] = field(default_factory=dict)
    positions: dict[str, Tensor] = field(default_factory=dict)

    def first(self, count: int) -> Tokens:
        """Those of the first observations."""
        if count == len(self.tokens):
            return self
        mask = None if self.mask is None else self.mask[:count]
        elements = {path: part[:count] for path, part in self.elements.items()}
        masks = {path: None if part is None else part[:count] for path, part in self.masks.items()}
        near = {path: part[:count] for path, part in self.near.items()}
        positions = {path: part[:count] for path, part in self.positions.items()}
        return Tokens(self.tokens[:count], mask, elements, masks, near, positions)


@dataclass(frozen=True)
class Reading:
    """How a part of the observation is to be embedded."""

    width: int
    bands: int = 4
    neighborhood: int = 3
    patch: int = 1
    distances: bool = False
    how: Any = None
    """What the experiment says of this part: numbers, rows, picture, {"patch": side}; None: what suits its shape."""


class Inputs(nn.Module):
    """An observation [B, ...] of ``space`` -> :class:`Tokens`."""

    def __init__(
        self,
        space: spaces.Space[Any],
        width: int,
        *,
        bands: int = 4,
        neighborhood: int = 3,
        patch: int = 1,
        distances: bool = False,
        scatter: bool = False,
        unread: Collection[Keys] = (),
        read: Mapping[str, Any] | None = None,
    ) -> None:
        """``unread``: what is no input, by its keys; ``read``: how parts are read, by their paths.

        Raises SpaceError for a space that cannot be read, and for a path that names no part of it.
        """
        super().__init__()
        self.scatter = scatter
        read = read or {}
        every = [(path_of(space, keys), keys, leaf) for keys, leaf in leaves(space)]
        unknown = [path for path in read if path not in [known for known, _, _ in every]]
        if unknown:
            parts = ", ".join(path for path, _, _ in every if path) or "none"
            raise SpaceError(f"read: the observation has no part {unknown[0]!r}; its parts are {parts}")
        found = [one for one in every if one[1] not in unread and read.get(one[0]) != IGNORE]
        if not found:
            raise SpaceError(f"the observation space {space} is empty: a policy needs something to look at")
        self.keys = tuple(keys for _, keys, _ in found)
        self.paths = tuple(path for path, _, _ in found)
        reading = Reading(width, bands, neighborhood, patch, distances)
        self.embedders = nn.ModuleList(
            embedder(leaf, path, replace(reading, how=read.get(path))) for path, _, leaf in found
        )
        # attention needs something to look at even where every set is empty
        only_sets = all(getattr(part, "may_be_empty", False) for part in self.embedders)
        self.always = nn.Parameter(torch.randn(1, width) * 0.02) if only_sets else None
        self.most = sum(part.most for part in self.embedders) + only_sets  # type: ignore[misc]

    def forward(self, observation: Any) -> Tokens:
        """See the class."""
        elements: dict[str, Tensor] = {}
        masks: dict[str, Tensor | None] = {}
        near: dict[str, Tensor] = {}
        positions: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        for path, keys, embedder in zip(self.paths, self.keys, self.embedders, strict=True):
            elements[path], masks[path] = embedder(at(observation, keys))
            if isinstance(embedder, UnitsEmbedder) and embedder.around is not None:
                near[path] = embedder.near(at(observation, keys))
                elements[path] = elements[path] + embedder.around(elements[path], masks[path], near[path])
            if self.scatter and isinstance(embedder, UnitsEmbedder):
                positions[path] = embedder.places(at(observation, keys))
            merge = embedder.merge if isinstance(embedder, PlanesEmbedder) else None
            parts.append(merge(elements[path]) if merge else elements[path])
        if self.always is not None:
            parts.append(self.always.expand(parts[0].shape[0], 1, -1))
        tokens = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        if all(mask is None for mask in masks.values()):
            return Tokens(tokens, None, elements, masks, near, positions)
        given = [*masks.values(), None][: len(parts)]
        valid = [
            p.new_ones(p.shape[:2], dtype=torch.bool) if m is None else m for m, p in zip(given, parts, strict=True)
        ]
        return Tokens(tokens, torch.cat(valid, 1), elements, masks, near, positions)

    def counts(self, tokens: Tokens) -> dict[str, int]:
        """How many of the tokens each part has, by its path, in their order."""
        found = {}
        for path, part in zip(self.paths, self.embedders, strict=True):
            cells = tokens.elements[path]
            found[path] = (part.merge(cells) if isinstance(part, PlanesEmbedder) else cells).shape[1]
        return found

    @torch.no_grad()
    def learn_scales(self, observation: Any, total: Total = lambda x: x) -> None:
        """Add observations [B, ...] to the statistics of numbers (:class:`BoxScale`).

        ``total`` sums a tensor over all who learn side by side, each from observations of its own.
        """
        for keys, part in zip(self.keys, self.embedders, strict=True):
            scale = getattr(part, "scale", None)
            if isinstance(scale, BoxScale):
                scale.learn(at(observation, keys), total)
            elif hasattr(part, "learn_scales"):
                part.learn_scales(at(observation, keys), total)  # type: ignore[operator]

    def tables(self) -> dict[int, str]:
        """The paths of tables by their number of rows, where no two have as many."""
        parts = [
            (part.most, path)
            for path, part in zip(self.paths, self.embedders, strict=True)
            if isinstance(part, RowsEmbedder)
        ]
        counts = [count for count, _ in parts]
        return {int(count): path for count, path in parts if counts.count(count) == 1}

    def described(self) -> list[str]:
        """A line a part: what it is read as, and how many tokens it is at most."""
        lines = []
        for path, part in zip(self.paths, self.embedders, strict=True):
            name = f"observation {path!r}" if path else "observation"
            lines.append(f"{name}: {part.words}, {part.most} token{'s' if part.most != 1 else ''}")
        return lines


Make = Callable[[Any, Reading], nn.Module]


def _inputs(space: spaces.Space[Any], reading: Reading) -> Inputs:
    """Of a part's own parts."""
    return Inputs(space, reading.width, bands=reading.bands, neighborhood=reading.neighborhood, patch=reading.patch)


EMBEDDERS: dict[type, Make] = {
    Units: lambda space, reading: UnitsEmbedder(space, reading.width, reading.bands, reading.distances),
    Planes: lambda space, reading: PlanesEmbedder(
        space, reading.width, reading.bands, reading.neighborhood, reading.patch
    ),
    Numbers: lambda space, reading: NumbersEmbedder(space, reading.width, reading.bands),
    Characters: lambda space, reading: CharactersEmbedder(space, reading.width),
    Elements: lambda space, reading: ElementsEmbedder(space, reading.width, _inputs(space.element, reading)),
    Linked: lambda space, reading: LinkedEmbedder(
        space, reading.width, _inputs(space.node, reading), _inputs(space.edge, reading) if space.edge else None
    ),
    Alternatives: lambda space, reading: AlternativesEmbedder(
        space, reading.width, [_inputs(part, reading) for part in space.alternatives]
    ),
    spaces.Box: lambda space, reading: box_embedder(space, reading.width, reading.bands, reading.how),
    spaces.MultiBinary: lambda space, reading: VectorEmbedder(space, reading.width),
    spaces.Discrete: lambda space, reading: DiscreteEmbedder(space, reading.width),
    spaces.MultiDiscrete: lambda space, reading: DiscreteEmbedder(space, reading.width),
}
"""What reads a space: of the space's class, or of the nearest one above it.

A module that takes values [B, ...] and returns tokens [B, n, C] and their mask [B, n], or None. Its ``words`` say what
it reads, ``most`` how many tokens it makes at most; ``may_be_empty`` is true where all of them can be masked. Running
statistics are a :class:`BoxScale` called ``scale``, or its own ``learn_scales``.
"""


def embedder(space: spaces.Space[Any], path: str, reading: Reading) -> nn.Module:
    """The embedder of a leaf space. Raises SpaceError for a space that has none, or cannot be read like that."""
    where = f"observation {path or 'space'!r}"
    make = next((EMBEDDERS[kind] for kind in type(space).__mro__ if kind in EMBEDDERS), None)
    if make is None:
        raise SpaceError(
            f"{where}: {type(space).__name__} is not supported; use Box, Discrete, MultiDiscrete, MultiBinary, Text, "
            "Sequence, Graph, OneOf, Units, Planes, Numbers, or a Dict or Tuple of these"
        )
    if reading.how is not None and make is not EMBEDDERS[spaces.Box]:
        raise SpaceError(f"{where} is a {type(space).__name__}, which is read in one way: leave it out of read")
    try:
        return make(space, reading)
    except ValueError as error:
        raise SpaceError(f"{where}: {error}") from None
