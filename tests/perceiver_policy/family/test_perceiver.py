"""The models: queries of every kind, several tasks, published sizes, precision, compilation."""

import pytest
import torch
from torch import nn

from perceiver_policy.core.attention import MLP, tanh_gelu
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.positions import FourierPositions, LearnedPositions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import HierarchicalPerceiver, hierarchical
from perceiver_policy.family.modalities import ByteTokens, SetTokens
from perceiver_policy.family.perceiver import ModalityTask, MultiTask, OneAnswer, Perceiver, PerceiverIO, Task
from perceiver_policy.family.presets import (
    PUBLISHED,
    classifier,
    entity_encoder,
    fourier_pixels,
    masked_language_model,
    multimodal_autoencoder,
    optical_flow,
    published,
)
from perceiver_policy.family.queries import (
    InputQueries,
    ModalityQueries,
    PositionQueries,
    learned_queries,
    pixel_queries,
)
from perceiver_policy.family.resampler import Resampler

SMALL = {"latents": 4, "latent_width": 16, "self_attends": 2, "self_heads": 2}


def perturb(module: nn.Module, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


def test_perceiver_is_the_mean_latent_classified():
    model = perturb(Perceiver(Encoder(5, cross_attends=3, **SMALL), classes=7))
    x = torch.randn(2, 9, 5)
    torch.testing.assert_close(model(x), model.classifier(model.encoder(x).mean(1)))
    assert Perceiver(Encoder(5, **SMALL))(x).shape == (2, 16)


def test_caller_given_queries():
    model = perturb(PerceiverIO(Encoder(5, **SMALL), Task(Decoder(6, 16, output_width=3))))
    x, queries = torch.randn(2, 9, 5), torch.randn(2, 11, 6)
    valid = torch.rand(2, 11) > 0.5
    answers = model(x, queries=queries, query_mask=valid)
    assert answers.shape == (2, 11, 3)
    assert answers[~valid].abs().max().item() == 0.0
    torch.testing.assert_close(answers[valid], model(x, queries=queries)[valid])
    with pytest.raises(ValueError, match="this task has no queries of its own"):
        model(x)


@pytest.mark.parametrize(
    "queries",
    [
        learned_queries(6, 10),
        pixel_queries((2, 3), 4),
        pixel_queries((2, 3), 4, project_to=7),
        InputQueries(5),
        InputQueries(5, positions=LearnedPositions(6, 3)),
        PositionQueries(LearnedPositions(9, 4), per_input=True),
    ],
)
def test_every_kind_of_query_whole_chunked_and_by_points(queries):
    perturb(queries)
    model = perturb(PerceiverIO(Encoder(5, **SMALL), Task(Decoder(queries.width, 16, output_width=3), queries)))
    x = torch.randn(2, 6, 5)
    whole = model(x)
    assert whole.shape == (2, 6, 3)
    torch.testing.assert_close(model(x, chunk=4), whole)
    points = torch.tensor([4, 1])
    torch.testing.assert_close(model(x, subsampled_output_points=points), whole[:, points])


def test_queries_of_several_widths():
    queries = perturb(
        ModalityQueries({"b": learned_queries(1, 9), "a": PositionQueries(FourierPositions((4,), 2))}, padding=2)
    )
    assert queries.width == 11
    asked = queries()
    assert torch.equal(asked[0, :4, 5:], queries.padding["a"].expand(4, -1))
    assert torch.equal(asked[0, 4, :9], queries.modalities["b"].positions.table[0])
    outputs = {"a": nn.Linear(8, 2), "b": OneAnswer(8, 3)}
    task = ModalityTask(Decoder(11, 16, output_width=8), queries, outputs)
    model = perturb(PerceiverIO(Encoder(5, **SMALL), task))
    x = torch.randn(2, 6, 5)
    whole = model(x)
    assert {name: value.shape for name, value in whole.items()} == {"a": (2, 4, 2), "b": (2, 3)}
    some = model(x, subsampled_output_points={"a": torch.tensor([3, 0])})
    torch.testing.assert_close(some["a"], whole["a"][:, [3, 0]])
    torch.testing.assert_close(some["b"], whole["b"])


def test_several_tasks_train_one_encoder():
    tasks = {
        "one": Task(Decoder(16, 16, output_width=3), learned_queries(1, 16), OneAnswer()),
        "many": Task(Decoder(8, 16, output_width=2), InputQueries(8)),
        "asked": Task(Decoder(4, 16)),
    }
    model = MultiTask(Encoder(8, **SMALL), tasks, inputs=SetTokens(5, 8))
    x, mask = torch.randn(2, 6, 5), torch.rand(2, 6) > 0.3
    outputs = model(x, mask, queries={"asked": torch.randn(2, 3, 4)}, query_masks={"many": mask})
    assert {name: value.shape for name, value in outputs.items()} == {
        "one": (2, 3),
        "many": (2, 6, 2),
        "asked": (2, 3, 4),
    }
    sum(value.square().sum() for value in outputs.values()).backward()
    together = model.encoder.latents.value.grad.clone()
    parts = []
    for name in tasks:
        model.zero_grad()
        out = model(x, mask, tasks=[name], queries={"asked": torch.zeros(2, 3, 4)}, query_masks={"many": mask})
        assert set(out) == {name}
        out[name].square().sum().backward()
        parts.append(model.encoder.latents.value.grad.clone())
    assert all(float(part.abs().max()) > 0 for part in parts)
    assert float(together.abs().max()) > 0
    with pytest.raises(ValueError, match="no task 'two': expected some of one, many, asked"):
        model(x, tasks=["two"])


def test_language_model_ties_its_output_to_its_input():
    model = perturb(
        masked_language_model(SMALL, width=8, length=12, vocabulary=20, qk_width=8, heads=2, per_input=True)
    )
    ids = torch.randint(20, (2, 7))
    logits = model(ids)
    assert logits.shape == (2, 7, 20)
    answers = model.task(model.encoder(model.inputs(ids)[0]), model.inputs(ids)[0])
    torch.testing.assert_close(logits, answers @ model.inputs.embedding.weight.T + model.bias)
    assert sum("embedding" in name for name, _ in model.named_parameters()) == 1
    assert masked_language_model(SMALL, width=8, length=12, qk_width=8)(ids).shape == (2, 12, 262)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        # Counted on transformers' random-weight builds; the paper says 201, 62.3, 48.4, 48.6 and 20.0.
        ("language-perceiver", 201.1),
        ("vision-perceiver-learned", 62.26),
        ("vision-perceiver-fourier", 48.44),
        ("vision-perceiver-conv", 48.65),
        ("optical-flow-perceiver", 41.06),
        ("multimodal-perceiver", 19.86),
        # arXiv 2107.14795, table 7; arXiv 2103.03206, section 4.1 ("about 45 million").
        ("perceiver-imagenet-1-cross-attend", 42.1),
        ("perceiver-imagenet", 44.9),
    ],
)
def test_published_parameter_counts(name, millions):
    with torch.device("meta"):
        model = published(name)
    digits = 1 if millions * 10 % 1 < 1e-9 else 2
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, digits) == millions


def test_unknown_presets_are_named():
    with pytest.raises(ValueError, match="did you mean 'language-perceiver'"):
        published("language-perciever")


def mlps(model: nn.Module) -> list[MLP]:
    return [module for module in model.modules() if isinstance(module, MLP)]


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_activation_reaches_every_mlp(name):
    with torch.device("meta"):
        layers = mlps(published(name, activation=tanh_gelu))
    assert {layer.activation for layer in layers} == {tanh_gelu}
    options = {"latents": 4, "latent_width": 16, "self_attends": 1, "self_heads": 2}
    model = classifier(fourier_pixels(6, 2), {**options, "activation": torch.relu}, 5, activation=tanh_gelu)
    assert {layer.activation for layer in mlps(model.encoder)} == {torch.relu}
    assert {layer.activation for layer in mlps(model.task)} == {tanh_gelu}


def test_multimodal_frequencies_are_the_published():
    """The notebook that came with the weights: video bands up to half of (16, 56, 56), in and out."""
    with torch.device("meta"):
        model = published("multimodal-perceiver")
    video, asked = model.inputs.modalities["image"], model.task.queries.modalities["image"]
    assert video.positions.max_resolution == asked.positions.max_resolution == (16, 56, 56)
    assert asked.positions.shape == (16, 224, 224)


def test_optical_flow_answers_for_every_pixel():
    model = perturb(optical_flow(SMALL, shape=(4, 6), patch_channels=3, bands=2, width=8))
    flow = model(torch.randn(2, 2, 3, 4, 6))
    assert flow.shape == (2, 4, 6, 2)


def test_optical_flow_of_another_size_is_refused_in_words():
    model = optical_flow(SMALL, shape=(4, 6), patch_channels=3, bands=2, width=8)
    with pytest.raises(ValueError, match="30 answers do not fill the grid of 4 x 6 that the model was built for"):
        model(torch.randn(1, 2, 3, 5, 6))


def test_some_points_of_optical_flow():
    model = perturb(optical_flow(SMALL, shape=(4, 6), patch_channels=3, bands=2, width=8))
    pair, points = torch.randn(2, 2, 3, 4, 6), torch.tensor([3, 17, 5])
    some = model(pair, subsampled_output_points=points)
    torch.testing.assert_close(some, model(pair).flatten(1, 2)[:, points])


def test_logits_are_float32_under_autocast():
    image = perturb(classifier(fourier_pixels(6, 2), SMALL, 5))
    text = perturb(masked_language_model(SMALL, width=8, length=12, qk_width=8))
    first = perturb(Perceiver(Encoder(5, **SMALL), classes=4))
    cases = [(image, torch.randn(2, 3, 6, 6)), (text, torch.randint(262, (2, 9))), (first, torch.randn(2, 6, 5))]
    for model, x in cases:
        exact = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(x)
        assert rough.dtype == torch.float32
        assert 0 < float((rough - exact).abs().max()) < 0.3 * float(exact.abs().max())


def test_all_outputs_of_all_models_are_float32_under_autocast():
    encoder = {"latents": 4, "latent_width": 16, "self_attends": 1, "self_heads": 2}
    sizes = {"frames": 2, "size": 8, "samples_per_frame": 8, "samples_per_patch": 4, "labels": 3, "label_width": 8}
    mixed = multimodal_autoencoder(encoder, **sizes, audio_bands=2, video_bands=2, output_width=8)
    clip = {"image": torch.randn(1, 2, 3, 8, 8), "audio": torch.randn(1, 16, 1), "label": torch.zeros(1, 3)}
    hip = hierarchical("mini", {"x": (32, 3)}, widths=(8, 8, 8), latents=(16, 16, 16), self_heads=(1, 1, 1))
    text = PerceiverAR(11, length=12, latents=4, width=16, self_attends=1, heads=2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = [*mixed(clip).values(), *hip({"x": torch.randn(1, 32, 3)}).values(), text(torch.zeros(1, 9).long())]
    assert [out.dtype for out in outputs] == [torch.float32] * 5


@pytest.mark.parametrize("kind", ["classifier", "language", "entities", "tasks", "hip", "ar", "resampler"])
def test_models_compile_without_graph_breaks(kind):
    if kind == "classifier":
        model, args = classifier(fourier_pixels(6, 2), SMALL, 5), (torch.randn(2, 3, 6, 6),)
    elif kind == "language":
        model = masked_language_model(SMALL, width=8, length=12, qk_width=8)
        args = (torch.randint(262, (2, 9)), torch.rand(2, 9) > 0.2)
    elif kind == "entities":
        model = entity_encoder(5, width=8, latents=4, latent_width=16, layers=1)
        args = (torch.randn(2, 9, 5), torch.rand(2, 9) > 0.2)
    elif kind == "tasks":
        tasks = {"a": Task(Decoder(8, 16), learned_queries(2, 8)), "b": Task(Decoder(5, 16), InputQueries(5))}
        model, args = MultiTask(Encoder(5, **SMALL), tasks), (torch.randn(2, 9, 5),)
    elif kind == "hip":
        sizes = {"groups": (2, 1, 2), "self_attends": (1, 1, 1), "latents": (4, 4, 4), "widths": (8, 8, 8)}
        model = HierarchicalPerceiver({"x": (7, 3)}, **sizes, self_heads=(2, 2, 2), embedding_width=8)
        args = ({"x": torch.randn(2, 7, 3)},)
    elif kind == "ar":
        model = PerceiverAR(11, length=12, latents=4, width=16, self_attends=1, heads=2)
        args = (torch.randint(11, (2, 9)), torch.ones(2, 9, dtype=torch.bool))
    else:
        model = Resampler(8, depth=1, latents=3, heads=2, frames=4)
        args = (torch.randn(2, 3, 5, 8), torch.ones(2, 3, dtype=torch.bool))
    compiled = torch.compile(perturb(model), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*args), model(*args))


def test_byte_model_reads_what_it_is_given_a_mask_for():
    model = perturb(classifier(ByteTokens(8, length=12), SMALL, 5))
    ids, mask = torch.randint(262, (2, 9)), torch.ones(2, 9)
    mask[:, 6:] = 0
    torch.testing.assert_close(model(ids, mask), model(ids[:, :6]))
