"""The Perceiver as RLModule of RLlib (its new API stack).

pip install 'ray[rllib]' torch
python -m examples.plugins.rllib
"""

from __future__ import annotations

from typing import Any

import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from examples.plugins.trunk import PerceiverTrunk
from perceiver_policy.policy.config import PolicyConfig


class PerceiverModule(TorchRLModule, ValueFunctionAPI):
    """Actor and critic are linear in what the Perceiver makes; ``model_config`` are options of a PolicyConfig.

    It reads any space of arrays that RLlib hands over as it is (leave FlattenObservations out).
    """

    def setup(self) -> None:
        """Make the layers."""
        given, actions = self.model_config, self.action_space
        own = {key: given[key] for key in given if key in PolicyConfig.model_fields} if isinstance(given, dict) else {}
        assert self.observation_space is not None
        assert actions is not None
        self.trunk = PerceiverTrunk(self.observation_space, PolicyConfig(**own))
        kind = self.get_inference_action_dist_cls()
        self.actor = nn.Linear(self.trunk.width, kind.required_input_dim(actions))
        self.critic = nn.Linear(self.trunk.width, 1)
        for layer, size in ((self.actor, 0.01), (self.critic, 1.0)):
            nn.init.orthogonal_(layer.weight, size)
            nn.init.zeros_(layer.bias)

    def _forward(self, batch: dict[str, Any], **options: Any) -> dict[str, Any]:
        features = self.trunk(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: self.actor(features), Columns.EMBEDDINGS: features}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """Values [B]."""
        features = self.trunk(batch[Columns.OBS]) if embeddings is None else embeddings
        return self.critic(features)[:, 0]


def main(goal: float = 475.0, updates: int = 60) -> float:
    """Train on CartPole until the latest 100 episodes earn ``goal`` on average; returns what they do."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8, rollout_fragment_length=128)
        .training(train_batch_size=1024, minibatch_size=256, num_epochs=10, lr=2e-3, lambda_=0.8, gamma=0.98,
                  entropy_coeff=0.0, vf_loss_coeff=0.5, grad_clip=0.5, vf_clip_param=1e6, use_kl_loss=False)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=PerceiverModule))
        .debugging(seed=0)
    )  # fmt: skip
    algorithm, score = config.build_algo(), 0.0
    for update in range(updates):
        found = algorithm.train()["env_runners"]
        score = float(found.get("episode_return_mean", 0.0))
        print(f"update {update + 1}: {score:.1f}", flush=True)
        if score >= goal:
            break
    algorithm.stop()
    ray.shutdown()
    return score


if __name__ == "__main__":
    main()
