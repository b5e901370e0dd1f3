"""Perceiver RL under its own name: what people import, and what the console script starts.

    run = perceiver_rl.train("CartPole-v1", total_steps=100_000)
    agent = perceiver_rl.load(run)
    action = agent.act(observation)

Importing this is cheap: what a name needs is loaded when it is first used. The mini-games are then Gymnasium's too:
``gymnasium.make("perceiver_rl/MoveToBeacon")``.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from perceiver_rl import names

if TYPE_CHECKING:
    from agents.config import Config as Config
    from agents.errors import UserError as UserError
    from agents.learning.state import Algorithm as Algorithm
    from agents.runs.callbacks import Callback as Callback
    from agents.runs.callbacks import Logger as Logger
    from envs import spaces as spaces
    from perceiver_rl.extending import register as register
    from perceiver_rl.playing import Agent as Agent
    from perceiver_rl.playing import load as load
    from perceiver_rl.playing import record as record
    from perceiver_rl.running import Run as Run
    from perceiver_rl.running import imitate as imitate
    from perceiver_rl.running import train as train

__version__ = "0.1.0"

_WHERE = {
    "perceiver_rl.running": "Run imitate train",
    "perceiver_rl.playing": "Agent load record",
    "agents.config": "Config",
    "agents.errors": "UserError",
    "agents.learning.state": "Algorithm",
    "perceiver_rl.extending": "register",
    "agents.runs.callbacks": "Callback Logger",
    "envs": "spaces",
}
_MODULE_OF = {name: module for module, listed in _WHERE.items() for name in listed.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    names.pin()
    if taken := names.taken():
        raise ImportError(taken)
    if name == "spaces":
        return import_module("envs.spaces")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _register() -> None:
    names.pin()
    if taken := names.taken():
        warnings.warn(taken, stacklevel=2)
    else:
        import_module("envs.gymnasium_ids").register()


class _WhenGymnasiumComes:
    """Registers the mini-games as soon as somebody imports gymnasium, which it is too slow to do here."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """As an import hook is asked; the module itself is found by those that come after."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec else None
        if loader is None:
            return spec
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            _register()

        loader.exec_module = exec_module
        return spec


if "gymnasium" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _WhenGymnasiumComes())
