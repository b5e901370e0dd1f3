"""Win rates, priorities and ratings against formulas written out and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from agents.opponents.payoff import DECAY, ELO, PRIOR_DEVIATION, WinRates, ratings


def test_rates_follow_and_unknown_opponents_are_taken_for_equals() -> None:
    rates = WinRates()
    assert rates.rate("new") == 0.5
    for outcome in (1, 1, 0, -1):
        rates.add("met", outcome)
    weight = DECAY ** np.arange(3, -1, -1)
    assert rates.rate("met") == pytest.approx((weight @ [1, 1, 0.5, 0] + 1) / (weight.sum() + 2))


def test_priorities_are_those_of_alphastar() -> None:
    rates = WinRates()
    rates.points, rates.games = (
        {"weak": 97.0, "even": 49.0, "strong": 9.0},
        dict.fromkeys(("weak", "even", "strong"), 98.0),
    )
    names = ["weak", "even", "strong"]
    rate = np.array([0.98, 0.5, 0.1])
    for priority, expected in (("hard", (1 - rate) ** 2), ("variance", rate * (1 - rate)), ("even", np.ones(3))):
        expected = np.maximum(expected, 0.01)
        np.testing.assert_allclose(rates.weights(names, priority), expected / expected.sum())  # type: ignore[arg-type]


def test_ratings_are_the_most_likely_ones() -> None:
    results = {("a", "b"): [12, 3, 5], ("b", "c"): [9, 0, 1], ("a", "c"): [4, 0, 0], ("d", "c"): [0, 0, 7]}
    names = ["a", "b", "c", "d"]

    def loss(elo: np.ndarray) -> float:
        value = elo / ELO
        total = 0.5 * (elo**2).sum() / PRIOR_DEVIATION**2
        for (one, other), (won, drawn, lost) in results.items():
            gap = value[names.index(one)] - value[names.index(other)]
            total += (won + drawn / 2) * np.log1p(np.exp(-gap)) + (lost + drawn / 2) * np.log1p(np.exp(gap))
        return float(total)

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    found = ratings(results, "c")
    for k, name in enumerate(names):
        assert found[name].elo == pytest.approx(best.x[k] - best.x[2], abs=0.5)
    assert (found["c"].elo, found["c"].low, found["c"].high) == (0, 0, 0)
    gap = np.array([1, 0, -1, 0])
    assert found["a"].high - found["a"].elo == pytest.approx(1.96 * np.sqrt(gap @ best.hess_inv @ gap), rel=0.05)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random, hits = np.random.default_rng(0), 0
    for _ in range(200):
        won = random.binomial(60, 1 / (1 + 10 ** (-120 / 400)))
        rating = ratings({("one", "other"): [won, 0, 60 - won]}, "other")["one"]
        hits += rating.low < 120 < rating.high
    assert 0.9 < hits / 200 <= 1.0
