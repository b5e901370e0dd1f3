"""What is wrong with an environment, in words: it is played at random, twice, and watched."""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs import masks
from envs.arrays import Arrays, arrays
from envs.guard import Guarded
from envs.gym import check_space
from envs.observations import Checker, Fault, fit, name_of
from envs.spaces import ACTION_MASK, Numbers, Units, array_leaves, at, leaves, path_of

STEPS = 2000
SECONDS = 20.0  # of playing, however few steps that is
COMPARED = 100  # steps that are played again
SLOW = 0.05  # seconds of a step
REWARDS = (1e-5, 1e5)  # the largest of all is outside of these
FIRST_MASKS = 50  # masks that are looked at before they are said never to change


@dataclass
class Diagnosis:
    """What :func:`examine` found: ``wrong`` should be mended, ``remarks`` should be known."""

    wrong: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    steps: int = 0
    episodes: int = 0
    steps_a_second: float = 0.0

    def fault(self, text: str) -> None:
        """Add what is wrong, once, whatever the numbers in it."""
        if _words(text) not in map(_words, self.wrong):
            self.wrong.append(text)


def _words(text: str) -> str:
    return re.sub(r"[-+.e\d]+", "", text)


def examine(
    make: Callable[[], gymnasium.Env[Any, Any]], name: str, seed: int = 0, steps: int = STEPS, seconds: float = SECONDS
) -> Diagnosis:
    """Play the environment that ``make`` makes and say what is wrong with it.

    Raises EnvFailure or ValueError where it cannot be played at all, with what is wrong in its words.
    """
    found = Diagnosis()
    env = _ready(make, name)
    rows = _Played(env, found)
    rows.play(seed, steps, seconds)
    rows.conclude()
    if not found.wrong:
        _compare(make, name, seed, found)
    try:
        pickle.dumps(env)
    except Exception as error:
        found.remarks.append(
            f"it cannot be pickled ({type(error).__name__}: {error}): a run that is resumed begins its episodes anew"
        )
    if "rgb_array" not in (env.metadata or {}).get("render_modes", ()):
        found.remarks.append("it has no render mode rgb_array: no video can be made of it")
    env.close()
    return found


def _ready(make: Callable[[], gymnasium.Env[Any, Any]], name: str) -> gymnasium.Env[Any, Any]:
    env = arrays(Guarded(make(), name, 0))
    check_space(env.observation_space, "the observation space")
    check_space(env.action_space, "the action space")
    return env


class _Played:
    """An environment that is played, and what was seen of it."""

    def __init__(self, env: gymnasium.Env[Any, Any], found: Diagnosis) -> None:
        self.env, self.found = env, found
        self.space = env.observation_space
        self.check = Checker(self.space)
        self.low: dict[Any, Any] = {}
        self.high: dict[Any, Any] = {}
        self.masks: list[bytes] = []
        self.rewards: list[float] = []
        self.durations: list[float] = []
        self.buffers_told = False

    def play(self, seed: int, steps: int, seconds: float) -> None:
        began, random = time.monotonic(), deepcopy(self.env.action_space)
        random.seed(seed)
        observation, info = self.env.reset(seed=seed)
        self._see(observation, info)
        while self.found.steps < steps and time.monotonic() - began < seconds:
            before, copy = observation, deepcopy(observation)
            action = random.sample(self._for_sampling(observation, info))
            start = time.perf_counter()
            observation, reward, terminated, truncated, info = self.env.step(action)
            self.durations.append(time.perf_counter() - start)
            self.found.steps += 1
            self._see(observation, info, ended=terminated or truncated)
            self._see_reward(reward)
            self._see_buffers(before, copy)
            if terminated or truncated:
                self.found.episodes += 1
                observation, info = self.env.reset()
                self._see(observation, info)

    def _for_sampling(self, observation: Any, info: Mapping[str, Any]) -> Any:
        mask = self._mask(observation, info)
        try:
            return masks.for_sampling(self.env.action_space, mask, observation)
        except Fault:
            return None  # told by _see

    def _mask(self, observation: Any, info: Mapping[str, Any]) -> Any:
        shown = observation.get(ACTION_MASK) if isinstance(observation, Mapping) else None
        return info.get(ACTION_MASK) if shown is None else shown

    def _see(self, observation: Any, info: Mapping[str, Any], ended: bool = False) -> None:
        try:
            fitted = fit(self.space, observation)
            batch = _batched(fitted)
            self.check(batch)
        except Fault as fault:
            self.found.fault(str(fault))
            return
        for keys, part in array_leaves(self.space):
            if isinstance(part, Units):
                continue
            value = np.asarray(at(fitted, keys))
            if isinstance(part, spaces.Box) and not isinstance(part, Numbers):
                self._see_bounds(path_of(self.space, keys), part, value)
            if keys in self.low:
                self.low[keys], self.high[keys] = np.minimum(self.low[keys], value), np.maximum(self.high[keys], value)
            else:
                self.low[keys] = self.high[keys] = value
        mask = self._mask(observation, info)
        if mask is not None and not ended:
            self._see_mask(mask, batch)

    def _see_bounds(self, path: str, space: spaces.Box, value: np.ndarray) -> None:
        for what, bound, beyond in (("below", space.low, value < space.low), ("above", space.high, value > space.high)):
            if beyond.any():
                number, limit = value[beyond].flat[0], bound[beyond].flat[0]
                self.found.fault(f"{name_of(path)} holds {number:.6g}, which is {what} its space's bound {limit:.6g}")

    def _see_mask(self, mask: Any, batch: Any) -> None:
        space = self.env.action_space
        try:
            compact = masks.compact(space, mask)
            masks.check(space, _batched(compact), 1, batch)
        except Fault as fault:
            self.found.fault(str(fault))
            return
        if len(self.masks) < FIRST_MASKS or len(set(self.masks)) < 2:
            self.masks.append(pickle.dumps(compact))

    def _see_reward(self, reward: Any) -> None:
        if not np.isfinite(float(reward)):
            self.found.fault(f"the reward is {reward}, which is not finite")
        self.rewards.append(float(reward))

    def _see_buffers(self, before: Any, copy: Any) -> None:
        if not self.buffers_told and not _equal(before, copy):
            self.buffers_told = True
            self.found.fault(
                "step() writes into the arrays of the observation that it returned before: return copies, since others "
                "keep what they were given"
            )

    def conclude(self) -> None:
        """What all of it together says."""
        found = self.found
        if self.durations:
            found.steps_a_second = 1 / max(float(np.mean(self.durations)), 1e-9)
            if np.quantile(self.durations, 0.1) > SLOW:
                found.fault(
                    f"a step takes {1000 * float(np.median(self.durations)):.0f} ms: --env-processes steps games side "
                    "by side, but look first for what takes so long"
                )
        limit = _time_limit(self.env)
        if not found.episodes and limit is None and found.steps >= STEPS:
            found.fault(f"no episode has ended in {found.steps:,} steps, and it has no time limit: --env-time-limit")
        self._conclude_rewards()
        if len(self.masks) >= FIRST_MASKS and len(set(self.masks)) == 1:
            found.fault(f"the {ACTION_MASK} has been the same in {len(self.masks):,} steps")
        for keys, part in array_leaves(self.space):
            if keys in self.low and keys[-1:] != (ACTION_MASK,) and ACTION_MASK not in keys[:1]:
                self._conclude_part(path_of(self.space, keys), part, self.low[keys], self.high[keys])

    def _conclude_rewards(self) -> None:
        largest = max(map(abs, self.rewards), default=0.0)
        if np.isfinite(largest) and largest and not REWARDS[0] <= largest <= REWARDS[1]:
            self.found.fault(f"the largest reward is {largest:.3g}: scale rewards so that the largest are about 1")
        if self.rewards and not largest:
            self.found.remarks.append(f"no reward but 0 in {len(self.rewards):,} steps at random: it is hard to find")

    def _conclude_part(self, path: str, space: spaces.Space[Any], low: np.ndarray, high: np.ndarray) -> None:
        constant = np.atleast_1d(np.asarray(low) == np.asarray(high))
        if self.found.steps < COMPARED or not constant.any():
            return
        if isinstance(self.env, Arrays) and path not in [
            path_of(self.env.shown, keys) for keys, _ in leaves(self.env.shown)
        ]:
            return  # what fills up a text, a sequence, a graph
        if type(space).__name__ == "Characters":
            if constant.all():
                self.found.remarks.append(f"{name_of(path)} has always been the same text: --read {path}=ignore")
        elif constant.all() and constant.size > 0:
            self.found.fault(f"{name_of(path)} has never changed: leave it out, or --read {path}=ignore")
        elif constant.ndim == 1 and isinstance(space, spaces.Box) and space.dtype.kind == "f":
            which = np.flatnonzero(constant).tolist()
            self.found.fault(f"{name_of(path)} has never changed at {which[:8]}: constant numbers say nothing")


def _compare(make: Callable[[], gymnasium.Env[Any, Any]], name: str, seed: int, found: Diagnosis) -> None:
    """Play the same again, and with other actions."""
    told = [_trace(make, name, seed, actions) for actions in (seed, seed, seed + 1)]
    same, again, other = told
    for i, (a, b) in enumerate(zip(same, again, strict=False)):
        if not _equal(a, b):
            found.fault(
                f"two games with one seed and the same actions differ at step {i}: it draws from another random stream "
                "than self.np_random, which reset(seed=...) seeds, or from a clock"
            )
            return
    if len(same) > 1 and all(_equal(a, b) for a, b in zip(same, other, strict=False)):
        found.fault(f"nothing depends on the action: other actions led to the same {len(same) - 1} steps")


def _trace(make: Callable[[], gymnasium.Env[Any, Any]], name: str, seed: int, actions: int) -> list[Any]:
    env = _ready(make, name)
    space = deepcopy(env.action_space)
    space.seed(actions)
    observation, info = env.reset(seed=seed)
    seen: list[Any] = [deepcopy(observation)]
    for _ in range(COMPARED):
        shown = observation.get(ACTION_MASK) if isinstance(observation, Mapping) else None
        mask = info.get(ACTION_MASK) if shown is None else shown
        observation, reward, terminated, truncated, info = env.step(
            space.sample(masks.for_sampling(space, mask, observation))
        )
        seen.append((deepcopy(observation), float(reward), bool(terminated), bool(truncated)))
        if terminated or truncated:
            observation, info = env.reset()
    env.close()
    return seen


def _time_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            return int(env._max_episode_steps)
        env = env.env
    return env.spec.max_episode_steps if env.spec is not None else None


def _batched(nest: Any) -> Any:
    if isinstance(nest, Mapping):
        return {key: _batched(part) for key, part in nest.items()}
    if isinstance(nest, tuple):
        return tuple(map(_batched, nest))
    return None if nest is None else np.asarray(nest)[None]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return isinstance(b, tuple | list) and len(a) == len(b) and all(map(_equal, a, b))
    return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f"))
