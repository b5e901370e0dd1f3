"""The stand-in game as the installation that PySC2 finds, and its processes as the system sees them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sc2(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``SC2PATH`` names the stand-in's folder."""
    pytest.importorskip("pysc2_evolved")
    monkeypatch.setenv("SC2PATH", str(installation))
    return installation


def games(folder: Path) -> list[int]:
    """The game processes of this installation, whoever started them."""
    import psutil

    listed = psutil.process_iter(["pid", "status", "cmdline"])
    return [
        process.pid
        for process in listed
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and any(str(folder) in word for word in process.info["cmdline"] or ())
    ]


def wait_for(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def play_there(folder: Path, fault: str = "") -> dict[str, str]:
    """The environment variables of a program that plays there, its games with that fault."""
    return {**os.environ, "SC2PATH": str(folder), "PYTHONPATH": str(ROOT), "PERCEIVER_RL_FAULT": fault}


def copy(nest: Any) -> Any:
    return {key: copy(value) for key, value in nest.items()} if isinstance(nest, dict) else np.array(nest)


def take(nest: Any, game: int) -> Any:
    return {key: take(value, game) for key, value in nest.items()} if isinstance(nest, dict) else nest[game]


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return np.array_equal(a, b)
