"""What a policy acts on, where it acts: observations, memory and answers at fixed places on its device."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import torch
from torch import Tensor

from agents.graphs import Graphs, Record, shapes
from perceiver_policy.policy.policy import PerceiverPolicy


class Places:
    """Where the values of a nest are written to at every step.

    On the host by numpy's assignments, of the same memory: they convert types and take a fraction of torch's time.
    """

    def __init__(self, storage: Any) -> None:
        self.places = [x.numpy() if x.device.type == "cpu" else x for x in optree.tree_leaves(storage)]

    def write(self, values: Any, at: Any = ...) -> None:
        """Have ``storage[at]`` be ``values``, tensors or, on the host, arrays."""
        for place, x in zip(self.places, optree.tree_leaves(values), strict=True):
            if isinstance(place, np.ndarray):
                place[at] = x.numpy() if isinstance(x, Tensor) else x
            else:
                place[at].copy_(x)


class Resident:
    """A batch of games' newest observations on the policy's device, and its answers to them.

    :meth:`ask` hands observations over and has the policy act, without waiting; :meth:`answer` waits for the action. On
    a GPU observations go through pinned memory, in one copy for each part, and acting is a graph for each of the few
    sizes that sets are cut to.
    """

    def __init__(
        self,
        policy: PerceiverPolicy,
        observation: Any,
        batch: int,
        generator: torch.Generator,
        device: torch.device,
        record: Record | None = None,
    ) -> None:
        self.policy, self.device, self.generator = policy, device, generator
        self.graphs = Graphs(device, generator, record=record)
        self.apart = device.type != "cpu"
        pinned = device.type == "cuda"
        self.staged = optree.tree_map(lambda x: torch.empty_like(x, pin_memory=pinned), observation)
        self.staged_first = torch.ones(batch, dtype=torch.bool, pin_memory=pinned)
        self.observation = optree.tree_map(lambda x: x.to(device), self.staged) if self.apart else self.staged
        self.first = self.staged_first.to(device) if self.apart else self.staged_first
        self._places = Places((self.staged, self.staged_first))
        self.memory: Tensor = policy.initial_memory(batch).to(device)
        self.action: Any = None
        """The newest on the host: numpy's, of memory that the next one is written to."""
        self.size: tuple[tuple[int, ...], ...] = shapes(self.staged)
        """The shapes of what is there of the observation."""
        self._host_action: Any = None
        self._answered = torch.cuda.Event() if pinned else None

    def show(self, observation: Any, first: np.ndarray) -> None:
        """Have these observations, arrays or tensors, on the device."""
        self._places.write((observation, first))
        if self.apart:
            optree.tree_map_(lambda place, x: place.copy_(x, non_blocking=True), self.observation, self.staged)
            self.first.copy_(self.staged_first, non_blocking=True)
        if self.graphs.record is not None:
            self.size = shapes(self.policy.trim(self.staged, exactly=False))

    def ask(self) -> tuple[Any, Tensor, Tensor]:
        """Action, log-probability and value [B] for what was shown, on the device, until the next call; the memory is
        then the one after it."""
        size = self.size

        def act() -> tuple[Any, Tensor, Tensor]:
            seen = self.observation if self.graphs.record is None else cut(self.observation, size)
            decision, memory = self.policy.act(seen, self.memory, self.first, generator=self.generator)
            if memory is not self.memory:
                self.memory.copy_(memory)
            return decision.action, decision.log_prob, decision.value

        action, log_prob, value = self.graphs(size, act)
        if not self.apart:
            self._host_action = action
            return action, log_prob, value
        if self._host_action is None:
            pinned = self.device.type == "cuda"
            self._host_action = optree.tree_map(
                lambda x: torch.empty(x.shape, dtype=x.dtype, pin_memory=pinned), action
            )
        optree.tree_map_(lambda place, x: place.copy_(x, non_blocking=True), self._host_action, action)
        if self._answered is not None:
            self._answered.record()
        return action, log_prob, value

    def answer(self) -> Any:
        """The action that was asked for last, as arrays."""
        if self._answered is not None:
            self._answered.synchronize()
        return optree.tree_map(lambda x: x.numpy(), self._host_action)


def cut(nest: Any, to: tuple[tuple[int, ...], ...]) -> Any:
    """The first elements of each tensor's last axes, as views; axes in front are whole."""
    leaves, structure = optree.tree_flatten(nest)
    parts = []
    for x, shape in zip(leaves, to, strict=True):
        front = x.dim() - len(shape)
        parts.append(x[(slice(None),) * front + tuple(slice(n) for n in shape)])
    return optree.tree_unflatten(structure, parts)


def largest(*sizes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """The shapes that hold all of them."""
    return tuple(tuple(int(n) for n in np.max(each, 0)) if each[0] else () for each in zip(*sizes, strict=True))
