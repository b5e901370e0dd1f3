"""Work for a GPU, recorded once and replayed.

A step of acting, and a minibatch's gradient step, are hundreds of small kernels that take longer to ask for than to
run. As a CUDA graph they are asked for at once. On a processor there is nothing to record: functions are called.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import optree
import torch
from torch import Tensor

Function = Callable[[], Any]
Record = Callable[[Function, tuple[torch.Generator, ...]], Function]

WARM = 3
"""Calls that are made as they are: what libraries set up in their first calls cannot be recorded."""


class Graphs:
    """Calls functions that read and write tensors which stay where they are, by a graph for each key.

    With one key a function does the same each time, to the same tensors; it asks for no value on the host and for no
    memory of it. What it returns is overwritten by the next call with that key. :meth:`keep` is how a tensor stays
    where it is.
    """

    def __init__(self, device: torch.device, *generators: torch.Generator, record: Record | None = None) -> None:
        """``generators`` are drawn from in the functions. ``record`` stands for the GPU's in tests."""
        self.device, self.generators = device, generators
        self.record = record or (_record if device.type == "cuda" else None)
        self.calls: dict[Hashable, int] = {}
        self.recorded: dict[Hashable, Function] = {}
        self.kept: dict[Hashable, Any] = {}

    def __call__(self, key: Hashable, function: Function) -> Any:
        """What ``function`` returns. Without a key it is never recorded."""
        if self.record is None or key is None:
            return function()
        self.calls[key] = self.calls.get(key, 0) + 1
        if self.calls[key] <= WARM:
            return function() if self.device.type != "cuda" else _aside(function)
        if key not in self.recorded:
            self.recorded[key] = self.record(function, self.generators)
        return self.recorded[key]()

    def keep(self, name: str, nest: Any) -> Any:
        """The nest's values, in tensors that are the same in every call with that name and those shapes."""
        if self.record is None:
            return nest
        key = (name, shapes(nest))
        if key not in self.kept:
            self.kept[key] = optree.tree_map(torch.clone, nest)
        else:
            optree.tree_map_(lambda kept, x: kept.copy_(x), self.kept[key], nest)
        return self.kept[key]


def shapes(nest: Any) -> tuple[tuple[int, ...], ...]:
    """Of each tensor."""
    return tuple(tuple(x.shape) for x in optree.tree_leaves(nest))


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """The same on ``device``; nobody waits for it."""
    if device.type == "cuda" and x.device.type == "cpu":  # from pinned memory a copy does not hold up the host
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def _aside(function: Function) -> Any:
    """Called on a stream of its own, as PyTorch wants it before a graph is recorded."""
    now, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(now)
    with torch.cuda.stream(aside):
        found = function()
    now.wait_stream(aside)
    return found


def _record(function: Function, generators: tuple[torch.Generator, ...]) -> Function:
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        found = function()

    def replay() -> Any:
        graph.replay()
        return found

    return replay
