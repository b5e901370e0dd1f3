"""What people hand over as an environment: an id, a class or function that makes one, or one that is there already."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium

from agents.errors import UserError
from envs.single import entry

Given: TypeAlias = str | Callable[..., gymnasium.Env[Any, Any]] | gymnasium.Env[Any, Any]


class Lent(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Somebody else's environment, which is theirs to close."""

    def close(self) -> None:
        """Do nothing."""


def name_of(given: Given) -> str:
    """The id under which an experiment names it, in this process and, where it can be imported, in others too."""
    if isinstance(given, str):
        return given
    if isinstance(given, gymnasium.Env):
        return _keep(type(given.unwrapped).__name__, _Lender(given))
    if not callable(given):
        raise UserError(
            f"env: expected an environment's id, one that is there, or a function that makes one, got {given!r}"
        )
    module, name = getattr(given, "__module__", ""), getattr(given, "__qualname__", type(given).__name__)
    if module != "__main__" and getattr(sys.modules.get(module), name, None) is given:
        return f"{module}:{name}"
    return _keep(name.replace("<lambda>", "function"), given)


def is_one(given: Given | None) -> bool:
    """Whether it is an environment that is there already, of which there is one."""
    return isinstance(given, gymnasium.Env)


def _keep(name: str, make: Callable[..., gymnasium.Env[Any, Any]]) -> str:
    for known, made in entry.GIVEN.items():
        if make is made or (isinstance(make, _Lender) and isinstance(made, _Lender) and make.env is made.env):
            return known
    name = entry.HANDED_OVER + re.sub(r"[^\w.-]+", "-", name.rpartition(".")[2])
    number, free = 1, name
    while free in entry.GIVEN:
        number += 1
        free = f"{name}-{number}"
    entry.GIVEN[free] = make
    return free


class _Lender:
    """What "makes" an environment that is there already."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env

    def __call__(self, **options: Any) -> gymnasium.Env[Any, Any]:
        if options:
            raise TypeError(f"it is there already, and takes no options ({', '.join(options)})")
        return Lent(self.env)
