"""What must not change the result: padding, order, trimming, chunks, company in the batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.family.modalities import SetTokens
from perceiver_policy.family.perceiver import Perceiver, PerceiverIO, Task
from perceiver_policy.family.presets import entity_encoder
from perceiver_policy.family.queries import learned_queries
from perceiver_policy.family.resampler import Resampler

KINDS = ["perceiver", "io", "entities", "resampler"]
FEATURES = 6


def build(kind: str) -> nn.Module:
    torch.manual_seed(0)
    encoder = {"latents": 4, "latent_width": 16, "cross_heads": 2, "self_attends": 2, "self_heads": 4}
    if kind == "perceiver":
        model = Perceiver(Encoder(8, cross_attends=2, **encoder), inputs=SetTokens(FEATURES, 8), classes=5)
    elif kind == "io":
        task = Task(Decoder(10, 16, heads=2, output_width=3), learned_queries(5, 10))
        model = PerceiverIO(Encoder(8, **encoder), task, inputs=SetTokens(FEATURES, 8))
    elif kind == "entities":
        model = entity_encoder(FEATURES, width=8, latents=4, latent_width=16, layers=2)
    else:
        model = Resampler(FEATURES, depth=2, latents=3, heads=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def entities(seed: int, batch: int, count: int):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, count, FEATURES, generator=generator)
    mask = torch.rand(batch, count, generator=generator) > 0.4
    mask[:, 0] = True
    return x, mask


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def visible(kind, out, mask):
    """Per-entity outputs count at valid entities only."""
    return out[mask] if kind == "entities" else out


cases = given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), count=st.integers(2, 12))


@settings(max_examples=25, deadline=None)
@cases
def test_padding_content_and_amount_change_nothing(kind, seed, count):
    model, (x, mask) = build(kind), entities(seed, 3, count)
    wanted = visible(kind, model(x, mask), mask)
    other = x.masked_fill(~mask[..., None], 1e4)
    close(visible(kind, model(other, mask), mask), wanted)
    more = torch.cat((other, torch.full((3, seed % 7, FEATURES), -3e3)), 1)
    more_mask = torch.cat((mask, torch.zeros(3, seed % 7, dtype=torch.bool)), 1)
    close(visible(kind, model(more, more_mask), more_mask), wanted)


@settings(max_examples=25, deadline=None)
@cases
def test_order_of_entities_changes_nothing(kind, seed, count):
    model, (x, mask) = build(kind), entities(seed, 3, count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    out, permuted = model(x, mask), model(x[:, order], mask[:, order])
    close(permuted, out[:, order] if kind == "entities" else out)


@settings(max_examples=15, deadline=None)
@cases
def test_trimming_to_the_longest_changes_nothing(kind, seed, count):
    model, (x, mask) = build(kind), entities(seed, 3, count)
    longest = int(mask.long().mul(torch.arange(1, count + 1)).max())
    trimmed = model(x[:, :longest], mask[:, :longest])
    out = model(x, mask)
    close(visible(kind, trimmed, mask[:, :longest]), visible(kind, out, mask))


@settings(max_examples=15, deadline=None)
@cases
def test_a_batch_equals_one_by_one(kind, seed, count):
    model, (x, mask) = build(kind), entities(seed, 5, count)
    together = model(x, mask)
    alone = torch.cat([model(x[b : b + 1], mask[b : b + 1]) for b in range(5)])
    close(alone, together)


@settings(max_examples=15, deadline=None)
@given(chunk=st.integers(1, 14), seed=st.integers(0, 10**6))
def test_decoding_in_chunks_changes_nothing(chunk, seed):
    model, (x, mask) = build("entities"), entities(seed, 2, 12)
    close(model(x, mask, query_mask=mask, chunk=chunk), model(x, mask, query_mask=mask))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_see_is_finite_and_nothing_leaks(kind):
    """A row without one valid input: finite result and gradients, no gradient to its inputs, other rows as if alone."""
    model, (x, mask) = build(kind), entities(0, 3, 7)
    mask[1] = False
    x.requires_grad_()
    out = model(x, mask)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    if kind != "entities":  # there a masked entity still asks, with its own features
        assert float(x.grad[1].abs().max()) == 0.0
    close(model(x[2:], mask[2:]), out[2:])


def test_attended_values_are_zeros_where_nothing_is_valid():
    """As DeepMind's code has it: attention gives zeros, so what is left is the output projection's bias and the
    residual."""
    encoder = Encoder(8, latents=4, latent_width=16, self_attends=0)
    x, mask = torch.randn(2, 5, 8), torch.zeros(2, 5, dtype=torch.bool)
    layer, z = encoder.cross[0], encoder.latents(2)
    torch.testing.assert_close(
        layer.attention(z, layer.keys_values(x), mask), layer.attention.output.bias.expand(2, 4, -1)
    )


def test_gradients_do_not_depend_on_padding():
    model, (x, mask) = build("io"), entities(1, 3, 9)
    grads = []
    for content in (0.0, 50.0):
        model.zero_grad()
        model(x.masked_fill(~mask[..., None], content), mask).square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
