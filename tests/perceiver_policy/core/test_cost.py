"""Counted costs against the papers' tables, arithmetic done by hand, and what autograd really keeps."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from perceiver_policy.core.attention import Attention
from perceiver_policy.core.cost import cost
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.family.presets import entity_encoder, published


def projecting(model):
    """The model, made to project its inputs to keys and values, as the papers count."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.project_inputs = True
    return model


@pytest.mark.parametrize(
    ("name", "shape", "billions"),
    # arXiv 2107.14795, table 7.
    [("vision-perceiver-fourier", (1, 3, 224, 224), 407), ("vision-perceiver-conv", (1, 3, 224, 224), 369)],
)
def test_papers_flops(name, shape, billions):
    with torch.device("meta"):
        model = published(name)
        fewer = cost(model, torch.empty(shape)).forward / 1e9
        found = cost(projecting(model), torch.empty(shape)).forward / 1e9
    assert abs(found - billions) < 0.01 * billions
    pixels, width, latents = (50_176, 261, 512) if billions == 407 else (3136, 322, 512)
    # Keys and values of every pixel, against as many products on the latents' side.
    assert found - fewer == pytest.approx((pixels - latents) * 2 * width**2 * 2 / 1e9, abs=0.2)


def test_shared_cross_attends_project_their_inputs_once():
    """The paper's 404 + 303 = 707 GFLOP for eight cross-attends project the pixels eight times; two different
    projections suffice."""
    with torch.device("meta"):
        found = cost(projecting(published("perceiver-imagenet")), torch.empty(1, 3, 224, 224)).forward / 1e9
    repeated = 6 * 50_176 * 261 * (2 * 261) * 2 / 1e9
    assert abs(found + repeated - 707) < 0.01 * 707


def test_linear_layer_by_hand():
    found = cost(nn.Linear(5, 7), torch.empty(3, 5))
    assert (found.parameters, found.parameter_bytes) == (42, 168)
    assert (found.forward, found.backward) == (2 * 3 * 5 * 7, 2 * 3 * 5 * 7)  # the input needs no gradient
    assert found.saved_bytes == 3 * 5 * 4


def test_attention_is_counted_as_the_formula():
    encoder = Encoder(8, latents=4, latent_width=16, self_attends=0, cross_qk_width=8, cross_v_width=8)
    batch, inputs, latents = 2, 10, 4
    by_hand = 2 * latents * 16 * 8  # queries: learned, so projected once for the batch
    by_hand += batch * 2 * inputs * 8 * 16  # keys and values
    by_hand += batch * 2 * (2 * latents * inputs * 8)  # scores and sums
    by_hand += batch * 2 * latents * (8 * 16 + 16 * 16 + 16 * 16)  # output and MLP
    assert cost(encoder, torch.empty(batch, inputs, 8)).forward == by_hand


def test_counting_runs_nothing_and_agrees_with_a_run():
    model = entity_encoder(6, width=8, latents=4, latent_width=16, layers=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, mask = torch.randn(2, 9, 6), torch.ones(2, 9, dtype=torch.bool)
    found = cost(model, x, mask)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        model(x, mask)
        assert counter.get_total_flops() == found.forward


def test_kept_activations_are_those_autograd_keeps():
    encoder = Encoder(8, latents=4, latent_width=16, self_attends=3, self_heads=2)
    x = torch.randn(2, 10, 8)
    own = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    kept, alive = {}, []

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        encoder(x)
    assert cost(encoder, x).saved_bytes == sum(kept.values())


def test_cost_reads_as_a_sentence():
    text = str(cost(nn.Linear(500, 700), torch.empty(300, 500)))
    assert text.startswith("0.35 M parameters (1.3 MiB), 0.210 GFLOP forward")
