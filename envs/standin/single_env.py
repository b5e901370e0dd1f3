"""One game of the stand-in as an ordinary Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from envs.standin.vector_env import make


class StandinEnv(gymnasium.Env[dict[str, Any], dict[str, Any]]):
    """A view of a batch of one: the same game, seed for seed, without the batch's axis.

    ``StandinEnv("MoveToBeacon")`` takes the options of :func:`envs.standin.vector_env.make`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2.8}  # noqa: RUF012

    def __init__(self, scenario: str, **options: Any) -> None:
        self.games = make(scenario, 1, **options)
        self.observation_space = self.games.single_observation_space
        self.action_space = self.games.single_action_space
        self.render_mode = self.games.render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the next game, or the first one of a seed."""
        super().reset(seed=seed)
        observation, _ = self.games.reset(seed=seed)
        return _first(observation), {}

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One action, ``step_mul`` game loops. After the end, call :meth:`reset`."""
        batch = {name: np.asarray(value)[None] for name, value in action.items()}
        observation, reward, terminated, truncated, info = self.games.step(batch)
        ended = bool(terminated[0] or truncated[0])
        told: dict[str, Any] = {"refused": int(info["refused"][0])}
        if ended:
            told |= {name: float(info["final_info"][name][0]) for name in ("score", "loop")}
        shown = info["final_obs"][0] if ended else _first(observation)
        return shown, float(reward[0]), bool(terminated[0]), bool(truncated[0]), told

    def render(self) -> npt.NDArray[np.uint8]:
        """A frame, [height, width, 3]."""
        return self.games.render()[0]

    def close(self) -> None:
        """Let go of the batch."""
        self.games.close()


def _first(nest: Any) -> Any:
    """A copy of the only game's part of an observation."""
    if isinstance(nest, dict):
        return {name: _first(value) for name, value in nest.items()}
    return nest[0].copy()
