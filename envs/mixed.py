"""Several environments side by side as one: what one policy learns on several mini-games at once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

Part = VectorEnv[Any, Any, Any]


class MixedVectorEnv(VectorEnv[Any, Any, Any]):
    """The games of several vector environments with equal spaces, one environment's after another's.

    ``scenarios`` says of each game which environment it is of. Everything else is as `envs.registry` promises of every
    environment. Raises ValueError where the spaces differ.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self.parts = dict(parts)
        names, envs = list(self.parts), list(self.parts.values())
        for name, env in self.parts.items():
            for what in ("single_observation_space", "single_action_space"):
                if getattr(env, what) != getattr(envs[0], what):
                    raise ValueError(f"{name} and {names[0]} differ in their {what}: one policy cannot play both")
        counts = [env.num_envs for env in envs]
        self.scenarios = tuple(name for name, count in zip(names, counts, strict=True) for _ in range(count))
        self.num_envs = sum(counts)
        self._edges = [0, *itertools.accumulate(counts)]
        self.metadata = {**envs[0].metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = envs[0].render_mode
        self.single_observation_space = envs[0].single_observation_space
        self.single_action_space = envs[0].single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start every game anew. Of one seed each environment gets a seed of its own; a list seeds each game."""
        seeds: list[Any]
        if seed is None:
            seeds = [None] * len(self.parts)
        elif isinstance(seed, (int, np.integer)):
            seeds = [int(s) for s in np.random.SeedSequence(int(seed)).generate_state(len(self.parts))]
        else:
            seeds = [list(seed[a:b]) for a, b in itertools.pairwise(self._edges)]
        told = [env.reset(seed=s, options=options) for env, s in zip(self.parts.values(), seeds, strict=True)]
        return _join([observation for observation, _ in told]), self._infos([info for _, info in told])

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every game."""
        told = [
            env.step(_rows(actions, a, b))
            for env, (a, b) in zip(self.parts.values(), itertools.pairwise(self._edges), strict=True)
        ]
        observations, rewards, terminated, truncated, infos = zip(*told, strict=True)
        return (
            _join(observations),
            np.concatenate(rewards),
            np.concatenate(terminated),
            np.concatenate(truncated),
            self._infos(infos),
        )

    def _infos(self, infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Each entry for all games; where an environment has not said it: zero, False or None."""
        joined: dict[str, Any] = {}
        for key in dict.fromkeys(key for info in infos for key in info):
            example = next(info[key] for info in infos if key in info)
            if isinstance(example, dict):
                joined[key] = self._infos([info.get(key, {}) for info in infos])
                continue
            whole = np.full(self.num_envs, None, object) if example.dtype == object else None
            whole = np.zeros((self.num_envs, *example.shape[1:]), example.dtype) if whole is None else whole
            for info, (a, b) in zip(infos, itertools.pairwise(self._edges), strict=True):
                if key in info:
                    whole[a:b] = info[key]
            joined[key] = whole
        return joined

    def render(self) -> tuple[Any, ...]:
        """The frames of all games."""
        return tuple(frame for env in self.parts.values() for frame in env.render() or ())

    def save_state(self) -> dict[str, Any]:
        """Every environment's state by its name; nothing where one cannot be saved."""
        states = {name: env.save_state() for name, env in self.parts.items()}  # type: ignore[attr-defined]
        return states if all(states.values()) else {}

    def load_state(self, state: dict[str, Any]) -> Any:
        """Put back what :meth:`save_state` gave."""
        return _join([env.load_state(state[name]) for name, env in self.parts.items()])  # type: ignore[attr-defined]

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        for env in self.parts.values():
            env.close()


def share(num_envs: int, weights: Mapping[str, float]) -> dict[str, int]:
    """How many of the games each name gets: at least one, and else as near to its weight as whole numbers are
    (largest remainders). Raises ValueError where there are fewer games than names."""
    if num_envs < len(weights):
        raise ValueError(f"{len(weights)} environments need as many games at least; num_envs is {num_envs} a process")
    total = sum(weights.values())
    exact = {name: (num_envs - len(weights)) * weight / total for name, weight in weights.items()}
    counts = {name: 1 + int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: int(exact[name]) - exact[name])
    for name in by_remainder[: num_envs - sum(counts.values())]:
        counts[name] += 1
    return counts


def _join(nests: Sequence[Any]) -> Any:
    if isinstance(nests[0], dict):
        return {key: _join([nest[key] for nest in nests]) for key in nests[0]}
    return np.concatenate(nests)


def _rows(nest: Any, first: int, last: int) -> Any:
    if isinstance(nest, dict):
        return {key: _rows(value, first, last) for key, value in nest.items()}
    return nest[first:last]
