"""Checkpoints: whole or not there at all, checked before use, and safe to load.

A checkpoint is a folder `checkpoints/step-000000123456/` of a run:

- `policy.safetensors`: the parameters and buffers of the policy;
- `state.pt`: the rest of the learner's and the rollout's state, loaded with `weights_only=True`;
- `manifest.json`: format, step, versions, spaces, and the SHA-256 of both files.

It is written under a temporary name, flushed to disk and renamed, so a process killed at any moment leaves whole
checkpoints only. One that was damaged afterwards is named and passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import optree
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.errors import UserError

FORMAT = 1
_log = logging.getLogger(__name__)


def save(run_dir: Path, step: int, state: dict[str, Any], *, spaces: dict[str, str], keep: int) -> Path:
    """Write the state (nest of tensors, arrays and plain values; ``state["learner"]["policy"]`` apart) at a step.

    ``spaces`` describes what the policy was built for; the newest ``keep`` checkpoints stay.
    """
    folder = run_dir / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(".writing-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    learner = dict(state["learner"])
    policy = {name: tensor.contiguous() for name, tensor in learner.pop("policy").items()}
    save_file(policy, writing / "policy.safetensors")
    torch.save(_pack({**state, "learner": learner}), writing / "state.pt")
    manifest = {
        "format": FORMAT,
        "step": step,
        "versions": {name: _version(name) for name in ("perceiver-rl", "torch", "numpy", "gymnasium")}
        | {"python": platform.python_version()},
        "spaces": spaces,
        "sha256": {name: _sha256(writing / name) for name in ("policy.safetensors", "state.pt")},
    }
    (writing / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    for path in [*writing.iterdir(), writing]:
        _flush(path)
    final = folder / f"step-{step:012d}"
    if final.exists():
        shutil.rmtree(final)
    writing.rename(final)
    _flush(folder)
    for old in _folders(run_dir)[keep:]:
        shutil.rmtree(old)
    return final


def latest(run_dir: Path) -> Path:
    """The newest whole checkpoint of a run. Raises UserError where there is none; warns of each damaged one."""
    if not run_dir.is_dir():
        raise UserError(f"no run folder at {run_dir}: give the folder that training printed, such as runs/NAME")
    folders = _folders(run_dir)
    if not folders:
        raise UserError(f"{run_dir} holds no checkpoint: it is no run folder, or training stopped before the first one")
    for path in folders:
        fault = _fault(path)
        if fault is None:
            return path
        _log.warning("checkpoint %s is damaged (%s); trying the one before it", path, fault)
    raise UserError(f"none of the {len(folders)} checkpoints in {run_dir / 'checkpoints'} is whole")


def manifest(path: Path) -> dict[str, Any]:
    """A checkpoint's manifest."""
    found: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    return found


def load_policy(path: Path) -> dict[str, Tensor]:
    """The policy's state_dict."""
    return load_file(path / "policy.safetensors")


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` was given."""
    state = _unpack(torch.load(path / "state.pt", weights_only=True))
    state["learner"]["policy"] = load_policy(path)
    found: dict[str, Any] = state
    return found


def check_spaces(path: Path, spaces: dict[str, str]) -> None:
    """Raises UserError where a checkpoint was made for other spaces than these."""
    for name, trained in manifest(path)["spaces"].items():
        if spaces[name] != trained:
            raise UserError(
                f"checkpoint {path} was trained with the {name.replace('_', ' ')}\n  {trained}\n"
                f"but this environment has\n  {spaces[name]}\n"
                "Use the environment and the options of its config.yaml, or train a new policy."
            )


def _folders(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "checkpoints").glob("step-*"), reverse=True)


def _fault(path: Path) -> str | None:
    try:
        found = manifest(path)
    except (OSError, ValueError) as error:
        return f"manifest.json: {error}"
    if found.get("format") != FORMAT:
        return f"its format is {found.get('format')!r}, this version reads {FORMAT}"
    for name, digest in found["sha256"].items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if _sha256(path / name) != digest:
            return f"{name} is not what was written"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _pack(nest: Any) -> Any:
    """Arrays become tensors, marked: `weights_only` loads no arrays."""
    return optree.tree_map(lambda x: {"array": torch.from_numpy(x.copy())} if isinstance(x, np.ndarray) else x, nest)


def _unpack(nest: Any) -> Any:
    def is_array(x: Any) -> bool:
        return isinstance(x, dict) and set(x) == {"array"}

    return optree.tree_map(lambda x: x["array"].numpy() if is_array(x) else x, nest, is_leaf=is_array)
