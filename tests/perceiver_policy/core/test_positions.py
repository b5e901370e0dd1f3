"""Positions against their formulas, term by term."""

import math

import pytest
import torch

from perceiver_policy.core.attention import rotate
from perceiver_policy.core.positions import (
    FourierPositions,
    LearnedPositions,
    fourier_features,
    fourier_width,
    grid_positions,
    interpolate_grid,
    rotary,
    sinusoidal,
)
from perceiver_policy.family.presets import classifier, fourier_pixels, learned_position_pixels

SMALL = {"latents": 4, "latent_width": 16, "self_attends": 1, "self_heads": 2}


def test_fourier_features_term_by_term():
    positions = torch.tensor([[[0.3, -0.7]], [[-1.0, 1.0]]])
    bands, resolution = 3, (8, 20)
    features = fourier_features(positions, bands, resolution)
    assert features.shape == (2, 1, fourier_width(2, bands))
    for b in range(2):
        x = positions[b, 0].tolist()
        frequencies = [[1 + k * (r / 2 - 1) / (bands - 1) for k in range(bands)] for r in resolution]
        expected = list(x)
        expected += [math.sin(math.pi * f * x[d]) for d in range(2) for f in frequencies[d]]
        expected += [math.cos(math.pi * f * x[d]) for d in range(2) for f in frequencies[d]]
        torch.testing.assert_close(features[b, 0], torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_fourier_features_variants():
    positions = torch.rand(2, 5, 3) * 2 - 1
    whole = fourier_features(positions, 4, (8, 8, 8))
    assert torch.equal(fourier_features(positions, 4, (8, 8, 8), concat_position=False), whole[..., 3:])
    assert torch.equal(fourier_features(positions, 4, (8, 8, 8), sine_only=True), whole[..., : 3 + 12])
    with pytest.raises(ValueError, match="give one number an axis"):
        fourier_features(positions, 4, (8, 8))


def test_grids():
    grid = grid_positions((2, 3))
    assert grid.tolist() == [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]
    assert grid_positions((4,), inclusive=False).flatten().tolist() == [-1.0, -0.5, 0.0, 0.5]
    points = torch.tensor([5, 0, 2])
    assert torch.equal(grid_positions((2, 3), points=points), grid[points])


@pytest.mark.parametrize("cached", [True, False])
def test_fourier_positions_by_shape_and_point(cached):
    positions = FourierPositions((4, 6), 3, cached=cached)
    whole = positions()
    assert whole.shape == (1, 24, positions.width)
    points = torch.tensor([3, 23, 0])
    assert torch.equal(positions(points=points), whole[:, points])
    other = positions((2, 2))
    # The corners of any grid are the same corners.
    assert torch.equal(other[0, 0], whole[0, 0])
    assert torch.equal(other[0, -1], whole[0, -1])
    assert "features" not in positions.state_dict()
    assert positions.double()().dtype == torch.float64


def test_learned_positions_shorter_resized_and_refused():
    sequence = LearnedPositions(10, 4)
    assert torch.equal(sequence((7,)), sequence()[:, :7])
    with pytest.raises(ValueError, match=r"learned positions are for inputs of shape \(10,\), got \(11,\)"):
        sequence((11,))
    grid = LearnedPositions((4, 4), 3, project_to=5)
    assert grid((8, 8)).shape == (1, 64, 5)
    flat = LearnedPositions((4, 4), 3)
    with torch.no_grad():
        flat.table.fill_(2.5)
    torch.testing.assert_close(flat((7, 5)), torch.full((1, 35, 3), 2.5))


@pytest.mark.parametrize("shape", [(8, 8), (3, 7), (9, 2)])
def test_resized_positions_are_those_of_transformers(shape):
    models = pytest.importorskip("transformers.models.perceiver.modeling_perceiver")
    theirs = models.PerceiverTrainablePositionEncoding(16, 3)
    torch.manual_seed(0)
    torch.nn.init.normal_(theirs.position_embeddings)
    ours = LearnedPositions((4, 4), 3)
    ours.load_state_dict({"table": theirs.position_embeddings})
    expected = theirs.interpolate_pos_encoding(theirs.position_embeddings, *shape)
    torch.testing.assert_close(ours(shape)[0], expected.reshape(-1, 3))


def test_resizing_keeps_the_axes_apart():
    """A grid that is not square, whose feature is its row: resized, rows differ and columns do not."""
    table = torch.arange(4.0)[:, None, None].expand(4, 6, 1).reshape(1, 24, 1)
    grid = interpolate_grid(table, (4, 6), (8, 3)).view(8, 3)
    torch.testing.assert_close(grid[:, 0], grid[:, 2])
    assert (grid[1:, 0] > grid[:-1, 0]).all()
    torch.testing.assert_close(grid.flip(0), 3 - grid)  # the middles of the outer cells are as far from the edges


def test_sinusoidal_term_by_term():
    features = sinusoidal(torch.tensor([[0, 5, 31]]), 6, 100.0)
    for i, position in enumerate((0, 5, 31)):
        angles = [position / 100.0 ** (k / 3) for k in range(3)]
        expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        torch.testing.assert_close(features[0, i], torch.tensor(expected), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="even width, got 5"):
        sinusoidal(torch.tensor([0]), 5)


def test_rotary_is_a_rotation_of_pairs():
    x = torch.randn(1, 1, 1, 6)
    cos, sin = rotary(torch.tensor([7]), 4)
    turned = rotate(x, (cos, sin))
    for pair in range(2):
        angle = 7 * 10_000.0 ** (-2 * pair / 4)
        a, b = x[0, 0, 0, 2 * pair].item(), x[0, 0, 0, 2 * pair + 1].item()
        expected = [a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)]
        torch.testing.assert_close(turned[0, 0, 0, 2 * pair : 2 * pair + 2], torch.tensor(expected))
    assert torch.equal(turned[..., 4:], x[..., 4:])


def test_rotary_products_depend_on_distance_only():
    q, k = torch.randn(1, 2, 1, 8).double(), torch.randn(1, 2, 1, 8).double()

    def product(at, to):
        (c1, s1), (c2, s2) = rotary(torch.tensor([[at]]), 8), rotary(torch.tensor([[to]]), 8)
        return (rotate(q, (c1.double(), s1.double())) * rotate(k, (c2.double(), s2.double()))).sum(-1)

    torch.testing.assert_close(product(3, 10), product(53, 60), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(product(3, 10), product(3, 11))


def published_and_inputs():
    torch.manual_seed(0)
    return classifier(fourier_pixels(8, bands=3), SMALL, 3), torch.randn(2, 3, 8, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("way", ["to_empty, load", "load with assign", "to_empty, reset, load", "load onto garbage"])
def test_tables_that_are_not_saved_are_rebuilt_after_meta(way, dtype):
    model, images = published_and_inputs()
    model, images = model.to(dtype), images.to(dtype)
    with torch.device("cpu" if way == "load onto garbage" else "meta"):
        again = classifier(fourier_pixels(8, bands=3), SMALL, 3).to(dtype)
    if way == "load with assign":
        again.load_state_dict(model.state_dict(), assign=True)
    elif way == "load onto garbage":
        for buffer in again.buffers():
            buffer.fill_(float("nan"))  # what `to_empty` leaves may be anything
        again.load_state_dict(model.state_dict())
    else:
        again.to_empty(device="cpu")
        if "reset" in way:
            for module in again.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(images), model(images), rtol=0, atol=0)
    assert {name for name, _ in again.named_buffers()} == {name for name, _ in model.named_buffers()}


def test_positions_leave_the_meta_device_with_their_values():
    with torch.device("meta"):
        positions = FourierPositions((3, 4), 2)
    assert positions.features.is_meta
    positions.to_empty(device="cpu")
    torch.testing.assert_close(positions(), FourierPositions((3, 4), 2)(), rtol=0, atol=0)


@pytest.mark.parametrize("build", [fourier_pixels, learned_position_pixels])
def test_images_of_another_size(build):
    """Fourier features of the same coordinates at another density; learned positions by bicubic interpolation."""
    model = classifier(build(8), SMALL, 3)
    assert model(torch.randn(2, 3, 12, 10)).shape == (2, 3)
    positions = model.inputs.positions
    where = positions((12, 10))
    if isinstance(positions, LearnedPositions):
        grid = positions.table.view(1, 8, 8, -1).permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(grid, size=(12, 10), mode="bicubic").flatten(2).transpose(1, 2)
        torch.testing.assert_close(where, positions.projection(resized))
    else:
        corners = where[0, [0, 9, 110, 119], :2]
        assert corners.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
