"""Returns against the papers' sums in slow loops, against TorchRL, and against what must hold of them."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.learning.returns import ReturnScale, gae, td_lambda, upgo, vtrace

Array = np.ndarray[Any, Any]
clips = st.one_of(st.floats(0.05, 3), st.just(math.inf))
fractions = st.floats(0, 1)
many = settings(max_examples=60, deadline=None)


class Steps(NamedTuple):
    """Random steps [T, B] whose episodes terminate, are truncated, or go on."""

    rewards: Array
    values: Array
    next_values: Array
    terminated: Array
    ended: Array
    log_pi: Array
    log_mu: Array

    def tensors(self, *names: str) -> list[Tensor]:
        return [torch.as_tensor(getattr(self, name)) for name in names]


@st.composite
def steps(draw: Any) -> Steps:
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    how = random.random(shape)
    terminated = how < draw(st.floats(0, 0.5))
    truncated = how > 1 - draw(st.floats(0, 0.5))
    values = random.normal(size=(shape[0] + 1, shape[1]))
    next_values = np.where(terminated, 0, np.where(truncated, random.normal(size=shape), values[1:]))
    log_pi, log_mu = -random.exponential(size=(2, *shape))
    return Steps(
        random.normal(size=shape), values[:-1], next_values, terminated, terminated | truncated, log_pi, log_mu
    )


def following(s: Steps, t: int, b: int) -> list[int]:
    """The steps from t on, to the episode's end or the last one known."""
    rest = []
    for u in range(t, len(s.rewards)):
        rest.append(u)
        if s.ended[u, b]:
            break
    return rest


def n_step_return(s: Steps, gamma: float, taken: list[int], b: int) -> float:
    rewards = sum(gamma**k * s.rewards[u, b] for k, u in enumerate(taken))
    return rewards + gamma ** len(taken) * s.next_values[taken[-1], b]


def slowly(s: Steps, one: Any) -> Array:
    return np.array([[one(t, b) for b in range(s.rewards.shape[1])] for t in range(s.rewards.shape[0])])


def torchrl(name: str, s: Steps, *arguments: Any, **options: Any) -> Any:
    """One of TorchRL's functions, which have the batch first, then time, then one feature."""
    functional = pytest.importorskip("torchrl.objectives.value.functional")
    there = lambda x: torch.as_tensor(x).T[..., None]  # noqa: E731
    given = [there(x) if isinstance(x, np.ndarray) else x for x in arguments]
    found = getattr(functional, name)(*given, done=there(s.ended), terminated=there(s.terminated), **options)
    return tuple(x[..., 0].T for x in found) if isinstance(found, tuple) else found[..., 0].T


def close(mine: Tensor, expected: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(mine.numpy(), np.asarray(expected), atol=tolerance, rtol=tolerance)


SINGLE = 2e-5  # TorchRL keeps some of its factors in single precision


@many
@given(steps(), fractions, fractions)
def test_gae_is_the_papers_sum_and_torchrls(s: Steps, gamma: float, lam: float) -> None:
    """Equation 16 of arXiv 1506.02438: the sum of (gamma lambda)^l delta_{t+l}."""

    def paper(t: int, b: int) -> float:
        deltas = [s.rewards[u, b] + gamma * s.next_values[u, b] - s.values[u, b] for u in following(s, t, b)]
        return float(sum((gamma * lam) ** k * delta for k, delta in enumerate(deltas)))

    mine = gae(*s.tensors("rewards", "values", "next_values", "ended"), gamma, lam)
    close(mine, slowly(s, paper))
    close(mine, torchrl("generalized_advantage_estimate", s, gamma, lam, s.values, s.next_values, s.rewards)[0], SINGLE)


@many
@given(steps(), fractions, fractions)
def test_td_lambda_is_the_mean_of_n_step_returns_and_torchrls(s: Steps, gamma: float, lam: float) -> None:
    """Sutton and Barto 2018, equation 12.3: (1 - lambda) lambda^(n-1) of each n-step return, the rest of the last."""

    def book(t: int, b: int) -> float:
        rest = following(s, t, b)
        returns = [n_step_return(s, gamma, rest[:n], b) for n in range(1, len(rest) + 1)]
        weights = [(1 - lam) * lam**k for k in range(len(rest) - 1)] + [lam ** (len(rest) - 1)]
        return float(np.dot(weights, returns))

    mine = td_lambda(*s.tensors("rewards", "next_values", "ended"), gamma, lam)
    close(mine, slowly(s, book))
    close(mine, torchrl("td_lambda_return_estimate", s, gamma, lam, s.next_values, s.rewards), SINGLE)


def paper_vtrace(s: Steps, gamma: float, lam: float, rho_clip: float, c_clip: float) -> tuple[Array, Array]:
    """Targets by equation 1 of arXiv 1802.01561 with remark 2's lambda; the advantages of its section 4.2."""
    ratios = np.exp(s.log_pi - s.log_mu)
    rho, c = np.minimum(rho_clip, ratios), lam * np.minimum(c_clip, ratios)

    def target(t: int, b: int) -> float:
        v = s.values[t, b]
        for k, u in enumerate(following(s, t, b)):
            delta = rho[u, b] * (s.rewards[u, b] + gamma * s.next_values[u, b] - s.values[u, b])
            v += gamma**k * np.prod([c[i, b] for i in range(t, u)]) * delta
        return float(v)

    targets = slowly(s, target)

    def advantage(t: int, b: int) -> float:
        alone = s.ended[t, b] or t + 1 == len(s.rewards)
        after = s.next_values[t, b] if alone else targets[t + 1, b]
        return float(rho[t, b] * (s.rewards[t, b] + gamma * after - s.values[t, b]))

    return targets, slowly(s, advantage)


EPISODE = ("rewards", "values", "next_values", "ended")


@many
@given(steps(), fractions, clips, clips)
def test_vtrace_is_the_papers_and_torchrls(s: Steps, gamma: float, rho_clip: float, c_clip: float) -> None:
    mine = vtrace(torch.as_tensor(s.log_pi - s.log_mu), *s.tensors(*EPISODE), gamma, 1.0, rho_clip, c_clip)
    targets, advantages = paper_vtrace(s, gamma, 1.0, rho_clip, c_clip)
    close(mine.targets, targets)
    close(mine.advantages, advantages)
    theirs = torchrl(
        "vtrace_advantage_estimate",
        s,
        gamma,
        *(s.log_pi, s.log_mu, s.values, s.next_values, s.rewards),
        rho_thresh=rho_clip,
        c_thresh=c_clip,
    )
    close(mine.advantages, theirs[0], SINGLE)
    close(mine.targets, theirs[1], SINGLE)


@many
@given(steps(), fractions, fractions, clips, clips)
def test_vtraces_lambda_is_the_papers(s: Steps, gamma: float, lam: float, rho_clip: float, c_clip: float) -> None:
    mine = vtrace(torch.as_tensor(s.log_pi - s.log_mu), *s.tensors(*EPISODE), gamma, lam, rho_clip, c_clip)
    close(mine.targets, paper_vtrace(s, gamma, lam, rho_clip, c_clip)[0])


@many
@given(steps(), fractions, fractions, st.one_of(st.floats(1, 3), st.just(math.inf)))
def test_vtrace_on_policy_is_the_n_step_return_and_gae(s: Steps, gamma: float, lam: float, clip: float) -> None:
    """Section 4.1: with pi = mu and c-bar >= 1, equation 1 is the n-step Bellman target."""
    episode = s.tensors(*EPISODE)
    same = torch.zeros(s.rewards.shape, dtype=torch.float64)
    targets = vtrace(same, *episode, gamma, 1.0, clip, clip).targets
    close(targets, slowly(s, lambda t, b: n_step_return(s, gamma, following(s, t, b), b)))
    mixed = vtrace(same, *episode, gamma, lam, clip, clip)
    advantages = gae(*episode, gamma, lam)
    close(mixed.advantages, advantages)
    close(mixed.targets, episode[1] + advantages)


@many
@given(st.integers(0, 2**31), fractions)
def test_vtrace_without_clips_is_right_on_average(seed: int, gamma: float) -> None:
    """Over all that mu can do in three steps, the mean target is pi's own n-step return, whatever the values are."""
    random = np.random.default_rng(seed)
    pi, mu = random.dirichlet((1, 1), 3), random.dirichlet((2, 2), 3)
    mu = (mu + 0.1) / 1.2  # so that ratios stay small enough for the sum to be exact
    rewards, values = random.normal(size=(3, 2)), random.normal(size=4)
    paths = list(itertools.product((0, 1), repeat=3))
    chance = np.array([np.prod([mu[t, a] for t, a in enumerate(path)]) for path in paths])
    of = lambda table: torch.tensor([[table[t, a] for path in paths for a in (path[t],)] for t in range(3)])  # noqa: E731
    state_values = torch.as_tensor(np.repeat(values[:, None], len(paths), 1))
    found = vtrace(
        of(np.log(pi / mu)),
        of(rewards),
        state_values[:-1],
        state_values[1:],
        torch.zeros(3, len(paths), dtype=torch.bool),
        gamma,
        rho_clip=math.inf,
        c_clip=math.inf,
    ).targets[0]
    expected = values[3]
    for t in reversed(range(3)):
        expected = pi[t] @ rewards[t] + gamma * expected
    assert float(found.numpy() @ chance) == pytest.approx(expected, abs=1e-9)


@many
@given(steps(), fractions)
def test_upgo_is_the_papers(s: Steps, gamma: float) -> None:
    """Methods of doi 10.1038/s41586-019-1724-z: follow the trajectory while Q(s', a') >= V(s'), else bootstrap."""

    def paper(t: int, b: int) -> float:
        if s.ended[t, b] or t + 1 == len(s.rewards):
            return float(s.rewards[t, b] + gamma * s.next_values[t, b])
        q = s.rewards[t + 1, b] + gamma * s.next_values[t + 1, b]
        after = paper(t + 1, b) if q >= s.values[t + 1, b] else s.values[t + 1, b]
        return float(s.rewards[t, b] + gamma * after)

    mine = upgo(*s.tensors(*EPISODE), gamma)
    close(mine, slowly(s, paper))
    one_step = s.rewards + gamma * s.next_values
    assert (mine.numpy() >= one_step - 1e-9).all()  # what goes on is never worse than what was foreseen


def test_the_first_units_are_those_of_the_first_returns() -> None:
    returns = torch.as_tensor(np.random.default_rng(0).normal(40, 7, (32, 8)))
    scale = ReturnScale()
    scale.learn(returns.mean(), returns.var(correction=0))
    mean, deviation = scale.units()
    np.testing.assert_allclose([mean, deviation], [returns.mean(), returns.std(correction=0)], rtol=1e-5)


def test_units_follow_the_returns() -> None:
    scale = ReturnScale(rate=0.1)
    for _ in range(50):
        scale.learn(torch.tensor(0.0), torch.tensor(0.0))
    for _ in range(100):
        scale.learn(torch.tensor(100.0), torch.tensor(100.0))
    mean, deviation = scale.units()
    assert abs(mean - 100) < 0.1
    assert 9 < deviation < 11


def test_returns_that_do_not_vary_have_units_all_the_same() -> None:
    scale = ReturnScale()
    for _ in range(3):
        scale.learn(torch.tensor(7.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
        mean, deviation = scale.units()
        assert float(mean) == pytest.approx(7)
        assert float(deviation) == pytest.approx(1e-4)
