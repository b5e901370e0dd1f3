"""Evaluation during training: every so many steps, fresh episodes, and the best policy kept.

``RUN/best`` is a run folder of its own, with the run's options and one checkpoint: whatever plays a run plays it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import VectorEnv

from agents.acting.evaluate import FRESH_SEED, LARGEST_VECTOR, Spread, games_for, play
from agents.acting.player import PolicyPlayer
from agents.acting.seeding import random_state, set_random_state
from agents.config import Config
from agents.runs import checkpoint, experiment, folder
from agents.runs.callbacks import Silent
from envs import registry
from envs.spaces import describe_spaces
from perceiver_policy.policy.policy import PerceiverPolicy

PROCESSES = 2
"""Games side by side where each is a process: those of training go on beside them."""


class Evaluations:
    """Every ``eval_interval`` steps, ``eval_episodes`` episodes; the best one's policy goes to ``run_dir/best``.

    Training is not touched by it: the environments are others, and the random streams are put back.
    """

    def __init__(self, config: Config, run_dir: Path, report: Silent) -> None:
        self.config, self.run_dir, self.report = config, run_dir, report
        self.best = -math.inf
        """The best mean return so far."""
        self._env: VectorEnv[Any, Any, Any] | None = None

    def due(self, before: int, after: int) -> bool:
        """Whether one is to be made, now that ``before`` steps have become ``after``."""
        interval = self.config.eval_interval
        return interval > 0 and after // interval > before // interval

    def make(self, policy: PerceiverPolicy, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Play, tell, and keep ``state()`` if that was the best so far."""
        streams, torchs = random_state(), torch.get_rng_state()
        device = next(policy.parameters()).device
        player = PolicyPlayer(
            copy.deepcopy(policy), device=device, greedy=not self.config.evaluation_sampled, seed=FRESH_SEED
        )
        try:
            played = play(
                player, self._games(), self.config.eval_episodes, FRESH_SEED, max_steps=self.config.evaluation_max_steps
            )
        finally:
            set_random_state(streams)
            torch.set_rng_state(torchs)
        if not played.returns:
            return
        spread, lengths = Spread.of(played.returns), Spread.of([float(n) for n in played.lengths])
        self.report.evaluation(
            step, {"evaluation/return": spread.mean, "evaluation/sd": spread.sd, "evaluation/length": lengths.mean}
        )
        better = spread.mean > self.best
        found = f"return {spread.mean:.2f} (sd {spread.sd:.2f}, {len(played.returns)} episodes)"
        self.report.note(f"evaluation at step {step:,}: {found}{', the best so far' if better else ''}")
        if better:
            self.best = spread.mean
            self._keep(step, state())

    def _keep(self, step: int, state: dict[str, Any]) -> None:
        best = self.run_dir / folder.BEST
        best.mkdir(exist_ok=True)
        experiment.write_config(self.config, best / "config.yaml")
        games = self._games()
        checkpoint.save(
            best,
            step,
            state,
            spaces=describe_spaces(games),
            space_data=checkpoint.data_of(games.single_observation_space, games.single_action_space),
            keep=1,
            options=experiment.plain(self.config),
        )

    def _games(self) -> VectorEnv[Any, Any, Any]:
        if self._env is None:
            most = PROCESSES if registry.is_process(self.config.env) else LARGEST_VECTOR
            games = games_for(self.config.eval_episodes, most)
            self._env = registry.make(self.config.env, games, **self.config.env_arguments)
        return self._env

    def close(self) -> None:
        """Let go of the environments."""
        if self._env is not None:
            self._env.close()
            self._env = None
