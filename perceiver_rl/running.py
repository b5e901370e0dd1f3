"""Runs from Python: train, go on, imitate, and read what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from agents.commands import train as command
from agents.config import Config
from agents.errors import UserError
from agents.learning.imitation_config import ImitationConfig
from agents.runs import experiment, folder
from agents.runs.callbacks import Callback, RunState
from envs import registry
from envs.single import entry
from perceiver_rl import environments

Hook = Callback | Callable[[RunState, Mapping[str, float]], Any] | str
"""A callback, a function that is called after every update with the run and what was measured, or a callback's name."""
HERE = "train"


@dataclass(frozen=True)
class Run:
    """A run's folder."""

    path: Path

    @property
    def config(self) -> Config:
        """The experiment. Raises UserError where the folder holds none."""
        return experiment.read_run_config(self.path)

    def metrics(self) -> Any:
        """What was measured, a row an update: a pandas DataFrame where pandas is installed, else a dict of arrays.

        Column ``step`` counts environment steps; what was not measured in a row is NaN.
        """
        from agents.runs.report import METRICS

        try:
            lines = (self.path / METRICS).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UserError(f"{self.path}: holds no {METRICS} ({error})") from error
        records = [json.loads(line) for line in lines]
        names = list(dict.fromkeys(name for record in records for name in record))
        columns = {
            name: np.array([np.nan if record.get(name) is None else record[name] for record in records])
            for name in names
        }
        try:
            import pandas
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    def resume(self, *, callbacks: Sequence[Hook] = (), quiet: bool = False, **options: Any) -> Run:
        """Go on where the newest checkpoint is, such as to ``total_steps=200_000``; returns itself.

        Raises UserError for an option that cannot change when a run goes on.
        """
        old = self.config
        new = experiment.check(_merged(old.model_dump(), {**options, **_named(callbacks)}), "resume")
        command.refuse_changes(old, new, self.path)
        with _threads_kept():
            command.continue_run(self.path, new, _hooks(callbacks), Console(quiet=quiet))
        return self


def train(
    env: environments.Given | None = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    callbacks: Sequence[Hook] = (),
    run_dir: str | Path | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Train a policy in a run folder, and return the run.

    ``env``: an id (``CartPole-v1``, ``sim/MoveToBeacon``), a class or function that makes an environment, or an
    environment; without it the experiment's. ``config``: an experiment (a name in configs/, a file, options); without
    it the defaults. ``options`` are those of an experiment and win over it: ``total_steps=50_000``,
    ``ppo={"learning_rate": 1e-3}``. At the end nothing is evaluated unless ``evaluation_episodes`` is given.

    It works in any thread; in the main one Ctrl-C saves and then raises KeyboardInterrupt. Raises UserError or EnvError
    for what can be mended, before long work starts where that can be known.
    """
    name = None if env is None else environments.name_of(env)
    base = _base(config, name)
    data = base.model_dump()
    if name is not None and name != base.env:
        data |= {"env": name, "env_options": {}}
    if environments.is_one(env):
        if options.get("num_envs", 1) != 1 or options.get("workers"):
            raise UserError(
                "num_envs, workers: an environment that is there is one; hand over a function that makes it for several"
            )
        unroll = base.learning.unroll * base.num_envs  # as long as an update's data were
        data["num_envs"], data[base.algorithm]["unroll"] = 1, unroll
    data["evaluation_episodes"] = 0
    chosen = experiment.check(_merged(data, {**options, **_named(callbacks)}), HERE)
    if chosen.workers and chosen.env in entry.GIVEN:
        raise UserError(
            f"workers: {chosen.env} is known to this process alone; put the function that makes it into a module"
        )
    registry.check(chosen.env, chosen.env_arguments)
    if run_dir is None:
        words = ["--config", config] if isinstance(config, str) else ["--env", chosen.env]
        path = command.new_folder(words, chosen)
    else:
        path = Path(run_dir)
    with _threads_kept():
        command.begin_run(path, chosen, _hooks(callbacks), Console(quiet=quiet))
    return Run(path)


def imitate(
    demonstrations: str | Path,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    run_dir: str | Path | None = None,
    imitation: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Train a policy to do as was demonstrated (see :func:`~perceiver_rl.record`), and return the run.

    ``config`` and ``options`` are as in :func:`train`, ``imitation`` those of
    :class:`~agents.learning.imitation_config.ImitationConfig`. ``train(init=run.path)`` goes on from there.
    """
    from agents.acting.demonstrations import load
    from agents.commands.demonstrate import check_dagger, clone

    source = Path(demonstrations)
    data = load(source)
    base = _base(config, data.card["environment"]).model_dump()
    played = {"env": data.card["environment"], "env_options": data.card["env_options"], "evaluation_episodes": 0}
    chosen = experiment.check(_merged({**base, **played}, options), "imitate")
    learning = ImitationConfig(**(imitation or {}))
    check_dagger(data, source, learning)
    path = Path(run_dir) if run_dir else folder.new(Path("runs"), f"{source.resolve().name}-clone-seed{chosen.seed}")
    with _threads_kept():
        clone(data, source, learning, chosen, path)
    return Run(path)


def _base(config: Config | Mapping[str, Any] | str | Path | None, env: str | None) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return experiment.check(config, HERE)
    if config is not None:
        return experiment.read_config(experiment.find_config(str(config), "config"))
    if env is not None:
        return experiment.check({"env": env, **command.suited(env)}, HERE)
    return experiment.read_config(experiment.find_config(experiment.DEFAULT))


def _merged(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with what is given, group by group."""
    merged = dict(base)
    for name, value in given.items():
        group = merged.get(name)
        inside = isinstance(value, Mapping) and isinstance(group, Mapping) and name != "env_options"
        merged[name] = _merged(group, value) if inside and group is not None else value
    return merged


def _hooks(hooks: Sequence[Hook]) -> list[Callback]:
    given = [hook for hook in hooks if not isinstance(hook, str)]
    return [hook if isinstance(hook, Callback) else _AfterUpdates(hook) for hook in given]


def _named(hooks: Sequence[Hook]) -> dict[str, Any]:
    """The option that names those of them that are names."""
    found = [hook for hook in hooks if isinstance(hook, str)]
    return {"callbacks": found} if found else {}


class _AfterUpdates(Callback):
    def __init__(self, function: Callable[[RunState, Mapping[str, float]], Any]) -> None:
        self.function = function

    def on_update(self, run: RunState, metrics: Mapping[str, float]) -> None:
        self.function(run, metrics)


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Training says how many threads torch uses and how it takes tiny numbers; afterwards that is as it was."""
    import torch

    threads, flushed = torch.get_num_threads(), not (torch.full((1,), 1e-38) * 0.1).any()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(bool(flushed))
