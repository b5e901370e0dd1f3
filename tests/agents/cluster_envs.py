"""Environments that fail in the ways that a worker must survive."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Calm(gymnasium.Env[np.ndarray, Any]):
    """Episodes of ten steps that pay 1 for action 1; ``folder``, if any, is where its fate is decided."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, folder: str = "", pause: float = 0.0, render_mode: Any = None) -> None:
        self.folder, self.pause = folder, pause
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.random(2, np.float32), {}

    def step(self, action: int) -> Any:
        time.sleep(self.pause)
        self.steps += 1
        return self.np_random.random(2, np.float32), float(action == 1), self.steps == 10, False, {}


class Unmakeable(Calm):
    """Cannot be made."""

    def __init__(self, **options: Any) -> None:
        raise RuntimeError("the disk is full\nand more")


class Broken(Calm):
    """Raises at the third step of every life."""

    def step(self, action: int) -> Any:
        if self.steps == 2:
            raise OSError("the game has gone away")
        return super().step(action)


class Once(Calm):
    """Fails as a file in the folder says, which it takes away: raise, or kill (its process)."""

    def step(self, action: int) -> Any:
        for name in ("raise", "kill"):
            try:
                Path(self.folder, name).unlink()
            except OSError:
                continue
            if name == "raise":
                raise OSError("the game has gone away")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)
