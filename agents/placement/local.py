"""Training in one process: rollout, learner, checkpoints, report."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import VectorEnv

from agents.acting.episodes import EpisodeLog
from agents.acting.rollout import Episode, Rollout, collect
from agents.acting.seeding import random_state, seed_all, set_random_state
from agents.config import Config
from agents.device import choose_device, prepare_processor
from agents.learning.learner import Learner
from agents.opponents.league import League, payoff_table
from agents.opponents.match import AgainstLeague
from agents.placement.evaluations import Evaluations
from agents.runs import checkpoint, experiment
from agents.runs.callbacks import Silent, Step
from envs import registry
from envs.spaces import describe_spaces
from perceiver_policy.policy.policy import make_policy


def train(config: Config, run_dir: Path, report: Silent, *, resume: bool) -> None:
    """Train to ``config.total_steps``, leaving checkpoints in ``run_dir``; ``resume`` goes on from the newest one.

    In one process a run that was stopped and resumed is bit for bit the run that was not. Raises UserError for what a
    user can mend: an unknown environment or device, a checkpoint for other spaces, a loss that is not finite; and
    EnvFailure for an environment that fails. What was learned before is saved.
    """
    device = choose_device(config.device)
    prepare_processor(config.threads)
    seed_all(config.seed)
    run_dir.mkdir(parents=True, exist_ok=True)
    envs = make_envs(config, device)
    try:
        if config.opponents:
            envs = [AgainstLeague(envs[0], config.env, League(config, run_dir, describe_spaces(envs[0]), device))]
        Training(config, envs, device).run(run_dir, report, resume=resume)
    finally:
        for env in envs:
            env.close()


def make_envs(config: Config, device: torch.device) -> list[VectorEnv]:
    """A run's environments; for a GPU those of the stand-in game in two groups, stepped by all cores, so that it acts
    for one while the processor steps the other."""
    options = config.training_arguments
    if device.type == "cpu" or not config.env.startswith("sim/") or config.opponents or config.num_envs % 2:
        return [registry.make(config.env, config.num_envs, **options)]
    options = {"threads": os.cpu_count() or 1, **options}
    return [registry.make(config.env, config.num_envs // 2, **options) for _ in range(2)]


class Training:
    """The parts of one run, and what is counted across its updates."""

    def __init__(self, config: Config, envs: VectorEnv | Sequence[VectorEnv], device: torch.device) -> None:
        """``envs``: several of equally many games take turns."""
        self.config = config
        envs = envs if isinstance(envs, Sequence) else [envs]
        env = envs[0]
        self.spaces = describe_spaces(env)
        self.policy = make_policy(env.single_observation_space, env.single_action_space, config.policy).to(device)
        self.learner = Learner(self.policy, config, device=device)
        self.league: League | None = getattr(env, "league", None)
        if self.league:
            self.league.begin(self.policy)
        self.rollouts = [
            Rollout(one, self.policy, config.learning.unroll, seed=(config.seed + i * 2**31) % 2**32, device=device)
            for i, one in enumerate(envs)
        ]
        self.rollout = self.rollouts[0]
        self.episodes = EpisodeLog()
        self.ended: list[Episode] = []
        """The episodes that ended in the latest unroll."""
        self.best = -math.inf
        """The best mean return of an evaluation on the way."""
        self.learning = False
        """Whether an update has begun and not ended: the policy is then neither the old one nor the new one."""

    def run(self, run_dir: Path, report: Silent, *, resume: bool) -> None:
        """Update until the steps are done or a stop is asked for; the last state is always saved."""
        if resume:
            checkpoint.newest(run_dir, self.load)
        learner = self.learner
        parameters = sum(p.numel() for p in self.policy.parameters())
        report.state.policy = self.policy
        if report.on_step:
            self._tell_of_steps(report.on_step)
        for line in self.policy.inputs.described():
            report.note(line)
        report.start(learner.steps, self.config.total_steps, parameters)
        saved = learner.steps
        evaluations = Evaluations(self.config, run_dir, report)
        evaluations.best = self.best
        try:
            while learner.steps < self.config.total_steps and not report.stop_requested:
                before, metrics = learner.steps, self.step()
                report.episodes(self.ended)
                report.update(learner.steps, metrics)
                if evaluations.due(before, learner.steps):
                    evaluations.make(self.policy, learner.steps, self.state_dict)
                    self.best = evaluations.best
                if learner.steps // self.config.checkpoint_interval > saved // self.config.checkpoint_interval:
                    report.checkpoint(self.save(run_dir))
                    saved = learner.steps
        except Exception:  # whatever it was, it goes on as it was once what has been learned is safe
            if not self.learning and saved != learner.steps:
                self.save(run_dir)
                report.note(f"what was learned in {learner.steps:,} steps is saved")
            raise
        finally:
            evaluations.close()
        if saved != learner.steps:
            report.checkpoint(self.save(run_dir))
        if self.league:
            self.league.write_results()
            for name, text in payoff_table(self.league):
                report.note(f"{name:<28}{text}")

    def _tell_of_steps(self, on_step: Callable[[Step], None]) -> None:
        for rollout in self.rollouts:
            rollout.env.step = _telling(rollout.env.step, on_step)  # type: ignore[method-assign,assignment]

    def step(self) -> dict[str, float]:
        """One unroll and one update."""
        began = time.perf_counter()
        for rollout in self.rollouts:
            rollout.version = self.learner.version
        trajectory, self.ended = collect(self.rollouts)
        collected = time.perf_counter()
        self.learning = True
        metrics = self.learner.update(trajectory)
        self.learning = False
        updated = time.perf_counter()
        self.episodes.add(self.ended)
        self.episodes.aborted = sum(rollout.aborted for rollout in self.rollouts)
        metrics |= self.episodes.metrics()
        if self.league:
            metrics |= self.league.update(self.policy, self.learner.steps - trajectory.steps, self.learner.steps)
        metrics["time/collect_seconds"] = collected - began
        metrics["time/update_seconds"] = updated - collected
        metrics["time/steps_per_second"] = trajectory.steps / (updated - began)
        metrics["time/updates_per_second"] = 1 / (updated - began)
        return metrics

    def save(self, run_dir: Path) -> Path:
        """Write a checkpoint of now."""
        return checkpoint.save(
            run_dir,
            self.learner.steps,
            self.state_dict(),
            spaces=self.spaces,
            space_data=checkpoint.data_of(self.policy.observation_space, self.policy.action_space),
            keep=self.config.keep_checkpoints,
            options=experiment.plain(self.config),
        )

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises UserError for one that was made for other spaces."""
        checkpoint.check_spaces(path, self.spaces)
        self.load_state_dict(checkpoint.load(path))

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the run depends on."""
        return {
            "learner": self.learner.state_dict(),
            "rollout": self.rollout.state_dict(),
            "further_rollouts": [rollout.state_dict() for rollout in self.rollouts[1:]],
            "torch": torch.get_rng_state(),
            "random": random_state(),
            "episodes": self.episodes.state_dict(),
            "best": self.best,
            **({"league": self.league.state_dict()} if self.league else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse of :meth:`state_dict`."""
        self.learner.load_state_dict(state["learner"])
        self.episodes.load_state_dict(state["episodes"])
        self.best = state.get("best", -math.inf)
        if self.league:
            self.league.load_state_dict(state["league"], self.policy)
        if "rollout" in state:  # a run with workers leaves none: its environments start anew
            saved = [state["rollout"], *state.get("further_rollouts", [])]
            if len(saved) == len(self.rollouts):  # else the games were divided otherwise, and start anew
                for rollout, one in zip(self.rollouts, saved, strict=True):
                    rollout.load_state_dict(one)
            torch.set_rng_state(state["torch"])
            if "random" in state:
                set_random_state(state["random"])


def _telling(take: Callable[[Any], Any], on_step: Callable[[Step], None]) -> Callable[[Any], Any]:
    def step(action: Any) -> Any:
        taken = take(action)
        on_step(Step(action, *taken))
        return taken

    return step
