"""Options that the authors' code has beside those it was published with, against slow formulas."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import Block
from tests.perceiver_policy.family.test_family import perturb, small_hip

WITH_LABELS = {"x": (12, 5), "class": (2, 3), "size": (1, 4)}


def labelled(batch=3):
    return {name: torch.randn(batch, *shape) for name, shape in WITH_LABELS.items()}


def read(layer, queries, inputs):
    """One cross-attention without residual of the queries, one query and one head at a time, float loops."""
    attention = layer.attention
    q, kv = attention.query(layer.query_norm(queries)), attention.key_value(layer.input_norm(inputs))
    k, v = kv.split((attention.qk_width, attention.v_width), -1)
    rows = [((k @ row) / attention.qk_width**0.5).softmax(0) @ v for row in q]
    x = attention.output(torch.stack(rows))
    return x + layer.mlp(layer.mlp_norm(x))


def test_labels_join_the_processor_and_are_asked_of_it():
    model = small_hip(WITH_LABELS, labels=("class", "size"), mask_padding=False)
    inputs = labelled()
    seen, done = {}, {}
    handles = [
        model.blocks[2].register_forward_pre_hook(lambda module, arguments: seen.update(x=arguments[0])),
        model.blocks[2].register_forward_hook(lambda module, arguments, out: done.update(z=out)),
        model.blocks[1].register_forward_hook(lambda module, arguments, out: done.update(before=out)),
    ]
    outputs = model(inputs)
    for handle in handles:
        handle.remove()
    assert {name: tuple(out.shape) for name, out in outputs.items()} == {n: (3, *s) for n, s in WITH_LABELS.items()}
    for row in range(3):
        expected = [done["before"][row].reshape(-1, 12)]
        for name in ("class", "size"):
            expected.append(model.embed[name](inputs[name][row]) + model.positions[name]()[0])
        torch.testing.assert_close(seen["x"][row, 0], torch.cat(expected))
        for name in ("class", "size"):
            answer = read(model.reconstruct_labels, model.positions[name]()[0], done["z"][row, 0])
            torch.testing.assert_close(outputs[name][row], model.unembed[name](answer), rtol=1e-4, atol=1e-5)
    # The groups are made of the other modalities alone.
    assert set(model.layout) == {"x"}


def test_hidden_labels_are_not_there():
    model = small_hip(WITH_LABELS, labels=("class", "size"))
    inputs = labelled()
    hidden = {"class": torch.tensor([[False, True]]).expand(3, -1)}
    found = model(inputs, hidden)
    inputs["class"][:, 0] = torch.nan
    again = model(inputs, hidden)
    for name, out in found.items():
        assert torch.equal(out, again[name])
    assert not torch.allclose(found["size"], model({**inputs, "class": torch.zeros(3, 2, 3)})["size"])
    gradient = torch.autograd.grad(found["class"].sum(), list(model.blocks[0].parameters()), allow_unused=True)
    assert any(g is not None and g.any() for g in gradient)  # what is asked of a label comes through the groups


def test_a_label_that_is_no_modality_is_refused():
    with pytest.raises(ValueError, match="labels name 'clas'"):
        small_hip(WITH_LABELS, labels=("clas",))


def test_stochastic_depth_leaves_out_branches_of_whole_elements():
    torch.manual_seed(0)
    block = perturb(Block(6, 8, groups=2, latents=3, self_attends=1, self_heads=2, drop_path=0.5))
    x = torch.randn(40, 2, 5, 6)
    with torch.no_grad():
        found = block.train()(x)
        kept = block.eval()(x)
        z = block.cross(block.latents(1).unflatten(1, (2, 3)).expand(40, -1, -1, -1).flatten(0, 1), x.flatten(0, 1))
        layer = block.layers[0]
        q, k, v = layer.project(z)
        cases = []
        for attends, thinks in itertools.product((0, 1), repeat=2):
            y = z + attends * layer.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            cases.append((y + thinks * layer.mlp(layer.mlp_norm(y))).unflatten(0, (40, 2)))
    torch.testing.assert_close(kept, cases[-1])
    which = [[torch.allclose(case[i], found[i], atol=1e-5) for case in cases].index(True) for i in range(40)]
    assert set(which) == {0, 1, 2, 3}  # each element is one of the four, its groups alike


def test_stochastic_depth_of_one_is_no_layers():
    model = small_hip({"x": (12, 5)}, drop_path=1.0).train()
    bare = small_hip({"x": (12, 5)}, self_attends=(0, 0, 0, 0, 0))
    bare.load_state_dict({name: value for name, value in model.state_dict().items() if ".layers." not in name})
    x = {"x": torch.randn(2, 12, 5)}
    torch.testing.assert_close(model(x), bare(x))


def small_ar(**options):
    return perturb(PerceiverAR(11, length=20, latents=6, width=16, self_attends=2, heads=2, **options))


@pytest.mark.parametrize("queries", ["learned", "shared"])
def test_learned_queries_replace_the_inputs_of_the_latents(queries):
    model = small_ar(queries=queries)
    usual = small_ar()
    usual.load_state_dict(model.state_dict(), strict=False)
    start = model.learned_queries.value
    for count in (6, 4):
        ids = torch.randint(11, (2, 6 if count == 6 else 4))
        rows = [start[0 if queries == "shared" else 6 - count + i] for i in range(count)]
        usual._ask = lambda inputs, rows=rows: torch.stack([torch.stack(rows)] * len(inputs))
        torch.testing.assert_close(model(ids), usual(ids))
    assert torch.autograd.grad(model(ids).sum(), start)[0].any()


def test_shared_queries_are_cached_and_learned_ones_are_not():
    ids = torch.randint(11, (2, 9))
    model = small_ar(queries="shared").eval()
    logits, cache = model.start(ids, latents=3)
    for new in torch.randint(11, (3, 2)):
        ids = torch.cat((ids, new[:, None]), 1)
        logits, cache = model.step(new, cache)
        whole = model(ids, latents=cache.latents)[:, -1]
        torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="learned for each position"):
        small_ar(queries="learned").generate(ids, 2)
    with pytest.raises(ValueError, match="queries is 'mlp'"):
        small_ar(queries="mlp")


def test_latents_that_are_dropped_are_seen_by_none_but_themselves():
    model = small_ar(latent_dropout=1.0)
    ids = torch.randint(11, (2, 9))
    alone = small_ar(latents_per_position=1)
    alone.load_state_dict(model.state_dict())
    for layer in alone.layers:
        layer.forward = lambda x, mask, turn, layer=layer: type(layer).forward(
            layer, x, torch.eye(6, dtype=torch.bool)[None, None], turn
        )
    torch.testing.assert_close(model.train()(ids), alone(ids))
    model.latent_dropout = 0.5
    shares = []
    handle = model.layers[0].register_forward_pre_hook(lambda module, arguments: shares.append(arguments[1]))
    for _ in range(60):
        model(ids)
    handle.remove()
    kept = torch.cat(shares)[:, 0].float()
    assert (kept.diagonal(dim1=1, dim2=2) == 1).all()
    below = kept[:, 5, :5]  # the last latent may see all others
    assert 0.4 < below.mean() < 0.6
    assert torch.equal(kept[:, 3, :2], kept[:, 5, :2])  # hidden from all alike
    torch.testing.assert_close(model.eval()(ids), small_equal(model, ids))


def small_equal(model, ids):
    """The same model without the option."""
    other = small_ar()
    other.load_state_dict(model.state_dict())
    return other.eval()(ids)
