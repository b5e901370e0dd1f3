"""What the Perceiver family reads -> tokens: images, video, audio, text bytes, point clouds, sets, and any mixture.

Every module here maps `(x, mask=None)` to `(tokens [B, M, width], mask [B, M] or None)`, True = valid, and says its
`width`, and by `count` how many tokens an input has. What is seen is read by a stem (`[B, *grid, channels]`), then
position features are concatenated or added. What is masked is zeros before any weight sees it, so that it may be
anything, even NaN: a stem takes the mask for that, and says by `grid` which cells an input of some shape has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.attention import boolean, hide
from perceiver_policy.core.positions import Positions, fourier_features, fourier_width
from perceiver_policy.core.recorded import recorded

Tokens = tuple[Tensor, Tensor | None]


@recorded
class Pixels(nn.Module):
    """Every pixel as it is: `[B, C, H, W]` -> `[B, H, W, C]`, or video `[B, T, C, H, W]` -> `[B, T, H, W, C]`."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.width = channels

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The cells of images or video of that shape."""
        return (*shape[1:-3], *shape[-2:])

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class; a mask changes nothing here."""
        return images.movedim(-3, -1)


@recorded
class Conv1x1(nn.Module):
    """A learned linear map of every pixel: `[B, C, H, W]` -> `[B, H, W, width]`."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(channels, width, 1)

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The cells of images of that shape."""
        return tuple(shape[-2:])

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class; `mask` `[B, H, W]`."""
        return cast(Tensor, self.conv(_hide_cells(images, mask))).movedim(-3, -1)


@recorded
class ConvStem(nn.Module):
    """7x7 convolution of stride 2, batch norm, ReLU, 3x3 max-pooling of stride 2: `[B, C, H, W]` -> about `[B, H/4,
    W/4, width]`.

    `padding="same"` pads as DeepMind's code does (224 -> 56); `"transformers"` as that package does (224 -> 55), which
    its weights expect.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, *, padding: Literal["same", "transformers"] = "same"
    ) -> None:
        super().__init__()
        self.width, self.padding = width, padding
        self.conv = nn.Conv2d(channels, width, 7, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The cells of images of that shape."""
        if self.padding == "transformers":
            return tuple(((size - 1) // 2 + 1 - 3) // 2 + 1 for size in shape[-2:])
        return tuple(math.ceil(math.ceil(size / 2) / 2) for size in shape[-2:])

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class; `mask` is of the cells: what lies in a masked one is hidden from its neighbours too."""
        images = _hide_cells(images, mask)
        if self.padding == "transformers":
            x = F.relu(self.norm(self.conv(F.pad(images, (3, 3, 3, 3)))))
        else:
            x = F.relu(self.norm(self.conv(F.pad(images, _same(images, 7, 2)))))
            x = F.pad(x, _same(x, 3, 2))  # zeros stand for minus infinity: all values are positive after the ReLU
        return F.max_pool2d(x, 3, 2).movedim(-3, -1)


@recorded
class Patches(nn.Module):
    """Space-to-depth: blocks of `temporal x spatial x spatial` pixels become channels, in the published order (time,
    row, column, channel).

    Images `[B, C, H, W]` -> `[B, H/s, W/s, width]`; video `[B, T, C, H, W]` -> `[B, T/t, H/s, W/s, width]`, without the
    time axis where one block of time is left. `project_to` adds a linear layer.
    """

    def __init__(
        self, channels: int = 3, *, spatial: int = 4, temporal: int = 1, project_to: int | None = None
    ) -> None:
        super().__init__()
        self.spatial, self.temporal = spatial, temporal
        block = channels * spatial**2 * temporal
        self.projection = nn.Linear(block, project_to) if project_to else None
        self.width = project_to or block

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The cells of images or video of that shape."""
        time = shape[-4] // self.temporal if len(shape) == 5 else 1
        cells = (shape[-2] // self.spatial, shape[-1] // self.spatial)
        return cells if time == 1 else (time, *cells)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class; `mask` is of the patches."""
        video = x if x.dim() == 5 else x[:, None]
        batch, time, channels, height, width = video.shape
        t, s = self.temporal, self.spatial
        if time % t or height % s or width % s:
            raise ValueError(f"frames of {time} x {height} x {width} do not divide into patches of {t} x {s} x {s}")
        blocks = video.reshape(batch, time // t, t, channels, height // s, s, width // s, s)
        blocks = blocks.permute(0, 1, 4, 6, 2, 5, 7, 3).flatten(4)
        blocks = blocks.squeeze(1) if blocks.shape[1] == 1 else blocks
        blocks = blocks if mask is None else blocks.masked_fill(~mask[..., None], 0.0)
        return blocks if self.projection is None else cast(Tensor, self.projection(blocks))


@recorded
class AudioPatches(nn.Module):
    """Runs of `samples` samples: `[B, length]` or `[B, length, 1]` -> `[B, length / samples, samples]`."""

    def __init__(self, samples: int = 16) -> None:
        super().__init__()
        self.width = samples

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The runs of audio of that shape."""
        return (math.prod(shape[1:]) // self.width,)

    def forward(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class; a mask changes nothing here."""
        length = math.prod(audio.shape[1:])
        if length % self.width:
            raise ValueError(f"audio of {length} samples does not divide into patches of {self.width}")
        return audio.reshape(audio.shape[0], -1, self.width)


@recorded
class OneVector(nn.Module):
    """A vector (a label, a handful of numbers) as one token: `[B, width]` -> `[B, 1, width]`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """One cell."""
        return (1,)

    def forward(self, vector: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class; a mask changes nothing here."""
        return vector[:, None]


@recorded
class GridTokens(nn.Module):
    """A stem, flattened, with position features of its grid: `[B, M, width]`. `combine` says whether they are
    concatenated or added."""

    def __init__(
        self,
        stem: nn.Module,
        positions: Positions | None = None,
        *,
        combine: Literal["concat", "add"] = "concat",
    ) -> None:
        super().__init__()
        stem_width = cast(int, stem.width)
        if combine == "add" and positions is not None and positions.width != stem_width:
            raise ValueError(f"positions of width {positions.width} cannot be added to a stem of width {stem_width}")
        self.stem, self.positions, self.combine = stem, positions, combine
        self.width = stem_width + (positions.width if positions is not None and combine == "concat" else 0)

    def count(self, x: Tensor) -> int:
        """Tokens of one element of `x`."""
        return math.prod(cast(Any, self.stem).grid(x.shape))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """`x`: what the stem takes. `mask`: `[B, M]` or the grid's shape."""
        flat = None if mask is None else boolean(mask).flatten(1)
        if flat is None:
            seen = self.stem(x)
        else:
            grid = cast(Any, self.stem).grid(x.shape)
            if flat.shape[1] != math.prod(grid):
                raise ValueError(f"a mask of {flat.shape[1]} values an input, but the inputs are {grid} cells")
            seen = self.stem(x, flat.unflatten(1, grid))
        tokens = hide(seen.flatten(1, -2), flat)
        if self.positions is not None:
            where = self.positions(seen.shape[1:-1])
            tokens = tokens + where if self.combine == "add" else concat_features(tokens, where)
        return tokens, flat


@recorded
class ByteTokens(nn.Module):
    """Text as bytes, or any ids: `[B, length]` integers -> embeddings plus learned positions, `[B, length, width]`.

    The published vocabulary is 262: six special tokens (PAD, BOS, EOS, MASK, CLS, SEP), then the 256 bytes. See
    `encode_text`.
    """

    def __init__(self, width: int, *, length: int = 2048, vocabulary: int = 262) -> None:
        super().__init__()
        self.width, self.length = width, length
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        for table in (self.embedding, self.positions):
            nn.init.trunc_normal_(table.weight, std=0.02, a=-0.04, b=0.04)

    def count(self, ids: Tensor) -> int:
        """Tokens of one text."""
        return ids.shape[1]

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tokens:
        """Raises ValueError for a text longer than `length`."""
        if ids.shape[1] > self.length:
            raise ValueError(f"text of {ids.shape[1]} tokens, but the model has positions for {self.length}: cut it")
        if mask is not None:
            mask = boolean(mask)
            ids = ids.masked_fill(~mask, 0)  # whatever stands there, it need not be in the vocabulary
        return self.embedding(ids) + self.positions.weight[: ids.shape[1]], mask


PAD, BOS, EOS, MASK, CLS, SEP = range(6)
"""The published special tokens; byte b is token 6 + b."""


def encode_text(texts: str | Sequence[str], length: int | None = None) -> tuple[Tensor, Tensor]:
    """Texts -> ids `[B, L]` and mask `[B, L]` (True = valid): CLS, the UTF-8 bytes, SEP, padded with PAD to the longest
    or to `length`.

    A text that does not fit in `length` is cut so that its SEP is kept.
    """
    rows = [[6 + byte for byte in text.encode()] for text in ([texts] if isinstance(texts, str) else texts)]
    rows = [[CLS, *(row if length is None else row[: length - 2]), SEP] for row in rows]
    total = length or max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (total - len(row)) for row in rows])
    return ids, torch.arange(total) < torch.tensor([[len(row)] for row in rows])


def decode_text(ids: Tensor) -> list[str]:
    """Ids `[B, L]` -> texts; special tokens are left out, bytes that are not UTF-8 become U+FFFD."""
    return [bytes(i - 6 for i in row if i >= 6).decode(errors="replace") for row in ids.tolist()]


@recorded
class PointTokens(nn.Module):
    """Points at their own coordinates: `[B, M, d + features]`, coordinates first, in [-1, 1] -> Fourier features of
    each point, then its features.

    The first Perceiver read ModelNet40 with 64 bands and a maximal resolution of 1120 (arXiv 2103.03206, appendix).
    """

    def __init__(self, dimensions: int, bands: int, max_resolution: float, features: int = 0) -> None:
        super().__init__()
        self.dimensions, self.bands, self.max_resolution = dimensions, bands, (max_resolution,) * dimensions
        self.width = fourier_width(dimensions, bands) + features

    def count(self, points: Tensor) -> int:
        """Tokens of one cloud."""
        return points.shape[1]

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tokens:
        """See the class."""
        points = hide(points, mask)
        where = fourier_features(points[..., : self.dimensions], self.bands, self.max_resolution)
        return torch.cat((where, points[..., self.dimensions :]), -1), mask


@recorded
class SetTokens(nn.Module):
    """A set of entities, order without meaning: features `[B, M, features]` -> `[B, M, width]` by a linear layer and
    ReLU."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Linear(features, width)

    def count(self, entities: Tensor) -> int:
        """Tokens of one set."""
        return entities.shape[1]

    def forward(self, entities: Tensor, mask: Tensor | None = None) -> Tokens:
        """See the class."""
        return F.relu(self.embedding(hide(entities, mask))), mask


@recorded
class Modalities(nn.Module):
    """Several inputs as one array: each padded by a learned vector of its own to one width, then concatenated in the
    order of the names.

    The common width is the widest modality's plus `padding`, so that every modality has a learned vector that tells it
    apart. `masking` gives probabilities with which tokens of a modality are replaced by a learned mask token: in
    training, or always where the probability is 1.
    """

    def __init__(
        self, modalities: Mapping[str, nn.Module], *, padding: int = 2, masking: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        self.modalities = nn.ModuleDict({name: modalities[name] for name in sorted(modalities)})
        self.masking = dict(masking or {})
        widths = {name: cast(int, module.width) for name, module in self.modalities.items()}
        self.width = max(widths.values()) + padding
        self.padding = nn.ParameterDict({name: learned_vector(self.width - width) for name, width in widths.items()})
        self.mask_tokens = nn.ParameterDict({name: learned_vector(self.width) for name in self.masking})

    def count(self, inputs: Mapping[str, Tensor]) -> int:
        """Tokens of all modalities of one element."""
        return sum(self._counts(inputs).values())

    def _counts(self, inputs: Mapping[str, Tensor]) -> dict[str, int]:
        return {name: cast(Any, module).count(inputs[name]) for name, module in self.modalities.items()}

    def forward(self, inputs: Mapping[str, Tensor], mask: Mapping[str, Tensor] | Tensor | None = None) -> Tokens:
        """`inputs` by name. `mask`: one `[B, M]` over all tokens, or by name (a missing name is all valid)."""
        for name in self.modalities:
            if name not in inputs:
                raise ValueError(f"missing modality {name!r}: expected {', '.join(self.modalities)}")
        masks = self._masks(inputs, mask)
        parts, part_masks = [], []
        for name, module in self.modalities.items():
            tokens, valid = module(inputs[name], masks.get(name))
            tokens = self._hide(name, concat_features(tokens, self.padding[name][None, None]))
            parts.append(tokens)
            part_masks.append(
                torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if valid is None else valid
            )
        return torch.cat(parts, 1), torch.cat(part_masks, 1) if masks else None

    def _masks(self, inputs: Mapping[str, Tensor], mask: Mapping[str, Tensor] | Tensor | None) -> Mapping[str, Tensor]:
        if mask is None or isinstance(mask, Mapping):
            return mask or {}
        counts = self._counts(inputs)
        if mask.shape[1] != sum(counts.values()):
            raise ValueError(
                f"a mask {tuple(mask.shape)} for {sum(counts.values())} tokens: expected one value a token"
            )
        return dict(zip(counts, mask.split(list(counts.values()), 1), strict=True))

    def _hide(self, name: str, tokens: Tensor) -> Tensor:
        probability = self.masking.get(name, 0.0)
        if probability >= 1.0:
            return self.mask_tokens[name].expand_as(tokens)
        if probability == 0.0 or not self.training:
            return tokens
        hidden = torch.rand(tokens.shape[:2], device=tokens.device) < probability
        return torch.where(hidden[..., None], self.mask_tokens[name], tokens)


def learned_vector(width: int) -> nn.Parameter:
    """A learned vector, truncated normal with standard deviation 0.02."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(width), std=0.02, a=-0.04, b=0.04))


def concat_features(tokens: Tensor, features: Tensor) -> Tensor:
    """`[B, M, C]` and features `[1 or B, 1 or M, E]` side by side: `[B, M, C + E]`."""
    return torch.cat((tokens, features.expand(*tokens.shape[:2], -1)), -1)


def _hide_cells(images: Tensor, mask: Tensor | None) -> Tensor:
    """Images `[B, C, H, W]` with zeros in the masked cells of a grid `[B, h, w]` over them."""
    if mask is None:
        return images
    cells = mask[:, None].float()
    if cells.shape[-2:] != images.shape[-2:]:
        cells = F.interpolate(cells, size=images.shape[-2:], mode="nearest")
    return images.masked_fill(cells == 0.0, 0.0)


def _same(x: Tensor, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) with which the output has `ceil(size / stride)` cells, the odd cell after."""
    pads = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]
