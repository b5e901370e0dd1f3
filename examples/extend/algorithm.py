"""An algorithm: advantage actor-critic (A2C, Mnih et al. 2016, arXiv 1602.01783), one step on every trajectory.

perceiver-rl train --config examples/extend/algorithm.yaml
"""

import torch
from pydantic import Field

import perceiver_rl
from agents.acting.rollout import Trajectory
from agents.config import Learning
from agents.learning.gradient import descend, mean_over
from agents.learning.state import LearnerState


@perceiver_rl.register("algorithm", "a2c")
class A2C(perceiver_rl.Algorithm):
    """Returns bootstrapped at the unroll's end, no clipping, no minibatches."""

    class Options(Learning):
        """An experiment gives them in ``algorithm_options``."""

        normalize_advantages: bool = Field(True)
        """Whether advantages are standardized."""

    @staticmethod
    def update(learner: LearnerState, trajectory: Trajectory) -> dict[str, float]:
        """One gradient step; returns what was measured."""
        options, policy = learner.options, learner.policy
        following, returns = trajectory.next_value[-1], []
        for t in reversed(range(len(trajectory.reward))):
            following = torch.where(trajectory.end[t], trajectory.next_value[t], following)
            following = trajectory.reward[t] + options.gamma * following
            returns.append(following)
        target = torch.stack(returns[::-1])
        evaluated = policy.evaluate_actions(
            trajectory.observation, trajectory.action, trajectory.memory, trajectory.first
        )
        value = evaluated.value[:-1]
        advantage = (target - value).detach()
        if options.normalize_advantages:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        mean = mean_over(trajectory.steps)
        terms = {
            "loss/policy": -mean(evaluated.log_prob * advantage),
            "loss/value": 0.5 * mean((value - target).square()),
            "loss/entropy": mean(evaluated.entropy),
        }
        terms["loss/total"] = (
            terms["loss/policy"]
            + options.value_coefficient * terms["loss/value"]
            - options.entropy_coefficient * terms["loss/entropy"]
        )
        measured = descend(policy, learner.optimizer, terms, options.max_gradient_norm)
        return {name: float(value) for name, value in measured.items()}
