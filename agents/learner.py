"""All that is learned, and all that learning needs, behind one state_dict."""

from __future__ import annotations

from typing import Any

import optree
import torch

from agents import ppo
from agents.config import PPOConfig
from agents.returns import ReturnScale
from agents.rollout import Trajectory
from perceiver_policy.policy import PerceiverPolicy


class Learner:
    """Parameters, optimizer, schedule, counters, normalizers and random state."""

    def __init__(
        self,
        policy: PerceiverPolicy,
        config: PPOConfig,
        *,
        total_steps: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.policy, self.config, self.total_steps, self.device = policy, config, total_steps, device
        self.optimizer = torch.optim.Adam(
            policy.parameters(), lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
        self.returns = ReturnScale()
        self.generator = torch.Generator().manual_seed(seed)
        self.steps = 0

    def update(self, trajectory: Trajectory) -> dict[str, float]:
        """Learn from one trajectory; returns what was measured."""
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        metrics = ppo.update(self.policy, self.optimizer, trajectory, self.config, self.returns, self.generator)
        # only now, so that the log-probabilities in the update meant what they meant at collection
        self.policy.inputs.learn_scales(_flat(trajectory.observation))
        self.steps += trajectory.reward.numel()
        return metrics | {"ppo/learning_rate": rate}

    def learning_rate(self) -> float:
        """Adam's step size now."""
        left = 1.0 if self.config.schedule == "constant" else max(0.0, 1 - self.steps / self.total_steps)
        return self.config.learning_rate * left

    def state_dict(self) -> dict[str, Any]:
        """The whole state: a learner that loads it goes on exactly like this one."""
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "returns": self.returns.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.returns.load_state_dict(state["returns"])
        self.generator.set_state(state["generator"])
        self.steps = state["steps"]


def _flat(nest: Any) -> Any:
    return optree.tree_map(lambda x: x.flatten(0, 1), nest)
