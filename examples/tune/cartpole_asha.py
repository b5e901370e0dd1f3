"""Tunes PPO on CartPole-v1 with ASHA: many short trials, of which the better third go on, and again.

    python -m examples.tune.cartpole_asha [--trials 8] [--steps 100000] [--cpus 2]

ASHA: Li et al. 2018, arXiv 1810.05934.
"""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from agents.placement.cluster.tune import search_space
from examples.tune import trials as running

ITERATIONS = 9  # of a whole trial; those that are stopped have made 1 or 3


DEFAULT = running.Asked(trials=8, steps=100_000)


def main(asked: running.Asked) -> dict[str, Any]:
    """Returns the last result of the best trial, and its run folder."""
    space = search_space(
        "cartpole",
        -(-asked.steps // ITERATIONS),
        {
            "total_steps": asked.steps,
            "seed": asked.seed,
            "ppo.learning_rate": tune.loguniform(3e-4, 1e-2),
            "ppo.entropy_coefficient": tune.loguniform(1e-5, 1e-2),
            "ppo.gamma": tune.choice([0.98, 0.99, 0.995]),
        },
    )
    scheduler = ASHAScheduler(max_t=ITERATIONS, grace_period=1, reduction_factor=3)
    return running.search("cartpole-asha", space, scheduler, asked)


if __name__ == "__main__":
    running.main(main, DEFAULT, __doc__)
