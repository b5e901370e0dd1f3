"""An environment whose observation is one vector and whose action is a row of numbers, for toolkits that know no other.

Stable-Baselines3, sb3-contrib, CleanRL and others take a `Box` and a `MultiDiscrete`. What is lost: a set of units
becomes rows in the order of their listing, and masks of arguments hold whichever function is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.spaces import ACTION_MASK, Feature, Numbers, PerUnit, Planes, Pointers, SpaceError, Units, leaves

MOST_FLAGS = 64
"""Values of a category that have a flag each; of more, and of a map's cells, the number itself is shown."""


class Flat(gymnasium.Env[npt.NDArray[np.float32], npt.NDArray[np.int64]]):
    """Observations as one float32 vector of numbers of order one, actions as `MultiDiscrete`.

    :meth:`action_masks` says what may be chosen now, as sb3-contrib asks for it. Raises SpaceError for an action space
    that is not made of choices.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env, self.metadata, self.render_mode = env, env.metadata, env.render_mode
        space: Any = env.observation_space
        if isinstance(space, spaces.Dict) and not isinstance(space, Units):
            space = spaces.Dict({key: part for key, part in space.spaces.items() if key != ACTION_MASK})
        self._shown = list(leaves(space))
        example = self._vector(env.observation_space.sample())
        self.observation_space = spaces.Box(-np.inf, np.inf, example.shape, np.float32)
        self._choices = list(_choices(env.action_space, ()))
        counts = [one.count for one in self._choices for _ in range(math.prod(one.shape))]
        self.action_space = spaces.MultiDiscrete(counts)
        self._mask: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """As the environment's own."""
        super().reset(seed=seed)
        observation, info = self.env.reset(seed=seed, options=options)
        return self._observe(observation, info), info

    def step(self, action: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], Any, bool, bool, dict[str, Any]]:
        """As the environment's own."""
        observation, reward, terminated, truncated, info = self.env.step(self.nested(action))
        return self._observe(observation, info), reward, terminated, truncated, info

    def render(self) -> Any:
        """As the environment's own."""
        return self.env.render()

    def close(self) -> None:
        """As the environment's own."""
        self.env.close()

    def nested(self, action: npt.NDArray[np.int64]) -> Any:
        """The environment's own action for a flat one."""
        nest: dict[Any, Any] = {}
        at = 0
        for one in self._choices:
            size = math.prod(one.shape)
            nest[one.keys] = np.asarray(action[at : at + size]).reshape(one.shape)
            at += size
        return _fill(self.env.action_space, (), nest)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which values of which component may be chosen, one after the other; of a component at least its first."""
        parts = []
        for one in self._choices:
            mask = self._mask
            for key in one.keys:
                mask = mask.get(key) if isinstance(mask, dict) else None
            allowed = np.ones((*one.shape, one.count), bool)
            if mask is not None and one.bits:
                bits = np.asarray(mask).reshape(-1, one.shape[-1]).max(0) if one.pointers else np.asarray(mask)
                allowed = np.stack((bits != 1, bits != 0), -1)
                if one.pointers:  # 1: may be chosen
                    allowed[..., 0] = True
            elif mask is not None:
                given = np.asarray(mask, bool)  # [capacity, n], or [n] for all alike
                allowed &= given if given.shape == allowed.shape else given.reshape(-1, one.count).any(0)
            allowed[~allowed.any(-1), 0] = True
            parts.append(allowed.ravel())
        return np.concatenate(parts)

    def _observe(self, observation: Any, info: dict[str, Any]) -> npt.NDArray[np.float32]:
        given = observation.get(ACTION_MASK) if isinstance(observation, dict) else None
        self._mask = info.get(ACTION_MASK) if given is None else given
        return self._vector(observation)

    def _vector(self, observation: Any) -> npt.NDArray[np.float32]:
        parts = []
        for keys, space in self._shown:
            value = observation
            for key in keys:
                value = value[key]
            parts.append(np.ravel(_numbers(space, value)))
        return np.concatenate(parts).astype(np.float32)


def _numbers(space: spaces.Space[Any], value: Any) -> npt.NDArray[np.floating[Any]]:
    """A part of an observation as numbers of order one."""
    if isinstance(space, Units):
        there = np.asarray(value["mask"], np.float32)[:, None]
        return np.concatenate((there, there * _columns(value["features"], space.columns)), 1)
    if isinstance(space, Numbers):
        return _columns(value, space.columns)
    if isinstance(space, Planes):
        scales = np.array([max(plane.scale - (plane.kind == "category"), 1) for plane in space.planes], np.float32)
        return np.asarray(value, np.float32) / scales
    if isinstance(space, spaces.Box):
        bounded = (space.low > -1e6) & (space.high < 1e6)
        low, high = np.where(bounded, space.low, -1), np.where(bounded, space.high, 1)
        return (np.asarray(value, np.float64) - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
    return np.asarray(spaces.flatten(space, value), np.float32)


def _columns(value: Any, features: tuple[Feature, ...]) -> npt.NDArray[np.float32]:
    """[..., F] -> [..., more]: a flag for each value of a category, other kinds scaled as they say."""
    value = np.asarray(value, np.float32)
    parts = []
    for i, feature in enumerate(features):
        column = value[..., i, None]
        if feature.kind == "category" and 2 < feature.scale <= MOST_FLAGS:
            parts.append((column == np.arange(int(feature.scale))).astype(np.float32))
        elif feature.kind == "log":
            parts.append(np.log1p(np.maximum(column, 0)) / math.log1p(feature.scale))
        elif feature.kind == "position":
            parts.append(column / feature.scale * 2 - 1)
        else:
            parts.append(column / feature.scale)
    return np.concatenate(parts, -1)


@dataclass(frozen=True)
class _Choice:
    """A part of an action space: where it is, how many components it has, and how many values each."""

    keys: tuple[Any, ...]
    shape: tuple[int, ...]
    count: int
    bits: bool = False
    pointers: bool = False


def _choices(space: Any, keys: tuple[Any, ...]) -> Iterator[_Choice]:
    if isinstance(space, PerUnit):
        for name, one in space.each.items():
            if not isinstance(one, spaces.Discrete):
                raise SpaceError(f"action {name!r}: {one} is no choice among a few, which a flat action is made of")
            yield _Choice((*keys, name), (space.capacity,), int(one.n))
    elif isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _choices(part, (*keys, key))
    elif isinstance(space, spaces.Discrete):
        yield _Choice(keys, (), int(space.n))
    elif isinstance(space, spaces.MultiBinary):
        yield _Choice(keys, space.shape, 2, bits=True, pointers=isinstance(space, Pointers))
    else:
        raise SpaceError(f"action {'/'.join(map(str, keys))!r}: {space} is no choice among a few, as a flat action is")


def _fill(space: Any, keys: tuple[Any, ...], values: dict[Any, Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _fill(part, (*keys, key), values) for key, part in space.spaces.items()}
    return values[keys].astype(space.dtype) + getattr(space, "start", 0)
