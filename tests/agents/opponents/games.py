"""Games for two whose equilibrium is known, as PettingZoo has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

ROCK_PAYS_TWICE = np.array([[0, -1, 2], [1, 0, -1], [-2, 1, 0]], float)
"""Rock, paper, scissors, where rock's victory counts twice: equilibrium 1/4, 1/2, 1/4, worth 0."""


class RockPaperScissors:
    """One move each, at once."""

    possible_agents = ("one", "other")
    metadata: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, rounds: int = 1) -> None:
        self.rounds = rounds
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(0, 1, (1,), np.float32)

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.played = list(self.possible_agents), 0
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        self.played += 1
        paid = float(ROCK_PAYS_TWICE[actions["one"], actions["other"]])
        over = self.played == self.rounds
        both = self.possible_agents
        seen = self._seen()
        if over:
            self.agents = []
        return (
            seen,
            {"one": paid, "other": -paid},
            dict.fromkeys(both, over),
            dict.fromkeys(both, False),
            {agent: {} for agent in both},
        )

    def _seen(self) -> dict[str, Any]:
        return {agent: np.zeros(1, np.float32) for agent in self.possible_agents}

    def close(self) -> None:
        pass


def parallel_env(**options: Any) -> RockPaperScissors:
    return RockPaperScissors(**options)


def exploitability(strategy: np.ndarray) -> float:
    """What the best answer to a strategy wins from it on average: 0 for the equilibrium alone."""
    return float((ROCK_PAYS_TWICE @ strategy).max())
