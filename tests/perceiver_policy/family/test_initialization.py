"""Initial values against samples of the original code's own."""

import json
import math

import pytest
import torch

from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import HierarchicalPerceiver
from perceiver_policy.family.initialization import initialize
from perceiver_policy.family.originals.deepmind import to_deepmind
from perceiver_policy.family.originals.flamingo import to_flamingo
from perceiver_policy.family.perceiver import Perceiver, PerceiverIO, Task
from perceiver_policy.family.presets import (
    classifier,
    conv_pixels,
    masked_language_model,
    multimodal_autoencoder,
    optical_flow,
)
from perceiver_policy.family.resampler import public_resampler
from tests.perceiver_policy.family.originals.recordings import folder

ENCODER = {"latents": 300, "latent_width": 384, "self_attends": 1, "self_heads": 2, "self_widening": 2}


def trees():
    """Trees under the original's names, from models whose parts are as wide as those that were sampled."""
    torch.manual_seed(0)
    language = masked_language_model(ENCODER, width=256, length=300, vocabulary=500)
    generic = PerceiverIO(Encoder(256, **ENCODER), Task(Decoder(256, 384, output_width=256)))
    small = {"latents": 4, "latent_width": 64, "self_attends": 1, "self_heads": 2}
    sizes = {"frames": 2, "size": 16, "samples_per_frame": 64, "labels": 300, "label_width": 64, "output_width": 256}
    mixed = multimodal_autoencoder(small, **sizes)
    hip = HierarchicalPerceiver(
        {"image": (400, 48), "audio": (120, 32)},
        groups=(4, 1, 4),
        self_attends=(1, 1, 1),
        latents=(40, 64, 40),
        widths=(128, 256, 192),
        self_heads=(2, 2, 2),
        embedding_width=64,
        position_width=64,
    )
    learned = PerceiverAR(
        500,
        length=256,
        latents=8,
        width=192,
        self_attends=1,
        heads=2,
        widening=2,
        positions="learned",
        latents_per_position=2,
    )
    models = {
        "deepmind perceiver (Perceiver IO)": [generic, language, mixed],
        "deepmind perceiver (convolutional stem)": [classifier(conv_pixels(56), small, 5)],
        "deepmind perceiver (multimodal preprocessor)": [mixed],
        "hierarchical_perceiver (HiP)": [hip],
        "perceiver-ar": [learned],
    }
    found = {}
    for name, group in models.items():
        found[name] = {}
        for model in reversed(group):
            found[name] |= to_deepmind(initialize(model))
    state = initialize(public_resampler("open_flamingo", 192, frames=40, media=40, depth=2))
    found["open_flamingo PerceiverResampler"] = {k: v.numpy() for k, v in to_flamingo(state).items()}
    state = initialize(public_resampler("flamingo-pytorch", 192, media=40, depth=2))
    written = to_flamingo(state, library="flamingo-pytorch")
    found["flamingo-pytorch PerceiverResampler"] = {k: v.numpy() for k, v in written.items()}
    return found


ELSEWHERE = {
    "multimodal_preprocessor/a_padding/pos_embs": "multimodal_preprocessor/image_padding/pos_embs",
    "multimodal_preprocessor/a_mask_token/pos_embs": "multimodal_preprocessor/image_mask_token/pos_embs",
    "conv2_d_downsample/~/conv/w": "image_preprocessor/~/conv2_d_downsample/~/conv/w",
    "conv2_d_downsample/~/batchnorm/scale": "image_preprocessor/~/conv2_d_downsample/~/batchnorm/scale",
    "conv2_d_downsample/~/batchnorm/offset": "image_preprocessor/~/conv2_d_downsample/~/batchnorm/offset",
}


def test_initial_values_are_the_originals():
    entries = json.loads((folder() / "init_stats.json").read_text())["parameters"]
    found, seen = trees(), 0
    for entry in entries:
        if "projection decoder" in entry["kind"] or "final_layer_init_zeros=False" in entry["kind"]:
            continue  # the first is tested below; the second is not the default
        name = ELSEWHERE.get(entry["example"], entry["example"])
        value = found[entry["model"]][name]
        if entry.get("fan_in"):
            assert value.shape[0] == entry["shape"][0], name  # as wide in, or as many places
        count = min(entry["sample"], value.size)
        error = max(0.02, 3 * math.hypot(1 / math.sqrt(2 * entry["sample"]), 1 / math.sqrt(2 * value.size)))
        assert value.std() == pytest.approx(entry["std"], rel=error, abs=1e-12), (name, entry["initializer"])
        assert value.mean() == pytest.approx(entry["mean"], abs=5 * entry["std"] / math.sqrt(count) + 1e-7), name
        cut = entry.get("max_abs_over_std", 0) < 2.5
        assert abs(value).max() <= (2.4 if cut else 6) * max(value.std(), entry["std"]) or entry["std"] == 0, name
        seen += 1
    assert seen > 50


def test_heads_that_start_at_zero():
    """As the original's projection decoder, flow decoder and Perceiver AR: the first answer is zero."""
    small = {"latents": 4, "latent_width": 16, "self_attends": 1, "self_heads": 2}
    first = initialize(Perceiver(Encoder(5, **small), classes=4))
    assert not first(torch.randn(2, 6, 5)).any()
    flow = initialize(optical_flow(small, shape=(4, 6), patch_channels=3))
    assert not flow(torch.randn(1, 2, 3, 4, 6)).any()
    text = initialize(PerceiverAR(11, length=9, latents=3, width=16, self_attends=1, heads=2))
    assert not text(torch.randint(11, (2, 9))).any()


def test_a_fixed_table_stays():
    model = PerceiverAR(11, length=9, latents=3, width=16, self_attends=1, heads=2, positions="sinusoidal")
    before = model.position_tables[0].weight.clone()
    assert torch.equal(initialize(model).position_tables[0].weight, before)
