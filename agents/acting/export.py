"""A policy as one program that other software runs: ONNX, or PyTorch's own `.pt2`.

The program takes observations [B, ...] as environments give them, for any B, and returns actions as environments take
them. What goes in and comes out has a name:

| name | what |
|---|---|
| `observation`, `observation/PATH` | a part of the observation, of its space's shape and type (float64 is float32) |
| `memory` | with a memory only: `next_memory` of the last call [B, N, D], at first zeros |
| `first` | with a memory only: [B] bool, whether an episode begins with this observation |
| `action`, `action/PATH` | a part of the action |
| `value` | [B], the return that the policy expects |
| `next_memory` | with a memory only |

The parts of Units are `features` and `mask`. A mask of actions that the environment gives in `info` is the part
`action_mask` of the observation.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from agents.acting.rollout import as_tensor
from agents.errors import UserError
from envs.spaces import Keys, path_of
from perceiver_policy.policy.heads import box_counts, box_units
from perceiver_policy.policy.policy import PerceiverPolicy

FORMATS = (".onnx", ".pt2")
ABOUT = "perceiver_rl"
"""The entry of an ONNX file's metadata, and of a `.pt2`'s extra files, that says as JSON what the program is."""
TRACED = 3
"""Observations in the example that the program is traced with: 1 would be taken for a constant."""


class Program(nn.Module):
    """A policy with its inputs and outputs as flat, named tensors; ``greedy`` takes the likeliest action."""

    def __init__(self, policy: PerceiverPolicy, *, greedy: bool) -> None:
        super().__init__()
        self.policy, self.greedy = copy.deepcopy(policy).cpu().eval(), greedy
        if greedy:
            self.policy.noise = None
        memory = self.policy.initial_memory(TRACED)
        self.remembers = bool(memory.numel())
        examples = {
            _name("observation", policy.observation_space, keys): as_tensor(
                np.zeros((TRACED, *(part.shape or ())), part.dtype)
            )
            for keys, part in _parts(policy.observation_space)
        }
        self.examples = examples
        """An input of each name, [3, ...]."""
        if self.remembers:
            examples |= {"memory": memory, "first": torch.zeros(TRACED, dtype=torch.bool)}
        self.outputs = [_name("action", policy.action_space, keys) for keys, _ in _parts(policy.action_space)]
        self.outputs += ["value", *(["next_memory"] if self.remembers else [])]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of their names, for inputs in the order of theirs."""
        parts = iter(inputs)
        observation = _nest(self.policy.observation_space, parts)
        batch = inputs[0].shape[0]
        memory = next(parts) if self.remembers else torch.zeros(batch, 0)
        first = next(parts) if self.remembers else torch.zeros(batch, dtype=torch.bool)
        decision, memory = self.policy.act(observation, memory, first, greedy=self.greedy)
        chosen = [_to_environment(part, _at(decision.action, keys)) for keys, part in _parts(self.policy.action_space)]
        return (*chosen, decision.value, *([memory] if self.remembers else []))


def check_file(path: Path) -> None:
    """Raise UserError for a file of another suffix, and where what it takes to write it is not installed."""
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}")
    missing = [name for name in ("onnx", "onnxscript") if path.suffix == ".onnx" and find_spec(name) is None]
    if missing:
        raise UserError(f"{path}: writing it needs {' and '.join(missing)}: pip install 'perceiver-rl[export]'")


def export(
    policy: PerceiverPolicy, path: Path, *, greedy: bool, about: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Write a policy as a program to ``path``; returns the names of what goes in and what comes out.

    ``about`` (plain values) is written with it. Raises UserError as :func:`check_file`, and where it cannot be written.
    """
    check_file(path)
    program = Program(policy, greedy=greedy)
    try:
        _write(program, path, json.dumps(dict(about) | _signature(program)))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error})") from error
    return list(program.examples), program.outputs


def _write(program: Program, path: Path, about: str) -> None:
    batch = torch.export.Dim("batch", min=1, max=2**20)
    shapes = {"inputs": tuple({0: batch} for _ in program.examples)}
    with _quiet():
        exported = torch.export.export(program, tuple(program.examples.values()), dynamic_shapes=shapes)
        if path.suffix == ".pt2":
            torch.export.save(exported, path, extra_files={ABOUT: about})
            return
        names: dict[str, Any] = {"input_names": list(program.examples), "output_names": program.outputs}
        if not program.greedy:
            exported = exported.run_decompositions(_random_numbers())
        made = torch.onnx.export(exported, (), None, dynamo=True, verbose=False, **names)
        assert made is not None
        made.model.metadata_props[ABOUT] = about
        made.save(path, external_data=False)


def _signature(program: Program) -> dict[str, Any]:
    inputs = {
        name: {"shape": ["batch", *example.shape[1:]], "dtype": str(example.dtype).removeprefix("torch.")}
        for name, example in program.examples.items()
    }
    return {"actions": "greedy" if program.greedy else "sampled", "inputs": inputs, "outputs": program.outputs}


def _parts(space: spaces.Space[Any], keys: Keys = ()) -> Iterator[tuple[Keys, spaces.Space[Any]]]:
    """Every array of a nest, with its keys: of Units, Functions and orders too."""
    inner: Any = ()
    if isinstance(space, spaces.Dict):
        inner = space.spaces.items()
    elif isinstance(space, spaces.Tuple):
        inner = enumerate(space.spaces)
    elif space.dtype is None or space.shape is None:
        raise UserError(f"a part of the policy's spaces, {space}, cannot be exported yet")
    else:
        yield keys, space
    for key, part in inner:
        yield from _parts(part, (*keys, key))


def _nest(space: spaces.Space[Any], parts: Iterator[Tensor]) -> Any:
    """The reverse of :func:`_parts`."""
    if isinstance(space, spaces.Dict):
        return {key: _nest(part, parts) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nest(part, parts) for part in space.spaces)
    return next(parts)


def _at(nest: Any, keys: Keys) -> Any:
    for key in keys:
        nest = nest[key]
    return nest


def _name(what: str, space: spaces.Space[Any], keys: Keys) -> str:
    return f"{what}/{path_of(space, keys)}" if keys else what


def _to_environment(space: spaces.Space[Any], action: Tensor) -> Tensor:
    """:func:`~perceiver_policy.policy.outputs.to_environment` of a leaf, in operations that can be exported."""
    dtype = as_tensor(np.zeros((), space.dtype)).dtype
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return action.to(dtype) + as_tensor(np.asarray(space.start)).to(dtype)
    if not isinstance(space, spaces.Box):
        return action.to(dtype)
    low, high = as_tensor(space.low), as_tensor(space.high)
    if box_counts(space) is not None:
        return action.to(dtype) + low
    middle, half, _ = (torch.as_tensor(part) for part in box_units(space))
    value = middle + half * action
    if not dtype.is_floating_point:
        limits = torch.iinfo(dtype)
        top = float(limits.max) if float(limits.max) <= limits.max else float(np.nextafter(float(limits.max), 0))
        # by int64: ONNX Runtime compares no shorter ones
        whole, low, high = (part.to(torch.int64) for part in (value.round().clamp(float(limits.min), top), low, high))
        return torch.minimum(torch.maximum(whole, low), high).to(dtype)
    largest = float(np.finfo(np.dtype(str(dtype).removeprefix("torch."))).max)
    return torch.minimum(torch.maximum(value, low.double().clamp(min=-largest)), high.double().clamp(max=largest)).to(
        dtype
    )


def _random_numbers() -> dict[Any, Any]:
    """Draws in terms of what ONNX draws."""
    aten = torch.ops.aten

    def uniform(x: Tensor, low: float = 0.0, high: float = 1.0, generator: None = None) -> Tensor:
        return torch.rand_like(x) * (high - low) + low

    def exponential(x: Tensor, rate: float = 1.0, generator: None = None) -> Tensor:
        return -torch.log1p(-torch.rand_like(x)) / rate

    def normal(x: Tensor, mean: float = 0.0, deviation: float = 1.0, generator: None = None) -> Tensor:
        return torch.randn_like(x) * deviation + mean

    return {
        aten.uniform.default: uniform,
        aten.exponential.default: exponential,
        aten.normal_functional.default: normal,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on what it does and on packages that nobody asked for."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
