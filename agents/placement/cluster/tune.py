"""Trials for Ray Tune: a searched-over experiment, trained in one process a trial. See docs/tune.md.

A trial's config is flat: ``experiment`` (a name in configs/, or a YAML file), ``steps_per_iteration``, and options by
their dotted names, such as ``ppo.learning_rate``, which win over the experiment's.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search.sample import Categorical, Domain, Float, Function, Integer

from agents.acting.seeding import seed_all
from agents.config import Config
from agents.device import choose_device, prepare_processor
from agents.errors import UserError
from agents.placement.local import Training
from agents.runs import checkpoint, experiment
from agents.runs.report import summary
from envs import registry

METRIC = "episode/return"
OWN = ("experiment", "steps_per_iteration")  # keys of a trial's config that are no options
MAKER = "trial.txt"  # in a checkpoint: the id of the trial that made it
FIXED = ("env", "env_options", "num_envs", "algorithm", "policy")  # a checkpoint goes on under the same of these only


class PerceiverTrainable(tune.Trainable):
    """One trial. An iteration is ``steps_per_iteration`` steps, to the next whole update, and reports what a run
    records (``episode/...``, here of the iteration's own episodes; ``loss/...``) and ``timesteps_total``; the trial is
    done at ``total_steps``.

    Its checkpoints are run folders, which ``perceiver-rl evaluate | watch | train --resume`` take. Restored, a trial
    goes on bit for bit; restored under other options, as by population based training, it goes on with those. One that
    takes up another trial's checkpoint draws its own actions from there on.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Raises UserError naming an option that is not right."""
        self.experiment = trial_config(config)
        self.steps_per_iteration = int(config["steps_per_iteration"])
        prepare_processor(self.experiment.threads)
        seed_all(self.experiment.seed)
        device = choose_device(self.experiment.device)
        self.env = registry.make(self.experiment.env, self.experiment.num_envs, **self.experiment.training_arguments)
        self.training = Training(self.experiment, self.env, device)

    def step(self) -> dict[str, Any]:
        """Raises UserError where no episode has ended yet: there would be nothing to compare trials by."""
        learner, episodes = self.training.learner, self.training.episodes
        before, episodes.recent = episodes.recent, {}  # what older policies earned says little of this one
        until = min(learner.steps + self.steps_per_iteration, self.experiment.total_steps)
        records = []
        while learner.steps < until:
            records.append(self.training.step())
        if not episodes.recent:
            episodes.recent = before
            records.append(episodes.metrics())
        result: dict[str, Any] = summary(records)
        if METRIC not in result:
            raise UserError(f"no episode has ended in the first {learner.steps:,} steps: raise steps_per_iteration")
        return result | {"timesteps_total": learner.steps, "done": learner.steps >= self.experiment.total_steps}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Make ``checkpoint_dir`` a run folder."""
        experiment.write_config(self.experiment, Path(checkpoint_dir) / "config.yaml")
        self.training.save(Path(checkpoint_dir))
        (Path(checkpoint_dir) / MAKER).write_text(self.trial_id)

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        """Take up the state, not the options. Raises UserError where the options are of another network or game."""
        path = Path(checkpoint_dir)
        changed = experiment.changes(experiment.read_run_config(path), self.experiment)
        for key, (old, new) in changed.items():
            if key.partition(".")[0] in FIXED or key.endswith(".optimizer"):
                raise UserError(f"{key}: cannot change from {old} to {new} when a trial goes on from a checkpoint")
        checkpoint.newest(path, self.training.load)
        if (path / MAKER).read_text() != self.trial_id:  # copies of one trial would otherwise do what it did, and twice
            draws = f"{self.trial_id} {self.training.learner.steps}".encode()
            self.training.rollout.generator.manual_seed(zlib.crc32(draws))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial, in this process."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Close the environments."""
        self.env.close()


def trial_config(config: Mapping[str, Any]) -> Config:
    """The experiment of a trial's config. Raises UserError naming an option that is not right."""
    data = experiment.read_config(experiment.find_config(config["experiment"], "experiment")).model_dump()
    for key, value in config.items():
        if key not in OWN:
            _put(data, key, value)
    found = experiment.check(data, "trial")
    if found.workers:
        raise UserError(f"workers is {found.workers}, but a trial is one process: search over it with workers=0")
    if found.opponents:
        raise UserError("opponents: a trial has one opponent at most, the environment's option of that name")
    return found


def search_space(base: str, steps_per_iteration: int, space: Mapping[str, Any]) -> dict[str, Any]:
    """A ``param_space`` for Tune over an experiment: a name in configs/, or a YAML file.

    ``space`` has Tune's domains, grids or plain values by options' dotted names. Raises UserError, before any trial
    starts, for an option that does not exist or whose domain leaves its range.
    """
    if steps_per_iteration < 1:
        raise UserError(f"steps_per_iteration should be at least 1, got {steps_per_iteration}")
    # trials run in folders of their own
    path = experiment.find_config(base, "experiment").resolve()
    own = {"experiment": str(path), "steps_per_iteration": steps_per_iteration}
    plain = {key: value for key, value in space.items() if not _searched(value)}
    found = trial_config({**own, **plain})
    registry.check(found.env)
    for key in set(space) - set(plain):
        for value in _extremes(space[key]):
            trial_config({**own, **plain, key: value})
    return {**own, **space}


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    """Set a nested option."""
    name, dot, rest = key.partition(".")
    if dot and isinstance(data.get(name), dict):
        _put(data[name], rest, value)
    else:
        data[key] = value


def _searched(value: Any) -> bool:
    return isinstance(value, Domain) or (isinstance(value, Mapping) and set(value) == {"grid_search"})


def _extremes(searched: Any) -> Iterable[Any]:
    """Values of a domain that are out of an option's range if any is."""
    if isinstance(searched, Mapping):
        return list(searched["grid_search"])
    if isinstance(searched, Categorical):
        return list(searched.categories)
    if isinstance(searched, Function):
        return []  # of other options' values, which are not known yet
    if isinstance(searched, Integer):
        return [searched.lower, searched.upper - 1]
    if isinstance(searched, Float) and math.isfinite(searched.lower) and math.isfinite(searched.upper):
        return [searched.lower, searched.upper]
    return [searched.sample() for _ in range(10)]
