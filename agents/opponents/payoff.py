"""What games against opponents tell: win rates that follow a learner, who to play next, and Elo ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Priority = Literal["hard", "variance", "even"]
Floats = npt.NDArray[np.float64]

DECAY = 0.99
"""What an earlier game still counts for when the next one with the same opponent ends, as in AlphaStar's payoff."""
LEAST = 0.01
"""No opponent is drawn with less than this weight, so that none is forgotten."""
ELO = 400 / np.log(10)
"""Points of a rating that a unit of log-odds is worth."""
PRIOR_DEVIATION = 800.0
"""Points that ratings are thought to differ by before a game is played: it keeps those of who always won finite."""


class WinRates:
    """The learner's results against each opponent, earlier ones counting less and less."""

    def __init__(self) -> None:
        self.points: dict[str, float] = {}
        self.games: dict[str, float] = {}

    def add(self, opponent: str, outcome: float) -> None:
        """A game has ended: 1 won, 0 drawn, -1 lost."""
        self.points[opponent] = DECAY * self.points.get(opponent, 0.0) + (1 + outcome) / 2
        self.games[opponent] = DECAY * self.games.get(opponent, 0.0) + 1

    def rate(self, opponent: str) -> float:
        """The part of the points won, a draw being half a point; of one never met 1/2 (Laplace's rule)."""
        return (self.points.get(opponent, 0.0) + 1) / (self.games.get(opponent, 0.0) + 2)

    def weights(self, opponents: Sequence[str], priority: Priority) -> Floats:
        """How likely each opponent is to be drawn: prioritized fictitious self-play (Vinyals et al. 2019, Methods).

        hard: (1 - rate)^2, whoever beats the learner; variance: rate (1 - rate), whoever is its equal.
        """
        rate = np.array([self.rate(name) for name in opponents])
        each = {"hard": (1 - rate) ** 2, "variance": rate * (1 - rate), "even": np.ones_like(rate)}[priority]
        each = np.maximum(each, LEAST)
        return each / each.sum()

    def state_dict(self) -> dict[str, Any]:
        return {"points": dict(self.points), "games": dict(self.games)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.points, self.games = dict(state["points"]), dict(state["games"])


@dataclass(frozen=True)
class Rating:
    """Elo points and their 95 % interval, ``low`` to ``high``, all against who is rated 0."""

    elo: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.elo:+.0f} ({self.low:+.0f} to {self.high:+.0f})"


def ratings(results: Mapping[tuple[str, str], Sequence[float]], zero: str) -> dict[str, Rating]:
    """Elo of everybody in ``results``, (player, other) -> games won, drawn and lost by the first; ``zero`` has 0.

    The Bradley-Terry model's most likely ratings, a draw being half a win for both, under a normal prior; intervals
    are of the difference to ``zero`` by the likelihood's curvature (Hunter 2004; Coulom 2008).
    """
    names = sorted({zero, *(name for pair in results for name in pair)})
    at = {name: i for i, name in enumerate(names)}
    count = len(names)
    points, games = np.zeros((count, count)), np.zeros((count, count))
    for (one, other), (won, drawn, lost) in results.items():
        i, j = at[one], at[other]
        points[i, j] += won + drawn / 2
        points[j, i] += lost + drawn / 2
        games[i, j] += won + drawn + lost
        games[j, i] += won + drawn + lost
    value, prior = np.zeros(count), (ELO / PRIOR_DEVIATION) ** 2
    information = np.eye(count)
    for _ in range(100):
        expected = 1 / (1 + np.exp(value[None] - value[:, None]))
        slope = (points - games * expected).sum(1) - prior * value
        weight = games * expected * (1 - expected)
        information = np.diag(weight.sum(1) + prior) - weight
        step = np.linalg.solve(information, slope)
        step *= min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        value += step
        if np.abs(step).max() < 1e-9:
            break
    spread = np.linalg.inv(information)
    base = at[zero]
    variance = spread.diagonal() + spread[base, base] - 2 * spread[base]
    half = 1.96 * ELO * np.sqrt(np.maximum(variance, 0.0))
    elo = ELO * (value - value[base])
    return {
        name: Rating(float(elo[i]), float(elo[i] - half[i]), float(elo[i] + half[i])) for i, name in enumerate(names)
    }
