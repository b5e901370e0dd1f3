"""Outputs and gradients against the transformers package at random weights, both directions of the converter, published
sizes."""

import json
import random

import pytest
import torch

from perceiver_policy.family.pretrained import from_huggingface, kind_of_state, to_huggingface

transformers = pytest.importorskip("transformers")

KINDS = [
    "PerceiverModel",
    "PerceiverForMaskedLM",
    "PerceiverForSequenceClassification",
    "PerceiverForImageClassificationLearned",
    "PerceiverForImageClassificationFourier",
    "PerceiverForImageClassificationConvProcessing",
    "PerceiverForOpticalFlow",
    "PerceiverForMultimodalAutoencoding",
]
TOLERANCE = 1e-5  # of the root mean square of the reference


def random_config(kind: str, rng: random.Random):
    """A small configuration; odd input widths (261, 322, ...) of some kinds allow one cross-attention head only, unless
    widths are set."""
    heads = rng.choice([1, 2, 4])
    latent = 8 * rng.choice([2, 3, 4])
    options = {
        "num_latents": rng.randint(2, 7),
        "d_latents": latent,
        "d_model": 8 * rng.randint(1, 4),
        "num_blocks": rng.randint(1, 3),
        "num_self_attends_per_block": rng.randint(1, 3),
        "num_self_attention_heads": heads,
        "num_cross_attention_heads": 1,
        "self_attention_widening_factor": rng.randint(1, 3),
        "cross_attention_widening_factor": rng.randint(1, 3),
        "hidden_act": rng.choice(["gelu", "gelu", "relu", "gelu_new"]),
        "use_query_residual": rng.random() < 0.7,
        "cross_attention_shape_for_attention": rng.choice(["kv", "q"]),
        "vocab_size": 40,
        "max_position_embeddings": 12,
        "image_size": 8 * rng.randint(1, 2) if "Multimodal" in kind else rng.randint(9, 17),
        "train_size": [rng.randint(3, 6), rng.randint(3, 6)],
        "num_frames": 2,
        "audio_samples_per_frame": 32,
        "samples_per_patch": 8,
        "output_num_channels": 16,
        "num_labels": rng.randint(3, 9),
    }
    options["output_shape"] = [1, 2, options["image_size"], options["image_size"]]
    widths = rng.choice(["default", "qk", "both"])
    if widths != "default":
        options["num_cross_attention_heads"] = heads
        options["qk_channels"] = latent if widths == "qk" else heads * rng.randint(2, 6)
        options["v_channels"] = latent if widths == "both" else None
    return transformers.PerceiverConfig(**options)


def random_inputs(kind: str, config, seed: int, batch: int = 2):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    size = config.image_size
    if kind == "PerceiverModel":
        return normal(batch, 11, config.d_model), 11
    if kind in ("PerceiverForMaskedLM", "PerceiverForSequenceClassification"):
        return torch.randint(config.vocab_size, (batch, 9), generator=generator), 9
    if kind == "PerceiverForImageClassificationConvProcessing":
        return normal(batch, 3, size + 16, size + 13), None
    if "ImageClassification" in kind:
        return normal(batch, 3, size, size), size * size
    if kind == "PerceiverForOpticalFlow":
        height, width = config.train_size
        return normal(batch, 2, 27, height, width), height * width
    frames, samples = config.num_frames, config.num_frames * config.audio_samples_per_frame
    inputs = {
        "image": normal(batch, frames, 3, size, size),
        "audio": normal(batch, samples, 1),
        "label": normal(batch, config.num_labels),
    }
    return inputs, samples // config.samples_per_patch + frames * (size // 4) ** 2 + 1


def random_model(kind: str, config, seed: int):
    """The transformers model in eval mode, every parameter and buffer moved so that no identity or zero hides an
    error."""
    torch.manual_seed(seed)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return model


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    assert ours.shape == theirs.shape
    scale = float(theirs.square().mean().sqrt()) or 1.0
    assert float((ours - theirs).abs().max()) <= tolerance * scale


def valid_flow(kind: str, mask, *outputs: torch.Tensor) -> list[torch.Tensor]:
    """Of flow, the valid pixels: ours has what a masked pixel holds in no answer, not even in its own."""
    if kind != "PerceiverForOpticalFlow" or mask is None:
        return list(outputs)
    return [output[mask.unflatten(1, output.shape[1:3])] for output in outputs]


def case(kind: str, number: int):
    rng = random.Random(f"{kind} {number}")
    config = random_config(kind, rng)
    inputs, tokens = random_inputs(kind, config, number)
    mask = None
    if tokens is not None and number % 2:
        mask = torch.rand(2, tokens, generator=torch.Generator().manual_seed(number)) > 0.4
        mask[:, 0] = True
    extra = {}
    if kind == "PerceiverForMultimodalAutoencoding":
        pixels = config.num_frames * config.image_size**2
        patches = config.num_frames * config.audio_samples_per_frame // config.samples_per_patch
        points = {"image": torch.randperm(pixels)[:7], "audio": torch.arange(1, patches, 2), "label": None}
        extra = {"subsampled_output_points": points}
    return random_model(kind, config, number), inputs, mask, extra


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(8))
def test_same_outputs_as_transformers(kind, number):
    theirs, inputs, mask, extra = case(kind, number)
    ours = from_huggingface(theirs)
    assert not ours.training
    with torch.no_grad():
        reference = theirs(inputs, attention_mask=None if mask is None else mask.long(), **extra)
        result = ours(inputs, mask if mask is None else mask.long(), **extra)
    reference = reference.last_hidden_state if kind == "PerceiverModel" else reference.logits
    if isinstance(result, dict):
        assert set(result) == {"audio", "image", "label"}
        for name, value in result.items():
            close(value, reference[name])
    else:
        close(*valid_flow(kind, mask, result, reference))


@pytest.mark.parametrize("number", range(8))
def test_same_gradients_as_transformers(number):
    """In float64, so that what is compared is the formula and not the noise of small sums."""
    theirs, inputs, mask, _ = case("PerceiverModel", number)
    theirs, inputs = theirs.double(), inputs.double()
    ours = from_huggingface(theirs)
    weights = torch.randn(ours(inputs).shape, generator=torch.Generator().manual_seed(7)).double()
    sources = []
    for model, keyword in ((theirs, "last_hidden_state"), (ours, None)):
        x = inputs.clone().requires_grad_()
        out = model(x, attention_mask=None if mask is None else mask.long())
        ((getattr(out, keyword) if keyword else out) * weights).sum().backward()
        sources.append(x.grad)
    close(sources[1], sources[0], 1e-10)
    # Their names for our gradients, by the converter itself: gradients convert as weights do.
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(parameter.grad)
    gradients = to_huggingface(ours)
    for name, parameter in theirs.named_parameters():
        scale = max(float(parameter.grad.square().mean().sqrt()), 1e-3)  # key biases: zero but for rounding
        assert float((gradients[name] - parameter.grad).abs().max()) <= 1e-9 * scale, name


def test_same_gradients_in_float32():
    theirs, inputs, mask, _ = case("PerceiverModel", 1)
    ours = from_huggingface(theirs)
    theirs(inputs, attention_mask=mask.long()).last_hidden_state.square().mean().backward()
    ours(inputs, mask).square().mean().backward()
    ours_flat = torch.cat([p.grad.flatten() for p in ours.parameters()])
    theirs_flat = torch.cat([p.grad.flatten() for p in theirs.parameters()])
    close(ours_flat.norm(), theirs_flat.norm())
    close(ours.encoder.latents.value.grad, theirs.embeddings.latents.grad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [0, 3])
def test_there_and_back(kind, number, tmp_path):
    """Our weights load into a fresh transformers model that is built from the config we write, and it computes the same
    as the first."""
    theirs, inputs, mask, extra = case(kind, number)
    ours = from_huggingface(theirs)
    state = to_huggingface(ours, tmp_path)
    original = theirs.state_dict()
    assert set(state) == set(original)
    for name, value in state.items():
        assert torch.equal(value, original[name]), name
    again = getattr(transformers, kind).from_pretrained(tmp_path).eval()
    from_folder = from_huggingface(tmp_path)
    from_state = from_huggingface(state, theirs.config)
    from_pair = from_huggingface((state, json.loads((tmp_path / "config.json").read_text())))
    with torch.no_grad():
        wanted = ours(inputs, mask, **extra)
        reference = again(inputs, attention_mask=None if mask is None else mask.long(), **extra)
        reference = reference.last_hidden_state if kind == "PerceiverModel" else reference.logits
        for model in (from_folder, from_state, from_pair):
            result = model(inputs, mask, **extra)
            for name in wanted if isinstance(wanted, dict) else [...]:
                assert torch.equal(result[name], wanted[name])
                close(*valid_flow(kind, mask, reference[name], wanted[name]))


def test_kinds_are_told_by_names():
    for kind in KINDS:
        model = random_model(kind, random_config(kind, random.Random(0)), 0)
        assert kind_of_state(model.state_dict()) == kind


def test_all_of_the_multimodal_output_equals_its_points():
    """The whole output, which transformers cannot decode, agrees with it at every point."""
    theirs, inputs, _, _ = case("PerceiverForMultimodalAutoencoding", 2)
    ours = from_huggingface(theirs)
    pixels = theirs.config.num_frames * theirs.config.image_size**2
    patches = theirs.config.num_frames * theirs.config.audio_samples_per_frame // theirs.config.samples_per_patch
    points = {"image": torch.arange(pixels), "audio": torch.arange(patches), "label": None}
    with torch.no_grad():
        whole, chunked = ours(inputs), ours(inputs, chunk=5)
        reference = theirs(inputs, subsampled_output_points=points).logits
    for name in whole:
        close(whole[name], reference[name])
        close(chunked[name], whole[name])


def test_foreign_sources_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not a folder with config\.json"):
        from_huggingface(tmp_path)
    with pytest.raises(ValueError, match="expected a transformers Perceiver model"):
        from_huggingface({"embeddings.latents": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="not the weights of a transformers Perceiver"):
        from_huggingface({"bert.x": torch.zeros(2)}, {"model_type": "perceiver"})
    with pytest.raises(ValueError, match="model_type is 'bert'"):
        from_huggingface({"embeddings.latents": torch.zeros(2, 2)}, {"model_type": "bert"})
    model = random_model("PerceiverModel", random_config("PerceiverModel", random.Random(0)), 0)
    state = dict(model.state_dict())
    state.pop("embeddings.latents")
    with pytest.raises(ValueError, match="not the weights"):
        from_huggingface(state, model.config)
    state = dict(model.state_dict(), surplus=torch.zeros(1))
    with pytest.raises(ValueError, match="unexpected \\['surplus'\\]"):
        from_huggingface(state, model.config)
    smaller = {**model.config.to_dict(), "num_latents": 1}
    with pytest.raises(ValueError, match=r"embeddings\.latents has shape"):
        from_huggingface(model.state_dict(), smaller)
