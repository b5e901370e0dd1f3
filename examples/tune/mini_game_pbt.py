"""Tunes PPO on a mini-game of the stand-in game with population based training: trials that do badly go on as copies
of those that do well, with options somewhat changed.

    python -m examples.tune.mini_game_pbt [--trials 4] [--steps 60000] [--cpus 2]

Population based training: Jaderberg et al. 2017, arXiv 1711.09846.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

from agents.placement.cluster.tune import search_space
from examples.tune import trials as running

ITERATIONS = 12  # of a trial


@dataclass(frozen=True)
class Asked(running.Asked):
    """What can be typed."""

    game_loops: int = 1920
    """Of a game; 1920 are its two minutes."""


DEFAULT = Asked(trials=4, steps=60_000)


def main(asked: Asked) -> dict[str, Any]:
    """Returns the last result of the best trial, and its run folder."""
    mutated = {
        "ppo.learning_rate": tune.loguniform(2e-4, 1e-2),
        "ppo.entropy_coefficient": tune.loguniform(3e-4, 3e-2),
    }
    fixed = {"total_steps": asked.steps, "seed": asked.seed, "env_options.max_loops": asked.game_loops}
    space = search_space("move_to_beacon", -(-asked.steps // ITERATIONS), fixed | mutated)
    scheduler = PopulationBasedTraining(
        perturbation_interval=2, hyperparam_mutations=mutated, quantile_fraction=0.25, custom_explore_fn=within(mutated)
    )
    return running.search("mini-game-pbt", space, scheduler, asked)


def within(domains: dict[str, Any]) -> Any:
    """Keeps what population based training has multiplied in its domain: it knows no bounds."""

    def explore(config: dict[str, Any]) -> dict[str, Any]:
        return config | {key: min(max(config[key], domain.lower), domain.upper) for key, domain in domains.items()}

    return explore


if __name__ == "__main__":
    running.main(main, DEFAULT, __doc__)
