"""Runs on a Hugging Face hub, through its own client: what is needed to play and to train again, and no pickle.

A repository holds a run's folder as it is on disk, without what only going on needs: README.md (its card), config.yaml,
evaluations, metrics.jsonl, and the newest checkpoint's policy.safetensors and manifest.json.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optree

from agents.errors import UserError
from agents.runs import checkpoint, experiment, folder
from agents.runs.card import card

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
POLICY, MANIFEST = "policy.safetensors", "manifest.json"
CHECKPOINT = f"{folder.CHECKPOINTS}/step-*"
HELD = (
    "README.md",
    "config.yaml",
    "metrics.jsonl",
    "evaluation*.json",
    *(f"{CHECKPOINT}/{f}" for f in (POLICY, MANIFEST)),
)
"""What a repository holds, and all that is ever taken from one."""


def push(run_dir: Path, name: str, *, private: bool) -> str:
    """Upload a run's newest policy to the repository ``name`` (USER/NAME), which is made; returns its address.

    Raises UserError where there is no policy, and for what the hub refuses.
    """
    api = _client(name)
    with tempfile.TemporaryDirectory() as parent:
        made = Path(parent) / "run"
        step = bundle(run_dir, made, name)
        try:
            address = api.create_repo(name, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=name,
                folder_path=made,
                commit_message=f"The policy of step {step:,}",
                delete_patterns=[f"{CHECKPOINT}/*"],  # the one before
            )
        except Exception as error:
            raise _refused(f"push to {name}", error) from error
    return str(address)


def pull(name: str, run_dir: Path, *, revision: str | None = None) -> Path:
    """Download the run in the repository ``name`` into the folder ``run_dir``, which is new or empty.

    Raises UserError for a folder that is not, for what the hub refuses, and where what came is no whole run.
    """
    api = _client(name)
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UserError(f"{run_dir}: is there, and not empty; name another folder")
    with tempfile.TemporaryDirectory() as parent:
        came = Path(parent) / "run"
        try:
            api.snapshot_download(name, revision=revision, local_dir=came, allow_patterns=list(HELD))
        except Exception as error:
            raise _refused(f"pull from {name}", error) from error
        shutil.rmtree(came / ".cache", ignore_errors=True)
        if not (came / "config.yaml").is_file() or not folder.checkpoints(came):
            raise UserError(f"{name}: holds no run of perceiver-rl (it lacks config.yaml, or a checkpoint)")
        checkpoint.latest(came)
        try:
            shutil.copytree(came, run_dir, dirs_exist_ok=True)
        except OSError as error:
            raise UserError(f"{run_dir}: cannot be written ({error})") from error
    return run_dir


def bundle(run_dir: Path, target: Path, name: str) -> int:
    """Copy to ``target`` what a repository called ``name`` holds of a run; returns the step of its policy."""
    source = checkpoint.latest(run_dir)
    manifest = checkpoint.manifest(source)
    manifest["sha256"] = {POLICY: manifest["sha256"][POLICY]}
    here = _machine_paths(experiment.plain(experiment.read_run_config(run_dir)))
    try:
        kept = target / folder.CHECKPOINTS / source.name
        kept.mkdir(parents=True)
        shutil.copyfile(source / POLICY, kept / POLICY)
        (kept / MANIFEST).write_text(_without(json.dumps(manifest, indent=2), here) + "\n", encoding="utf-8")
        for path in (run_dir / "config.yaml", run_dir / "metrics.jsonl", *run_dir.glob("evaluation*.json")):
            if path.is_file():
                (target / path.name).write_text(_without(path.read_text(encoding="utf-8"), here), encoding="utf-8")
        (target / "README.md").write_text(_without(card(run_dir, name), here), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{run_dir}: cannot be copied to {target} ({error})") from error
    return int(manifest["step"])


def _machine_paths(options: Any) -> list[str]:
    """The files and folders of this machine that a run's options name, the longest first: they are nobody else's
    business, and nobody else has them."""
    values = optree.tree_leaves(options)
    found = {value for value in values if isinstance(value, str) and Path(value).is_absolute()}
    # "/" and "/x" may mean something else
    return sorted((value for value in found if len(Path(value).parts) > 2), key=len, reverse=True)


def _without(text: str, paths: Sequence[str]) -> str:
    for path in paths:
        text = text.replace(path, Path(path).name)
    return text


def _client(name: str) -> Any:
    if not REPOSITORY.fullmatch(name):
        raise UserError(f"{name}: expected USER/NAME, a repository on the hub")
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(f"the hub needs {error.name}: pip install 'perceiver-rl[hub]'") from error
    return huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


def _refused(what: str, error: Exception) -> UserError:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = "; log in with: hf auth login" if any(code in str(error) for code in ("401", "403", "token")) else ""
    return UserError(f"{what}: {type(error).__name__}: {said}{hint}")
