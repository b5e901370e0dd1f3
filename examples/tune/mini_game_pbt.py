"""Tunes PPO on a mini-game of the stand-in game with population based training: trials that do badly go on as copies
of those that do well, with options somewhat changed.

    python -m examples.tune.mini_game_pbt [--trials 4] [--steps 60000] [--cpus 2]

Population based training: Jaderberg et al. 2017, arXiv 1711.09846.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

from agents.tune import search_space
from examples.tune import trials as running

ITERATIONS = 12  # of a trial


def main(
    trials: int = 4,
    steps: int = 60_000,
    cpus: int = 2,
    seed: int = 0,
    folder: Path = Path("runs"),
    address: str | None = None,
    game_loops: int = 1920,
) -> dict[str, Any]:
    """Returns the last result of the best trial, and its run folder."""
    mutated = {
        "ppo.learning_rate": tune.loguniform(2e-4, 1e-2),
        "ppo.entropy_coefficient": tune.loguniform(3e-4, 3e-2),
    }
    fixed = {"total_steps": steps, "seed": seed, "env_options.max_loops": game_loops}
    space = search_space("move_to_beacon", -(-steps // ITERATIONS), fixed | mutated)
    scheduler = PopulationBasedTraining(
        perturbation_interval=2, hyperparam_mutations=mutated, quantile_fraction=0.25, custom_explore_fn=within(mutated)
    )
    return running.search(
        "mini-game-pbt", space, scheduler, trials=trials, cpus=cpus, seed=seed, folder=folder, address=address
    )


def within(domains: dict[str, Any]) -> Any:
    """Keeps what population based training has multiplied in its domain: it knows no bounds."""

    def explore(config: dict[str, Any]) -> dict[str, Any]:
        return config | {key: min(max(config[key], domain.lower), domain.upper) for key, domain in domains.items()}

    return explore


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--steps", type=int, default=60_000, help="of a trial")
    parser.add_argument("--cpus", type=int, default=2, help="trials side by side, on this machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    parser.add_argument("--address", help="Ray cluster to run on, such as auto; none: this machine")
    parser.add_argument("--game-loops", type=int, default=1920, help="of a game; 1920 are its two minutes")
    running.main(main, **vars(parser.parse_args()))
