"""A search for options that suit an experiment: what a YAML file asks for, done by Optuna (Akiba et al. 2019).

A trial is a run in a folder of its own. The study is kept beside the runs: who searches again in that folder goes on,
and several programs may search in it at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment
from agents.runs.callbacks import Callback, RunState
from agents.runs.curves import read
from envs.errors import EnvError, EnvFailure
from envs.spelling import did_you_mean

Choice = str | bool | int | float | None


class Range(BaseModel):
    """Numbers from ``low`` to ``high``: whole ones where both are."""

    model_config = ConfigDict(extra="forbid")

    low: int | float
    high: int | float
    log: bool = False
    """Whether factors count, as for learning rates, instead of differences."""

    @model_validator(mode="after")
    def _check(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) should be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low should be above 0 where log is true, got {self.low}")
        return self


class Search(BaseModel):
    """What to search."""

    model_config = ConfigDict(extra="forbid")

    experiment: str
    """The experiment that is varied: a YAML file, or a name in configs/."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options that all trials share and that differ from it, by their dotted keys."""
    parameters: dict[str, Range | list[Choice]] = Field(min_length=1)
    """What is varied: an option's dotted key, and a range or a list of values."""
    trials: int = Field(20, ge=1)
    """Trials in all."""
    metric: str = "episode/return"
    """What counts: the last value of a figure of metrics.jsonl."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Whether more or less of it is better."""
    sampler: Literal["tpe", "random"] = "tpe"
    """Who chooses: Optuna's tree-structured Parzen estimator, or chance."""
    prune: bool = True
    """Whether a trial ends early that is worse at its step than half of those before it."""
    seed: int = Field(0, ge=0)
    """Seed of the choices."""


def read_search(path: Path) -> tuple[Search, Config]:
    """A search file and its experiment. Raises UserError naming the key that is wrong."""
    try:
        data = experiment.parse_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error
    try:
        asked = Search.model_validate(data)
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {line}" for line in _explained(error, data))) from error
    found = experiment.read_config(experiment.find_config(asked.experiment, f"{path}: experiment"))
    base = with_options(found, asked.options, str(path))
    some = {key: part.low if isinstance(part, Range) else part[0] for key, part in asked.parameters.items() if part}
    with_options(base, some, f"{path}: parameters")
    return asked, base


def _explained(error: ValidationError, data: Any) -> Iterator[str]:
    """A line a problem; of a parameter, what is wrong with it as the range, or as the list, that it is."""
    for one in error.errors():
        where, words = one["loc"], one["msg"].removeprefix("Value error, ")
        if where[:1] == ("parameters",) and len(where) > 2:
            if isinstance(data["parameters"][where[1]], dict) == str(where[2]).startswith("list"):
                continue
            where = where[:2] + where[3:]
        name = ".".join(map(str, where))
        if one["type"] == "extra_forbidden":
            yield f"unknown key {name!r}{did_you_mean(name, Search.model_fields)}"
        else:
            yield f"{name or 'the file'}: {'must be given' if one['type'] == 'missing' else words}"


def with_options(config: Config, options: Mapping[str, Any], source: str) -> Config:
    """``config`` with options by their dotted keys. Raises UserError as `experiment.check` does."""
    data = config.model_dump()
    for key, value in options.items():
        *groups, name = key.split(".")
        inner: Any = data
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise UserError(f"{source}: {key}: {group} is no group of options")
        inner[name] = value
    return experiment.check(data, source)


def search(
    asked: Search,
    base: Config,
    folder: Path,
    train: Callable[[Path, Config, Callback], None],
    note: Callable[[str], None],
) -> list[tuple[int, str, float | None, dict[str, Any]]]:
    """Run the trials that are missing in ``folder`` and write the best one's experiment to its ``best.yaml``.

    ``train`` trains in a folder with a callback. Returns all trials, the best first: number, state, value, options.
    Raises UserError where Optuna is not installed, and where no trial has ended well.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(f"sweep needs {error.name}: pip install 'perceiver-rl[sweep]'") from error
    optuna.logging.set_verbosity(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{(folder / 'study.db').resolve()}",
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=base.total_steps // 5)
        if asked.prune
        else optuna.pruners.NopPruner(),
        direction=asked.direction,
        load_if_exists=True,
    )

    def objective(trial: Any) -> float:
        # by its number: who goes on, or searches beside others, does not choose the same again
        seed = (asked.seed + 1_000_003 * trial.number) % 2**32
        made = optuna.samplers.TPESampler if asked.sampler == "tpe" else optuna.samplers.RandomSampler
        trial.study.sampler = made(seed=seed)
        chosen = {key: _suggest(trial, key, part) for key, part in asked.parameters.items()}
        config = with_options(base, chosen, f"trial {trial.number}")
        run_dir = folder / f"trial-{trial.number:04d}"
        pruning = _Pruning(trial, asked.metric)
        train(run_dir, config, pruning)
        if pruning.pruned:
            note(f"trial {trial.number}: ended early at {pruning.last:.4g}, {_told(chosen)}")
            raise optuna.TrialPruned
        value = float(read(run_dir, asked.metric)[1][-1])
        note(f"trial {trial.number}: {value:.4g}, {_told(chosen)}")
        return value

    ended = {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL}
    while sum(trial.state in ended for trial in study.get_trials(deepcopy=False)) < asked.trials:
        study.optimize(objective, n_trials=1, catch=(UserError, EnvError, EnvFailure))
    sign = -1 if asked.direction == "maximize" else 1
    trials = [(trial.number, trial.state.name.lower(), trial.value, trial.params) for trial in study.trials]
    trials.sort(key=lambda one: (one[1] != "complete", sign * (one[2] or 0.0), one[0]))
    if trials[0][1] != "complete":
        raise UserError(f"{folder}: none of {len(trials)} trials has ended well; their folders say why")
    experiment.write_config(with_options(base, trials[0][3], "best"), folder / "best.yaml")
    return trials


class _Pruning(Callback):
    """Tells Optuna of a trial's figures, and ends the run when it says so."""

    def __init__(self, trial: Any, metric: str) -> None:
        self.trial, self.metric, self.pruned, self.last = trial, metric, False, float("nan")

    def on_update(self, run: RunState, metrics: Mapping[str, float]) -> None:
        value = metrics.get(self.metric)
        if value is None or value != value:
            return
        self.last = value
        self.trial.report(value, run.step)
        if run.step < run.total_steps and self.trial.should_prune():
            self.pruned = True
            run.stop("the trial is worse than half of those before it")


def _suggest(trial: Any, key: str, part: Range | list[Choice]) -> Any:
    if isinstance(part, list):
        return trial.suggest_categorical(key, part)
    if isinstance(part.low, int) and isinstance(part.high, int):
        return trial.suggest_int(key, part.low, part.high, log=part.log)
    return trial.suggest_float(key, part.low, part.high, log=part.log)


def _told(options: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in options.items()
    )
