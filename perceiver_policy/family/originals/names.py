"""What each of our parameters is called in the original code, and how it is laid out there.

Haiku keeps a linear layer's weight as `[in, out]`, a convolution's as `[rows, columns, in, out]`, and projections
separate that are fused here. Names: google-deepmind/deepmind-research (perceiver/), google-deepmind/
hierarchical_perceiver and google-research/perceiver-ar; their modules are numbered in the order they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from perceiver_policy.core.attention import MLP, CrossAttention, SelfAttention
from perceiver_policy.core.positions import LearnedPositions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import Block, HierarchicalPerceiver
from perceiver_policy.family.modalities import ByteTokens, Conv1x1, ConvStem, GridTokens, Modalities, Patches
from perceiver_policy.family.perceiver import Grid, MaskedLanguageModel, ModalityTask, OneAnswer, PerceiverIO, Task
from perceiver_policy.family.queries import ModalityQueries, PositionQueries

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """One tensor of our state dict, and its counterparts: several where a projection that is fused here is separate
    there, each with `rows` of ours."""

    ours: str
    theirs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    rows: tuple[int, ...]
    axes: tuple[int, ...] = ()
    """Our axes in the order they have there; () for a plain reshape."""

    def split(self, value: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Our value -> theirs by name."""
        for name, shape, part in zip(self.theirs, self.shapes, value.split(self.rows), strict=True):
            yield name, (part.permute(self.axes) if self.axes else part).reshape(shape)

    def join(self, tree: Mapping[str, Tensor], shape: Shape) -> Tensor:
        """Their values -> ours, of `shape`."""
        parts = [tree[name] for name in self.theirs]
        if self.axes:
            back = [self.axes.index(axis) for axis in range(len(self.axes))]
            parts = [part.permute(back) for part in parts]
        return (torch.cat(parts) if len(parts) > 1 else parts[0]).reshape(shape)


class Dialect(NamedTuple):
    """How a repository names the parts of its attention layers."""

    attention: tuple[str, str, str, str]
    mlp: tuple[str, str]


_NUMBERED = ("linear", "linear_1", "linear_2", "linear_3")
PERCEIVER_IO = Dialect(_NUMBERED, ("mlp/linear", "mlp/linear_1"))
PERCEIVER_AR = Dialect(_NUMBERED, ("dense/linear", "dense/linear_1"))
HIP = Dialect(
    ("query_linear", "key_linear", "value_linear", "attention_output_linear"),
    ("dense/mlp_hidden_linear", "dense/mlp_output_linear"),
)


def entries(model: nn.Module) -> list[Entry]:
    """Every tensor of the model's state dict with its counterparts, in the original's order as far as it matters.

    Raises ValueError for a model that the original code cannot express.
    """
    makers: list[tuple[type[nn.Module], Callable[[Any], Iterator[Entry]]]] = [
        (PerceiverIO, _perceiver_io),
        (HierarchicalPerceiver, _hierarchical),
        (PerceiverAR, _autoregressive),
    ]
    for kind, make in makers:
        if isinstance(model, kind):
            found = list(make(model))
            break
    else:
        raise ValueError(
            f"expected a PerceiverIO, HierarchicalPerceiver or PerceiverAR to be named as in DeepMind's code, got "
            f"{type(model).__name__}"
        )
    known = {entry.ours for entry in found}
    rest = [name for name in model.state_dict() if name not in known and not name.endswith("num_batches_tracked")]
    if rest:
        raise ValueError(f"DeepMind's code has no counterpart of {', '.join(rest[:5])}")
    return found


def _plain(ours: str, value: Tensor, theirs: str, shape: Sequence[int] | None = None) -> Entry:
    return Entry(ours, (theirs,), (tuple(shape or value.shape),), (value.shape[0],))


def _linear(ours: str, layer: nn.Module, *theirs: str, rows: Sequence[int] = ()) -> Iterator[Entry]:
    linear = cast(nn.Linear, layer)
    rows = tuple(rows or (linear.out_features,))
    shapes = tuple((linear.in_features, count) for count in rows)
    yield Entry(f"{ours}.weight", tuple(f"{name}/w" for name in theirs), shapes, rows, (1, 0))
    if linear.bias is not None:
        yield Entry(f"{ours}.bias", tuple(f"{name}/b" for name in theirs), tuple((count,) for count in rows), rows)


def _norm(ours: str, layer: nn.LayerNorm, theirs: str) -> Iterator[Entry]:
    yield _plain(f"{ours}.weight", layer.weight, f"{theirs}/scale")
    yield _plain(f"{ours}.bias", layer.bias, f"{theirs}/offset")


def _mlp(ours: str, layer: MLP, theirs: str, dialect: Dialect) -> Iterator[Entry]:
    yield from _linear(f"{ours}.inner", layer.inner, f"{theirs}/{dialect.mlp[0]}")
    yield from _linear(f"{ours}.outer", layer.outer, f"{theirs}/{dialect.mlp[1]}")


def _cross(ours: str, module: nn.Module, theirs: str, dialect: Dialect) -> Iterator[Entry]:
    layer = cast(CrossAttention, module)
    attention = layer.attention
    query, key, value, output = (f"{theirs}/attention/{name}" for name in dialect.attention)
    yield from _norm(f"{ours}.query_norm", layer.query_norm, f"{theirs}/layer_norm")
    yield from _norm(f"{ours}.input_norm", layer.input_norm, f"{theirs}/layer_norm_1")
    yield from _linear(f"{ours}.attention.query", attention.query, query)
    rows = (attention.qk_width, attention.v_width)
    yield from _linear(f"{ours}.attention.key_value", attention.key_value, key, value, rows=rows)
    yield from _linear(f"{ours}.attention.output", attention.output, output)
    yield from _norm(f"{ours}.mlp_norm", layer.mlp_norm, f"{theirs}/layer_norm_2")
    yield from _mlp(f"{ours}.mlp", layer.mlp, theirs, dialect)


def _self(ours: str, module: nn.Module, theirs: str, dialect: Dialect) -> Iterator[Entry]:
    layer = cast(SelfAttention, module)
    query, key, value, output = (f"{theirs}/attention/{name}" for name in dialect.attention)
    yield from _norm(f"{ours}.norm", layer.norm, f"{theirs}/layer_norm")
    rows = (layer.qk_width, layer.qk_width, layer.v_width)
    yield from _linear(f"{ours}.query_key_value", layer.query_key_value, query, key, value, rows=rows)
    yield from _linear(f"{ours}.output", layer.output, output)
    yield from _norm(f"{ours}.mlp_norm", layer.mlp_norm, f"{theirs}/layer_norm_1")
    yield from _mlp(f"{ours}.mlp", layer.mlp, theirs, dialect)


def _perceiver_io(model: PerceiverIO) -> Iterator[Entry]:
    encoder = model.encoder
    if len(encoder.cross_order) != 1 or len(encoder.blocks) != 1:
        raise ValueError("DeepMind's Perceiver IO has one cross-attend and blocks that share their weights")
    # The notebook of the multimodal model, and so its weights, calls its encoder otherwise than all the rest.
    top = "encoder/~" if isinstance(model.inputs, Modalities) else "perceiver_encoder/~"
    latents = cast(Tensor, encoder.latents.value)
    yield from _inputs(model.inputs)
    yield _plain("encoder.latents.value", latents, f"{top}/trainable_position_encoding/pos_embs")
    yield from _cross("encoder.cross.0", encoder.cross[0], f"{top}/cross_attention", PERCEIVER_IO)
    for i, layer in enumerate(cast(nn.ModuleList, encoder.blocks[0])):
        name = f"{top}/{_numbered('self_attention', i)}"
        yield from _self(f"encoder.blocks.0.{i}", layer, name, PERCEIVER_IO)
    if model.task is not None:
        yield from _task(model.task)
    if isinstance(model, MaskedLanguageModel):
        yield _plain("bias", model.bias, "embedding_decoder/bias")


def _inputs(inputs: nn.Module | None) -> Iterator[Entry]:
    if isinstance(inputs, ByteTokens):
        yield _plain("inputs.embedding.weight", inputs.embedding.weight, "embed/embeddings")
        yield _plain("inputs.positions.weight", inputs.positions.weight, "trainable_position_encoding/pos_embs")
    elif isinstance(inputs, Modalities):
        for name, padding in inputs.padding.items():
            yield _vector(f"inputs.padding.{name}", padding, f"multimodal_preprocessor/{name}_padding")
        for name, token in inputs.mask_tokens.items():
            yield _vector(f"inputs.mask_tokens.{name}", token, f"multimodal_preprocessor/{name}_mask_token")
    elif isinstance(inputs, GridTokens):
        top, stem, positions = "image_preprocessor", inputs.stem, inputs.positions
        if isinstance(stem, Conv1x1):
            yield _convolution("inputs.stem.conv", stem.conv, f"{top}/~/conv2_d")
            yield _plain("inputs.stem.conv.bias", cast(Tensor, stem.conv.bias), f"{top}/~/conv2_d/b")
        elif isinstance(stem, ConvStem):
            norm = f"{top}/~/conv2_d_downsample/~/batchnorm"
            yield _convolution("inputs.stem.conv", stem.conv, f"{top}/~/conv2_d_downsample/~/conv")
            for ours, theirs in _BATCH_NORM.items():
                value = cast(Tensor, getattr(stem.norm, ours))
                yield _plain(f"inputs.stem.norm.{ours}", value, f"{norm}/{theirs}", (1, 1, 1, stem.width))
        elif isinstance(stem, Patches) and stem.projection is not None:
            yield from _linear("inputs.stem.projection", stem.projection, f"{top}/patches_linear")
        if isinstance(positions, LearnedPositions):
            network = f"{top}/~_build_network_inputs"
            table = f"{network}/trainable_position_encoding/pos_embs"
            yield _plain("inputs.positions.table", positions.table, table)
            if positions.projection is not None:
                projection = f"{network}/position_encoding_projector/linear"
                yield from _linear("inputs.positions.projection", positions.projection, projection)


_BATCH_NORM = {
    "weight": "scale",
    "bias": "offset",
    "running_mean": "~/mean_ema/average",
    "running_var": "~/var_ema/average",
}


def _task(task: Task) -> Iterator[Entry]:
    tops = {OneAnswer: "classification_decoder/~/", Grid: "flow_decoder/~/", nn.ModuleDict: "multimodal_decoder/~/"}
    top = next((name for kind, name in tops.items() if isinstance(task.outputs, kind)), "") + "basic_decoder"
    yield from _cross("task.decoder.cross", task.decoder.cross, f"{top}/cross_attention", PERCEIVER_IO)
    if task.decoder.final is not None:
        yield from _linear("task.decoder.final", task.decoder.final, f"{top}/output")
    position = "~/trainable_position_encoding/pos_embs"
    if isinstance(task.queries, PositionQueries) and isinstance(task.queries.positions, LearnedPositions):
        yield _plain("task.queries.positions.table", task.queries.positions.table, f"{top}/{position}")
    if not isinstance(task, ModalityTask):
        return
    queries, outputs = cast(ModalityQueries, task.queries), cast(nn.ModuleDict, task.outputs)
    for name, padding in queries.padding.items():
        yield _vector(f"task.queries.padding.{name}", padding, f"multimodal_decoder/~decoder_query/{name}_padding")
    if "label" in queries.modalities:
        table = cast(Any, queries.modalities["label"]).positions.table
        label = f"classification_decoder/~/basic_decoder/{position}"
        yield _plain("task.queries.modalities.label.positions.table", table, label)
    kinds = {
        "audio": "audio_postprocessor",
        "image": "projection_postprocessor",
        "label": "classification_postprocessor",
    }
    for name, layer in outputs.items():
        inner = getattr(layer, "projection", None)
        ours = f"task.outputs.{name}" + ("" if inner is None else ".projection")
        yield from _linear(ours, layer if inner is None else inner, f"{kinds.get(name, name)}/linear")


def _hierarchical(model: HierarchicalPerceiver) -> Iterator[Entry]:
    if model.labels:
        raise ValueError("no parameters of a Hierarchical Perceiver with labels were published: build without labels=")
    embedder, encoder = "perceiver/embedder", "perceiver/position_encoder"
    for i, name in enumerate(model.lengths):
        yield from _linear(f"embed.{name}", model.embed[name], f"{embedder}/~embed/embed_{name}")
        yield from _linear(f"unembed.{name}", model.unembed[name], f"{embedder}/~unembed/unembed_{name}")
        table = cast(Tensor, model.positions[name].table)
        yield _plain(f"positions.{name}.table", table, f"{encoder}/pos_emb_mae_{name}/pos_embs")
        if model.position_projections:
            theirs = f"{encoder}/{_numbered('position_encoding_linear', i)}"
            yield from _linear(f"position_projections.{name}", model.position_projections[name], theirs)
    for i, module in enumerate(model.blocks):
        block, ours, top = cast(Block, module), f"blocks.{i}", f"perceiver/block_{i}/~"
        cross = f"{top}/hi_p_cross_attention"
        yield _plain(f"{ours}.latents.value", block.latents.value, f"{cross}/query_inputs/pos_embs")
        if isinstance(block.skip, nn.Linear):
            yield from _linear(f"{ours}.skip", block.skip, f"{cross}/pre_attention_residual_linear")
        yield from _cross(f"{ours}.cross", block.cross, cross, HIP)
        for k, layer in enumerate(block.layers):
            yield from _self(f"{ours}.layers.{k}", layer, f"{top}/self_attend_id_{k}", HIP)
    yield from _cross("reconstruct", model.reconstruct, "perceiver/reconstruction_head/hi_p_cross_attention", HIP)


def _autoregressive(model: PerceiverAR) -> Iterator[Entry]:
    top = "perceiver_ar/~"
    if model.output is None:
        raise ValueError("the original Perceiver AR has an output layer of its own: build with tie_embeddings=False")
    yield _plain("embedding.weight", model.embedding.weight, f"{top}/embed/embeddings")
    for axis, table in enumerate(model.position_tables):
        yield _plain(f"position_tables.{axis}.weight", cast(Tensor, table.weight), f"{top}/embed_{axis + 1}/embeddings")
    if model.query_projection is not None:
        yield from _linear("query_projection", model.query_projection, f"{top}/linear")
    if model.learned_queries is not None:
        yield _plain("learned_queries.value", model.learned_queries.value, "perceiver_ar/q_embed_learned")
    if model.place is not None:
        yield _plain("place.value", model.place.value, f"{top}/z_pos_enc/pos_embs")
    yield from _cross("cross", model.cross, f"{top}/cross_attention", PERCEIVER_AR)
    for i, layer in enumerate(model.layers):
        yield from _self(f"layers.{i}", layer, f"{top}/{_numbered('self_attention', i)}", PERCEIVER_AR)
    yield from _norm("norm", model.norm, "perceiver_ar/layer_norm")
    yield from _linear("output", model.output, f"{top}/logits")
    yield _plain("output_bias", model.output_bias, f"{top}/logits/b")


def _convolution(ours: str, layer: nn.Conv2d, theirs: str) -> Entry:
    out, within, rows, columns = layer.weight.shape
    shape = (rows, columns, within, out)
    return Entry(f"{ours}.weight", (f"{theirs}/w",), (shape,), (out,), (2, 3, 1, 0))


def _vector(ours: str, value: Tensor, theirs: str) -> Entry:
    return _plain(ours, value, f"{theirs}/pos_embs", (1, *value.shape))


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index}"
