"""Flow of images of any size against a plain loop over tiles."""

import itertools

import pytest
import torch

from perceiver_policy.family.presets import classifier, fourier_pixels, optical_flow
from perceiver_policy.family.processing.flow import neighbourhoods, optical_flow_of, tile_corners, tile_weights

SMALL = {"latents": 4, "latent_width": 16, "self_attends": 1, "self_heads": 2}


def random_model(shape: tuple[int, int]):
    torch.manual_seed(0)
    model = optical_flow(SMALL, shape=shape, bands=2, width=8).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def plain(model, first, second, shape, ys, xs):
    """One tile after the other, pixel by pixel as the notebook says it: weights, padding, sum, quotient."""
    height, width = first.shape[-2:]
    pair = torch.stack((first, second)).double() / 255 * 2 - 1
    patches = torch.nn.functional.unfold(pair.float(), 3, padding=1).view(2, 3, 9, height, width)
    total, count = (
        torch.zeros(height, width, 2, dtype=torch.float64),
        torch.zeros(height, width, 1, dtype=torch.float64),
    )
    weight = torch.tensor(
        [[min(y + 1, shape[0] - y, x + 1, shape[1] - x) for x in range(shape[1])] for y in range(shape[0])]
    )
    for y in ys:
        for x in xs:
            tile = pair[..., y : y + shape[0], x : x + shape[1]].float()
            patches = torch.nn.functional.unfold(tile, 3, padding=1).view(2, 3, 9, *shape)
            flow = model(patches.transpose(1, 2).flatten(1, 2)[None])[0]
            total[y : y + shape[0], x : x + shape[1]] += flow * weight[..., None]
            count[y : y + shape[0], x : x + shape[1]] += weight[..., None]
    return 20 * total / count


@torch.no_grad()
@pytest.mark.parametrize(
    ("chunk", "at_once"),
    [(50_000, 1), *[pytest.param(*case, marks=pytest.mark.slow) for case in ((None, 6), (182_527, 2))]],
)
def test_a_sintel_pair_is_a_plain_loop_over_tiles(chunk, at_once):
    model = random_model((368, 496))
    first, second = torch.randint(256, (2, 3, 436, 1024), dtype=torch.uint8)
    wanted = plain(model, first, second, (368, 496), (0, 68), (0, 476, 528))
    found = optical_flow_of(model, first, second, chunk=chunk, tiles_at_once=at_once)
    assert found.shape == (436, 1024, 2)
    assert float((found - wanted).abs().max()) < 1e-5 * float(wanted.square().mean().sqrt())


@torch.no_grad()
@pytest.mark.parametrize("size", [(9, 11), (12, 16), (13, 16), (31, 17), (5, 40), (3, 3)])
def test_any_size_and_any_chunk(size):
    model = random_model((12, 16))
    first, second = torch.randint(256, (2, 2, 3, *size), dtype=torch.uint8)
    whole = optical_flow_of(model, first, second, overlap=4)
    assert whole.shape == (2, *size, 2)
    for chunk in (1, 7, 192):
        torch.testing.assert_close(
            optical_flow_of(model, first, second, overlap=4, chunk=chunk, tiles_at_once=3), whole
        )
    alone = optical_flow_of(model, first[1], second[1], overlap=4)
    torch.testing.assert_close(alone, whole[1])
    scaled = optical_flow_of(model, first.float() / 127.5 - 1, second.float() / 127.5 - 1, overlap=4, scale=1.0)
    torch.testing.assert_close(20 * scaled, whole)


def test_tiles_cover_every_pixel_with_their_overlap():
    assert tile_corners(436, 368) == [0, 68]
    assert tile_corners(1024, 496) == [0, 476, 528]
    for size in range(1, 90):
        corners = tile_corners(size, 20, 6)
        assert corners[0] == 0
        assert corners[-1] == max(size - 20, 0)
        assert all(0 < b - a <= 14 for a, b in itertools.pairwise(corners))
    assert tile_weights(3, 5).tolist() == [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
    assert neighbourhoods(torch.arange(12.0).view(1, 3, 4))[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 4, 5]


def test_what_is_no_pair_is_refused_in_words():
    model, image = random_model((4, 6)), torch.zeros(3, 8, 8)
    with pytest.raises(ValueError, match="expected two images"):
        optical_flow_of(model, image, torch.zeros(3, 8, 9))
    with pytest.raises(ValueError, match="overlap is 4: expected 0 to 3"):
        optical_flow_of(model, image, image, overlap=4)
    with pytest.raises(ValueError, match=r"expected a model of presets\.optical_flow"):
        optical_flow_of(classifier(fourier_pixels(8, bands=2), SMALL, 3), image, image)
