"""Environments that misbehave: each as people have written them."""

from __future__ import annotations

import os
import random
import sys
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces


class Calm(gymnasium.Env[np.ndarray, Any]):
    """Episodes of seven steps that pay 1 each."""

    observation_space: Any = spaces.Box(-1, 1, (2,), np.float32)
    action_space: Any = spaces.Discrete(2)
    bad_step = 40
    """Of an environment's life, at which it misbehaves."""

    def __init__(self, render_mode: Any = None) -> None:
        self.age = self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.age, self.steps = self.age + 1, self.steps + 1
        answer = np.zeros(2, np.float32), 1.0, self.steps == 7, False, {}
        return self.misbehave(answer) if self.age == self.bad_step else answer

    def misbehave(self, answer: Any) -> Any:
        return answer


class Raises(Calm):
    def misbehave(self, answer: Any) -> Any:
        return self.deeper()

    def deeper(self) -> Any:
        raise OSError("the game has gone away")


class RaisesAtOnce(Raises):
    bad_step = 1


class RaisesInReset(Calm):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if self.age > 20:
            raise KeyError("level")
        return super().reset(seed=seed)


class RaisesInConstructor(Calm):
    def __init__(self, render_mode: Any = None) -> None:
        raise RuntimeError("no such ROM")


class Exits(Calm):
    def misbehave(self, answer: Any) -> Any:
        sys.exit(3)


class FourValues(Calm):
    def misbehave(self, answer: Any) -> Any:
        return answer[0], 1.0, False, {}


class Nothing(Calm):
    def misbehave(self, answer: Any) -> Any:
        return None


class WrongShape(Calm):
    def misbehave(self, answer: Any) -> Any:
        return np.zeros(3, np.float32), *answer[1:]


class WrongType(Calm):
    def misbehave(self, answer: Any) -> Any:
        return "north", *answer[1:]


class RewardNone(Calm):
    def misbehave(self, answer: Any) -> Any:
        return answer[0], None, *answer[2:]


class EndsNone(Calm):
    def misbehave(self, answer: Any) -> Any:
        return *answer[:2], "done", *answer[3:]


class InfoNone(Calm):
    def misbehave(self, answer: Any) -> Any:
        return *answer[:4], None


class ResetGivesObservationOnly(Calm):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed)
        return observation if self.age > 20 else (observation, info)


class CloseRaises(Calm):
    def close(self) -> None:
        raise RuntimeError("cannot close")


class Wanders(Calm):
    """Leaves the folder that it was called in."""

    def __init__(self, render_mode: Any = None) -> None:
        super().__init__()
        os.chdir("/")

    def render(self) -> Any:
        return np.zeros((8, 8, 3), np.uint8)


class Endless(Calm):
    """An episode ends when the action is 1 in its third step, which a greedy policy may never choose."""

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(2, np.float32), 1.0, False, False, {}


class Global(Calm):
    """Draws from every stream that there is, but for the one that it was given."""

    action_space: Any = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode: Any = None) -> None:
        super().__init__()
        self.drawn = shared()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.array([self.draw(), self.drawn], np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.array([self.draw(), 0], np.float32), self.draw(), self.steps == 7, False, {}

    def draw(self) -> float:
        return float(self.action_space.sample()[0]) + shared()


def shared() -> float:
    return random.random() + np.random.random() + torch.rand(1).item()  # noqa: NPY002
