"""What a run remembers of the episodes that have ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from agents.rollout import Episode

RECENT_EPISODES = 100


class EpisodeLog:
    """Counts episodes, and keeps the latest for means of what they returned."""

    def __init__(self) -> None:
        self.recent: deque[Episode] = deque(maxlen=RECENT_EPISODES)
        self.count = 0
        self.aborted = 0

    def add(self, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            self.recent.append(episode)
            self.count += 1

    def metrics(self) -> dict[str, float]:
        """Count, and mean return and length of the latest episodes."""
        metrics = {"episode/count": float(self.count)}
        if self.aborted:
            metrics["episode/aborted"] = float(self.aborted)
        if self.recent:
            metrics["episode/return"] = sum(e.total for e in self.recent) / len(self.recent)
            metrics["episode/length"] = sum(e.length for e in self.recent) / len(self.recent)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        recent = [(e.total, e.length) for e in self.recent]
        return {"recent": recent, "count": self.count, "aborted": self.aborted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.recent = deque((Episode(*e) for e in state["recent"]), maxlen=RECENT_EPISODES)
        self.count, self.aborted = state["count"], state["aborted"]
