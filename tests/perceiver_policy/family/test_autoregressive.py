"""Perceiver AR's options: kinds of positions, several latents a position, dropout of inputs."""

import math

import pytest
import torch
from torch import nn

from perceiver_policy.family.autoregressive import PerceiverAR


def small(**options):
    torch.manual_seed(0)
    model = PerceiverAR(11, **({"length": 20, "latents": 5, "width": 16, "self_attends": 2, "heads": 2} | options))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_several_latents_a_position_by_hand():
    """Latent by latent: each reads up to its own position, then the latents of positions up to its own; the mean of
    those of one position answers."""
    model = small(latents_per_position=3, positions="learned")
    ids = torch.randint(11, (1, 9))
    x = model.embedding(ids[0]) + model.position_tables[0].weight[:9]
    places = [position for position in range(4, 9) for _ in range(3)]
    z = []
    for i, place in enumerate(places):
        query = model.query_projection(x[place]) + model.place.value[i % 3]
        z.append(model.cross(query[None, None], x[None, : place + 1])[0, 0])
    for layer in model.layers:
        seen = [[other for other, at in zip(z, places, strict=True) if at <= place] for place in places]
        z = [
            layer(torch.stack([own, *(o for o in others if o is not own)])[None])[0, 0]
            for own, others in zip(z, seen, strict=True)
        ]
    mean = model.norm(torch.stack(z)).unflatten(0, (5, 3)).mean(1)
    logits = mean @ model.output.weight.T + model.output_bias
    torch.testing.assert_close(model(ids)[0], logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="one latent a position"):
        model.start(ids)


def test_several_latents_a_position_and_padding():
    model = small(latents_per_position=2)
    ids = torch.randint(11, (2, 8))
    padded = torch.cat((torch.zeros(2, 4, dtype=torch.long), ids), 1)
    mask = torch.arange(12).expand(2, -1) >= 4
    torch.testing.assert_close(model(padded, mask), model(ids), rtol=1e-4, atol=1e-5)


def test_rotary_wavelengths_are_the_authors():
    """From 1 to the greatest, both included: 8,192 ** -(0, 1/3, 2/3, 1) for four pairs; the original's line 342."""
    model = small(rotated=1.0, max_wavelength=8192.0)
    cos, sin = model._turn(torch.tensor([[3]]), 8)
    for pair in range(4):
        angle = 3 * 8192.0 ** (-pair / 3)
        assert cos[0, 0, 0, 2 * pair].item() == pytest.approx(math.cos(angle), rel=1e-6)
        assert sin[0, 0, 0, 2 * pair + 1].item() == pytest.approx(math.sin(angle), rel=1e-6)


def test_tables_are_read_where_the_model_counts():
    ids = torch.randint(11, (1, 7))
    for count_from, places in ((0, range(7)), (1, range(1, 8)), ("end", range(6, -1, -1))):
        model = small(positions="learned", count_from=count_from)
        given = torch.tensor([list(places)])
        torch.testing.assert_close(model(ids), model(ids, positions=given), rtol=0, atol=0)
        torch.testing.assert_close(model(ids), model(ids, positions=given[..., None]), rtol=0, atol=0)
        assert not torch.equal(model(ids), model(ids, positions=given.flip(1)))


def test_sinusoidal_table_is_fixed_and_has_the_authors_spacing():
    model = small(positions="sinusoidal")
    (table,) = model.position_tables
    assert not table.weight.requires_grad
    for place, channel in ((0, 3), (7, 1), (19, 7)):
        angle = place / 10_000 ** (channel / 7)  # 16 channels: 8 periods, the last 10,000
        assert table.weight[place, channel].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert table.weight[place, 8 + channel].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_positions_of_several_axes_are_added():
    model = small(positions="learned", position_rows=(4, 5, 3))
    ids = torch.randint(11, (2, 7))
    where = torch.stack([torch.randint(rows, (2, 7)) for rows in (4, 5, 3)], -1)
    other = where.clone()
    other[:, 2, 1] = (other[:, 2, 1] + 1) % 5
    assert not torch.allclose(model(ids, positions=where), model(ids, positions=other))
    swapped = small(positions="learned", position_rows=(4, 5, 3))
    swapped.position_tables = nn.ModuleList([model.position_tables[axis] for axis in (2, 0, 1)])
    torch.testing.assert_close(swapped(ids, positions=where[..., [2, 0, 1]]), model(ids, positions=where))
    with pytest.raises(ValueError, match=r"give positions \[batch, tokens, 3\]"):
        model(ids)
    with pytest.raises(ValueError, match=r"positions \(2, 7\): expected \[2, 7, 3\]"):
        model(ids, positions=where[..., 0])


def test_input_dropout_hides_each_input_with_its_probability():
    """As the original's: whichever inputs, those of the latents too, from the cross-attend only, in training only."""
    model = small(input_dropout=0.3)
    ids = torch.randint(11, (400, 15))
    torch.testing.assert_close(model(ids[:2]), model(ids[:2]))
    model.train()
    masks = []

    def look(_, args, kwargs):
        masks.append(kwargs["mask"])

    model.cross.register_forward_pre_hook(look, with_kwargs=True)
    model(ids)
    (mask,) = masks
    kept = mask[:, 0, -1]  # the last latent may see all
    counts = kept.sum(1).float()
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.02)
    assert counts.var().item() == pytest.approx(15 * 0.3 * 0.7, rel=0.25)  # no exact share
    assert torch.equal(mask[:, 0, 0, :11], kept[:, :11])  # the same for all latents of a row
    assert not mask[:, 0, 0, 11:].any()


def test_prefix_dropout_with_positions_of_several_axes():
    model = small(positions="learned", position_rows=(4, 5), prefix_dropout=0.5).train()
    where = torch.stack([torch.randint(rows, (2, 15)) for rows in (4, 5)], -1)
    assert model(torch.randint(11, (2, 15)), positions=where).shape == (2, 5, 11)


def test_wrong_positions_are_named():
    with pytest.raises(ValueError, match="positions is 'absolute': expected 'rotary', 'sinusoidal' or 'learned'"):
        small(positions="absolute")
    with pytest.raises(ValueError, match=r"rotated is 1\.5"):
        small(rotated=1.5)
    with pytest.raises(ValueError, match="positions that count from the end change with every token"):
        small(positions="learned", count_from="end").start(torch.randint(11, (1, 4)))
    with pytest.raises(ValueError, match=r"positions \(1, 3\): expected \[1, 4\]"):
        small()(torch.randint(11, (1, 4)), positions=torch.zeros(1, 3))
