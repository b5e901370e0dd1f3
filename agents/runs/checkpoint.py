"""Checkpoints: whole or not there at all, checked before use, and safe to load.

A checkpoint is a folder `checkpoints/step-000000123456/` of a run:

- `policy.safetensors`: the parameters and buffers of the policy;
- `state.pt`: the rest of the learner's and the rollout's state, loaded with `weights_only=True`;
- `manifest.json`: format, step, versions, spaces, the run's options, and the SHA-256 of both files.

It is written under a temporary name, flushed to disk and renamed, so a process killed at any moment leaves whole
checkpoints only. One that was damaged afterwards is named and passed over for the one before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import optree
import safetensors.torch
import torch
from torch import Tensor

from agents.errors import UserError
from agents.runs import folder

FORMAT = 1
TRIES = 5  # to read checkpoints while another process writes new ones and deletes old ones
T = TypeVar("T")
_log = logging.getLogger(__name__)


def save(
    run_dir: Path,
    step: int,
    state: dict[str, Any],
    *,
    spaces: dict[str, str],
    space_data: Mapping[str, Any] | None = None,
    keep: int,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write the state (nest of tensors, arrays and plain values; ``state["learner"]["policy"]`` apart) at a step.

    ``spaces`` describes what the policy was built for, ``space_data`` says all of it (see :func:`data_of`), ``options``
    are the run's (plain values); the newest ``keep`` whole checkpoints stay. Raises UserError where it cannot be
    written; those before are then as they were.
    """
    learner = dict(state["learner"])
    policy = {name: tensor.contiguous() for name, tensor in learner.pop("policy").items()}
    rest = io.BytesIO()
    torch.save(_pack({**state, "learner": learner}), rest)
    files = {"policy.safetensors": memoryview(safetensors.torch.save(policy)), "state.pt": rest.getbuffer()}
    manifest = {
        "format": FORMAT,
        "step": step,
        "versions": {name: _version(name) for name in ("perceiver-rl", "torch", "numpy", "gymnasium")}
        | {"python": platform.python_version()},
        "spaces": spaces,
        "space_data": space_data,
        "options": options,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files["manifest.json"] = memoryview((json.dumps(manifest, indent=2) + "\n").encode())
    try:
        return _write(run_dir, step, files, keep)
    except OSError as error:
        left = next((path.name for path in folder.checkpoints(run_dir)), None)
        raise UserError(
            f"{run_dir}: the checkpoint of step {step:,} cannot be written ({error}); "
            + (f"the last one is {left}: make room, then go on with --resume {run_dir}" if left else "there is none")
        ) from error


def _write(run_dir: Path, step: int, files: Mapping[str, memoryview], keep: int) -> Path:
    if not run_dir.is_dir():
        raise FileNotFoundError("the run's folder is gone")
    parent = run_dir / folder.CHECKPOINTS
    parent.mkdir(exist_ok=True)
    for left_over in parent.glob(".writing-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    writing = parent / f".writing-{os.getpid()}"
    writing.mkdir()
    try:
        for name, content in files.items():
            with (writing / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        folder.flush(writing)
        final = parent / f"step-{step:012d}"
        if final.exists():
            _remove(final)
        writing.rename(final)
        folder.flush(parent)
    except OSError:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    whole = 1
    for path in folder.checkpoints(run_dir):
        if folder.step_of(path) >= step:
            continue
        if whole >= keep:
            with contextlib.suppress(OSError):  # it goes with the next one
                _remove(path)
        elif _fault(path) is None:  # one that is damaged must not push out one that is not
            whole += 1
    return final


def _remove(path: Path) -> None:
    # Out of sight at once: nobody who reads while it is deleted, or after a kill, finds a part of it.
    gone = path.with_name(f".writing-{os.getpid()}-{path.name}")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def latest(run_dir: Path) -> Path:
    """The newest whole checkpoint of a run. Raises UserError where there is none; warns of each damaged one."""
    return newest(run_dir, lambda path: path)


def newest(run_dir: Path, read: Callable[[Path], T]) -> T:
    """What ``read`` makes of the newest checkpoint that is whole and that it can read.

    Warns of each that is not. Raises UserError where there is none, and what ``read`` raises of that kind.
    """
    if not run_dir.is_dir():
        raise UserError(f"no run folder at {run_dir}: give the folder that training printed, such as runs/NAME")
    told: set[Path] = set()
    for _ in range(TRIES):
        paths = folder.checkpoints(run_dir)
        for path in paths:
            fault = _fault(path)
            if fault is None:
                try:
                    return read(path)
                except UserError:
                    raise
                except Exception as error:
                    fault = f"it does not load: {type(error).__name__}: {error}"
            if not path.exists():  # a newer one has taken its place
                break
            if path not in told:
                told.add(path)
                _log.warning("checkpoint %s is damaged (%s); trying the one before it", path, fault)
        else:
            if not paths:
                run = (run_dir / "config.yaml").exists()
                why = "training has not come to the first one" if run else "it is no run folder"
                raise UserError(f"{run_dir} holds no checkpoint: {why}")
            break
    raise UserError(f"none of the {len(paths)} checkpoints in {run_dir / folder.CHECKPOINTS} is whole")


def check(path: Path) -> None:
    """Raises UserError where the checkpoint at ``path`` is not whole."""
    fault = _fault(path)
    if fault is not None:
        raise UserError(f"checkpoint {path} is damaged: {fault}")


def manifest(path: Path) -> dict[str, Any]:
    """A checkpoint's manifest. Raises ValueError where it is none."""
    found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__} instead of an object")
    if found.get("format") != FORMAT:
        raise ValueError(f"its format is {found.get('format')!r}, this version reads {FORMAT}")
    for name, kind in (("step", int), ("spaces", dict), ("sha256", dict)):
        if not isinstance(found.get(name), kind):
            raise ValueError(f"{name!r} is {found.get(name)!r}")
    return found


def load_policy(path: Path) -> dict[str, Tensor]:
    """The policy's state_dict."""
    return safetensors.torch.load_file(path / "policy.safetensors")


def average(run_dir: Path, last: int, out: Path) -> list[int]:
    """Write the mean of the parameters of a run's newest ``last`` checkpoints to ``out``, a folder, as one that holds a
    policy alone; the steps that it is the mean of. At a constant learning rate single ones are as far apart as their
    gradients are noisy, around a better one (Izmailov et al. 2018, arXiv 1803.05407).

    Raises UserError where fewer are whole, and where it cannot be written.
    """
    each: dict[Path, dict[str, Tensor]] = {}
    for path in folder.checkpoints(run_dir):
        if len(each) == last:
            break
        fault = _fault(path)
        if fault is None:
            with contextlib.suppress(OSError):  # a run that goes on deletes old ones
                each[path] = load_policy(path)
        elif path.exists():
            _log.warning("checkpoint %s is damaged (%s); it is left out", path, fault)
    if len(each) < last:
        raise UserError(
            f"{run_dir} holds {len(each)} whole checkpoints, not {last}: train keeps --keep-checkpoints of them, one "
            "each --checkpoint-interval steps"
        )
    newest_one = next(iter(each))
    mean = {
        name: torch.stack([policy[name].double() for policy in each.values()]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in each[newest_one].items()
    }
    steps, found = [folder.step_of(path) for path in each], manifest(newest_one)
    content = safetensors.torch.save(mean)
    found |= {"mean_of": steps, "sha256": {"policy.safetensors": hashlib.sha256(content).hexdigest()}}
    said = (json.dumps(found, indent=2) + "\n").encode()
    try:
        out.mkdir(parents=True, exist_ok=True)
        files = {"policy.safetensors": memoryview(content), "manifest.json": memoryview(said)}
        _write(out, steps[0], files, keep=1)
    except OSError as error:
        raise UserError(f"{out}: the mean cannot be written ({error})") from error
    return steps


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` was given. Raises UserError for a checkpoint that holds a policy alone."""
    if "state.pt" not in manifest(path)["sha256"]:
        raise UserError(
            f"{path}: holds a policy without the state of its training, as what is pulled from a hub does; a new run "
            "starts from it with --init and the run's folder"
        )
    state = _unpack(torch.load(path / "state.pt", weights_only=True))
    state["learner"]["policy"] = load_policy(path)
    found: dict[str, Any] = state
    return found


def data_of(observation_space: Any, action_space: Any) -> dict[str, Any] | None:
    """Spaces as plain values, for :func:`save`; None where one of them is of a kind that cannot be written down."""
    from agents.runs.space_data import to_data

    try:
        return {"observation_space": to_data(observation_space), "action_space": to_data(action_space)}
    except ValueError:
        return None


def spaces_of(path: Path) -> tuple[Any, Any] | None:
    """The observation and the action space that a checkpoint holds as data; None where it holds none."""
    from agents.runs.space_data import from_data

    data = manifest(path).get("space_data")
    return None if data is None else (from_data(data["observation_space"]), from_data(data["action_space"]))


def check_spaces(path: Path, spaces: dict[str, str]) -> None:
    """Raises UserError where a checkpoint was made for other spaces than these."""
    for name, trained in manifest(path)["spaces"].items():
        if spaces.get(name) != trained:
            raise UserError(
                f"checkpoint {path} was trained with the {name.replace('_', ' ')}\n  {trained}\n"
                f"but this environment has\n  {spaces.get(name)}\n"
                "Use the environment and the options of its config.yaml, or train a new policy."
            )


def _fault(path: Path) -> str | None:
    try:
        found = manifest(path)
    except (OSError, ValueError) as error:
        return f"manifest.json: {error}"
    for name in {"policy.safetensors"} | found["sha256"].keys():
        try:
            if _sha256(path / name) != found["sha256"].get(name):
                return f"{name} is not what was written"
        except OSError:
            return f"{name} is missing"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
