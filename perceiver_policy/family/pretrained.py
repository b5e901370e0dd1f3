"""Weights in the format of the transformers package's Perceiver <-> the modules here, both ways.

The six published checkpoints come in that format. transformers itself is not needed: a folder with `config.json` and
safetensors is enough. All eight of its classes are known: PerceiverModel, and PerceiverFor MaskedLM,
SequenceClassification, ImageClassificationLearned, ImageClassificationFourier, ImageClassificationConvProcessing,
OpticalFlow and MultimodalAutoencoding.

Where results differ from that package on purpose: a row whose inputs are all masked attends to nothing (there, to
everything equally); a pixel that is masked does not ask for its own flow with what it holds; the multimodal autoencoder
can decode all of its outputs (there, only `subsampled_output_points`), and gives the same for any subset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.attention import Activation, Attention, SelfAttention, tanh_gelu
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.family.modalities import ByteTokens, Conv1x1, ConvStem, GridTokens, Modalities, Patches
from perceiver_policy.family.perceiver import MaskedLanguageModel, PerceiverIO
from perceiver_policy.family.presets import (
    classifier,
    conv_pixels,
    fourier_pixels,
    learned_position_pixels,
    masked_language_model,
    multimodal_autoencoder,
    optical_flow,
)

State = Mapping[str, Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_new": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}

DEFAULTS: dict[str, Any] = {
    "num_latents": 256,
    "d_latents": 1280,
    "d_model": 768,
    "num_blocks": 1,
    "num_self_attends_per_block": 26,
    "num_self_attention_heads": 8,
    "num_cross_attention_heads": 8,
    "qk_channels": None,
    "v_channels": None,
    "cross_attention_shape_for_attention": "kv",
    "self_attention_widening_factor": 1,
    "cross_attention_widening_factor": 1,
    "hidden_act": "gelu",
    "attention_probs_dropout_prob": 0.1,
    "use_query_residual": True,
    "vocab_size": 262,
    "max_position_embeddings": 2048,
    "image_size": 56,
    "train_size": [368, 496],
    "num_frames": 16,
    "audio_samples_per_frame": 1920,
    "samples_per_patch": 16,
    "output_shape": [1, 16, 224, 224],
    "output_num_channels": 512,
}
"""That package's defaults, for what a `config.json` leaves out."""


def from_huggingface(source: Any, config: Any = None) -> PerceiverIO:
    """A Perceiver IO with the weights of `source`, in eval mode.

    `source` is a transformers Perceiver model; its state dict, with `config` (an object or a dict), also as a pair
    `(state, config)`; or a folder with `config.json` and `*.safetensors`. The result's `model(inputs,
    attention_mask=None)` takes what that class takes and returns the tensor that its output holds: `last_hidden_state`
    for PerceiverModel, `logits` for the rest (a dict by modality for multimodal autoencoding, which also takes
    `subsampled_output_points`). Raises ValueError for anything that is not such a model.
    """
    state, settings = _load(source, config)
    kind = kind_of_state(state)
    model = _build(kind, settings, state)
    wanted = dict(key_map(model))
    unknown, absent = _difference(state, wanted.values())
    if unknown or absent:
        raise ValueError(
            f"the weights are not those of {kind} with this config: missing {absent[:5] or 'nothing'}, "
            f"unexpected {unknown[:5] or 'nothing'}"
        )
    model.to(next(value for name, value in state.items() if name.endswith("embeddings.latents")).dtype)
    targets = model.state_dict()
    loaded = {}
    for ours, theirs in wanted.items():
        value = torch.cat([state[name] for name in theirs]) if len(theirs) > 1 else state[theirs[0]]
        if value.numel() != targets[ours].numel():
            raise ValueError(
                f"{theirs[0]} has shape {tuple(value.shape)}, but the config asks for {tuple(targets[ours].shape)}"
            )
        loaded[ours] = value.detach().reshape(targets[ours].shape)
    model.load_state_dict(loaded)
    return model.eval()


def to_huggingface(model: PerceiverIO, folder: str | Path | None = None) -> dict[str, Tensor]:
    """The state dict that the transformers class of the same kind loads; with `folder`, also `config.json` and
    `model.safetensors` there.

    Raises ValueError for a model that has no such class (several cross-attends, unshared blocks, another task).
    """
    config = huggingface_config(model)
    own = model.state_dict()
    modules = dict(model.named_modules())
    state: dict[str, Tensor] = {}
    for ours, theirs in key_map(model):
        value = own[ours]
        if len(theirs) > 1:
            owner = cast("Attention | SelfAttention", modules[ours.rsplit(".", 2)[0]])
            sizes = [owner.qk_width] * (len(theirs) - 1) + [owner.v_width]
            state.update(zip(theirs, (part.clone() for part in value.split(sizes)), strict=True))
        else:
            rows = re.search(r"\.(padding|mask)\.\w+$", theirs[0])
            state[theirs[0]] = (value[None] if rows else value).clone()
    if folder is not None:
        from safetensors.torch import save_file

        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file(state, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        Path(folder, "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return state


def kind_of_state(state: State) -> str:
    """Which transformers class a state dict is of, by its names. Raises ValueError if none."""
    marks = {
        "embedding_decoder.bias": "PerceiverForMaskedLM",
        "perceiver.input_preprocessor.embeddings.weight": "PerceiverForSequenceClassification",
        "perceiver.input_preprocessor.convnet_1x1.weight": "PerceiverForImageClassificationLearned",
        "perceiver.input_preprocessor.convnet.conv.weight": "PerceiverForImageClassificationConvProcessing",
        "perceiver.input_preprocessor.conv_after_patches.weight": "PerceiverForOpticalFlow",
        "perceiver.input_preprocessor.padding.audio": "PerceiverForMultimodalAutoencoding",
        "perceiver.embeddings.latents": "PerceiverForImageClassificationFourier",
        "embeddings.latents": "PerceiverModel",
    }
    for mark, kind in marks.items():
        if mark in state:
            return kind
    raise ValueError(f"not the weights of a transformers Perceiver: no {' nor '.join(list(marks)[-2:])} among them")


def key_map(model: PerceiverIO) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every name in our state dict with the name there; several where a fused projection is separate there."""
    single = model.task is not None and not isinstance(model, MaskedLanguageModel)
    prefix = "perceiver." if model.task is not None else ""
    rules = _rules(model.inputs, "decoder.decoder" if single else "decoder")
    for ours in model.state_dict():
        for pattern, template in rules:
            match = re.fullmatch(pattern, ours)
            if match:
                base, layer = match.expand(template), match.groupdict().get("layer")
                names = _layer_names(layer) if layer else ("",)
                yield ours, tuple((prefix if base != "embedding_decoder.bias" else "") + base + name for name in names)
                break
        else:
            raise ValueError(f"{ours} has no counterpart in transformers' Perceiver")


def _rules(inputs: nn.Module | None, decoder: str) -> list[tuple[str, str]]:
    stem = inputs.stem if isinstance(inputs, GridTokens) else None
    conv = "convnet_1x1" if isinstance(stem, Conv1x1) else "convnet.conv"
    text = isinstance(inputs, ByteTokens)
    here, there = "inputs", "input_preprocessor"
    table = f"{there}.position_embeddings"
    return [
        (r"encoder\.latents\.value", "embeddings.latents"),
        (r"encoder\.cross\.0\.(?P<layer>.+)", "encoder.cross_attention."),
        (r"encoder\.blocks\.0\.(?P<index>\d+)\.(?P<layer>.+)", r"encoder.self_attends.\g<index>."),
        (rf"{here}\.embedding\.weight", f"{there}.embeddings.weight"),
        (rf"{here}\.positions\.weight" if text else "-", f"{table}.weight"),
        (rf"{here}\.positions\.table", f"{table}.position_embeddings"),
        (rf"{here}\.positions\.projection\.(\w+)", rf"{there}.positions_projection.\1"),
        (rf"{here}\.stem\.conv\.(\w+)", rf"{there}.{conv}.\1"),
        (rf"{here}\.stem\.norm\.(\w+)", rf"{there}.convnet.batchnorm.\1"),
        (rf"{here}\.stem\.projection\.(\w+)", rf"{there}.conv_after_patches.\1"),
        (rf"{here}\.padding\.(\w+)", rf"{there}.padding.\1"),
        (rf"{here}\.mask_tokens\.(\w+)", rf"{there}.mask.\1"),
        (r"task\.decoder\.cross\.(?P<layer>.+)", f"{decoder}.decoding_cross_attention."),
        (r"task\.decoder\.final\.(\w+)", rf"{decoder}.final_layer.\1"),
        (r"task\.queries\.positions\.table", f"{decoder}.output_position_encodings.position_embeddings"),
        (r"task\.queries\.padding\.(\w+)", r"decoder.padding.\1"),
        (
            r"task\.queries\.modalities\.(\w+)\.positions\.table",
            r"decoder.modalities.\1.decoder.output_position_encodings.position_embeddings",
        ),
        (r"task\.outputs\.(\w+)\.(?:projection\.)?(\w+)", r"output_postprocessor.modalities.\1.classifier.\2"),
        (r"bias", "embedding_decoder.bias"),
    ]


def _layer_names(layer: str) -> tuple[str, ...]:
    """Names inside one attention layer: `attention.key_value.weight` -> (`attention.self.key.weight`,
    `attention.self.value.weight`)."""
    module, parameter = layer.rsplit(".", 1)
    names = {
        "query_norm": ("attention.self.layernorm1",),
        "norm": ("attention.self.layernorm1",),
        "input_norm": ("attention.self.layernorm2",),
        "attention.query": ("attention.self.query",),
        "attention.key_value": ("attention.self.key", "attention.self.value"),
        "query_key_value": ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention.output": ("attention.output.dense",),
        "output": ("attention.output.dense",),
        "mlp_norm": ("layernorm",),
        "mlp.inner": ("mlp.dense1",),
        "mlp.outer": ("mlp.dense2",),
    }
    return tuple(f"{name}.{parameter}" for name in names[module])


def _load(source: Any, config: Any) -> tuple[State, dict[str, Any]]:
    if isinstance(source, tuple):
        source, config = source
    if isinstance(source, nn.Module):
        source, config = source.state_dict(), getattr(source, "config", None)
    elif isinstance(source, str | Path):
        source, config = _load_folder(Path(source))
    if not isinstance(source, Mapping) or config is None:
        raise ValueError(
            "expected a transformers Perceiver model, its state dict and config, or a folder with config.json and "
            f"safetensors; got {type(source).__name__}{' without a config' if isinstance(source, Mapping) else ''}"
        )
    settings = dict(config if isinstance(config, Mapping) else config.to_dict())
    if settings.get("model_type", "perceiver") != "perceiver":
        raise ValueError(f"model_type is {settings['model_type']!r}: expected 'perceiver'")
    settings = DEFAULTS | settings
    if settings["hidden_act"] not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {settings['hidden_act']!r}: expected one of {', '.join(ACTIVATIONS)}")
    return source, settings


def _load_folder(folder: Path) -> tuple[State, dict[str, Any]]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not folder.joinpath("config.json").is_file() or not files:
        raise ValueError(f"{folder} is not a folder with config.json and *.safetensors")
    state: dict[str, Tensor] = {}
    for file in files:
        state |= load_file(file)
    return state, json.loads(folder.joinpath("config.json").read_text())


def _difference(state: State, wanted: Any) -> tuple[list[str], list[str]]:
    names = {name for group in wanted for name in group}
    return sorted(state.keys() - names), sorted(names - state.keys())


def _build(kind: str, c: dict[str, Any], state: State) -> PerceiverIO:
    """A model of that kind as the config says. Numbers of labels are read off the weights: configs keep them in several
    ways."""
    text = {"width": c["d_model"], "length": c["max_position_embeddings"], "vocabulary": c["vocab_size"]}
    by_query = c["cross_attention_shape_for_attention"] == "q"
    act: dict[str, Any] = {"activation": ACTIVATIONS[c["hidden_act"]]}

    def encoder(input_width: int) -> dict[str, Any]:
        qk_width = c["qk_channels"] or (c["d_latents"] if by_query else input_width)
        return {
            "latents": c["num_latents"],
            "latent_width": c["d_latents"],
            "blocks": c["num_blocks"],
            "self_attends": c["num_self_attends_per_block"],
            "cross_heads": c["num_cross_attention_heads"],
            "self_heads": c["num_self_attention_heads"],
            "cross_widening": c["cross_attention_widening_factor"],
            "self_widening": c["self_attention_widening_factor"],
            "cross_qk_width": qk_width,
            "cross_v_width": c["v_channels"],
            "self_qk_width": c["qk_channels"],
            "self_v_width": c["v_channels"],
            "query_residual": c["use_query_residual"],
            "dropout": c["attention_probs_dropout_prob"],
            **act,
        }

    def classify(inputs: Any) -> PerceiverIO:
        classes = state["perceiver.decoder.decoder.final_layer.weight"].shape[0]
        return classifier(inputs, encoder(inputs.width), classes, **act)

    if kind == "PerceiverModel":
        return PerceiverIO(Encoder(c["d_model"], **encoder(c["d_model"])))
    if kind == "PerceiverForMaskedLM":
        return masked_language_model(encoder(c["d_model"]), **text, **act)
    if kind == "PerceiverForSequenceClassification":
        return classify(ByteTokens(**text))
    if kind == "PerceiverForImageClassificationLearned":
        return classify(learned_position_pixels(c["image_size"]))
    if kind == "PerceiverForImageClassificationFourier":
        return classify(fourier_pixels(c["image_size"]))
    if kind == "PerceiverForImageClassificationConvProcessing":
        return classify(conv_pixels(c["image_size"], padding="transformers"))
    if kind == "PerceiverForOpticalFlow":
        width = 64 + 258
        qk_width = width if by_query else None
        return optical_flow(encoder(width), shape=tuple(c["train_size"]), decoder_qk_width=qk_width, **act)
    return _build_multimodal(c, state, encoder, by_query, act)


def _build_multimodal(
    c: dict[str, Any], state: State, encoder: Any, by_query: bool, act: dict[str, Any]
) -> PerceiverIO:
    labels = state["perceiver.output_postprocessor.modalities.label.classifier.weight"].shape[0]
    label_width = state[
        "perceiver.decoder.modalities.label.decoder.output_position_encodings.position_embeddings"
    ].shape[1]
    input_width = max(48 + 195, c["samples_per_patch"] + 385, labels) + 4
    return multimodal_autoencoder(
        encoder(input_width),
        frames=c["num_frames"],
        size=c["image_size"],
        samples_per_frame=c["audio_samples_per_frame"],
        samples_per_patch=c["samples_per_patch"],
        labels=labels,
        label_width=label_width,
        output_width=c["output_num_channels"],
        max_resolution=(c["num_frames"], c["image_size"], c["image_size"]),
        video_shape=tuple(c["output_shape"][1:]),
        decoder_qk_width=max(385, 195, label_width) + 2 if by_query else None,
        **act,
    )


def huggingface_config(model: PerceiverIO) -> dict[str, Any]:
    """The transformers config of a model here, read off its modules. Raises ValueError where none describes it."""
    encoder, inputs = model.encoder, model.inputs
    if len(encoder.cross_order) != 1 or len(encoder.blocks) != 1:
        raise ValueError("transformers' Perceiver has one cross-attend and shared blocks: this encoder has more")
    cross, layers = cast(Any, encoder.cross[0]), cast(Any, encoder.blocks[0])
    latent, first = encoder.latent_width, layers[0]
    config = DEFAULTS | {
        "model_type": "perceiver",
        "architectures": [_kind_of_model(model)],
        "num_latents": cast(Any, encoder.latents).count,
        "d_latents": latent,
        "d_model": encoder.input_width,
        "num_blocks": len(encoder.block_order),
        "num_self_attends_per_block": len(layers),
        "num_self_attention_heads": first.heads,
        "num_cross_attention_heads": cross.attention.heads,
        "self_attention_widening_factor": first.mlp.inner.out_features // latent,
        "cross_attention_widening_factor": cross.mlp.inner.out_features // latent,
        "hidden_act": next(name for name, act in ACTIVATIONS.items() if act is first.mlp.activation),
        "attention_probs_dropout_prob": first.dropout,
        "use_query_residual": cross.residual,
    }
    return config | _width_config(model) | _input_config(model, inputs)


def _width_config(model: PerceiverIO) -> dict[str, Any]:
    """There, one qk and one v setting rule both kinds of attention, and what is unset follows the keys' or the queries'
    width."""
    encoder, latent = model.encoder, model.encoder.latent_width
    cross, first = cast(Any, encoder.cross[0]).attention, cast(Any, encoder.blocks[0])[0]
    defaults = [("kv", encoder.input_width, latent), ("q", latent, model.task.decoder.query_width if model.task else 0)]
    for qk_width in (None, first.qk_width):
        for shape, cross_default, decoder_default in defaults:
            fits = (first.qk_width, cross.qk_width) == (qk_width or latent, qk_width or cross_default)
            if model.task is not None and not isinstance(model, MaskedLanguageModel):
                fits = fits and model.task.decoder.cross.attention.qk_width == decoder_default
            if fits:
                same = first.v_width == first.qk_width and cross.v_width == cross.qk_width
                v_width = None if same else first.v_width
                if same or cross.v_width == first.v_width:
                    return {
                        "qk_channels": qk_width,
                        "v_channels": v_width,
                        "cross_attention_shape_for_attention": shape,
                    }
    raise ValueError(
        "transformers' Perceiver has one qk and one v width for cross- and self-attention, or their defaults"
    )


def _input_config(model: PerceiverIO, inputs: nn.Module | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(inputs, ByteTokens):
        found = {"vocab_size": inputs.embedding.num_embeddings, "max_position_embeddings": inputs.length}
    elif isinstance(inputs, Modalities):
        parts, task = cast(Any, inputs.modalities), cast(Any, model.task)
        audio, image = parts["audio"], parts["image"]
        frames = image.positions.shape[0]
        queries = task.queries.modalities
        found = {
            "num_frames": frames,
            "image_size": int(image.positions.max_resolution[1]),
            "audio_samples_per_frame": int(audio.positions.max_resolution[0]) // frames,
            "samples_per_patch": audio.stem.width,
            "output_shape": [1, *queries["image"].positions.shape],
            "output_num_channels": task.decoder.output_width,
            "_label_trainable_num_channels": queries["label"].width,
            **_labels(parts["label"].width),
        }
    elif isinstance(inputs, GridTokens):
        shape = list(cast(Any, inputs.positions).shape)
        if isinstance(inputs.stem, Patches):
            return {"train_size": shape}
        found = {"image_size": shape[0] * 4 + 4 if isinstance(inputs.stem, ConvStem) else shape[0]}
    if model.task is not None and not isinstance(model, MaskedLanguageModel) and not isinstance(inputs, Modalities):
        found |= _labels(model.task.decoder.output_width)
    return found


def _labels(count: int) -> dict[str, Any]:
    names = {str(i): f"LABEL_{i}" for i in range(count)}
    return {"id2label": names, "label2id": {name: int(i) for i, name in names.items()}}


def _kind_of_model(model: PerceiverIO) -> str:
    inputs = model.inputs
    if model.task is None:
        return "PerceiverModel"
    if isinstance(inputs, ByteTokens):
        return (
            "PerceiverForMaskedLM" if isinstance(model, MaskedLanguageModel) else "PerceiverForSequenceClassification"
        )
    if isinstance(inputs, Modalities):
        return "PerceiverForMultimodalAutoencoding"
    stem = inputs.stem if isinstance(inputs, GridTokens) else None
    if isinstance(stem, Patches):
        return "PerceiverForOpticalFlow"
    if isinstance(stem, Conv1x1):
        return "PerceiverForImageClassificationLearned"
    if isinstance(stem, ConvStem):
        if stem.padding != "transformers":
            raise ValueError("transformers pads its convolution otherwise: build ConvStem(padding='transformers')")
        return "PerceiverForImageClassificationConvProcessing"
    return "PerceiverForImageClassificationFourier"
