"""What can be added from outside, by its kind and a name. Importing this does not import torch.

Three ways lead to a name: it is built in, it has been registered by code that was imported (:meth:`Registry.register`),
or an installed package announces it as an entry point in the group ``perceiver_rl.KIND``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


class Unregistered(ValueError):
    """Nothing of that kind goes by that name; the message says what does, and how one is added."""


class Registry:
    """The things of one kind, such as networks, by name."""

    each: ClassVar[dict[str, Registry]] = {}
    """All of them, by their kinds."""

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        """``built_in`` says where each is, a module or ``module:name``: it is imported when it is first asked for."""
        self.kind = kind
        self.built_in = dict(built_in)
        self.added: dict[str, Any] = {}
        self.each[kind] = self

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that makes a class or a function known as ``name``; the last one of a name counts.

        Raises ValueError for a name that is built in: what a saved run says must go on meaning the same.
        """
        if name in self.built_in:
            raise ValueError(f"{self.kind} {name!r} is built in; register yours under another name")

        def add(thing: T) -> T:
            self.added[name] = thing
            return thing

        return add

    def find(self, name: str) -> Any:
        """What goes by ``name``. Raises Unregistered where nothing does, and whatever its import raises."""
        if name in self.added:
            return self.added[name]
        if name in self.built_in:
            module, colon, attribute = self.built_in[name].partition(":")
            return getattr(import_module(module), attribute) if colon else import_module(module)
        if name in _announced(self.kind):
            return _announced(self.kind)[name].load()
        self.check(name)
        raise AssertionError(name)

    def check(self, name: str) -> None:
        """Raises Unregistered where nothing goes by ``name``; imports nothing."""
        known = self.names()
        if name in known:
            return
        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        there = f" (there are: {', '.join(known)})" if known else ""
        raise Unregistered(
            f"no {self.kind} is called {name!r}{hint}{there}. One of your own is registered by the code that holds it, "
            "which the option extensions names (see docs/extending.md)"
        )

    def names(self) -> list[str]:
        """All that can be asked for."""
        return [*self.built_in, *sorted({*self.added, *_announced(self.kind)} - self.built_in.keys())]


NETWORKS = Registry("network", {"perceiver": "perceiver_policy.policy.policy:PerceiverPolicy"})
"""Modules made of a :class:`~perceiver_policy.policy.config.PolicyConfig` that stand where the Perceiver's encoder does
(see `perceiver_policy.policy.trunk`), or classes of PerceiverPolicy's kind."""
_MEMORIES = {"latents": "LatentMemory", "lstm": "LSTMMemory", "window": "WindowMemory"}
MEMORIES = Registry("memory", {name: f"perceiver_policy.policy.memory:{kind}" for name, kind in _MEMORIES.items()})
"""Modules made of the latents' number and width, of the kind of `perceiver_policy.policy.memory.Carried`."""


@cache
def _announced(kind: str) -> dict[str, EntryPoint]:
    """What installed packages announce; what they hold is imported when it is asked for."""
    return {point.name: point for point in entry_points(group=f"perceiver_rl.{kind}")}
