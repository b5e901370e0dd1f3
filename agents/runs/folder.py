"""A run's folder: its name, who is at work in it, what is in it, and how its run has ended.

Nothing here imports torch.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agents.errors import UserError

LOCK, STATE, CHECKPOINTS, BEST = ".lock", "state.json", "checkpoints", "best"
POOL, PAYOFFS = "pool", "opponents.json"
RUNNING = "running"  # as a state; others say how a run has ended
STEP = re.compile(r"step-(\d+)")
# What a run leaves before its first checkpoint: nothing that was learned.
REMAINS = {
    LOCK,
    STATE,
    CHECKPOINTS,
    BEST,
    POOL,
    PAYOFFS,
    "config.yaml",
    "metrics.jsonl",
    "tensorboard",
    "wandb",
    "mlflow-id",
}


def new(parent: Path, name: str) -> Path:
    """Make a folder ``parent/name``, or where that is taken ``name-2``, ``name-3``, ...; no other process gets it."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError


def checkpoints(run_dir: Path) -> list[Path]:
    """The folders of a run's checkpoints, the newest first; a copy under another name is none."""
    found = {int(m[1]): path for path in _inside(run_dir / CHECKPOINTS) if (m := STEP.fullmatch(path.name))}
    return [found[step] for step in sorted(found, reverse=True)]


def step_of(checkpoint: Path) -> int:
    """The step at which a checkpoint was written."""
    return int(checkpoint.name.removeprefix("step-"))


def saved_options(run_dir: Path) -> dict[str, Any] | None:
    """The options that the newest readable manifest holds; none where there is none, or of an older version."""
    for path in checkpoints(run_dir):
        try:
            found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["options"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, dict):
            return found
    return None


def is_unused(run_dir: Path) -> bool:
    """Whether there is nothing in it, or only what a run (it locks its folder) left that had saved nothing."""
    if not run_dir.is_dir():
        return not run_dir.exists()
    names = {path.name.removesuffix(".tmp") for path in run_dir.iterdir()}
    saved = [path for path in _inside(run_dir / CHECKPOINTS) if not path.name.startswith(".writing-")]
    return not names or (LOCK in names and names <= REMAINS and not saved)


def clear(run_dir: Path, *, but: tuple[str, ...]) -> None:
    """Empty it, but for these names."""
    for path in run_dir.iterdir():
        if path.name in but:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def occupied(run_dir: Path) -> Iterator[None]:
    """Be the only process at work in a run's folder. Raises UserError where another one is.

    The lock goes with its process, however that ends.
    """
    lock = FileLock(run_dir / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        found = state(run_dir)
        who = f" (process {found['pid']} on {found['host']})" if {"pid", "host"} <= found.keys() else ""
        raise UserError(
            f"{run_dir}: another process{who} is at work in this folder; wait for it, stop it, or use another --run-dir"
        ) from None
    except OSError as error:
        raise UserError(f"{run_dir}: cannot be written ({error})") from error
    try:
        yield
    finally:
        lock.release()


def at_work(run_dir: Path) -> bool | None:
    """Whether a process is at work in it; None where that cannot be told, as for a run of an older version."""
    if not (run_dir / LOCK).exists():
        return None
    lock = FileLock(run_dir / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return None
    lock.release()
    return False


def write_state(run_dir: Path, how: str) -> None:
    """Say how the run stands: ``running``, or how it has ended. Raises OSError."""
    told = {"state": how, "time": time.time(), "pid": os.getpid(), "host": socket.gethostname()}
    write_whole(run_dir / STATE, json.dumps(told) + "\n")


def state(run_dir: Path) -> dict[str, Any]:
    """What :func:`write_state` has left; empty where there is nothing that can be read."""
    try:
        found = json.loads((run_dir / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and isinstance(found.get("state"), str) and isinstance(found.get("time"), float)
    return found if whole else {}


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, whatever happens. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Have the system write a file, or a folder's names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inside(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []
