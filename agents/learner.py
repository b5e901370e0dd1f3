"""All that is learned, and all that learning needs, behind one state_dict."""

from __future__ import annotations

from typing import Any

import optree
import torch
from torch import Tensor

from agents import ppo
from agents.config import PPOConfig
from agents.rollout import Trajectory
from perceiver_policy.policy import PerceiverPolicy


class ReturnScale:
    """The running standard deviation of discounted returns, in which rewards, and so values, are expressed.

    As in Stable-Baselines3's and OpenAI Baselines' VecNormalize: the discounted sum of each environment's rewards so
    far is one sample a step (Engstrom et al. 2020, arXiv 2005.12729, section 3).
    """

    def __init__(self, batch: int, gamma: float) -> None:
        self.gamma = gamma
        self.total = torch.zeros(batch, dtype=torch.float64)
        self.count, self.mean, self.second = torch.zeros(3, dtype=torch.float64)

    def learn(self, rewards: Tensor, ends: Tensor) -> None:
        """Add rewards [T, B]."""
        samples = torch.empty(rewards.shape, dtype=torch.float64)
        for t, reward in enumerate(rewards):
            self.total = self.total * self.gamma + reward
            samples[t] = self.total
            self.total = self.total.masked_fill(ends[t], 0.0)
        count, mean = samples.numel(), samples.mean()
        total, delta = self.count + count, mean - self.mean
        self.second = self.second + (samples - mean).square().sum() + delta.square() * self.count * count / total
        self.mean = self.mean + delta * count / total
        self.count = total

    def deviation(self) -> float:
        """One return's standard deviation; 1 while there was no difference between returns."""
        deviation = float((self.second / self.count.clamp(min=1)).sqrt())
        return deviation if deviation > 1e-6 else 1.0

    def state_dict(self) -> dict[str, Tensor]:
        return {"total": self.total, "count": self.count, "mean": self.mean, "second": self.second}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.total, self.count = state["total"], state["count"]
        self.mean, self.second = state["mean"], state["second"]


class Learner:
    """Parameters, optimizer, schedule, counters, normalizers and random state."""

    def __init__(
        self,
        policy: PerceiverPolicy,
        config: PPOConfig,
        *,
        total_steps: int,
        batch: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.policy, self.config, self.total_steps, self.device = policy, config, total_steps, device
        self.optimizer = torch.optim.Adam(
            policy.parameters(), lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
        self.returns = ReturnScale(batch, config.gamma)
        self.generator = torch.Generator().manual_seed(seed)
        self.steps = 0

    def update(self, trajectory: Trajectory) -> dict[str, float]:
        """Learn from one trajectory; its rewards are rescaled in place."""
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.config.normalize_returns:
            self.returns.learn(trajectory.reward, trajectory.end)
            trajectory.reward /= self.returns.deviation()
        metrics = ppo.update(self.policy, self.optimizer, trajectory, self.config, self.generator)
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
