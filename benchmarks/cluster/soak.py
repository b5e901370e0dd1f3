"""A learner that is fed at ten times its speed holds the workers back: memory, queue and counts over half an hour.

    python -m benchmarks.cluster.soak [--minutes 30]

Two workers step CartPole for a learner that rests a second before every update, so that the workers could collect far
more than ten times what it learns from. Every half minute: resident memory of every process of the run (what they share
counts in each), what the object store holds, the queue, the share of time that the workers rest, and the fates of all
trajectories. At the end: the growth from the first to the last quarter, and whether every trajectory is accounted for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import ray

from agents.config import Config, ImpalaConfig
from agents.placement.cluster import driver, learners
from agents.placement.cluster.learner import LearnerProcess
from agents.runs.callbacks import Silent
from perceiver_policy.policy.config import PolicyConfig

REST = 1.0  # seconds


class SlowLearner(LearnerProcess):
    """Rests before every update."""

    def update(self, shares: list[Any]) -> Any:
        time.sleep(REST)
        return super().update(shares)


class Watch(Silent):
    """The report's interface: samples every half minute, asks for a stop when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.until, self.next = time.monotonic() + seconds, 0.0
        self.began = time.monotonic()
        self.samples: list[tuple[float, float]] = []

    @property
    def stop_requested(self) -> bool:
        return time.monotonic() > self.until

    def start(self, step: int, total_steps: int, parameters: int) -> None:
        print("| minute | memory MB | object store MB | queue | workers rest | learned | lost | too old | restarts |")
        print("|---|---|---|---|---|---|---|---|---|")

    def histogram(self, step: int, name: str, values: Any) -> None:
        self.oldest = max(values)

    def note(self, text: str) -> None:
        print(text)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        self.last = metrics
        if time.monotonic() < self.next or "cluster/queue" not in metrics:
            return
        self.next = time.monotonic() + 30
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        memory = sum(process.memory_info().rss for process in processes) / 1e6
        total, free = (f().get("object_store_memory", 0) for f in (ray.cluster_resources, ray.available_resources))
        self.samples.append((memory, (total - free) / 1e6))
        counts = [int(metrics[f"cluster/{name}"]) for name in ("learned", "lost", "too_old", "restarts")]
        row = [f"{(time.monotonic() - self.began) / 60:.1f}", f"{memory:,.0f}", f"{(total - free) / 1e6:.2f}"]
        row += [f"{metrics['cluster/queue']:.2f}", f"{metrics['cluster/worker_idle']:.0%}", *map(str, counts)]
        print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    learners.RemoteLearner = ray.remote(max_restarts=0, max_task_retries=0)(SlowLearner)
    config = Config(
        env="CartPole-v1",
        num_envs=512,
        workers=2,
        threads=1,
        algorithm="impala",
        total_steps=10**9,
        checkpoint_interval=10**9,
        policy=PolicyConfig(token_width=16, latents=1, latent_width=16, self_attends=0),
        impala=ImpalaConfig(unroll=20),
    )
    watch = Watch(minutes * 60)
    with tempfile.TemporaryDirectory() as folder:
        driver.train(config, Path(folder), watch, resume=False)
    quarter = max(1, len(watch.samples) // 4)
    first, last = (statistics.mean(m for m, _ in part) for part in (watch.samples[:quarter], watch.samples[-quarter:]))
    fates = {
        name: int(watch.last[f"cluster/{name}"]) for name in ("trajectories", "learned", "lost", "too_old", "left")
    }
    accounted = fates["trajectories"] == sum(fates[name] for name in ("learned", "lost", "too_old", "left"))
    print(f"memory, mean of the first quarter {first:,.0f} MB, of the last {last:,.0f} MB: {last / first - 1:+.1%}")
    print(f"{fates}; every one accounted for: {accounted}")


if __name__ == "__main__":
    main()
