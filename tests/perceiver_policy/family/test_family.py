"""The Hierarchical Perceiver, Perceiver AR and the Resampler."""

import copy

import pytest
import torch
from torch import nn

from perceiver_policy.core.attention import attention_maps
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import (
    VARIANTS,
    HierarchicalPerceiver,
    hierarchical,
    layout,
    masked_autoencoding_loss,
    random_visible,
    regroup,
)
from perceiver_policy.family.resampler import Resampler


def perturb(module: nn.Module, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def small_hip(modalities, **options):
    settings = {
        "groups": (4, 2, 1, 2, 4),
        "self_attends": (1, 1, 2, 1, 1),
        "latents": (4, 4, 6, 4, 4),
        "widths": (8, 12, 16, 8, 4),
        "self_heads": (2, 2, 4, 2, 1),
        "embedding_width": 6,
        "position_width": 3,
    }
    return perturb(HierarchicalPerceiver(modalities, **(settings | options)))


def test_hip_by_hand():
    """The published flow, one group at a time: read, merge, process, split with skips, ask with positions."""
    model = small_hip({"x": (12, 5)})
    x = torch.randn(2, 12, 5)
    where = model.positions["x"]() @ model.position_projections["x"].weight.T
    z = (model.embed["x"](x) + where).unflatten(1, (4, 3))
    done = []
    for i, (block, groups) in enumerate(zip(model.blocks, (4, 2, 1, 2, 4), strict=True)):
        if i:
            rows = z.reshape(2, -1, z.shape[-1])
            z = torch.stack(rows.chunk(groups, 1), 1)
        latents = block.latents.value.unflatten(0, (groups, -1))
        parts = []
        for g in range(groups):
            queries = latents[g].expand(2, -1, -1)
            if i > 2:
                queries = queries + block.skip(done[4 - i][:, g])
            part = block.cross(queries, z[:, g])
            for layer in block.layers:
                part = layer(part)
            parts.append(part)
        z = torch.stack(parts, 1)
        done.append(z)
    queries = where.unflatten(1, (4, 3)).expand(2, -1, -1, -1)
    answers = torch.stack([model.reconstruct(queries[:, g], z[:, g]) for g in range(4)], 1).flatten(1, 2)
    torch.testing.assert_close(model({"x": x})["x"], model.unembed["x"](answers))
    torch.testing.assert_close(model.process({"x": x}), done[2][:, 0])


def test_hip_groups_do_not_mix_before_they_merge():
    model = small_hip({"x": (12, 5)})
    grouped, _ = model._group({"x": model.embed["x"](torch.randn(1, 12, 5))}, None)
    other = grouped.clone()
    other[:, 2] += 1.0
    before, after = model.blocks[0](grouped), model.blocks[0](other)
    changed = (before != after).flatten(2).any(-1)[0]
    assert changed.tolist() == [False, False, True, False]


def test_hip_padding_and_hidden_inputs_are_not_seen():
    """Lengths that do not divide into the groups; what is hidden changes nothing, what is visible does."""
    model = small_hip({"a": (7, 5), "b": (3, 2)})
    inputs = {"a": torch.randn(2, 7, 5), "b": torch.randn(2, 3, 2)}
    visible = {"a": torch.rand(2, 7) > 0.4, "b": torch.ones(2, 3, dtype=torch.bool)}
    out = model(inputs, visible)
    assert {name: value.shape for name, value in out.items()} == {"a": (2, 7, 5), "b": (2, 3, 2)}
    other = {"a": inputs["a"].masked_fill(~visible["a"][..., None], 9.0), "b": inputs["b"]}
    torch.testing.assert_close(model(other, visible), out)
    assert not torch.allclose(model(other)["b"], model(inputs)["b"])
    partial = model(inputs, {"a": visible["a"]})
    torch.testing.assert_close(partial, out)


def test_hip_groups_that_are_not_full_are_read_as_they_are():
    """Seven inputs in three groups of three: the last group is read as the one input it has, not as three."""
    model = small_hip({"a": (7, 5), "b": (3, 2)})
    assert model.layout["a"] == (3, 3)
    tokens = {"a": torch.randn(1, 7, 6), "b": torch.randn(1, 3, 6)}
    grouped, mask = model._group(tokens, None)
    block = model.blocks[0]
    z = block.cross(block.latents.value.unflatten(0, (4, -1))[2:3], tokens["a"][:, 6:])
    for layer in block.layers:
        z = layer(z)
    torch.testing.assert_close(block(grouped, None, mask)[:, 2], z)


def test_hip_reads_its_padding_where_asked():
    """As the original: seven inputs in three groups of three are read as nine, the last two zeros; hidden inputs are
    not read all the same."""
    model = small_hip({"a": (7, 5), "b": (3, 2)}, mask_padding=False)
    inputs = {"a": torch.randn(1, 7, 5), "b": torch.randn(1, 3, 2)}
    tokens = {name: model.embed[name](x) + model._where(name) for name, x in inputs.items()}
    block = model.blocks[0]
    last = torch.cat((tokens["a"][:, 6:], torch.zeros(1, 2, 6)), 1)
    z = block.cross(block.latents.value.unflatten(0, (4, -1))[2:3], last)
    for layer in block.layers:
        z = layer(z)
    grouped, mask = model._group(tokens, None)
    assert mask is None
    torch.testing.assert_close(block(grouped)[:, 2], z)
    visible = {"a": torch.arange(7)[None] < 4}
    other = {"a": inputs["a"].masked_fill(~visible["a"][..., None], 9.0), "b": inputs["b"]}
    torch.testing.assert_close(model(other, visible), model(inputs, visible))
    _, mask = model._group(tokens, visible)
    assert mask.flatten(0, 1).tolist() == [[True] * 3, [True, False, False], [False, True, True], [True] * 3]


def test_hip_layout_by_hand():
    # One group each, then always one more to the modality whose groups are largest: 100/2, then 100/3, ...
    assert layout({"audio": 30, "video": 100}, 5) == {"audio": (1, 30), "video": (4, 25)}
    assert layout({"a": 10}, 4) == {"a": (4, 3)}
    with pytest.raises(ValueError, match="3 modalities need as many groups, got 2"):
        layout({"a": 1, "b": 1, "c": 1}, 2)
    # ten in two groups are larger (5) than four in one; in three (3.3) they are smaller
    assert layout({"a": 10, "b": 4}, 4) == {"a": (3, 4), "b": (1, 4)}
    assert layout({"a": 10, "b": 4}, 5) == {"a": (3, 4), "b": (2, 2)}


def test_hip_regrouping():
    x = torch.arange(8.0).reshape(1, 4, 2, 1)
    assert regroup(x, 2).flatten(1).tolist() == [list(range(8))]
    assert regroup(x, 2)[0, 0].flatten().tolist() == [0, 1, 2, 3]
    assert regroup(x, 2, "spread")[0, 0].flatten().tolist() == [0, 2, 4, 6]


def test_hip_hides_an_exact_share():
    torch.manual_seed(0)
    visible = random_visible(50, 20, 0.85)
    assert (visible.sum(1) == 3).all()
    assert len({tuple(row) for row in visible.tolist()}) > 40


def test_hip_masked_autoencoding_learns_positions():
    """Positions are all that tells the places of a fixed pattern apart: the loss falls below the best constant's."""
    torch.manual_seed(0)
    model = small_hip({"x": (16, 1)}, regroup="neighbors")
    pattern = torch.tensor([1.0, -1.0]).repeat(8)[None, :, None]
    positions = [model.positions["x"].table, *model.position_projections.parameters()]
    optimizer = torch.optim.Adam([*model.parameters()], 1e-2)
    start = [p.detach().clone() for p in positions]
    for _ in range(60):
        optimizer.zero_grad()
        loss = masked_autoencoding_loss(model, {"x": pattern.expand(8, -1, -1)}, 0.5)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3  # a constant has 1.0
    assert all(not torch.equal(a, b) for a, b in zip(start, positions, strict=True))


def test_hip_checkpointing_changes_no_gradient():
    plain = small_hip({"x": (12, 5)})
    saving = copy.deepcopy(plain)
    saving.checkpointing = True
    x = torch.randn(2, 12, 5)
    for model in (plain, saving):
        model({"x": x})["x"].square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_hip_variants_fit_together(name):
    with torch.device("meta"):
        model = hierarchical(name, {"x": (65_536, 3)}, position_width=8)
        out = model({"x": torch.empty(1, 65_536, 3)})
    assert out["x"].shape == (1, 65_536, 3)
    assert [block.groups for block in model.blocks] == list(VARIANTS[name]["groups"])


def test_hip_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="the middle one with 1 group"):
        small_hip({"x": (12, 5)}, groups=(4, 2, 2, 2, 4))
    with pytest.raises(ValueError, match="read the same backwards"):
        small_hip({"x": (12, 5)}, latents=(4, 4, 6, 4, 5))
    with pytest.raises(ValueError, match="give 5 numbers of each kind"):
        small_hip({"x": (12, 5)}, widths=(8, 8, 8))
    with pytest.raises(ValueError, match="block 2's 1 groups of 3 latents do not divide into 2 groups"):
        small_hip({"x": (12, 5)}, latents=(4, 4, 3, 4, 4))
    with pytest.raises(ValueError, match=r"x: expected \[batch, 12, channels\]"):
        small_hip({"x": (12, 5)})({"x": torch.zeros(1, 11, 5)})
    with pytest.raises(ValueError, match="expected modalities x; got y"):
        small_hip({"x": (12, 5)})({"y": torch.zeros(1, 12, 5)})


def small_ar(**options):
    torch.manual_seed(0)
    settings = {"length": 24, "latents": 6, "width": 16, "self_attends": 2, "heads": 2, "rotated": 0.5}
    return perturb(PerceiverAR(11, **(settings | options))).eval()


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal", "learned"])
def test_ar_is_causal(positions):
    """The logits at a position do not change with later tokens, and do with earlier ones."""
    model = small_ar(positions=positions)
    ids = torch.randint(11, (1, 15))
    logits = model(ids)
    assert logits.shape == (1, 6, 11)
    for changed in range(15):
        other = ids.clone()
        other[0, changed] = (ids[0, changed] + 1) % 11
        same = torch.isclose(model(other), logits, atol=1e-6).all(-1)[0]
        assert same.tolist() == [changed > 9 + i for i in range(6)]


def test_ar_with_all_latents_is_a_causal_transformer_step():
    """Fewer latents over the same text give the same cross-attend; with as many latents as tokens each position sees
    its past."""
    model = small_ar(latents=12)
    ids = torch.randint(11, (2, 12))
    whole = model(ids)
    for length in (1, 5, 12):
        torch.testing.assert_close(model(ids[:, :length]), whole[:, :length])


def test_ar_relative_positions_only():
    """Of rotary positions only distances count: left padding shifts everything and changes nothing."""
    model = small_ar(count_from=5)
    ids = torch.randint(11, (2, 9))
    padded = torch.cat((torch.zeros(2, 5, dtype=torch.long), ids), 1)
    mask = torch.arange(14).expand(2, -1) >= 5
    torch.testing.assert_close(model(padded, mask), model(ids))


def test_ar_positions_all_farther_on_change_nothing(monkeypatch):
    model = small_ar(positions="rotary")
    ids = torch.randint(11, (2, 9))
    here, places = model(ids), model._places
    monkeypatch.setattr(model, "_places", lambda *given: places(*given) + 13)
    torch.testing.assert_close(model(ids), here, rtol=1e-4, atol=1e-5)
    _, cache = model.start(ids[:, :8], latents=5)
    torch.testing.assert_close(model.step(ids[:, 8], cache)[0], here[:, -1], rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(model, "_places", lambda *given: places(*given) * 2)
    assert not torch.allclose(model(ids), here, atol=1e-3)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"count_from": "end"}, {"positions": "learned"}, {"positions": "sinusoidal", "tie_embeddings": True}],
)
def test_ar_cached_equals_uncached(padded, options):
    model = small_ar(**options)
    ids = torch.randint(11, (3, 24))
    mask = torch.ones(3, 24, dtype=torch.bool)
    if padded:
        mask[0, :4] = mask[1, :7] = False
    latents = count = 2
    logits, cache = model.start(ids[:, :9], mask[:, :9], latents=count)
    torch.testing.assert_close(logits, model(ids[:, :9], mask[:, :9], latents=count)[:, -1])
    for t in range(9, 24):
        logits, cache = model.step(ids[:, t], cache)
        count = latents = count + 1 if count < 6 else 3
        uncached = model(ids[:, : t + 1], mask[:, : t + 1], latents=latents)[:, -1]
        torch.testing.assert_close(logits, uncached, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="the context is full: 24 positions"):
        model.step(ids[:, 0], cache)


def test_ar_generates_greedily_and_by_sampling():
    model = small_ar()
    ids = torch.randint(11, (2, 5))
    greedy = model.generate(ids, 6, temperature=0.0)
    text, count = ids, 5
    for t in range(6):
        chosen = model(text, latents=count)[:, -1].argmax(-1)
        assert torch.equal(chosen, greedy[:, t])
        text, count = torch.cat((text, chosen[:, None]), 1), count + 1 if count < 6 else 3
    torch.testing.assert_close(model.generate(ids, 6, top=1), greedy)
    draw = [model.generate(ids, 8, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draw)
    assert not torch.equal(draw[0], model.generate(ids, 8, generator=torch.Generator().manual_seed(4)))


def test_ar_prefix_dropout_keeps_a_share_of_the_prefix():
    model = small_ar(prefix_dropout=0.5)
    ids = torch.randint(11, (4, 20))
    torch.testing.assert_close(model(ids), model(ids))
    model.train()
    assert not torch.allclose(model(ids), model(ids))
    places = torch.arange(20).expand(4, -1)
    kept_ids, kept_places, _ = model._drop_prefix(ids, places, torch.ones_like(ids).bool(), 14)
    assert kept_ids.shape == (4, 7 + 6)
    assert torch.equal(kept_places[:, 7:], places[:, 14:])
    assert (kept_places.diff(dim=1) > 0).all()
    assert torch.equal(kept_ids, ids.gather(1, kept_places))


def test_ar_refuses_long_texts():
    with pytest.raises(ValueError, match="25 tokens, but the model's context is 24"):
        small_ar()(torch.zeros(1, 25, dtype=torch.long))
    with pytest.raises(ValueError, match="latents 25: expected 1 to length 24"):
        small_ar(latents=25)


def test_ar_checkpointing_changes_no_gradient():
    plain = small_ar().train()
    saving = copy.deepcopy(plain)
    saving.checkpointing = True
    ids = torch.randint(11, (2, 12))
    for model in (plain, saving):
        model(ids).square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_resampler_by_hand():
    """Flamingo's figure 5: x += attend(q=x, kv=[features, x]); x += mlp(x); the output normalized."""
    model = perturb(Resampler(8, depth=2, latents=3, heads=2, frames=4, widening=2))
    features = torch.randn(2, 3, 5, 8)
    seen = (features + model.frames.value[:3, None]).flatten(1, 2)
    x = model.latents(2)
    for layer in model.layers:
        keys = torch.cat((layer.input_norm(seen), layer.query_norm(x)), 1)
        pair = layer.attention.keys_values(keys)
        x = x + layer.attention(layer.query_norm(x), pair)
        x = x + layer.mlp(layer.mlp_norm(x))
    torch.testing.assert_close(model(features), model.norm(x))


def test_resampler_masks():
    model = perturb(Resampler(8, depth=2, latents=3, heads=2, frames=4))
    features = torch.randn(2, 4, 5, 8)
    torch.testing.assert_close(model(features, torch.tensor([[True, True, False, False]] * 2)), model(features[:, :2]))
    places = torch.rand(2, 4, 5) > 0.4
    other = features.masked_fill(~places[..., None], 5.0)
    torch.testing.assert_close(model(features, places), model(other, places))
    flat = torch.randn(2, 7, 8)
    mask = torch.tensor([[True] * 4 + [False] * 3] * 2)
    torch.testing.assert_close(model(flat, mask), model(flat[:, :4]))
    nothing = model(flat, torch.zeros(2, 7, dtype=torch.bool))
    assert nothing.isfinite().all()
    with pytest.raises(ValueError, match="5 frames, but the resampler has embeddings for 4"):
        model(torch.randn(1, 5, 2, 8))


def test_ar_attention_maps_are_causal():
    model = small_ar()
    maps = attention_maps(model, torch.randint(11, (2, 9)))
    assert set(maps) == {"cross.attention", "layers.0", "layers.1"}
    for name, weights in maps.items():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        assert float(weights.triu(weights.shape[-1] - 6 + 1).abs().max()) == 0.0, name
