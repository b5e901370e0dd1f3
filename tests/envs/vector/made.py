"""Environments that processes, wrappers and vectors are made of, in a module that any process can import."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class Walk(gymnasium.Env[Any, Any]):
    """A place on a line, to 5 or -5; says in words where it is, and in info how far it came."""

    observation_space = spaces.Dict({"at": spaces.Box(-5, 5, (1,), np.float32), "say": spaces.Text(5)})
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode: Any = None, fails_at: int = 0) -> None:
        self.fails_at, self.age, self.render_mode = fails_at, 0, render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(-2, 3)), 0
        return self._show(), {}

    def step(self, action: Any) -> Any:
        self.age, self.steps = self.age + 1, self.steps + 1
        if self.fails_at and self.age == self.fails_at:
            raise OSError("the line is broken")
        if self.fails_at < 0 and self.age == -self.fails_at:
            os._exit(3)
        self.place += 1 if action else -1
        over = abs(self.place) == 5
        return self._show(), float(over), over, False, {"is_success": self.place == 5, "score": {"far": self.steps}}

    def action_masks(self) -> np.ndarray:
        return np.array([self.place > -4, True])

    def _show(self) -> Any:
        return {"at": np.float32([self.place]), "say": str(self.place)}


class Bits(gymnasium.Env[Any, Any]):
    """sb3-contrib's masks of a MultiBinary: of each bit whether it may be 0, and whether it may be 1."""

    observation_space = spaces.Discrete(1)
    action_space = spaces.MultiBinary(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 0, {}

    def step(self, action: Any) -> Any:
        return 0, 0.0, False, False, {}

    def action_masks(self) -> list[bool]:
        return [True, False, False, True, True, True]


class Countdowns(VectorEnv[Any, Any, Any]):
    """Game i ends after i + 2 steps, in any of Gymnasium's autoreset modes."""

    def __init__(self, num_envs: int = 1, mode: str = "SameStep") -> None:
        self.num_envs, self.mode = num_envs, AutoresetMode(mode)
        self.metadata = {"autoreset_mode": self.mode}
        self.single_observation_space = spaces.Box(0, 99, (1,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.last = np.arange(num_envs) + 2

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self.at = np.where(mask, 0, getattr(self, "at", np.zeros(self.num_envs)))
        return self._show(), {}

    def step(self, actions: Any) -> Any:
        ended_before = self.at == self.last
        assert self.mode == AutoresetMode.NEXT_STEP or not ended_before.any()
        self.at = np.where(ended_before, 0, self.at + 1)
        over, reward = self.at == self.last, np.where(ended_before, 0.0, 1.0)
        info: dict[str, Any] = {}
        if self.mode == AutoresetMode.SAME_STEP and over.any():
            info = {"final_obs": np.array([x if o else None for x, o in zip(self._show(), over, strict=True)], object)}
            info["_final_obs"] = over
            self.at = np.where(over, 0, self.at)
        return self._show(), reward, over, np.zeros(self.num_envs, bool), info

    def _show(self) -> np.ndarray:
        return self.at[:, None].astype(np.float32)


class ParallelEnv:
    """What PettingZoo's parallel environments are told by."""

    possible_agents: list[str]
    render_mode: Any = None
    metadata: dict[str, Any] = {}  # noqa: RUF012

    def observation_space(self, agent: str) -> Any:
        return self.spaces[agent][0]  # type: ignore[attr-defined]

    def action_space(self, agent: str) -> Any:
        return self.spaces[agent][1]  # type: ignore[attr-defined]

    def close(self) -> None: ...


class Queue(ParallelEnv):
    """Agent k must choose k; it is paid 1 for that, and gone after 2 + k steps. Its neighbour is all that it sees."""

    def __init__(self, agents: int = 3, uneven: bool = False) -> None:
        self.possible_agents = [f"agent_{k}" for k in range(agents)]
        wide = [agents + (uneven and k == 1) for k in range(agents)]
        self.spaces = {
            agent: (spaces.Box(0, 9, (2,), np.float32), spaces.Discrete(n))
            for agent, n in zip(self.possible_agents, wide, strict=True)
        }

    def reset(self, seed: Any = None, options: Any = None) -> Any:
        self.agents, self.steps = list(self.possible_agents), 0
        return self._show(), {agent: {} for agent in self.agents}

    def step(self, actions: Any) -> Any:
        assert set(actions) == set(self.agents)
        self.steps += 1
        shown = self._show()
        number = {agent: int(agent[-1]) for agent in self.agents}
        rewards = {agent: float(actions[agent] == k) for agent, k in number.items()}
        ends = {agent: self.steps == 2 + k for agent, k in number.items()}
        cuts = dict.fromkeys(self.agents, False)
        infos: dict[str, Any] = {agent: {} for agent in self.agents}
        self.agents = [agent for agent in self.agents if not ends[agent]]
        return shown, rewards, ends, cuts, infos

    def _show(self) -> Any:
        return {agent: np.float32([int(agent[-1]), self.steps]) for agent in self.agents}
