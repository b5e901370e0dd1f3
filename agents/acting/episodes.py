"""What a run remembers of the episodes that have ended."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from agents.acting.rollout import Episode

RECENT_EPISODES = 100


class EpisodeLog:
    """Counts episodes, and keeps the latest of each environment for means of what they returned."""

    def __init__(self) -> None:
        self.recent: dict[str, deque[Episode]] = {}
        self.count = 0
        self.aborted = 0

    def add(self, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            self.recent.setdefault(episode.scenario, deque(maxlen=RECENT_EPISODES)).append(episode)
            self.count += 1

    def metrics(self) -> dict[str, float]:
        """Count, and means of the latest episodes' returns, lengths, metrics; of several environments, each one's."""
        metrics = {"episode/count": float(self.count)}
        if self.aborted:
            metrics["episode/aborted"] = float(self.aborted)
        latest = [episode for episodes in self.recent.values() for episode in episodes]
        if latest:
            metrics["episode/return"] = sum(e.total for e in latest) / len(latest)
            metrics["episode/length"] = sum(e.length for e in latest) / len(latest)
        for name in dict.fromkeys(name for episode in latest for name in episode.metrics):
            known = [e.metrics[name] for e in latest if math.isfinite(e.metrics.get(name, math.nan))]
            if known:
                metrics[f"episode/{name}"] = sum(known) / len(known)
        for scenario, episodes in sorted(self.recent.items()):
            if scenario:
                metrics[f"episode/return/{scenario}"] = sum(e.total for e in episodes) / len(episodes)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        recent = [(e.total, e.length, e.scenario, e.metrics) for episodes in self.recent.values() for e in episodes]
        return {"recent": recent, "count": self.count, "aborted": self.aborted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.recent = {}
        self.add(Episode(*e) for e in state["recent"])
        self.count, self.aborted = state["count"], state["aborted"]
