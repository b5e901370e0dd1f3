"""The weights that DeepMind and Google published with the papers, loaded into the modules here, and written back.

Known are the trees of Perceiver IO (language, optical flow, ImageNet three ways, the multimodal autoencoder), of the
Hierarchical Perceiver and of Perceiver AR. Outputs are those of the original code: `tests` hold them to recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn

from perceiver_policy.core.attention import tanh_gelu
from perceiver_policy.family.hierarchical import VARIANTS, hierarchical
from perceiver_policy.family.originals.names import Shape, entries
from perceiver_policy.family.originals.trees import Tree, read_tree, write_tree
from perceiver_policy.family.presets import IMAGENET, PUBLISHED_AR, classifier, learned_position_pixels, published

Model = TypeVar("Model", bound=nn.Module)


@overload
def from_deepmind(source: Any) -> nn.Module: ...
@overload
def from_deepmind(source: Any, model: Model) -> Model: ...
def from_deepmind(source: Any, model: nn.Module | None = None) -> nn.Module:
    """A model with the weights of `source`, in eval mode.

    `source` is a parameter tree as Haiku has it (mappings of arrays), or the path of a pickle of one, or of an `.npz`
    archive; see `trees.read_tree`. `model` None builds the published configuration that has these names and sizes;
    numbers that no tree tells (heads above all) are then the published ones. Any other `PerceiverIO`,
    `HierarchicalPerceiver` or `PerceiverAR` is given to be filled, and returned; for the original's outputs build it
    with `activation=tanh_gelu` (Perceiver IO) or `mask_padding=False` (Hierarchical Perceiver). Raises ValueError where
    names or sizes do not fit.
    """
    tree = {name: _tensor(value) for name, value in read_tree(source).items() if not name.endswith(_NOT_KEPT)}
    build_hint = ""
    if model is None:
        model = _build({name: tuple(value.shape) for name, value in tree.items()})
        build_hint = "; no published configuration has these: build the model and give it as model="
    found = entries(model)
    wanted = {name: shape for entry in found for name, shape in zip(entry.theirs, entry.shapes, strict=True)}
    tree = {_encoder_name(name, wanted): value for name, value in tree.items()}
    _check(tree, wanted, build_hint)
    own = model.state_dict()
    state = {entry.ours: entry.join(tree, tuple(own[entry.ours].shape)).to(own[entry.ours]) for entry in found}
    model.load_state_dict(state, strict=False)
    return model.eval()


def to_deepmind(model: nn.Module, path: str | Path | None = None) -> Tree:
    """The parameter tree of the original code, flat: `module/name` -> array; with `path`, also an `.npz` archive there.

    Haiku's two levels are `name.rsplit("/", 1)`. What batch norm remembers is named as in Haiku's state. Raises
    ValueError for a model that the original code cannot express.
    """
    own = model.state_dict()
    parts = (part for entry in entries(model) for part in entry.split(own[entry.ours]))
    tree = {name: value.detach().cpu().contiguous().numpy().copy() for name, value in parts}
    if path is not None:
        write_tree(tree, path)
    return tree


def deepmind_shapes(model: nn.Module) -> dict[str, Shape]:
    """Names and shapes of `to_deepmind`, of a model on the meta device too."""
    return {n: shape for entry in entries(model) for n, shape in zip(entry.theirs, entry.shapes, strict=True)}


_NOT_KEPT = ("_ema/counter", "_ema/hidden")
"""Of a batch norm's averages, what only training needs."""


def _tensor(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))


def _encoder_name(name: str, wanted: dict[str, Shape]) -> str:
    """The same encoder is called `encoder` in one notebook, `perceiver_encoder` elsewhere."""
    for one, other in (("encoder/~/", "perceiver_encoder/~/"), ("perceiver_encoder/~/", "encoder/~/")):
        if name.startswith(one) and name not in wanted:
            return other + name.removeprefix(one)
    return name


def _check(tree: dict[str, Tensor], wanted: dict[str, Shape], hint: str) -> None:
    missing, unexpected = [n for n in wanted if n not in tree], [n for n in tree if n not in wanted]
    if missing or unexpected:
        missing_text, unexpected_text = missing[:3] or "nothing", unexpected[:3] or "nothing"
        raise ValueError(f"the tree is not this model's: missing {missing_text}, unexpected {unexpected_text}{hint}")
    for name, shape in wanted.items():
        if tuple(tree[name].shape) != shape:
            raise ValueError(f"{name} is {list(tree[name].shape)}, but this model's is {list(shape)}{hint}")


def _build(shapes: dict[str, Shape]) -> nn.Module:
    """The published configuration of these names and shapes."""
    for mark, make in _PUBLISHED.items():
        if any(name.startswith(mark) for name in shapes):
            return make(shapes)
    raise ValueError(f"not a tree of a published Perceiver: expected a name that starts with {', '.join(_PUBLISHED)}")


def _hierarchical(shapes: dict[str, Shape]) -> nn.Module:
    """The variant whose latents these are; modalities in the order in which the tree names them."""
    embed, encoder = "perceiver/embedder/~embed/embed_", "perceiver/position_encoder/"
    names = [
        name.removeprefix(embed).removesuffix("/w") for name in shapes if name.startswith(embed) and name[-2:] == "/w"
    ]
    modalities = {n: (shapes[f"{encoder}pos_emb_mae_{n}/pos_embs"][0], shapes[f"{embed}{n}/w"][0]) for n in names}
    width = shapes[f"{embed}{names[0]}/w"][1]
    projected = f"{encoder}position_encoding_linear/w" in shapes
    for variant, sizes in VARIANTS.items():
        latents = [
            (groups * count, channels)
            for groups, count, channels in zip(sizes["groups"], sizes["latents"], sizes["widths"], strict=True)
        ]
        layers = sum(
            name.startswith("perceiver/block_1/~/self_attend") and name.endswith("query_linear/w") for name in shapes
        )
        query = "perceiver/block_{}/~/hi_p_cross_attention/query_inputs/pos_embs"
        if [shapes.get(query.format(i)) for i in range(len(latents))] == latents and layers == sizes["self_attends"][1]:
            return hierarchical(variant, modalities, position_width=width if projected else None)
    raise ValueError("no published Hierarchical Perceiver has these latents: build the model, and give it as model=")


def _autoregressive(shapes: dict[str, Shape]) -> nn.Module:
    """The configuration with so many layers and these tables of positions."""
    layers = sum(name.endswith("/dense/linear/w") for name in shapes) - 1
    rows = [shape[0] for name, shape in shapes.items() if name.startswith("perceiver_ar/~/embed_")]
    for name, sizes in PUBLISHED_AR.items():
        if sizes["self_attends"] == layers and list(sizes.get("position_rows", ())) == rows:
            return published(name)
    raise ValueError(f"no published Perceiver AR has {layers} layers and position tables of {rows} rows: give model=")


_PUBLISHED: dict[str, Callable[[dict[str, Shape]], nn.Module]] = {
    "embedding_decoder/": lambda _: published("language-perceiver", activation=tanh_gelu),
    "multimodal_preprocessor/": lambda _: published("multimodal-perceiver", activation=tanh_gelu),
    "image_preprocessor/patches_linear/": lambda _: published("optical-flow-perceiver", activation=tanh_gelu),
    # Its notebook decodes without the query's residual; the transformers package adds it.
    "image_preprocessor/~/conv2_d/": lambda _: classifier(
        learned_position_pixels(), IMAGENET, 1000, residual=False, activation=tanh_gelu
    ),
    "image_preprocessor/~/conv2_d_downsample/": lambda _: published("vision-perceiver-conv", activation=tanh_gelu),
    "classification_decoder/": lambda _: published("vision-perceiver-fourier", activation=tanh_gelu),
    "perceiver_ar/": _autoregressive,
    "perceiver/block_0/": _hierarchical,
}
"""By the start of a name that only that kind has, or that no kind before it has."""
