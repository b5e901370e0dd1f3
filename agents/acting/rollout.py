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

from agents.acting.resident import Places, Resident, cut, largest
from agents.graphs import Record, to_device
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
    the next :meth:`collect`; what the policy makes stays where it is made (`resident`). Whoever changes the policy sets
    ``version``, which trajectories are stamped with.

    A game whose process failed says so in ``info["aborted"]`` [B]: its episode is truncated, worth what its last valid
    observation is worth, and none of those that :meth:`collect` returns; ``aborted`` counts them.
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: PerceiverPolicy,
        steps: int,
        *,
        seed: int,
        device: torch.device,
        record: Record | None = None,
    ) -> None:
        """``record``: see `Graphs`."""
        self.env, self.policy, self.device = env, policy, device
        self.version = 0
        self.generator = torch.Generator(device).manual_seed(seed)
        observation, _ = env.reset(seed=seed, options={"stagger": True})
        batch = env.num_envs
        self.current: Any = optree.tree_map(lambda x: as_tensor(x).clone(), observation)
        self.resident = Resident(policy, self.current, batch, self.generator, device, record)
        self.observation = optree.tree_map(partial(_storage, steps + 1), self.resident.observation)
        self.action: Any = None
        self._decisions: Places | None = None  # these two are made when the policy has shown what an action looks like
        self.log_prob, self.value = torch.zeros(2, steps, batch, device=device)
        self.next_value, self.reward = torch.zeros(2, steps, batch)
        self.end = torch.zeros(steps, batch, dtype=torch.bool)
        self.first = torch.zeros(steps + 1, batch, dtype=torch.bool)
        self._observed = Places((self.observation, self.first))
        self._earned = Places((self.reward, self.end, self.next_value))
        self.is_first = np.ones(batch, np.bool_)
        self.totals, self.lengths = np.zeros(batch), np.zeros(batch, np.int64)
        self.aborted = 0
        self.broken = False
        self.scenarios: Sequence[str] = getattr(env, "scenarios", [""] * batch)
        self.metrics: Sequence[str] = getattr(env, "metrics", ())
        self._cut: list[tuple[int, np.ndarray, Any, Tensor]] = []
        """Truncated episodes: step, rows, final observations, and the memory then."""
        self._sizes: list[Any] = []

    def collect(self) -> tuple[Trajectory, list[Episode]]:
        """One unroll, and the episodes that ended in it."""
        return collect([self])

    def begin(self) -> None:
        """Start an unroll: have the policy act for its first step."""
        self.broken = True  # until it is whole: the environments are then anywhere, and their state is not saved
        self._cut, self._sizes = [], []
        self._start = self.resident.memory.clone()
        self.ask(0)

    def ask(self, t: int) -> None:
        """Have the policy act for step t; nobody waits for it."""
        here = self.resident
        self._show(t)
        action, log_prob, value = here.ask()
        if self._decisions is None:
            self.action = optree.tree_map(partial(_storage, len(self.reward)), action)
            self._decisions = Places((self.action, self.log_prob, self.value))
        self._decisions.write((action, log_prob, value), t)

    def step(self, t: int, episodes: list[Episode]) -> None:
        """Carry out what was chosen for step t."""
        action = to_environment(self.env.single_action_space, self.resident.answer())
        observation, reward, terminated, truncated, info = self.env.step(action)
        ended = terminated | truncated
        self._earned.write((reward, ended, 0.0), t)
        self.is_first = ended
        self.totals += reward
        self.lengths += 1
        if ended.any():
            rows = np.flatnonzero(truncated & ~terminated)
            if len(rows):
                final = optree.tree_map(lambda *x: as_tensor(np.stack(x)), *(info["final_obs"][i] for i in rows))
                memory = self.resident.memory[to_device(torch.from_numpy(rows), self.device)]
                self._cut.append((t, rows, final, memory))
            aborted = info.get("aborted", np.zeros_like(ended))
            self.aborted += int(aborted.sum())
            for i in np.flatnonzero(ended & ~aborted & ~info.get("idle", False)):
                told = {name: float(info["final_info"][name][i]) for name in self.metrics}
                episodes.append(Episode(float(self.totals[i]), int(self.lengths[i]), self.scenarios[int(i)], told))
            self.totals[ended], self.lengths[ended] = 0.0, 0
        self.current = observation

    def finish(self) -> None:
        """End an unroll: value what follows its last step, and what follows within episodes that were cut."""
        steps, here = len(self.reward), self.resident
        self._show(steps)
        last = self.policy.value(cut(here.observation, here.size), here.memory, here.first)
        following = torch.cat((self.value[1:], last[None])).cpu()
        torch.where(self.end, self.next_value, following, out=self.next_value)
        if self._cut:
            # a truncated episode would have gone on: what follows is worth its final observation's value
            times = np.concatenate([np.full(len(rows), t) for t, rows, _, _ in self._cut])
            columns = np.concatenate([rows for _, rows, _, _ in self._cut])
            final = optree.tree_map(lambda *x: torch.cat(x), *(final for _, _, final, _ in self._cut))
            if self.device.type != "cpu":
                final = optree.tree_map(lambda x: to_device(x, self.device), self.policy.trim(final))
            memory = torch.cat([memory for _, _, _, memory in self._cut])
            first = torch.zeros(len(columns), dtype=torch.bool, device=self.device)
            self.next_value.numpy()[times, columns] = self.policy.value(final, memory, first).cpu().numpy()
        self.broken = False

    def trajectory(self, size: Any) -> Trajectory:
        """The unroll, its observations of that size."""
        return Trajectory(
            observation=cut(self.observation, size),
            first=self.first,
            action=self.action,
            log_prob=self.log_prob,
            value=self.value,
            next_value=self.next_value,
            reward=self.reward,
            end=self.end,
            memory=self._start,
            version=torch.full((self.env.num_envs,), self.version),
        )

    def _show(self, t: int) -> None:
        here = self.resident
        here.show(self.current, self.is_first)
        self._observed.write((here.observation, self.is_first), t)
        self._sizes.append(here.size)

    @property
    def size(self) -> Any:
        """The shapes that hold all that the unroll observed."""
        return largest(*self._sizes)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next unroll depends on, besides the policy."""
        return {
            "environments": {} if self.broken else self.env.save_state(),  # type: ignore[attr-defined]
            "current": optree.tree_map(lambda x: as_tensor(x).clone(), self.current),
            "is_first": torch.from_numpy(self.is_first.copy()),
            "memory": self.resident.memory.cpu().clone(),
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
        self.current, self.is_first = state["current"], state["is_first"].numpy()
        self.resident.memory.copy_(state["memory"])
        self.totals, self.lengths = state["totals"], state["lengths"]


def collect(rollouts: Sequence[Rollout]) -> tuple[Trajectory, list[Episode]]:
    """One unroll of each, as one trajectory, and the episodes that ended. Of several the processor steps the
    environments of one while the policy acts for the others."""
    episodes: list[Episode] = []
    for rollout in rollouts:
        rollout.begin()
    steps = len(rollouts[0].reward)
    for t in range(steps):
        for rollout in rollouts:
            rollout.step(t, episodes)
            if t + 1 < steps:
                rollout.ask(t + 1)
    for rollout in rollouts:
        rollout.finish()
    size = largest(*(rollout.size for rollout in rollouts))
    found = [rollout.trajectory(size) for rollout in rollouts]
    return found[0] if len(found) == 1 else concatenate([part.to(rollouts[0].device) for part in found]), episodes


def as_tensor(x: np.ndarray | Tensor) -> Tensor:
    """A view where torch knows the type; larger floats become float32, what the network computes in."""
    if isinstance(x, Tensor):
        return x
    x = np.asarray(x)
    if x.dtype.kind == "f" and x.dtype.itemsize > 4:
        return torch.from_numpy(x.astype(np.float32))
    if x.dtype in (np.uint16, np.uint32, np.uint64):
        return torch.from_numpy(x.astype(np.int64))
    return torch.from_numpy(x)


def _storage(steps: int, example: Tensor) -> Tensor:
    return torch.zeros((steps, *example.shape), dtype=example.dtype, device=example.device)
