"""What of a run can be a person's own, by name, besides what the policy has. Importing this does not import torch."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from agents.errors import UserError
from perceiver_policy.registry import Registry

ALGORITHMS = Registry("algorithm", {name: f"agents.learning.{name}" for name in ("ppo", "appo", "impala")})
"""Classes of :class:`~agents.learning.state.Algorithm`, or modules with its ``update`` and ``on_policy``."""
LOSSES = Registry("loss", {})
"""Functions of (policy, observation, action, evaluated) to a number for each step [T, B], see `regularization`."""
CALLBACKS = Registry("callback", {})
"""Classes of :class:`~agents.runs.callbacks.Callback`, called without arguments."""
LOGGERS = Registry(
    "logger",
    {
        "tensorboard": "agents.runs.tensorboard:TensorBoard",
        "wandb": "agents.runs.trackers:WandB",
        "mlflow": "agents.runs.trackers:MLflow",
    },
)
"""Classes of :class:`~agents.runs.callbacks.Logger`, called without arguments."""


def load(modules: Iterable[str]) -> None:
    """Import what registers extensions: modules, from the path of imports or from this folder, and files in .py.

    Raises UserError that names one that cannot be imported; what its own code raises is that error's cause.
    """
    here = os.getcwd()
    if here not in sys.path:  # a console script does not see the folder it is called in
        sys.path.append(here)
    for name in modules:
        try:
            _import(name)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}"
            raise UserError(
                f"extensions: {name} cannot be imported in {here} ({why}); it holds code that this run needs: install "
                "it, or call this where it is"
            ) from error


def _import(name: str) -> None:
    if not name.endswith(".py"):
        importlib.import_module(name)
        return
    path = Path(name).absolute()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    known = sys.modules.get(path.stem)
    if known is not None and Path(getattr(known, "__file__", None) or "") == path:
        return
    if known is not None:
        raise ImportError(f"{path.stem!r} is the name of another module: rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
