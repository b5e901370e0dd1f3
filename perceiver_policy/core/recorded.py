"""Modules that remember what they were built with, so that a description of them can be saved and built again.

A description is made of what JSON has. Only classes and functions that are `recorded` are ever named in one, so
building from a description runs nothing else.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

Thing = TypeVar("Thing", bound=Callable[..., Any])

RECORDED: dict[str, Callable[..., Any]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "tanh": torch.tanh}
"""What may be named in a description."""


def recorded(thing: Thing) -> Thing:
    """Decorates a class of modules whose instances shall remember their arguments, or a function that may be one (an
    activation). Raises ValueError for a name that another has."""
    name = thing.__name__
    if name in RECORDED:
        raise ValueError(f"another class or function is recorded as {name!r}: give this one another name")
    RECORDED[name] = thing
    if isinstance(thing, type):
        _remember(thing)
    return thing


def _remember(cls: Any) -> None:
    original = cls.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if type(self) is cls:  # not while a subclass, with arguments of its own, builds its part
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            self.built_with = dict(list(bound.arguments.items())[1:])

    cls.__init__ = __init__


def describe(module: nn.Module) -> Any:
    """What builds a module like this one, of numbers, texts, lists and dicts.

    Raises ValueError, naming the argument, for what cannot be described.
    """
    seen: dict[int, int] = {}

    def encode(value: Any, where: str) -> Any:
        if isinstance(value, nn.Module):
            if id(value) in seen:
                return {"same": seen[id(value)]}
            arguments = getattr(value, "built_with", None)
            if arguments is None or RECORDED.get(type(value).__name__) is not type(value):
                raise ValueError(f"{where}: cannot describe a {type(value).__name__}: its class is not @recorded")
            inner = {name: encode(part, f"{where}.{name}") for name, part in arguments.items()}
            seen[id(value)] = len(seen)
            return {"module": type(value).__name__, "arguments": inner}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Mapping):
            return {"map": {str(key): encode(part, f"{where}.{key}") for key, part in value.items()}}
        if isinstance(value, Sequence):
            return [encode(part, f"{where}.{i}") for i, part in enumerate(value)]
        if isinstance(value, functools.partial) and not value.args:
            return encode(value.func, where) | {"arguments": {k: encode(v, where) for k, v in value.keywords.items()}}
        for name, known in RECORDED.items():
            if value is known:
                return {"function": name}
        raise ValueError(f"{where}: cannot describe {value!r}: expected numbers, texts, and what is @recorded")

    return encode(module, "model")


def build(description: Any) -> nn.Module:
    """A module like the described one, with fresh weights. Raises ValueError for a description that names something
    unknown, or whose arguments do not fit."""
    built: list[nn.Module] = []

    def named(name: Any) -> Any:
        if name not in RECORDED:
            raise ValueError(f"the description names {name!r}: import the module that has it, @recorded, first")
        return RECORDED[name]

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(map(decode, value))
        if not isinstance(value, dict):
            return value
        if "same" in value:
            return built[value["same"]]
        if "map" in value:
            return {key: decode(part) for key, part in value["map"].items()}
        arguments = {key: decode(part) for key, part in value.get("arguments", {}).items()}
        if "function" in value:
            function = named(value["function"])
            return functools.partial(function, **arguments) if arguments else function
        try:
            built.append(named(value["module"])(**arguments))
        except TypeError as error:
            raise ValueError(f"the description does not fit this version of {value['module']}: {error}") from error
        return built[-1]

    try:
        module = decode(description)
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"not the description of a module: {error!r}") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"expected the description of a module, got {type(description).__name__}")
    return module
