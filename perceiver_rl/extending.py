"""Make something of one's own known, for experiments to name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from agents import extensions
from agents.errors import UserError
from envs.spelling import did_you_mean
from perceiver_policy.registry import MEMORIES, NETWORKS, Registry

T = TypeVar("T")
BY_NAME = tuple(one.kind for one in (NETWORKS, MEMORIES, *vars(extensions).values()) if isinstance(one, Registry))
BY_SPACE = ("embedder", "head")


def register(kind: str, name: Any) -> Callable[[T], T]:
    """A decorator: make a class or function known under a name.

    | kind | of | an experiment names it in |
    |---|---|---|
    | ``network``, ``memory`` | modules | ``policy.network``, ``policy.memory`` |
    | ``algorithm`` | an `Algorithm` | ``algorithm``; its options in ``algorithm_options`` |
    | ``loss`` | a function | ``losses`` of the algorithm, with weights |
    | ``callback``, ``logger`` | a `Callback`, a `Logger` | ``callbacks``, ``track`` |
    | ``embedder``, ``head`` | modules made of a space and a width; ``name`` is the space's class | its space is met |

    Raises UserError for another kind, and ValueError for a name that is built in.
    """
    if kind in BY_NAME:
        return Registry.each[kind].register(name)
    if kind not in BY_SPACE:
        known = (*BY_NAME, *BY_SPACE)
        near = did_you_mean(kind, known)
        raise UserError(f"no kind of extension is called {kind!r}{near} (there are: {', '.join(known)})")
    if not isinstance(name, type):
        raise UserError(f"{kind}: expected the class of a space, got {name!r}")

    def add(made_of: Any) -> Any:
        from perceiver_policy.policy.choices import HEADS
        from perceiver_policy.policy.inputs import EMBEDDERS

        table: dict[type, Any] = EMBEDDERS if kind == "embedder" else HEADS
        table[name] = lambda space, how: made_of(space, how.width)
        return made_of

    return add
