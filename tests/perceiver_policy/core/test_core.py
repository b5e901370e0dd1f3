"""Attention, latents, encoder and decoder against formulas written out by hand, and the invariances of a set
encoder."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from perceiver_policy.core.attention import Attention, CrossAttention, SelfAttention, attention_maps
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder, sharing_order
from perceiver_policy.core.latents import InputLatents, Latents
from perceiver_policy.core.positions import rotary


def slow_attention(q, k, v, valid):
    """One head, one batch element, in loops: softmax(q k / sqrt(width)) v over the valid keys; zeros where there are
    none."""
    out = torch.zeros(q.shape[0], v.shape[1], dtype=q.dtype)
    for i in range(q.shape[0]):
        if valid.any():
            scores = torch.tensor(
                [float(q[i] @ k[j]) / q.shape[1] ** 0.5 for j in range(k.shape[0]) if valid[j]], dtype=q.dtype
            )
            out[i] = (scores.exp() / scores.exp().sum()) @ v[valid]
    return out


def slow_layer(layer: CrossAttention, queries, inputs, valid):
    """The published cross-attention layer, one head at a time."""
    attention = layer.attention
    q = F.linear(
        F.layer_norm(queries, queries.shape[-1:], layer.query_norm.weight, layer.query_norm.bias),
        *params(attention.query),
    )
    kv = F.linear(
        F.layer_norm(inputs, inputs.shape[-1:], layer.input_norm.weight, layer.input_norm.bias),
        *params(attention.key_value),
    )
    k, v = kv[..., : attention.qk_width], kv[..., attention.qk_width :]
    rows = []
    for b in range(inputs.shape[0]):
        heads = [
            slow_attention(*parts, valid[b])
            for parts in zip(
                q[b].chunk(attention.heads, -1),
                k[b].chunk(attention.heads, -1),
                v[b].chunk(attention.heads, -1),
                strict=True,
            )
        ]
        rows.append(torch.cat(heads, -1))
    x = F.linear(torch.stack(rows), *params(attention.output))
    x = x + queries if layer.residual else x
    hidden = F.linear(
        F.layer_norm(x, x.shape[-1:], layer.mlp_norm.weight, layer.mlp_norm.bias), *params(layer.mlp.inner)
    )
    erf_gelu = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
    return x + F.linear(erf_gelu, *params(layer.mlp.outer))


def params(linear):
    return linear.weight, linear.bias


def perturb(module: nn.Module, scale: float = 0.2, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


@settings(max_examples=20, deadline=None)
@given(
    heads=st.sampled_from([1, 2, 3]),
    qk=st.integers(1, 3),
    v=st.integers(1, 3),
    widening=st.integers(1, 3),
    residual=st.booleans(),
    seed=st.integers(0, 10**6),
)
@torch.no_grad()
def test_cross_attention_is_the_formula(heads, qk, v, widening, residual, seed):
    torch.manual_seed(seed)
    layer = CrossAttention(
        5, 7, heads=heads, qk_width=heads * qk, v_width=heads * v, widening=widening, residual=residual
    ).double()
    perturb(layer, seed=seed)
    queries, inputs = torch.randn(3, 4, 5).double(), torch.randn(3, 6, 7).double()
    valid = torch.rand(3, 6) > 0.4
    valid[0] = False
    torch.testing.assert_close(
        layer(queries, inputs, mask=valid), slow_layer(layer, queries, inputs, valid), rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize(("qk", "v"), [(None, None), (4, 8)])
def test_self_attention_is_cross_attention_to_itself(qk, v):
    torch.manual_seed(1)
    layer = SelfAttention(8, heads=2, qk_width=qk, v_width=v, widening=2)
    perturb(layer)
    twin = CrossAttention(8, 8, heads=2, qk_width=qk or 8, v_width=v, widening=2)
    q, k, val = layer.qk_width, layer.qk_width, layer.v_width
    state = layer.state_dict()
    weight, bias = state["query_key_value.weight"], state["query_key_value.bias"]
    twin.load_state_dict(
        {
            f"{norm}.{part}": state[f"norm.{part}"]
            for norm in ("query_norm", "input_norm")
            for part in ("weight", "bias")
        }
        | {"attention.query.weight": weight[:q], "attention.query.bias": bias[:q]}
        | {"attention.key_value.weight": weight[q : q + k + val], "attention.key_value.bias": bias[q : q + k + val]}
        | {f"attention.output.{part}": state[f"output.{part}"] for part in ("weight", "bias")}
        | {name: value for name, value in state.items() if name.startswith("mlp")}
    )
    x, mask = torch.randn(2, 5, 8), torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1]]).bool()
    torch.testing.assert_close(layer(x, mask), twin(x, x, mask=mask))


def test_heads_must_divide_widths():
    with pytest.raises(ValueError, match=r"qk_width 261 is not a multiple of heads 2"):
        Attention(512, 261, heads=2, qk_width=261)


def test_learned_queries_given_once_equal_queries_repeated():
    torch.manual_seed(2)
    decoder = Decoder(6, 8, heads=2, output_width=3)
    latents, queries = torch.randn(5, 4, 8), torch.randn(1, 7, 6)
    torch.testing.assert_close(decoder(queries, latents), decoder(queries.repeat(5, 1, 1), latents))


@pytest.mark.parametrize("sharing", ["none", "after_first", "all"])
def test_sharing_equals_copies_of_the_shared_weights(sharing):
    """A shared encoder computes what an unshared one does whose layers were copied by hand in the stated order."""
    torch.manual_seed(3)
    options = {"latents": 4, "latent_width": 8, "cross_attends": 3, "blocks": 2, "self_attends": 2, "self_heads": 2}
    shared = Encoder(5, **options, share_cross_attends=sharing, share_blocks=sharing)
    perturb(shared)
    apart = Encoder(5, **options, share_cross_attends="none", share_blocks="none")
    apart.latents = copy.deepcopy(shared.latents)
    crosses = {"none": [0, 1, 2], "after_first": [0, 1, 1], "all": [0, 0, 0]}[sharing]
    blocks = {"none": [0, 1, 2, 3, 4, 5], "after_first": [0, 1, 1, 1, 1, 1], "all": [0] * 6}[sharing]
    assert len(shared.cross) == max(crosses) + 1
    assert len(shared.blocks) == max(blocks) + 1
    for target, source in enumerate(crosses):
        apart.cross[target].load_state_dict(shared.cross[source].state_dict())
    for target, source in enumerate(blocks):
        apart.blocks[target].load_state_dict(shared.blocks[source].state_dict())
    x = torch.randn(2, 9, 5)
    torch.testing.assert_close(shared(x), apart(x))


def test_sharing_is_spelled_out():
    with pytest.raises(ValueError, match="share_blocks is 'some': expected 'none', 'after_first' or 'all'"):
        sharing_order(3, "some", "share_blocks")


def test_scan_over_time_equals_one_step_at_a_time():
    """Keys and values of all steps at once, latents scanned: the same as encoding each step's inputs with the last
    step's latents."""
    torch.manual_seed(4)
    encoder = Encoder(5, latents=4, latent_width=8, cross_attends=2, self_attends=1, self_heads=2)
    perturb(encoder)
    x, mask = torch.randn(6, 3, 9, 5), torch.rand(6, 3, 9) > 0.3
    pairs = encoder.keys_values(x.flatten(0, 1))
    scanned = stepped = encoder.latents(3)
    for t in range(6):
        now = tuple((k.unflatten(0, (6, 3))[t], v.unflatten(0, (6, 3))[t]) for k, v in pairs)
        scanned = encoder(mask=mask[t], latents=scanned, keys_values=now)
        stepped = encoder(x[t], mask=mask[t], latents=stepped)
    torch.testing.assert_close(scanned, stepped)


def test_checkpointing_changes_no_gradient():
    torch.manual_seed(5)
    plain = Encoder(5, latents=4, latent_width=8, cross_attends=2, self_attends=2, self_heads=2)
    saving = Encoder(5, latents=4, latent_width=8, cross_attends=2, self_attends=2, self_heads=2, checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(2, 9, 5)
    for encoder in (plain, saving):
        encoder(x).square().sum().backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_checkpointing_keeps_less():
    """Counts the bytes autograd keeps for the backward pass."""

    def kept(checkpointing):
        torch.manual_seed(0)
        encoder = Encoder(16, latents=16, latent_width=32, blocks=4, self_attends=3, checkpointing=checkpointing)
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            encoder(torch.randn(4, 32, 16))
        return total

    assert kept(True) < 0.4 * kept(False)


def test_dropout_acts_in_training_only():
    torch.manual_seed(6)
    encoder = Encoder(5, latents=4, latent_width=8, self_attends=1, self_heads=2, dropout=0.5)
    x = torch.randn(2, 9, 5)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


def test_latents_start_small_and_truncated():
    value = Latents(2000, 64).value.detach()
    assert (
        abs(float(value.std()) - 0.02 * 0.88) < 5e-4
    )  # a normal cut at two standard deviations has 0.88 of its spread
    assert float(value.abs().max()) <= 0.04
    fixed = Latents(3, 4, trainable=False)
    assert not list(fixed.parameters())
    assert "value" in fixed.state_dict()


def test_latents_from_inputs_follow_the_valid_inputs_only():
    torch.manual_seed(7)
    encoder = Encoder(5, latents=InputLatents(5, 4, 8), latent_width=8, self_attends=1, self_heads=2)
    perturb(encoder)
    x, mask = torch.randn(2, 9, 5), torch.rand(2, 9) > 0.4
    other = x.masked_fill(~mask[..., None], 77.0)
    torch.testing.assert_close(encoder(x, mask=mask), encoder(other, mask=mask))
    assert not torch.allclose(encoder.latents(x[:1]), encoder.latents(x[1:]))
    with pytest.raises(ValueError, match="latents produced from the inputs need the inputs"):
        encoder(keys_values=encoder.keys_values(x))


def test_latents_from_inputs_by_hand():
    """The mean of the valid inputs through two layers; of no inputs it is zero."""
    torch.manual_seed(7)
    latents = InputLatents(3, 2, 4)
    perturb(latents)
    x = torch.tensor([[[1.0, 2, 3], [3, 6, 9], [50, 50, 50]], [[7.0, 8, 9]] * 3])
    found = latents(x, torch.tensor([[1, 1, 0], [0, 0, 0]]).bool())
    for row, mean in zip(found, (torch.tensor([2.0, 4, 6]), torch.zeros(3)), strict=True):
        hidden = F.linear(mean, *params(latents.inner))
        erf_gelu = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
        expected = latents.base.value + F.linear(erf_gelu, *params(latents.outer)).view(2, 4)
        torch.testing.assert_close(row, expected)


def test_maps_are_the_weights_in_use():
    torch.manual_seed(8)
    encoder = Encoder(5, latents=4, latent_width=8, cross_attends=2, self_attends=1, self_heads=2)
    perturb(encoder)
    x, mask = torch.randn(2, 9, 5), torch.rand(2, 9) > 0.4
    mask[:, 0] = True
    maps = attention_maps(encoder, x, mask=mask)
    assert set(maps) == {"cross.0.attention", "blocks.0.0", "cross.1.attention", "blocks.0.0#1"}
    layer = encoder.cross[0]
    keys, values = layer.keys_values(x)
    by_hand = torch.einsum("bhqm,bhmv->bqhv", maps["cross.0.attention"], values).flatten(2)
    z = encoder.latents(2)
    torch.testing.assert_close(
        layer.attention(layer.query_norm(z), (keys, values), mask), layer.attention.output(by_hand)
    )
    assert float(maps["cross.0.attention"][~mask[:, None, None].expand(-1, 1, 4, -1)].abs().max()) == 0.0


def test_maps_of_a_row_without_a_valid_key_are_zeros():
    torch.manual_seed(8)
    layer = SelfAttention(8, heads=2)
    perturb(layer)
    x, mask = torch.randn(3, 5, 8), torch.tensor([[1, 1, 0, 0, 1], [0] * 5, [0, 1, 0, 0, 0]]).bool()
    weights = attention_maps(layer, x, mask)[""]
    torch.testing.assert_close(weights.sum(-1), mask.any(1).float()[:, None, None].expand(3, 2, 5))
    assert (weights[1] == 0).all()
    assert (weights[2, ..., 1] == 1).all()
    _, _, values = layer.project(x)
    by_hand = x + layer.output(torch.einsum("bhqm,bhmv->bqhv", weights, values).flatten(2))
    torch.testing.assert_close(layer(x, mask), by_hand + layer.mlp(layer.mlp_norm(by_hand)))


def test_rotary_cross_attention_depends_on_distances_only():
    """Queries and keys are both turned: what is the same for all positions changes nothing, a distance does."""
    torch.manual_seed(9)
    layer = CrossAttention(8, 8, heads=2, qk_width=8).double()
    perturb(layer)
    queries, inputs = torch.randn(2, 3, 8).double(), torch.randn(2, 6, 8).double()
    places = torch.tensor([[0, 1, 2, 4, 7, 9]] * 2)

    def out(at, of):
        turned = layer.keys_values(inputs, rotary(of, 4))
        return layer(queries, keys_values=turned, rotation=rotary(at, 4))

    here = out(places[:, -3:], places)
    torch.testing.assert_close(out(places[:, -3:] + 11, places + 11), here, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(out(places[:, -3:] + 1, places), here, atol=1e-3)
    assert not torch.allclose(out(places[:, -3:], places + 1), here, atol=1e-3)


def test_missing_inputs_are_named():
    encoder, decoder = Encoder(5, latents=4, latent_width=8), Decoder(6, 8)
    with pytest.raises(ValueError, match="needs inputs, or keys_values"):
        encoder()
    with pytest.raises(ValueError, match=r"expected inputs \[batch, tokens, 5\], got \(2, 9, 4\)"):
        encoder(torch.randn(2, 9, 4))
    with pytest.raises(ValueError, match="needs latents, or keys_values"):
        decoder(torch.randn(2, 3, 6))
    with pytest.raises(ValueError, match=r"expected queries \[batch, queries, 6\], got \(2, 3, 5\)"):
        decoder(torch.randn(2, 3, 5), torch.randn(2, 4, 8))


def test_compiles_whole():
    torch.manual_seed(9)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = Encoder(5, latents=4, latent_width=8, cross_attends=2, self_attends=1, self_heads=2)
            self.decoder = Decoder(6, 8, output_width=3)

        def forward(self, x, mask, queries):
            return self.decoder(queries, self.encoder(x, mask=mask), chunk=2)

    model = Model()
    x, mask, queries = torch.randn(2, 9, 5), torch.rand(2, 9) > 0.3, torch.randn(1, 3, 6)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, mask, queries), model(x, mask, queries))


def test_raw_inputs_give_the_same_result_and_gradients():
    """The shortcut for inputs that want no gradient, against the same call with inputs that do."""
    torch.manual_seed(10)
    layer = CrossAttention(8, 5, heads=1)
    perturb(layer)
    queries, inputs, mask = torch.randn(2, 4, 8), torch.randn(2, 9, 5), torch.rand(2, 9) > 0.3
    results = []
    for x in (inputs, inputs.clone().requires_grad_()):
        layer.zero_grad()
        out = layer(queries, x, mask=mask)
        out.square().sum().backward()
        results.append([out, *(p.grad.clone() for p in layer.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
