"""Products by another library, held to PyTorch's own layers; keys and values that stay unprojected, to projected."""

import pytest
import torch
from torch.nn import functional as F

from perceiver_policy.core import products
from perceiver_policy.core.attention import Attention
from perceiver_policy.core.encoder import Encoder

needs_operator = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="this PyTorch has no such operator",
)


@pytest.fixture
def always(monkeypatch):
    """The operator wherever it can be, on this processor too; yields the number of times it was used."""
    used = []
    multiply = products._multiply
    monkeypatch.setattr(products, "fast_here", lambda: True)
    monkeypatch.setattr(products, "_multiply", lambda *args: used.append(1) or multiply(*args))
    return used


@needs_operator
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(700, 96), (4, 180, 128)])
def test_linear_and_its_gradients_are_those_of_the_plain_layer(always, shape, bias):
    torch.manual_seed(0)
    x = torch.randn(shape, requires_grad=True)
    layer = products.Linear(shape[-1], 160, bias)
    leaves = [x, *layer.parameters()]
    out = torch.randn(*shape[:-1], 160)
    found = torch.autograd.grad((layer(x) * out).sum(), leaves)
    assert len(always) == 2  # forward, and the inputs' gradient
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    wanted = torch.autograd.grad((F.linear(*exact) * out).sum(), exact)
    for ours, true in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), true, rtol=1e-4, atol=1e-4)


@needs_operator
def test_gradients_of_gradients(always):
    torch.manual_seed(0)

    def penalty(linear):
        torch.manual_seed(0)
        x, weight = torch.randn(1000, 96, requires_grad=True), torch.randn(96, 96, requires_grad=True)
        slope = torch.autograd.grad(linear(x, weight).sin().sum(), x, create_graph=True)[0]
        return torch.autograd.grad(slope.square().mean(), weight)[0]

    torch.testing.assert_close(penalty(products.linear), penalty(F.linear), rtol=1e-3, atol=1e-4)
    assert always


@needs_operator
@pytest.mark.parametrize("what", ["small", "double", "autocast", "compiled", "transformed", "switched off"])
def test_where_nothing_is_won_it_is_the_plain_layer(always, what):
    x, weight = torch.randn(1000, 96), torch.randn(96, 96)
    if what == "small":
        products.linear(x[:50], weight)
    elif what == "double":
        products.linear(x.double(), weight.double())
    elif what == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            assert products.linear(x, weight).dtype == torch.bfloat16
    elif what == "compiled":
        program = torch.export.export(products.Linear(96, 96), (x,))
        assert "_linear_pointwise" not in str(program.graph)
    elif what == "transformed":
        torch.func.grad(lambda x: products.linear(x, weight).sum())(x)
    else:
        with torch.backends.mkldnn.flags(enabled=False):
            products.linear(x, weight)
    assert not always


def test_processors_that_it_is_for(monkeypatch):
    products.fast_here.cache_clear()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert not products.fast_here()
    products.fast_here.cache_clear()


@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_in_bfloat16(masked):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 8, requires_grad=True) for n in (5, 7, 7))
    mask = torch.rand(3, 1, 1, 7) > 0.5 if masked else None
    if masked:
        mask[0] = False
    out = torch.randn(3, 2, 5, 8)
    exact = F.scaled_dot_product_attention(q, k, v, mask)
    exact_grads = torch.autograd.grad((exact * out).sum(), (q, k, v))
    halves = [t.detach().bfloat16().requires_grad_() for t in (q, k, v)]
    assert products.plain_pays(*halves[:2])
    assert not products.plain_pays(q, k)
    found = products.plain_attention(*halves, mask)
    torch.testing.assert_close(found.float(), exact, rtol=0.03, atol=0.03)
    grads = torch.autograd.grad((found * out.bfloat16()).sum(), halves)
    for ours, true in zip(grads, exact_grads, strict=True):
        torch.testing.assert_close(ours.float(), true, rtol=0.05, atol=0.05)
    if masked:
        assert not found[0].any()
        assert not any(grad[0].any() for grad in grads)
    # The formula itself, where rounding hides nothing.
    double = [t.double() for t in (q, k, v)]
    torch.testing.assert_close(
        products.plain_attention(*double, mask, 0.3), F.scaled_dot_product_attention(*double, mask, scale=0.3)
    )


@pytest.mark.parametrize("widths", [(None, None), (8, None), (None, 10), (6, 20)])
@pytest.mark.parametrize("masked", [False, True])
def test_inputs_that_are_not_projected_give_the_same(widths, masked):
    torch.manual_seed(0)

    def build(**options):
        return Encoder(
            12,
            latents=5,
            latent_width=16,
            cross_attends=3,
            self_attends=1,
            cross_qk_width=widths[0],
            cross_v_width=widths[1],
            **options,
        ).double()

    usual, other = build(), build(project_inputs=False)
    for parameter in usual.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    other.load_state_dict(usual.state_dict())
    x = torch.randn(3, 30, 12, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(3, 30) > 0.5 if masked else None
    if masked:
        mask[0] = False
    wanted, found = usual(x, mask=mask), other(x, mask=mask)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    leaves = [(x, x), *zip(usual.parameters(), other.parameters(), strict=True)]
    expected = torch.autograd.grad(wanted.sin().sum(), [a for a, _ in leaves])
    for ours, true in zip(torch.autograd.grad(found.sin().sum(), [b for _, b in leaves]), expected, strict=True):
        torch.testing.assert_close(ours, true, rtol=1e-8, atol=1e-10)
    normed = usual.cross[0].input_norm(x)
    asked = usual.cross[0].query_norm(usual.latents(3))
    maps = [e.cross[0].attention.maps(asked, e.cross[0].attention.keys_values(normed), mask) for e in (usual, other)]
    torch.testing.assert_close(*maps)


def test_inputs_stay_unprojected_for_one_head_only():
    with pytest.raises(ValueError, match="one head and no dropout, got 2 heads"):
        Attention(8, heads=2, project_inputs=False)
    one = Attention(8, project_inputs=False)
    with pytest.raises(ValueError, match="rotary"):
        one.keys_values(torch.randn(1, 3, 8), (torch.ones(3, 4), torch.zeros(3, 4)))
