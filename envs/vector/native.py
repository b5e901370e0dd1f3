"""Vector environments that come as such, as all others here are."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array

from envs.errors import EnvFailure
from envs.gym import check_space
from envs.observations import LARGEST, Checker, Fault, row


class NativeVectorEnv(VectorEnv[Any, Any, Any]):
    """Somebody's vector environment, whose final observations and resets become what `envs.registry` promises.

    | its autoreset mode | here |
    |---|---|
    | SAME_STEP | as it is |
    | DISABLED | what has ended is reset with ``reset_mask`` in the same step |
    | NEXT_STEP | its step that only resets is the first one of the next episode: it pays nothing, whatever is chosen |
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], name: str) -> None:
        """Raises ValueError for spaces that are not supported."""
        self.env, self.name, self.num_envs = env, name, env.num_envs
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.mode = mode if isinstance(mode, AutoresetMode) else AutoresetMode(mode)
        check_space(env.single_observation_space, "the observation space")
        check_space(env.single_action_space, "the action space")
        self.single_observation_space = env.single_observation_space
        self.single_action_space = deepcopy(env.single_action_space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = {**env.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = env.render_mode
        self._check = Checker(self.single_observation_space)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all games."""
        given = {name: value for name, value in (options or {}).items() if name not in ("stagger",)} or None
        observation, _ = self.env.reset(seed=seed, options=given)  # type: ignore[arg-type]
        return self._read(observation), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every game."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        reward = np.array(reward, np.float64)
        if not (np.abs(reward) <= LARGEST).all():
            raise EnvFailure(f"{self.name}: a reward is not finite, or larger than a float32 can hold")
        ended = terminated | truncated
        infos: dict[str, Any] = {}
        if ended.any():
            final = np.full(self.num_envs, None, object)
            told = info.get("final_obs") if self.mode == AutoresetMode.SAME_STEP else None
            for i in np.flatnonzero(ended):
                one = told[i] if told is not None else row(observation, int(i))
                final[i] = deepcopy(one)
            infos = {"final_obs": final, "_final_obs": ended}
            if self.mode == AutoresetMode.DISABLED:
                observation, _ = self.env.reset(options={"reset_mask": ended})
        return self._read(observation), reward, terminated, truncated, infos

    def _read(self, observation: Any) -> Any:
        try:
            self._check(observation)
        except Fault as fault:
            raise EnvFailure(f"{self.name}, game {fault.game + 1} of {self.num_envs}: {fault}") from None
        return _copied(observation, self.single_observation_space, self.num_envs)

    def render(self) -> Any:
        """The frames of all games."""
        return self.env.render()

    def save_state(self) -> dict[str, Any]:
        """Nothing: what it is made of is its own business. A resumed run starts its episodes anew."""
        return {}

    def load_state(self, state: dict[str, Any]) -> Any:
        """Raises ValueError: nothing was saved."""
        raise ValueError("this environment's state was not saved; reset it instead")

    def close_extras(self, **kwargs: Any) -> None:
        """Close it."""
        self.env.close()


def _copied(observation: Any, space: Any, games: int) -> Any:
    """Arrays of the space's own types, in memory that the environment does not write to."""
    if isinstance(observation, dict):
        return {key: _copied(observation[key], part, games) for key, part in space.spaces.items()}
    if isinstance(observation, tuple):
        return tuple(_copied(part, inner, games) for part, inner in zip(observation, space.spaces, strict=True))
    out: Any = create_empty_array(space, games)
    out[...] = np.asarray(observation)
    return out
