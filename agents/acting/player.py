"""A trained policy as a player: what evaluation and watching use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optree
import torch
from gymnasium.vector import VectorEnv

from agents.acting.attention import Looks, looks
from agents.acting.rollout import as_tensor
from agents.config import Config
from agents.device import choose_device
from agents.runs import checkpoint
from envs.spaces import describe_spaces
from perceiver_policy.policy.outputs import to_environment
from perceiver_policy.policy.policy import PerceiverPolicy, make_policy


class PolicyPlayer:
    """Plays a batch of games; keeps the policy's memory between calls.

    ``attention``: whether to tell what it looks at, which takes two more passes of the network a step.
    """

    def __init__(
        self, policy: PerceiverPolicy, *, device: torch.device, greedy: bool, seed: int, attention: bool = False
    ) -> None:
        self.policy, self.device, self.greedy, self.attention = policy.eval(), device, greedy, attention
        self.space = policy.outputs.space
        self.generator = torch.Generator(device).manual_seed(seed)
        self.memory: torch.Tensor | None = None
        self.value: np.ndarray | None = None
        """What the policy expects to earn from the latest observations on, [B]."""
        self.looks: Looks | None = None
        """What it looked at in the first game, if that is asked for."""

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """Actions for observations [B, ...] (numpy nests); ``first`` [B] marks first observations of episodes."""
        if self.memory is None or len(self.memory) != len(first):
            self.memory = self.policy.initial_memory(len(first)).to(self.device)
        seen: Any = optree.tree_map(lambda x: as_tensor(x).to(self.device), observation)
        begun, before = torch.as_tensor(first, device=self.device), self.memory
        decision, self.memory = self.policy.act(seen, before, begun, greedy=self.greedy, generator=self.generator)
        if self.attention:
            self.looks = looks(self.policy, seen, decision.action, before, begun)
        self.value = decision.value.cpu().numpy()
        return to_environment(self.space, optree.tree_map(lambda x: x.cpu().numpy(), decision.action))


def load_player(
    run_dir: Path,
    config: Config,
    env: VectorEnv,
    *,
    device: str = "auto",
    greedy: bool = True,
    seed: int = 0,
    attention: bool = False,
) -> PolicyPlayer:
    """The newest checkpoint of a run as a player of ``env``. Raises UserError as `checkpoint.latest` does, and where
    the checkpoint was made for other spaces than the environment's."""
    policy, chosen = load_policy(run_dir, config, env, device=device)
    return PolicyPlayer(policy, device=chosen, greedy=greedy, seed=seed, attention=attention)


def load_policy(
    run_dir: Path, config: Config, env: VectorEnv, *, device: str = "auto", path: Path | None = None
) -> tuple[PerceiverPolicy, torch.device]:
    """The policy of a run's newest checkpoint, or of the one at ``path``, on its device; raises as `load_player`."""
    policy = make_policy(env.single_observation_space, env.single_action_space, config.policy)

    def load(path: Path) -> None:
        checkpoint.check_spaces(path, describe_spaces(env))
        policy.load_state_dict(checkpoint.load_policy(path))

    if path is None:
        checkpoint.newest(run_dir, load)
    else:
        checkpoint.check(path)
        load(path)
    chosen = choose_device(device)
    return policy.to(chosen), chosen
