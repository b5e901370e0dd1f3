"""The Perceiver as features extractor and policy for Stable-Baselines3.

pip install stable-baselines3
python -m examples.plugins.sb3
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from examples.plugins.trunk import PerceiverTrunk
from perceiver_policy.policy.config import PolicyConfig


class PerceiverExtractor(BaseFeaturesExtractor):
    """Reads a Box, MultiBinary, or a Dict of these, as Stable-Baselines3 hands them over."""

    def __init__(self, observation_space: spaces.Space[Any], config: PolicyConfig | None = None) -> None:
        trunk = PerceiverTrunk(observation_space, config)
        super().__init__(observation_space, trunk.width)
        self.trunk = trunk

    def forward(self, observations: Any) -> torch.Tensor:
        """Features [B, features_dim]."""
        return self.trunk(observations)


class PerceiverActorCritic(MultiInputActorCriticPolicy):
    """A policy for ``PPO(PerceiverActorCritic, env)``: actor and critic are linear in what the Perceiver makes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        ours = {"features_extractor_class": PerceiverExtractor, "net_arch": [], "normalize_images": False}
        super().__init__(*args, **{**ours, **options})


def main(steps: int = 60_000) -> float:
    """Train on CartPole by rl-zoo's parameters, and return what it earns."""
    torch.set_num_threads(1)
    model = PPO(
        PerceiverActorCritic, make_vec_env("CartPole-v1", 8, seed=0), n_steps=32, batch_size=256, n_epochs=20,
        gae_lambda=0.8, gamma=0.98, learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.2 * left,
        ent_coef=0.0, seed=0, device="cpu",
    )  # fmt: skip
    model.learn(steps)
    mean, deviation = evaluate_policy(model, model.get_env(), 20)
    print(f"CartPole-v1: {mean:.1f} +- {deviation:.1f} in 20 episodes")
    return float(mean)


if __name__ == "__main__":
    main()
