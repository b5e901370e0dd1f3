"""The Perceiver as the agent of CleanRL's single files: ``get_value`` and ``get_action_and_value``, and PPO around it.

    python -m examples.plugins.cleanrl

To use it in CleanRL's own ppo.py, put `Agent` in place of the one there: units, pictures, masks and nested spaces work
as they are.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor, nn

from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import make_policy


class Agent(nn.Module):
    """As in CleanRL: actor and critic of vector environments ``envs``."""

    def __init__(self, envs: Any, config: PolicyConfig | None = None) -> None:
        super().__init__()
        self.policy = make_policy(envs.single_observation_space, envs.single_action_space, config or PolicyConfig())

    def get_value(self, x: Any) -> Tensor:
        """[B]."""
        return self.policy.value(x, self.policy.initial_memory(len(x)), torch.ones(len(x), dtype=torch.bool))

    def get_action_and_value(self, x: Any, action: Any = None) -> tuple[Any, Tensor, Tensor, Tensor]:
        """Action, log-probability, entropy and value of observations [B, ...]; ``action`` where it is known."""
        if action is None:
            first = torch.ones(len(x), dtype=torch.bool)
            action = self.policy.act(x, self.policy.initial_memory(len(x)), first)[0].action
        return action, *self.policy(x, action)


def main(steps: int = 60_000, envs: int = 8, unroll: int = 128) -> float:
    """CleanRL's PPO on CartPole, shortened; returns the mean of the last 20 episodes."""
    torch.manual_seed(0)
    make = [lambda: gymnasium.make("CartPole-v1") for _ in range(envs)]
    games = SyncVectorEnv(make, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = Agent(games)
    optimizer = torch.optim.Adam(agent.parameters(), 2.5e-3, eps=1e-5)
    seen, _ = games.reset(seed=0)
    totals, finished, updates = np.zeros(envs), [0.0], steps // (envs * unroll)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = 2.5e-3 * (1 - update / updates)
        kept: list[tuple[Tensor, ...]] = []
        for _ in range(unroll):
            x = torch.as_tensor(seen, dtype=torch.float32)
            with torch.no_grad():
                action, log_prob, _, value = agent.get_action_and_value(x)
            seen, earned, terminated, truncated, _ = games.step(action.numpy())
            ended, totals = terminated | truncated, totals + earned
            finished += totals[ended].tolist()
            totals[ended] = 0
            kept.append(
                (x, action, log_prob, value, torch.as_tensor(earned, dtype=torch.float32), torch.as_tensor(ended))
            )
        x, action, log_prob, value, reward, over = (torch.stack(part) for part in zip(*kept, strict=True))
        following, running = agent.get_value(torch.as_tensor(seen, dtype=torch.float32)), torch.zeros(envs)
        advantage = torch.zeros_like(reward)
        for t in reversed(range(unroll)):
            error = reward[t] + 0.98 * following * ~over[t] - value[t]
            advantage[t] = running = error + 0.98 * 0.9 * running * ~over[t]
            following = value[t]
        data = [part.flatten(0, 1) for part in (x, action, log_prob, advantage, advantage + value)]
        for rows in (r for _ in range(8) for r in torch.randperm(len(data[0])).split(256)):
            x, action, old, better, target = (part[rows] for part in data)
            _, new, entropy, value = agent.get_action_and_value(x, action)
            better, ratio = (better - better.mean()) / (better.std() + 1e-8), (new - old).exp()
            gain = torch.min(ratio * better, ratio.clamp(0.8, 1.2) * better).mean()
            optimizer.zero_grad()
            (0.25 * (value - target).square().mean() / 100 - gain - 0.001 * entropy.mean()).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    score = float(np.mean(finished[-20:]))
    print(f"CartPole-v1: {score:.1f} in the last 20 episodes of training")
    return score


if __name__ == "__main__":
    main()
