"""What is measured of a run with workers between two records of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from agents.placement.cluster.learner import Updated
from agents.placement.cluster.worker import Collected

SECONDS = 0.5  # at least, between two records


class Window:
    """Sums since the last record."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.start(0)

    def start(self, steps: int) -> None:
        """Measure from here, where ``steps`` have been learned from."""
        self.steps, self.driver = steps, time.process_time()
        self.began = time.perf_counter()
        self.learner: dict[str, list[float]] = defaultdict(list)
        self.lags: list[int] = []
        self.busy = self.learning = self.useful = self.processor = 0.0

    def collected(self, told: Collected) -> None:
        """A worker has answered."""
        self.busy += told.seconds
        # of processor time, which is not told apart (asking for it takes longer than a step of a small environment)
        self.useful += told.processor * min(1.0, told.useful / told.seconds)
        self.processor += told.processor

    def updated(self, updated: list[Updated]) -> None:
        """The learners have made an update."""
        for name, value in updated[0].metrics.items():
            self.learner[name].append(value)
        self.learning += updated[0].seconds
        self.useful += sum(told.useful for told in updated)
        self.processor += sum(told.processor for told in updated)

    def learn(self, lags: Sequence[int]) -> None:
        """Trajectories so many updates old go to the learners."""
        self.lags += lags

    @property
    def due(self) -> bool:
        """Whether it is time for a record."""
        return time.perf_counter() - self.began >= SECONDS

    def close(self, steps: int, up: int, waiting: float) -> dict[str, float]:
        """The record, and a new window. ``steps`` learned from so far, workers that are ``up``, updates' worth of data
        that waits."""
        seconds = time.perf_counter() - self.began
        driver = time.process_time()
        processor = self.processor + driver - self.driver
        metrics = {
            name: max(values) if name.endswith("_max") else sum(values) / len(values)
            for name, values in self.learner.items()
        }
        updates = max((len(values) for values in self.learner.values()), default=0)
        metrics |= {
            "time/steps_per_second": (steps - self.steps) / seconds,
            "time/updates_per_second": updates / seconds,
            "cluster/workers": float(up),
            "cluster/queue": waiting,
            "cluster/worker_idle": max(0.0, 1 - self.busy / (seconds * self.workers)),
            "cluster/learner_idle": max(0.0, 1 - self.learning / seconds),
            "cluster/overhead": max(0.0, 1 - self.useful / processor) if processor else 0.0,
        }
        self.start(steps)
        return metrics
