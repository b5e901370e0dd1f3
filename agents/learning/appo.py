"""Asynchronous PPO: PPO's clipped objective on data that older policies collected, corrected by V-trace.

Before its passes the learner evaluates the data with the policy as it is, pi. V-trace weighs every advantage with
min(rho-bar, pi / mu) where mu acted, and PPO's ratio is then to pi, not to mu: the clip bounds what this update does,
however old the data are. (The objective of Hilton et al. 2022, arXiv 2110.00641, equation 5, with V-trace's truncated
weight; Schulman's where pi is mu: without lag this is PPO, step for step.)
"""

from __future__ import annotations

import torch

from agents.acting.rollout import Trajectory
from agents.config import APPOConfig
from agents.learning import ppo
from agents.learning.gradient import moments
from agents.learning.returns import vtrace
from agents.learning.state import LearnerState

on_policy = False


def update(learner: LearnerState, trajectory: Trajectory) -> dict[str, float]:
    """``config.epochs`` passes over the trajectory; see :func:`agents.learning.ppo.update`."""
    config: APPOConfig = learner.options
    with torch.no_grad():
        evaluated = learner.policy.evaluate_actions(
            trajectory.observation, trajectory.action, trajectory.memory, trajectory.first
        )
    log_ratio = evaluated.log_prob - trajectory.log_prob
    target, advantage = vtrace(
        log_ratio,
        trajectory.reward,
        evaluated.value[:-1],
        trajectory.next_values(evaluated.value),
        trajectory.end,
        config.gamma,
        config.gae_lambda,
        config.rho_clip,
        config.c_clip,
    )
    metrics = ppo.improve(learner, trajectory, evaluated.log_prob, evaluated.value[:-1], advantage, target)
    _, rho, _ = moments(log_ratio.exp().clamp(max=config.rho_clip))
    return metrics | {"learner/rho": float(rho)}
