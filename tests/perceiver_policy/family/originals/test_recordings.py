"""Every member against recordings of the original code: outputs, blocks, masks, padding, in float32 and float64."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from perceiver_policy.core.attention import tanh_gelu
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.positions import fourier_features, grid_positions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import HierarchicalPerceiver
from perceiver_policy.family.modalities import decode_text, encode_text
from perceiver_policy.family.originals.deepmind import from_deepmind
from perceiver_policy.family.originals.flamingo import from_flamingo, to_flamingo
from perceiver_policy.family.perceiver import PerceiverIO, Task
from perceiver_policy.family.presets import multimodal_autoencoder
from perceiver_policy.family.resampler import public_resampler
from tests.perceiver_policy.family.originals.recordings import agree, recording, tensor

PRECISIONS = [torch.float64, torch.float32]


def filled(model: nn.Module, tree: dict[str, np.ndarray], dtype: torch.dtype) -> nn.Module:
    """The model with these weights, and as many of them."""
    model = from_deepmind(tree, model.to(dtype))
    assert sum(p.numel() for p in model.parameters()) == sum(value.size for value in tree.values())
    return model


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("number", [1, 2])
def test_perceiver_io(number, dtype):
    config, tree, arrays = recording(f"deepmind_perceiver_io_{number}")
    e, d = config["encoder"], config["decoder"]
    inputs, asked = tensor(arrays["inputs"], dtype), tensor(arrays["decoder_query"], dtype)
    encoder = Encoder(
        inputs.shape[-1],
        latents=e["z_index_dim"],
        latent_width=e["num_z_channels"],
        blocks=e["num_blocks"],
        self_attends=e["num_self_attends_per_block"],
        cross_heads=e["num_cross_attend_heads"],
        self_heads=e["num_self_attend_heads"],
        cross_widening=e["cross_attend_widening_factor"],
        self_widening=e["self_attend_widening_factor"],
        cross_qk_width=e.get("qk_channels"),
        cross_v_width=e.get("v_channels"),
        self_qk_width=e.get("qk_channels"),
        self_v_width=e.get("v_channels"),
        query_residual=e["use_query_residual"],
        activation=tanh_gelu,
    )
    decoder = Decoder(
        asked.shape[-1],
        e["num_z_channels"],
        heads=d["num_heads"],
        qk_width=d.get("qk_channels"),
        v_width=d.get("v_channels"),
        residual=d["use_query_residual"],
        output_width=d["output_num_channels"],
        activation=tanh_gelu,
    )
    model = filled(PerceiverIO(encoder, Task(decoder)), tree, dtype)
    mask, query_mask = torch.from_numpy(arrays["input_mask"]).bool(), torch.from_numpy(arrays["query_mask"]).bool()
    assert not mask[1].any()
    asked_mask = query_mask if config["query_mask_given"] else torch.ones_like(query_mask)
    for suffix, given in (("", mask), ("_without_mask", None)):
        agree(model.encoder(inputs, mask=given), arrays[f"latents_output{suffix}"], dtype, suffix)
        answers = model(inputs, given, queries=asked, query_mask=query_mask if config["query_mask_given"] else None)
        agree(answers[asked_mask], arrays[f"decoder_output{suffix}"][asked_mask.numpy()], dtype, suffix)


def test_multimodal_autoencoder():
    """Recorded in float32 only, in which the original's own Fourier features are off by up to 1e-4 (see the fixtures'
    page); so whole passes are held to that, and what stands on the features to 1e-5, from the recorded features."""
    config, tree, arrays = recording("multimodal_autoencoder_1")
    e, dtype = config["encoder"], torch.float32
    frames, size = arrays["inputs/image"].shape[1:3]
    model = multimodal_autoencoder(
        {
            "latents": e["z_index_dim"],
            "latent_width": e["num_z_channels"],
            "self_attends": e["num_self_attends_per_block"],
            "self_heads": e["num_self_attend_heads"],
        },
        frames=frames,
        size=size,
        samples_per_frame=arrays["inputs/audio"].shape[1] // frames,
        samples_per_patch=16,
        labels=config["labels"],
        audio_bands=6,
        video_bands=5,
        label_width=48,
        output_width=20,
        max_resolution=(4, 16, 16),
        activation=tanh_gelu,
    )
    model = filled(model, tree, dtype)
    inputs = {name: tensor(arrays[f"inputs/{name}"], dtype) for name in ("audio", "image", "label")}
    inputs["image"] = inputs["image"].movedim(-1, 2)
    points = {name: tensor(arrays[f"points/{name}"], dtype) for name in ("audio", "image")}
    tokens, _ = model.inputs(inputs)
    agree(tokens, arrays["preprocessed"], dtype, "preprocessed", 1e-4)
    asked = model.task.queries(tokens, points).expand(2, -1, -1)
    agree(asked, arrays["decoder_query"], dtype, "query", 1e-4)
    for name, value in model(inputs, subsampled_output_points=points).items():
        agree(value, arrays[f"output/{name}"], dtype, name, 1e-4)
    tokens, asked = tensor(arrays["preprocessed"], dtype), tensor(arrays["decoder_query"], dtype)
    latents = model.encoder(tokens)
    agree(latents, arrays["latents_output"], dtype, "latents")
    agree(model.task.decoder(asked, latents), arrays["decoder_output"], dtype, "decoder")
    for name, value in model.task(latents, queries=asked, points=points).items():
        agree(value, arrays[f"output/{name}"], dtype, name)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_hierarchical(number, dtype):
    config, tree, arrays = recording(f"hip_{number}")
    c, order = config["model"], config["modality_order"]
    model = HierarchicalPerceiver(
        {name: tuple(config["modalities"][name]) for name in order},
        groups=c["num_groups"],
        self_attends=c["num_self_attends_per_block"],
        latents=c["z_index_dim"],
        widths=c["num_z_channels"],
        self_heads=c["num_self_attend_heads"],
        embedding_width=c["num_embedding_channels"],
        # Where the original projects its positions, it has as many channels before as after.
        position_width=c["num_embedding_channels"] if c["num_position_encoding_channels"] else None,
        regroup={"reshape": "neighbors", "transpose_reshape": "spread"}[c["regroup_type"]],
        mask_padding=False,
    )
    model = filled(model, tree, dtype)
    outputs = {}
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda _, __, output, i=i: outputs.__setitem__(i, output))
    inputs = {name: tensor(arrays[f"inputs/{name}"], dtype) for name in order}
    for name, value in model(inputs).items():
        agree(value, arrays[f"reconstruction/{name}"], dtype, name)
    for i, value in outputs.items():
        agree(value, arrays[f"block_output/{i}"], dtype, f"block {i}")
    agree(model.process(inputs), arrays["processor_output"], dtype, "processor")
    model.mask_padding = True
    padded = any(config["padded_places"].values())
    changed = max((model.process(inputs) - tensor(arrays["processor_output"], dtype)).abs().max().item(), 0)
    assert (changed > 1e-3) == padded


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_autoregressive(number, dtype):
    config, tree, arrays = recording(f"perceiver_ar_{number}")
    c = config["model"]
    model = PerceiverAR(
        c["num_classes"],
        length=c["max_context_length"],
        latents=c["z_index_dim"],
        width=c["num_z_channels"],
        self_attends=c["num_transformers_per_block"],
        heads=c["num_transformer_heads"],
        cross_heads=c["num_cross_attend_heads"],
        positions={"absolute": "sinusoidal"}.get(c["position_encoding_type"], "rotary"),
        rotated=c.get("fraction_to_rotate", 0.5),
        max_wavelength=c.get("max_wavelength"),
        count_from="end",
        widening=c["cross_attend_widening_factor"],
    )
    if c["transformer_widening_factor"] != c["cross_attend_widening_factor"]:
        model = _widened(model, c)
    model = filled(model, tree, dtype)
    ids, lengths = torch.from_numpy(arrays["input_ids"]), config["lengths"]
    moved = torch.stack([row.roll(len(row) - length) for row, length in zip(ids, lengths, strict=True)])
    mask = torch.arange(ids.shape[1]) >= torch.tensor([[ids.shape[1] - length] for length in lengths])
    valid = arrays["latent_valid"]
    outputs = []
    for layer in [model.cross, *model.layers]:
        layer.register_forward_hook(lambda _, __, output: outputs.append(output))
    agree(model(moved, mask)[torch.from_numpy(valid)], arrays["logits"][valid], dtype, "logits")
    for i, output in enumerate(outputs):
        agree(output[torch.from_numpy(valid)], arrays[f"layer_output/{i}"][valid], dtype, f"layer {i}")
    whole = lengths.index(ids.shape[1])
    agree(model(ids[whole : whole + 1])[0], arrays["logits"][whole], dtype, "without a mask")


def _widened(model: PerceiverAR, c: dict) -> PerceiverAR:
    from perceiver_policy.core.attention import SelfAttention, squared_relu

    model.layers = nn.ModuleList(
        SelfAttention(
            c["num_z_channels"],
            heads=c["num_transformer_heads"],
            widening=c["transformer_widening_factor"],
            activation=squared_relu,
        )
        for _ in range(c["num_transformers_per_block"])
    )
    return model


def test_fourier_positions():
    config, _, arrays = recording("fourier_positions")
    for k, case in enumerate(config["cases"]):
        shape = case.get("index_dims")
        if case["kind"] == "grid":
            where = grid_positions(shape)[None]
        elif case["kind"] == "points":
            where = torch.from_numpy(arrays[f"pos/{k}"])
        else:
            where = grid_positions(shape, inclusive=False, points=torch.from_numpy(arrays[f"points/{k}"]))[None]
        features = fourier_features(
            where,
            case["num_bands"],
            case["max_resolution"] or shape,
            case["concat_pos"],
            case["sine_only"],
        )
        wanted = torch.from_numpy(arrays[f"values/{k}"])
        assert (features - wanted).abs().max().item() <= case["tolerance"], case


def test_bytes():
    config, _, arrays = recording("bytes_tokenizer")
    for k, text in enumerate(json.loads(str(arrays["strings"]))):
        ids, mask = encode_text([text])
        assert ids[0, 1:-1].tolist() == arrays[f"ids/{k}"].tolist()
        assert mask.all()
    for k, text in enumerate(json.loads(str(arrays["decoded"]))):
        assert decode_text(torch.from_numpy(arrays[f"decode_ids/{k}"])[None].long()) == [text]
    assert config["vocab_size"] == 262


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("number", "library"), [(1, "open_flamingo"), (2, "flamingo-pytorch")])
def test_resamplers(number, library, dtype):
    config, tree, arrays = recording(f"resampler_{number}")
    c = config["model"]
    state = {name: tensor(value, dtype) for name, value in tree.items()}
    model = from_flamingo(state, heads=c["heads"])
    assert sum(p.numel() for p in model.parameters()) == sum(value.size for value in tree.values())
    agree(model(tensor(arrays["input"], dtype)), arrays["output"], dtype)
    written = to_flamingo(model, library=library)
    assert written.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in written.items())
    preset = public_resampler(
        library,
        c["dim"],
        head_width=c["dim_head"],
        heads=c["heads"],
        depth=c["depth"],
        latents=c["num_latents"],
        frames=c.get("max_num_frames"),
        media=c.get("max_num_media", c.get("num_media_embeds")),
    )
    preset.load_state_dict(model.state_dict())
    agree(preset.to(dtype)(tensor(arrays["input"], dtype)), arrays["output"], dtype)
