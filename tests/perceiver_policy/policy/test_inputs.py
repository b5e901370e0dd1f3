"""What becomes of each kind of number, and of maps and images that are not square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.spaces import Feature, Numbers, Planes
from perceiver_policy.policy.inputs import (
    POSITION_RESOLUTION,
    BoxScale,
    DiscreteEmbedder,
    FeatureReader,
    Inputs,
    NumbersEmbedder,
    PictureEmbedder,
    PlanesEmbedder,
)
from perceiver_policy.policy.inputs.boxes import box_embedder
from tests.policies import game


def test_every_kind_of_feature_by_hand() -> None:
    features = [
        Feature("health", "log", 1500),
        Feature("kind", "category", 4),
        Feature("light", "scalar", 50),
        Feature("x", "position", 64),
        Feature("flag", "category", 2),
        Feature("cargo", "log", 7),
    ]
    reader = FeatureReader(features, bands=2)
    value = torch.tensor([[30.0, 2, 100, 16, 1, 3.5], [-5, 9, -25, 64, 0, 7]])
    frequencies = [1, POSITION_RESOLUTION / 2]

    def place(x: float) -> list[float]:
        return [x, *(math.sin(math.pi * f * x) for f in frequencies), *(math.cos(math.pi * f * x) for f in frequencies)]

    expected = [
        # scalars and flags, logs, categories, positions
        [100 / 50, 1, math.log(31) / math.log(1501), math.log(4.5) / math.log(8), 0, 0, 1, 0, *place(-0.5)],
        # a log of less than nothing is that of nothing; a category that was not declared is none of them
        [-25 / 50, 0, 0, 1, 0, 0, 0, 0, *place(1)],
    ]
    assert reader.width == len(expected[0])
    torch.testing.assert_close(reader(value), torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_several_positions_are_encoded_like_the_cells_of_a_map() -> None:
    """The rows of the first axis, then those of the second, as `PlanesEmbedder` writes a cell's (y, x)."""
    reader = FeatureReader([Feature("y", "position", 2), Feature("x", "position", 4)], bands=3)
    planes = PlanesEmbedder(Planes(2, 4, [Feature("any")]), 8, 3, 1, 1)
    centers = torch.tensor([[y + 0.5, x + 0.5] for y in range(2) for x in range(4)])
    torch.testing.assert_close(reader(centers), planes.positions, atol=1e-5, rtol=1e-5)


def test_an_outlier_of_an_unbounded_number_is_cut() -> None:
    scale = BoxScale(spaces.Box(-np.inf, np.inf, (2,)))
    scale.learn(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    found = scale(torch.tensor([[2.0, 5.0], [1e6, -1e6], [3.5, 5.0]]))
    # the second number has not varied: its deviation counts as 1e-4
    assert found.tolist() == [[0, 0], [10, -10], [1.5, 0]]


PARTLY_BOUNDED = spaces.Box(np.float32([0, -np.inf, -3e38]), np.float32([10, np.inf, 3e38]))


@pytest.mark.parametrize(("shape", "over"), [((6, 3), (0,)), ((5, 4, 3), (0, 1)), ((2, 5, 4), (1, 2))])
def test_what_is_alike_shares_its_statistics(shape: tuple[int, ...], over: tuple[int, ...]) -> None:
    """Against numpy, with batches of several sizes; MiniGrid's kinds of objects are 0 to 10 of 255."""
    values = np.random.default_rng(0).integers(0, 11, (90, *shape))
    scale = BoxScale(spaces.Box(0, 255, shape, np.uint8), over=over)
    for part in torch.as_tensor(values).split([1, 9, 80]):
        scale.learn(part)
    axes = (0, *(axis + 1 for axis in over))
    expected = (values - values.mean(axes, keepdims=True)) / values.std(axes, keepdims=True)
    np.testing.assert_allclose(scale(torch.as_tensor(values)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("over", [(), (0, 1)])
def test_truths_are_scaled_as_the_numbers_that_they_are(over: tuple[int, ...]) -> None:
    truths, numbers = (BoxScale(spaces.Box(0, 1, (2, 2), kind), over=over) for kind in (bool, np.float32))
    value = torch.rand(50, 2, 2, generator=torch.Generator().manual_seed(0)) < 0.3
    truths.learn(value)
    numbers.learn(value.float())
    torch.testing.assert_close(truths(value), numbers(value.float()), atol=0, rtol=0)
    assert truths(value).dtype == torch.float32


def test_bounded_numbers_are_scaled_by_what_they_are_found_to_be() -> None:
    """Acrobot's speeds have bounds of 4 and 9 pi, and are mostly near 1."""
    values = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0])
    scale = BoxScale(spaces.Box(-30, 30, (2,)))
    torch.testing.assert_close(scale(values), values / 30)
    scale.learn(values)
    expected = (values - values.mean(0)) / values.std(0, correction=0)
    torch.testing.assert_close(scale(values), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("space", [spaces.Box(0, 10, (3,)), PARTLY_BOUNDED], ids=["all", "some"])
def test_weights_from_when_bounds_were_the_scale_mean_what_they_meant(space: spaces.Box) -> None:
    then, now = BoxScale(space), BoxScale(space)
    then.by_bounds = torch.from_numpy(then.bounded)
    values = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 7
    then.learn(values)
    saved = then.state_dict()
    saved.pop("by_bounds", None)
    now.load_state_dict(saved)
    now.learn(values)
    then.learn(values)
    torch.testing.assert_close(now(values), then(values))


def test_weights_of_cells_that_had_statistics_each_keep_them() -> None:
    space = spaces.Box(-np.inf, np.inf, (4, 3))
    then, now = BoxScale(space), BoxScale(space, over=(0,))
    values = torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 13).view(4, 3)
    then.learn(values)
    now.load_state_dict(then.state_dict())
    then.learn(values[:20] + 1)
    now.learn(values[:20] + 1)
    torch.testing.assert_close(now(values), then(values))


@pytest.mark.parametrize("neighborhood", [1, 3])
def test_patches_of_a_map_that_is_not_square(neighborhood: int) -> None:
    """Each token changes with the cells of its own patch (and their neighbours), and with no others."""
    rows, columns, patch = 4, 6, 2
    inputs = Inputs(Planes(rows, columns, [Feature("light")]), 8, bands=2, neighborhood=neighborhood, patch=patch)
    still = inputs(torch.zeros(1, rows, columns, 1)).tokens[0]
    assert still.shape == (2 * 3, 8)
    for row in range(rows):
        for column in range(columns):
            lit = torch.zeros(1, rows, columns, 1)
            lit[0, row, column] = 1
            changed = (inputs(lit).tokens[0] - still).abs().sum(1) > 1e-6
            reach = neighborhood // 2
            near = [
                2 * y - reach <= row <= 2 * y + 1 + reach and 2 * x - reach <= column <= 2 * x + 1 + reach
                for y in range(2)
                for x in range(3)
            ]
            assert changed.tolist() == near


def test_cells_of_a_map_that_is_not_square_by_hand() -> None:
    """A cell's element is a linear map of what it shows and of where it is."""
    embedder = PlanesEmbedder(Planes(2, 3, [Feature("light", scale=4), Feature("who", "category", 3)]), 5, 2, 1, 1)
    value = torch.tensor([[[[4.0, 0], [2, 1], [0, 2]], [[8, 2], [1, 1], [3, 0]]]])
    cells, mask = embedder(value)
    assert mask is None
    weight, bias = embedder.project.weight[..., 0, 0], embedder.project.bias
    for row in range(2):
        for column in range(3):
            light, who = value[0, row, column].tolist()
            shown = torch.tensor([light / 4, *(float(who == k) for k in range(3))])
            x, y = (column + 0.5) / 3 * 2 - 1, (row + 0.5) / 2 * 2 - 1
            frequencies = (1, POSITION_RESOLUTION / 2)
            angles = [math.pi * f * at for at in (y, x) for f in frequencies]
            place = torch.tensor([y, x, *map(math.sin, angles), *map(math.cos, angles)])
            expected = weight @ shown + bias + embedder.position.weight @ place
            torch.testing.assert_close(cells[0, row * 3 + column], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "patch", "grid"),
    [((7, 20, 3), 2, (4, 10)), ((3, 20, 28), 4, (5, 7)), ((24, 50), 5, (5, 10)), ((31, 70, 4), 7, (5, 10))],
)
def test_images_that_are_not_square(shape: tuple[int, ...], patch: int, grid: tuple[int, int]) -> None:
    """The patches of an image, in rows from the top; channels first or last; padded at the right and the bottom."""
    space = spaces.Box(0, 255, shape, np.uint8)
    embedder = PictureEmbedder(space, 4, 1)
    assert embedder.patch == patch
    first = len(shape) == 3 and shape[0] == 3
    image = torch.as_tensor(np.random.default_rng(0).integers(0, 256, (1, *shape)), dtype=torch.uint8)
    tokens = embedder(image)[0]
    assert tokens.shape == (1, grid[0] * grid[1], 4)
    pixels = image[0].float() / 127.5 - 1
    pixels = pixels.permute(1, 2, 0) if first else pixels[..., None] if len(shape) == 2 else pixels
    for row, column in ((0, 0), (0, grid[1] - 1), (grid[0] - 1, 0), (grid[0] - 1, grid[1] - 1), (grid[0] // 2, 3)):
        part = pixels[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        whole = torch.zeros(patch, patch, pixels.shape[-1])
        whole[: part.shape[0], : part.shape[1]] = part
        shown = torch.einsum("ochw,hwc->o", embedder.project.weight, whole) + embedder.project.bias
        y, x = (row + 0.5) / grid[0] * 2 - 1, (column + 0.5) / grid[1] * 2 - 1
        angles = [math.pi * y, math.pi * x]
        place = torch.tensor([y, x, *map(math.sin, angles), *map(math.cos, angles)])
        summed = shown + embedder.position.weight @ place
        expected = summed + embedder.bind.weight @ summed.clamp(min=0)
        torch.testing.assert_close(tokens[0, row * grid[1] + column], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("how", [{"categories": 3}, {"categories": 3, "patch": 2}])
def test_numbers_that_are_kinds_have_weights_of_their_own(how: dict[str, int]) -> None:
    """Each number adds the weights of its kind, alone or in the patch of its cell; kinds begin at the lower bound."""
    space = spaces.Box(-1, 9, (4, 2, 2), np.int8)
    embedder: Any = box_embedder(space, 5, 1, how)
    value = torch.tensor(np.random.default_rng(0).integers(-1, 5, (1, 4, 2, 2)))
    kinds = (value[0] + 1).clamp(max=2)
    if "patch" not in how:
        first, _, last = embedder.project
        weight = first.weight.unflatten(1, (4, 2, 2, 3))
        hidden = first.bias + sum(math.sqrt(3) * weight[:, y, x, c, kinds[y, x, c]] for y, x, c in np.ndindex(4, 2, 2))
        torch.testing.assert_close(embedder(value)[0][0, 0], last(hidden.relu()), atol=1e-5, rtol=1e-5)
        return
    weight = embedder.project.weight.unflatten(1, (2, 3))  # channels, kinds, rows, columns
    shown = [
        embedder.project.bias
        + sum(math.sqrt(3) * weight[:, c, kinds[2 * row + y, x, c], y, x] for y, x, c in np.ndindex(2, 2, 2))
        for row in range(2)
    ]
    summed = torch.stack(shown) + embedder.positions @ embedder.position.weight.T
    expected = summed + summed.relu() @ embedder.bind.weight.T
    torch.testing.assert_close(embedder(value)[0][0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("how", [{"categories": 3, "scaled": True}, {"categories": 3, "patch": 2, "scaled": True}])
def test_kinds_count_by_their_own_mean_and_deviation(how: dict[str, Any]) -> None:
    """As numpy has them, of a picture over all cells; what never changes is nothing."""
    embedder: Any = box_embedder(spaces.Box(-1, 9, (4, 2, 2), np.int8), 5, 1, how)
    values = np.random.default_rng(0).integers(-1, 5, (50, 4, 2, 2)).astype(np.int8)
    values[:, 0, 0, 0] = 1
    embedder.scale.learn(torch.as_tensor(values))
    one_hot = np.eye(3)[np.minimum(values + 1, 2)]
    over = (0, 1, 2) if "patch" in how else 0
    scaled = (one_hot - one_hot.mean(over)) / np.maximum(one_hot.std(over), 1e-4)
    shown = torch.as_tensor(scaled[:1]).float()
    assert shown.abs().max() < 10
    if "patch" not in how:
        assert not shown[0, 0, 0, 0].any()
        torch.testing.assert_close(embedder(torch.as_tensor(values[:1]))[0][:, 0], embedder.project(shown.flatten(1)))
        return
    pictures = shown[0].permute(2, 3, 0, 1).flatten(0, 1)  # channels and their kinds, rows, columns
    cut = [embedder.project(pictures[None, :, 2 * row : 2 * row + 2])[0, :, 0, 0] for row in range(2)]
    summed = torch.stack(cut) + embedder.positions @ embedder.position.weight.T
    expected = summed + summed.relu() @ embedder.bind.weight.T
    torch.testing.assert_close(embedder(torch.as_tensor(values[:1]))[0][0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(20, 33, 3), (2, 20, 33), (33, 20), (4, 20, 33, 3)])
def test_bytes_are_read_as_the_numbers_that_they_are(shape: tuple[int, ...]) -> None:
    """Scaled weights make of bytes what plain ones make of scaled numbers, and learn the same."""
    embedder: Any = PictureEmbedder(spaces.Box(0, 255, shape, np.uint8), 4, 1)
    pictures = torch.as_tensor(np.random.default_rng(0).integers(90, 200, (5, *shape)), dtype=torch.uint8)
    for _ in range(2):  # by bounds, then by what is learned
        found = [embedder(given)[0] for given in (pictures, pictures.float())]
        torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)
        gradients = [torch.autograd.grad(each.square().sum(), embedder.project.weight)[0] for each in found]
        torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-4)
        embedder.scale.learn(pictures)


def test_discrete_values_have_rows_of_their_own() -> None:
    embedder = DiscreteEmbedder(spaces.MultiDiscrete([3, 2, 4], start=[5, 0, -1]), 6)
    tokens = embedder(torch.tensor([[5, 0, -1], [7, 1, 2]]))[0]
    for found, rows in zip(tokens, ([0, 3, 5], [2, 4, 8]), strict=True):
        assert torch.equal(found, embedder.embed.weight[rows])
    alone = DiscreteEmbedder(spaces.Discrete(3, start=2), 6)
    assert torch.equal(alone(torch.tensor([4, 2]))[0][:, 0], alone.embed.weight[[2, 0]])


def test_named_numbers_are_read_as_they_say() -> None:
    space = Numbers([Feature("minerals", "log", 100), Feature("supply", scale=20)])
    embedder = NumbersEmbedder(space, 4, 2)
    read: Any = embedder.project(torch.tensor([[2.0, math.log(6) / math.log(101)]]))
    torch.testing.assert_close(embedder(torch.tensor([[5.0, 40]]))[0][:, 0], read)


def test_tokens_come_in_the_order_of_the_parts_each_with_its_mask() -> None:
    space, observation = game(3)
    inputs = Inputs(space, 8, bands=2)
    found = inputs(observation)
    longest = int(observation["units"]["mask"].bool().any(0).nonzero().max()) + 1
    parts = [found.elements[path] for path in inputs.paths]
    torch.testing.assert_close(found.tokens, torch.cat(parts, 1))
    start = sum(found.elements[path].shape[1] for path in inputs.paths[: inputs.paths.index("units")])
    assert found.mask is not None
    units = found.mask[:, start : start + longest]
    assert torch.equal(units, observation["units"]["mask"][:, :longest].bool())
    assert found.mask.sum() == found.mask.numel() - units.numel() + units.sum()
    half = found.first(2)
    assert half.mask is not None
    assert (len(half.tokens), len(half.mask), len(half.elements["units"]), len(half.masks["units"])) == (2, 2, 2, 2)
