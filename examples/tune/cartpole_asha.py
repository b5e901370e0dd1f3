"""Tunes PPO on CartPole-v1 with ASHA: many short trials, of which the better third go on, and again.

    python -m examples.tune.cartpole_asha [--trials 8] [--steps 100000] [--cpus 2]

ASHA: Li et al. 2018, arXiv 1810.05934.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from agents.tune import search_space
from examples.tune import trials as running

ITERATIONS = 9  # of a whole trial; those that are stopped have made 1 or 3


def main(
    trials: int = 8,
    steps: int = 100_000,
    cpus: int = 2,
    seed: int = 0,
    folder: Path = Path("runs"),
    address: str | None = None,
) -> dict[str, Any]:
    """Returns the last result of the best trial, and its run folder."""
    space = search_space(
        "cartpole",
        -(-steps // ITERATIONS),
        {
            "total_steps": steps,
            "seed": seed,
            "ppo.learning_rate": tune.loguniform(3e-4, 1e-2),
            "ppo.entropy_coefficient": tune.loguniform(1e-5, 1e-2),
            "ppo.gamma": tune.choice([0.98, 0.99, 0.995]),
        },
    )
    scheduler = ASHAScheduler(max_t=ITERATIONS, grace_period=1, reduction_factor=3)
    return running.search(
        "cartpole-asha", space, scheduler, trials=trials, cpus=cpus, seed=seed, folder=folder, address=address
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100_000, help="of a trial that is not stopped early")
    parser.add_argument("--cpus", type=int, default=2, help="trials side by side, on this machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    parser.add_argument("--address", help="Ray cluster to run on, such as auto; none: this machine")
    running.main(main, **vars(parser.parse_args()))
