"""Divergences against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

from perceiver_policy.policy.distributions import Distribution, bernoulli, categorical, independent, normal


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
