"""What the examples share: run a search with Ray Tune, show its trials, and leave the best one as a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import tyro
from ray import tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import BasicVariantGenerator
from rich.console import Console
from rich.table import Table

from agents.errors import UserError
from agents.placement.cluster.driver import start_ray
from agents.placement.cluster.tune import METRIC, PerceiverTrainable
from envs.errors import EnvError


@dataclass(frozen=True)
class Asked:
    """What can be typed."""

    trials: int
    """How many."""
    steps: int
    """Of a trial that is not stopped early."""
    cpus: int = 2
    """Trials side by side, on this machine."""
    seed: int = 0
    """Of the search and of every trial."""
    folder: Path = Path("runs")
    """Where Tune's files and the best trial's run folder go."""
    ray_address: str | None = None
    """Ray cluster to run on, such as auto; none: this machine."""


def search(name: str, space: Mapping[str, Any], scheduler: TrialScheduler, asked: Asked) -> dict[str, Any]:
    """Search a `space` (see `agents.placement.cluster.tune.search_space`) for the highest return.

    Leaves `folder/<name>-<time>` (Tune's own files) and `folder/<name>-<time>-best`, a run folder of the best trial,
    which it returns with that trial's last result.
    """
    ours = start_ray(asked.ray_address, num_cpus=asked.cpus)
    name = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        results = tune.Tuner(
            PerceiverTrainable,
            param_space=dict(space),
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="max",
                num_samples=asked.trials,
                scheduler=scheduler,
                search_alg=BasicVariantGenerator(random_state=asked.seed),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(asked.folder.resolve()),
                verbose=0,
                callbacks=[Lines(list(searched(space)))],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True, num_to_keep=4),
            ),
        ).fit()
    finally:
        if ours:
            ray.shutdown()
    Console().print(table(results, list(searched(space))))
    if len(results.errors) == len(results):
        raise UserError(f"every trial failed, the first so: {str(results.errors[0]).strip().splitlines()[-1]}")
    best = results.get_best_result()
    run_dir = asked.folder / f"{name}-best"
    if best.checkpoint is None:
        raise UserError(f"the best trial has left no checkpoint: see {best.path}")
    best.checkpoint.to_directory(run_dir)
    print(f"best trial   {run_dir}")
    print(f"evaluate it  perceiver-rl evaluate {run_dir}")
    print(f"train anew   perceiver-rl train --config {run_dir}/config.yaml")
    return {"run": run_dir, "trials": len(results), **(best.metrics or {})}


class Lines(tune.Callback):
    """Prints a line for every iteration of a trial."""

    def __init__(self, options: list[str]) -> None:
        self.options = options

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        """See Tune."""
        values = "  ".join(f"{key.rpartition('.')[2]} {result['config'][key]:.3g}" for key in self.options)
        number = int(trial.trial_id.rpartition("_")[2])
        print(f"trial {number}  {result['timesteps_total']:,} steps  return {result[METRIC]:.4g}  {values}", flush=True)


def searched(space: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ between trials."""
    return {key: value for key, value in space.items() if isinstance(value, tune.search.sample.Domain)}


def table(results: tune.ResultGrid, options: list[str]) -> Table:
    """The trials, best first."""
    shown = Table(title="Trials, best first")
    for option in options:
        shown.add_column(option.rpartition(".")[2].replace("_", " "), justify="right")
    for column in ("steps", "return"):
        shown.add_column(column, justify="right")
    shown.add_column("ended")
    trials = [results[i] for i in range(len(results))]
    for result in sorted(trials, key=lambda result: -(result.metrics or {}).get(METRIC, float("-inf"))):
        metrics, config = result.metrics or {}, result.config or {}
        done = metrics.get("timesteps_total", 0) >= config["total_steps"]
        ended = "failed" if result.error else "done" if done else "stopped early"
        values = [f"{config[option]:.3g}" for option in options]
        shown.add_row(
            *values, f"{metrics.get('timesteps_total', 0):,}", f"{metrics.get(METRIC, float('nan')):.4g}", ended
        )
    return shown


def main(example: Callable[[Any], dict[str, Any]], default: Asked, description: str | None) -> None:
    """Run an example with what is typed; errors that a user can mend are shown without a trace."""
    try:
        example(tyro.cli(type(default), default=default, description=description))
    except (UserError, EnvError) as error:
        raise SystemExit(f"error: {error}") from None
