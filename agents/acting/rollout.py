"""Steps a vector environment with a policy into preallocated storage, [T, B, ...]."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import optree
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from perceiver_policy.policy.outputs import to_environment
from perceiver_policy.policy.policy import PerceiverPolicy


@dataclass
class Trajectory:
    """T steps of B environments and what was observed after them.

    Every field is a tensor, or a nest of tensors: ``vars(trajectory)`` is a nest that optree can map, and
    ``Trajectory(**nest)`` is its reverse. A learner's policy makes T log-probabilities and T + 1 values of it.

    A truncated episode would have gone on, so something follows its last step: its final observation, which is not kept
    here. Its value is, as the acting policy estimated it, and stands for the learner's own: one number an episode, no
    older than the data, instead of a second copy of the observations.
    """

    observation: Any
    """[T + 1, B, ...]; the last follows the last step, and is a new episode's first one if that step ended one."""
    first: Tensor
    """[T + 1, B], True where an observation is an episode's first."""
    action: Any
    """[T, B, ...], as :class:`~perceiver_policy.policy.outputs.Outputs` makes it."""
    log_prob: Tensor
    """[T, B], of the whole joint action, by the policy that acted."""
    value: Tensor
    """[T, B], by the policy that acted, as is the next."""
    next_value: Tensor
    """[T, B], of what follows within the episode: 0 after a termination, after a truncation the final observation's."""
    reward: Tensor
    """[T, B]."""
    end: Tensor
    """[T, B], True on an episode's last step."""
    memory: Tensor
    """[B, ...], carried into step 0."""
    version: Tensor
    """[B], int64: the learner's count of updates whose policy acted (at step 0, where it changed on the way)."""

    @property
    def steps(self) -> int:
        """T * B."""
        return self.reward.numel()

    def next_values(self, values: Tensor) -> Tensor:
        """What ``next_value`` is with another policy's ``values`` [T + 1, B]."""
        return torch.where(self.end, self.next_value, values[1:])

    def columns(self, rows: Tensor) -> Trajectory:
        """Some of the environments."""
        return _map(lambda axis, x: x.index_select(axis, rows.to(x.device)), self)

    def to(self, device: torch.device) -> Trajectory:
        """The same on ``device``; itself where it is there."""
        if self.reward.device == device:
            return self
        return _map(lambda axis, x: x.to(device, non_blocking=True), self)


def concatenate(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Trajectories of equally many steps as one, their environments side by side."""
    return _map(lambda axis, *parts: torch.cat(parts, axis), *trajectories)


def _map(change: Callable[..., Tensor], *trajectories: Trajectory) -> Trajectory:
    """``change`` of each tensor, given which axis its environments are."""
    changed: dict[str, Any] = {}
    for name, first in vars(trajectories[0]).items():
        axis = 0 if name in ("memory", "version") else 1
        others = [vars(trajectory)[name] for trajectory in trajectories[1:]]
        changed[name] = optree.tree_map(partial(change, axis), first, *others)
    return Trajectory(**changed)


@dataclass(frozen=True)
class Episode:
    """A finished episode: undiscounted return, number of steps, its environment where there are several, and what that
    was asked to tell of it (`env_metrics`)."""

    total: float
    length: int
    scenario: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


class Rollout:
    """Keeps the environments, their current observations and the policy's memory between unrolls.

    The environments reset in the step that ends an episode and hand over the final observation in
    ``info["final_obs"]`` (Gymnasium's ``AutoresetMode.SAME_STEP``). The storage is reused: a trajectory is valid until
    the next :meth:`collect`. Whoever changes the policy sets ``version``, which trajectories are stamped with.

    A game whose process failed says so in ``info["aborted"]`` [B]: its episode is truncated, worth what its last valid
    observation is worth, and none of those that :meth:`collect` returns; ``aborted`` counts them.
    """

    def __init__(self, env: VectorEnv, policy: PerceiverPolicy, steps: int, *, seed: int, device: torch.device) -> None:
        self.env, self.policy, self.device = env, policy, device
        self.version = 0
        self.generator = torch.Generator(device).manual_seed(seed)
        observation, _ = env.reset(seed=seed, options={"stagger": True})
        batch = env.num_envs
        self.observation = optree.tree_map(_storage(steps + 1, batch), observation)
        self.current = optree.tree_map(lambda x: x.clone(), optree.tree_map(as_tensor, observation))
        self.action: Any = None  # allocated when the policy has shown what an action looks like
        # where they are made: on another device, taking each step's here would wait for it
        self.log_prob, self.value = torch.zeros(2, steps, batch, device=device)
        self.next_value, self.reward = torch.zeros(2, steps, batch)
        self.end = torch.zeros(steps, batch, dtype=torch.bool)
        self.first = torch.zeros(steps + 1, batch, dtype=torch.bool)
        self.is_first = torch.ones(batch, dtype=torch.bool)
        self.memory = policy.initial_memory(batch)
        self.totals, self.lengths = np.zeros(batch), np.zeros(batch, np.int64)
        self.aborted = 0
        self.broken = False
        self.scenarios: Sequence[str] = getattr(env, "scenarios", [""] * batch)
        self.metrics: Sequence[str] = getattr(env, "metrics", ())

    def collect(self) -> tuple[Trajectory, list[Episode]]:
        """One unroll, and the episodes that ended in it."""
        self.broken = True  # until it is whole: the environments are then anywhere, and their state is not saved
        episodes: list[Episode] = []
        start, version = self.memory.clone().cpu(), torch.full((self.env.num_envs,), self.version)
        steps = len(self.reward)
        for t in range(steps):
            self._store(t, self.observation, self.current)
            decision, memory = self.policy.act(
                self._to_device(self.current), self.memory, self._on(self.is_first), generator=self.generator
            )
            if self.action is None:
                self.action = optree.tree_map(lambda x: x.new_zeros((steps, *x.shape), device="cpu"), decision.action)
            self._store(t, self.action, decision.action)
            self.log_prob[t], self.value[t] = decision.log_prob, decision.value
            self.first[t], self.memory = self.is_first, memory
            self._step(t, episodes)
        self._store(steps, self.observation, self.current)
        self.first[steps] = self.is_first
        last = self.policy.value(self._to_device(self.current), self.memory, self._on(self.is_first))
        # where an episode ended, _step has put what really followed
        following = torch.cat((self.value[1:], last[None])).cpu()
        self.next_value = torch.where(self.end, self.next_value, following)
        trajectory = Trajectory(
            observation=self.observation,
            first=self.first,
            action=self.action,
            log_prob=self.log_prob.cpu(),
            value=self.value.cpu(),
            next_value=self.next_value,
            reward=self.reward,
            end=self.end,
            memory=start,
            version=version,
        )
        self.broken = False
        return trajectory, episodes

    def _step(self, t: int, episodes: list[Episode]) -> None:
        action = to_environment(
            self.env.single_action_space, optree.tree_map(lambda store: store[t].numpy(), self.action)
        )
        observation, reward, terminated, truncated, info = self.env.step(action)
        ended = terminated | truncated
        # numpy's assignments, of the same memory, take a fraction of torch's
        self.reward.numpy()[t] = reward
        self.end.numpy()[t] = ended
        self.is_first = torch.from_numpy(ended)
        self.totals += reward
        self.lengths += 1
        if ended.any():
            self.next_value[t] = 0.0
            if truncated.any():
                self._bootstrap(t, np.flatnonzero(truncated & ~terminated), info)
            aborted = info.get("aborted", np.zeros_like(ended))
            self.aborted += int(aborted.sum())
            for i in np.flatnonzero(ended & ~aborted & ~info.get("idle", False)):
                told = {name: float(info["final_info"][name][i]) for name in self.metrics}
                episodes.append(Episode(float(self.totals[i]), int(self.lengths[i]), self.scenarios[int(i)], told))
            self.totals[ended], self.lengths[ended] = 0.0, 0
        self.current = optree.tree_map(as_tensor, observation)

    def _bootstrap(self, t: int, rows: np.ndarray, info: dict[str, Any]) -> None:
        """A truncated episode would have gone on: what follows is worth its final observation's value."""
        if len(rows) == 0:
            return
        final = optree.tree_map(lambda *x: as_tensor(np.stack(x)), *(info["final_obs"][i] for i in rows))
        index = torch.as_tensor(rows)
        first = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        self.next_value[t, index] = self.policy.value(self._to_device(final), self.memory[index], first).cpu()

    @staticmethod
    def _store(t: int, storage: Any, values: Any) -> None:
        optree.tree_map_(lambda store, x: store[t].copy_(x), storage, values)

    def _to_device(self, nest: Any) -> Any:
        return nest if self.device.type == "cpu" else optree.tree_map(self._on, self.policy.trim(nest, exactly=False))

    def _on(self, x: Tensor) -> Tensor:
        if self.device.type == "cuda":  # from pinned memory a copy does not hold up the host
            x = x.pin_memory()
        return x.to(self.device, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next unroll depends on, besides the policy."""
        return {
            "environments": {} if self.broken else self.env.save_state(),  # type: ignore[attr-defined]
            "current": optree.tree_map(lambda x: x.clone(), self.current),
            "is_first": self.is_first.clone(),
            "memory": self.memory.clone(),
            "totals": self.totals.copy(),
            "lengths": self.lengths.copy(),
            "aborted": self.aborted,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where :meth:`state_dict` was taken; environments that could not be saved start anew."""
        self.generator.set_state(state["generator"])
        self.aborted = state.get("aborted", 0)
        if not state["environments"]:
            return
        try:
            self.env.load_state(state["environments"])  # type: ignore[attr-defined]
        except Exception as error:  # a pickle, of code that may have changed
            warnings.warn(
                f"the environments' state does not load ({type(error).__name__}: {error}): their episodes start anew",
                stacklevel=2,
            )
            return
        self.current, self.is_first, self.memory = state["current"], state["is_first"], state["memory"]
        self.totals, self.lengths = state["totals"], state["lengths"]


def as_tensor(x: np.ndarray) -> Tensor:
    """A view where torch knows the type; larger floats become float32, what the network computes in."""
    x = np.asarray(x)
    if x.dtype.kind == "f" and x.dtype.itemsize > 4:
        return torch.from_numpy(x.astype(np.float32))
    if x.dtype in (np.uint16, np.uint32, np.uint64):
        return torch.from_numpy(x.astype(np.int64))
    return torch.from_numpy(x)


def _storage(steps: int, batch: int) -> Any:
    def make(x: np.ndarray) -> Tensor:
        example = as_tensor(x)
        return torch.zeros((steps, batch, *example.shape[1:]), dtype=example.dtype)

    return make
