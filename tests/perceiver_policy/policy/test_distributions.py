"""Divergences against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

from perceiver_policy.policy.distributions import (
    Distribution,
    Squash,
    bernoulli,
    categorical,
    independent,
    normal,
    squashed_normal,
)


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_categorical_divergence_counts_what_is_legal() -> None:
    mask = torch.tensor([[True] * 5, [True, False, True, True, False], [False, True, False, False, False]])
    mine, known = numbers(3, 5, seed=0), numbers(3, 5, seed=1)
    found = categorical(mine, mask).divergence(categorical(known, mask))
    for row in range(3):
        legal = mask[row]
        expected = kl_divergence(Categorical(logits=known[row, legal]), Categorical(logits=mine[row, legal]))
        assert float(found[row]) == pytest.approx(float(expected), abs=1e-6)


def test_bernoulli_divergence() -> None:
    mask = torch.tensor([[True, True, False, True]] * 3)
    mine, known = 3 * numbers(3, 4, seed=0), 3 * numbers(3, 4, seed=1)
    found = bernoulli(mine, mask).divergence(bernoulli(known, mask))
    each = kl_divergence(Bernoulli(logits=known), Bernoulli(logits=mine))
    torch.testing.assert_close(found, (each * mask).sum(1))


def test_normal_divergence() -> None:
    mine, known = [(numbers(3, 4, seed=s), numbers(4, seed=s + 9)) for s in (0, 1)]
    as_torch = lambda mean, log: Independent(Normal(mean, log.exp()), 1)  # noqa: E731
    torch.testing.assert_close(
        normal(*mine).divergence(normal(*known)), kl_divergence(as_torch(*known), as_torch(*mine))
    )


def test_independent_divergence_is_the_components_sum() -> None:
    each: list[list[Distribution]] = [[categorical(numbers(3, n, seed=s + n), None) for n in (2, 4)] for s in (0, 9)]
    both = [independent(part, (2,)) for part in each]
    expected = sum(mine.divergence(known) for mine, known in zip(*each, strict=True))
    torch.testing.assert_close(both[0].divergence(both[1]), expected)


def test_divergence_is_zero_of_itself_and_has_a_gradient() -> None:
    logits = numbers(3, 5, seed=0).requires_grad_()
    assert categorical(logits, None).divergence(categorical(logits.detach(), None)).abs().max() < 1e-6
    categorical(logits, None).divergence(categorical(numbers(3, 5, seed=1), None)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().min() > 0


INF = float("inf")
BOUNDS = [(-INF, INF), (-1.0, 1.0), (-1.0, INF), (-INF, 1.0), (-5.0, INF), (-INF, 0.5)]


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_a_squashed_normal_is_a_density_within_its_bounds(low: float, high: float) -> None:
    """Against integrals of its density on a fine grid, as wide as it reaches."""
    squash = Squash(torch.tensor([low]), torch.tensor([high]))
    mean, log_deviation = torch.tensor([[0.4]], dtype=torch.float64), torch.tensor([-0.3], dtype=torch.float64)
    found = squashed_normal(mean, log_deviation, squash)
    low, high = max(low, -12) + 1e-9, min(high, 12) - 1e-9
    grid = torch.linspace(low, high, 400_001, dtype=torch.float64)
    log_p = squashed_normal(mean.expand(len(grid), 1), log_deviation, squash).log_prob(grid[:, None])
    assert torch.trapezoid(log_p.exp(), grid).item() == pytest.approx(1, abs=1e-4)
    entropy = -torch.trapezoid(log_p.exp() * log_p, grid).item()
    assert found.entropy().item() == pytest.approx(entropy, abs=2e-4)
    drawn = squashed_normal(mean.expand(40_000, 1), log_deviation, squash).sample(torch.Generator().manual_seed(0))
    assert drawn.min() > low - 1e-6
    assert drawn.max() < high + 1e-6
    assert drawn.mean().item() == pytest.approx(torch.trapezoid(log_p.exp() * grid, grid).item(), abs=0.02)
    assert found.best().item() == pytest.approx(squash(mean).item())


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_the_way_back_from_a_bound_and_the_slope(low: float, high: float) -> None:
    squash = Squash(torch.tensor(low), torch.tensor(high))
    line = torch.linspace(-5, 5, 41, dtype=torch.float64).requires_grad_()
    torch.testing.assert_close(squash.inverse(squash(line)), line, atol=1e-4, rtol=1e-4)
    (slope,) = torch.autograd.grad(squash(line).sum(), line)
    torch.testing.assert_close(squash.log_slope(line), slope.log(), atol=1e-6, rtol=1e-6)
    far = squash(torch.tensor([-300.0, 300.0, -1e30, 1e30]))
    assert squash.inverse(far).isfinite().all()
    assert squash.log_slope(squash.inverse(far)).isfinite().all()


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_deviations_by_state_are_those_of_torch(shape: tuple[int, ...]) -> None:
    mean, log_deviation, other, theirs = torch.randn(4, 5, *shape, generator=torch.Generator().manual_seed(1))
    mine, reference = normal(mean, log_deviation), Independent(Normal(mean, log_deviation.exp()), len(shape))
    action = torch.randn(5, *shape, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(mine.log_prob(action), reference.log_prob(action))
    torch.testing.assert_close(mine.entropy(), reference.entropy())
    known = Independent(Normal(other, theirs.exp()), len(shape))
    torch.testing.assert_close(mine.divergence(normal(other, theirs)), kl_divergence(known, reference))
