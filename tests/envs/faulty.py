"""One sound environment, and what people do wrong with it, a class each."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Sound(gymnasium.Env[Any, Any]):
    """A noisy place that is pushed left or right; nothing is wrong with it."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space: Any = spaces.Dict({"at": spaces.Box(-99, 99, (2,), np.float32), "turn": spaces.Discrete(2)})
    action_space: Any = spaces.Discrete(3)
    render_mode: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.steps = self.noise().astype(np.float32), 0
        return self.shown(), self.info()

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.place = np.clip(self.place + np.float32(self.noise() + int(action) - 1), -99, 99)
        return self.shown(), self.reward(), self.over(), False, self.info()

    def noise(self) -> np.ndarray:
        return self.np_random.normal(size=2)

    def shown(self) -> Any:
        return {"at": self.place.copy(), "turn": self.steps % 2}

    def reward(self) -> float:
        return float(self.place[0] > 0)

    def over(self) -> bool:
        return self.steps == 30

    def info(self) -> dict[str, Any]:
        return {}


class WrongShape(Sound):
    def shown(self) -> Any:
        return {"at": self.place[:1].copy(), "turn": 0}


class MissingKey(Sound):
    def shown(self) -> Any:
        return {"at": self.place.copy()}


class BeyondItsBounds(Sound):
    def shown(self) -> Any:
        return {"at": self.place + 200, "turn": self.steps % 2}


class NoChoice(Sound):
    def shown(self) -> Any:
        return {"at": self.place.copy(), "turn": self.steps % 3}


class NotANumber(Sound):
    def shown(self) -> Any:
        return {"at": self.place * (np.nan if self.steps == 7 else 1), "turn": self.steps % 2}


class EndlessReward(Sound):
    def reward(self) -> float:
        return float("inf") if self.steps == 9 else 0.0


class ConstantNumber(Sound):
    def shown(self) -> Any:
        return {"at": np.float32([self.place[0], 4]), "turn": self.steps % 2}


class ConstantPart(Sound):
    def shown(self) -> Any:
        return {"at": self.place.copy(), "turn": 1}


class HugeRewards(Sound):
    def reward(self) -> float:
        return 1e7 * super().reward()


class TinyRewards(Sound):
    def reward(self) -> float:
        return 1e-8 * super().reward()


class AnotherStream(Sound):
    def noise(self) -> np.ndarray:
        return np.random.normal(size=2)  # noqa: NPY002


class SharedBuffer(Sound):
    buffer = np.zeros(2, np.float32)

    def shown(self) -> Any:
        self.buffer[:] = self.place
        return {"at": self.buffer, "turn": self.steps % 2}


class NothingIsLegal(Sound):
    def info(self) -> dict[str, Any]:
        return {"action_mask": np.zeros(3, np.int8) if self.steps == 3 else np.int8([1, 1, self.steps % 2])}


class MaskOfAnotherShape(Sound):
    def info(self) -> dict[str, Any]:
        return {"action_mask": np.ones(4, np.int8)}


class MaskThatNeverChanges(Sound):
    def info(self) -> dict[str, Any]:
        return {"action_mask": np.int8([1, 0, 1])}


class Slow(Sound):
    def reward(self) -> float:
        time.sleep(0.06)
        return super().reward()


class Endless(Sound):
    def over(self) -> bool:
        return False


class IgnoresActions(Sound):
    def step(self, action: Any) -> Any:
        return super().step(1)


class FourValues(Sound):
    def step(self, action: Any) -> Any:
        return super().step(action)[:4]


class Raises(Sound):
    def over(self) -> bool:
        return self.steps == 30 or 1 // (self.steps - 5) > 9


class TakesNoSeed(Sound):
    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


class CannotBeChosen(Sound):
    action_space: Any = spaces.Sequence(spaces.Discrete(3))
