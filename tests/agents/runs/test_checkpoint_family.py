"""Checkpoints beside foreign, damaged and vanishing ones, on disks that are full, and under any umask."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from agents.acting.player import load_player
from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.placement.local import train
from agents.runs import checkpoint, folder
from envs import registry
from tests.agents.placement.test_resume import POLICY, Recorder

SPACES = {"observation_space": "o", "action_space": "a"}


def state(step: int) -> dict[str, Any]:
    return {
        "learner": {"policy": {"w": torch.full((3,), float(step))}, "steps": step},
        "rollout": {"n": np.arange(step)},
    }


def save(run_dir: Path, *steps: int, keep: int = 10) -> None:
    for step in steps:
        checkpoint.save(run_dir, step, state(step), spaces=SPACES, keep=keep)


def steps(run_dir: Path) -> list[int]:
    return [folder.step_of(path) for path in folder.checkpoints(run_dir)]


def at(run_dir: Path, step: int) -> Path:
    return run_dir / "checkpoints" / f"step-{step:012d}"


def test_a_copy_beside_the_checkpoints_is_not_the_newest_and_pushes_none_out(tmp_path: Path) -> None:
    save(tmp_path, 1)
    shutil.copytree(at(tmp_path, 1), tmp_path / "checkpoints/step-best")
    for step in (2, 3):
        save(tmp_path, step, keep=1)
        assert steps(tmp_path) == [step]
        assert checkpoint.latest(tmp_path) == at(tmp_path, step)
    assert (tmp_path / "checkpoints/step-best").is_dir()


def test_damaged_ones_push_no_whole_one_out(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, 3, 4)
    (at(tmp_path, 3) / "state.pt").write_bytes(b"")
    (at(tmp_path, 4) / "manifest.json").unlink()
    save(tmp_path, 5, keep=2)
    assert steps(tmp_path) == [5, 4, 3, 2]  # two whole ones
    save(tmp_path, 6, keep=2)
    assert steps(tmp_path) == [6, 5]


def test_one_that_is_ahead_of_a_run_that_went_back_stays_out_of_the_way(tmp_path: Path) -> None:
    save(tmp_path, 1, 9)
    (at(tmp_path, 9) / "state.pt").write_bytes(b"")
    save(tmp_path, 2, keep=1)
    assert checkpoint.latest(tmp_path) == at(tmp_path, 2)
    save(tmp_path, 9, keep=1)
    assert steps(tmp_path) == [9]
    assert checkpoint.latest(tmp_path) == at(tmp_path, 9)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save(tmp_path, 1)
    finally:
        os.umask(before)
    assert at(tmp_path, 1).stat().st_mode & 0o777 == 0o777 & ~mask
    for path in at(tmp_path, 1).iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask, path


FORMS = [
    "[]",
    "null",
    "3",
    "{}",
    '{"format": 1}',
    '{"format": 1, "step": 2, "spaces": {}, "sha256": []}',
    '"text"',
    "\x00",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_manifest_of_another_form_is_passed_over(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1, 2)
    (at(tmp_path, 2) / "manifest.json").write_text(form)
    assert checkpoint.latest(tmp_path) == at(tmp_path, 1)
    assert "step-000000000002 is damaged (manifest.json: " in caplog.text


def forge(path: Path, name: str, content: bytes) -> None:
    """Another content that matches its sum."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))


def saved(value: Any, path: Path) -> bytes:
    torch.save(value, path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["no pickle", "no learner", "of another policy"])
def test_a_state_that_does_not_load_is_passed_over_for_the_one_before(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_dir = tmp_path / "run"
    config = Config(
        env="CartPole-v1",
        num_envs=2,
        total_steps=48,
        checkpoint_interval=16,
        threads=1,
        policy=POLICY,
        ppo=PPOConfig(unroll=8),
    )
    train(config, run_dir, Recorder(), resume=False)  # type: ignore[arg-type]
    newest, before = folder.checkpoints(run_dir)[:2]
    if kind == "of another policy":
        forge(newest, "policy.safetensors", safetensors.torch.save({"w": torch.zeros(2)}))
        load_player(run_dir, config, registry.make("CartPole-v1", 1), device="cpu")
    else:
        forge(newest, "state.pt", b"no" if kind == "no pickle" else saved({"rollout": {}}, tmp_path / "it"))
    recorder = Recorder()
    longer = config.model_copy(update={"total_steps": 64})
    train(longer, run_dir, recorder, resume=True)  # type: ignore[arg-type]
    assert recorder.started_at == folder.step_of(before) == 32
    assert f"{newest} is damaged (it does not load: " in caplog.text


def test_whoever_reads_while_checkpoints_rotate_tries_again(tmp_path: Path) -> None:
    save(tmp_path, 1)
    tried = []

    def read(path: Path) -> int:
        tried.append(folder.step_of(path))
        if len(tried) < 3:  # the run goes on meanwhile
            save(tmp_path, tried[-1] + 1, keep=1)
        return int(checkpoint.load(path)["learner"]["steps"])

    assert checkpoint.newest(tmp_path, read) == 3
    assert tried == [1, 2, 3]


@pytest.mark.parametrize("step", [1, 2])
def test_one_that_goes_is_never_seen_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    def killed_on_the_way(path: Path, ignore_errors: bool = False) -> None:
        (path / "manifest.json").unlink(missing_ok=True)

    save(tmp_path, 1)
    monkeypatch.setattr("shutil.rmtree", killed_on_the_way)
    save(tmp_path, step, keep=1)  # in place of the first, or after which it is too many
    assert [path.name for path in folder.checkpoints(tmp_path)] == [f"step-{step:012d}"]
    monkeypatch.undo()
    save(tmp_path, 3, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000000003"]


def test_what_is_read_is_never_half_of_one_and_half_of_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1)
    stop = threading.Event()

    def rotate() -> None:
        step = 2
        while not stop.is_set():
            save(tmp_path, step, keep=1)
            step += 1

    writer = threading.Thread(target=rotate)
    writer.start()
    try:
        for _ in range(60):
            loaded = checkpoint.newest(tmp_path, checkpoint.load)
            assert (loaded["learner"]["policy"]["w"] == loaded["learner"]["steps"]).all()
    finally:
        stop.set()
        writer.join()
    assert "damaged" not in caplog.text


# ---- disks


def assert_told_and_unharmed(run_dir: Path, words: str) -> None:
    before = steps(run_dir)
    with pytest.raises(UserError, match=words) as caught:
        save(run_dir, 99)
    assert "\n" not in str(caught.value)
    assert steps(run_dir) == before
    assert checkpoint.load(checkpoint.latest(run_dir))["learner"]["steps"] == before[0]
    assert [path.name for path in (run_dir / "checkpoints").iterdir() if path.name.startswith(".")] == []


def test_a_limit_of_file_size(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        assert_told_and_unharmed(
            tmp_path,
            r"the checkpoint of step 99 cannot be written \(.*File too large.*; the last one is step-000000000002",
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT])
def test_a_system_that_refuses_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    save(tmp_path, 1, 2)

    def refuse(*args: Any, **options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", refuse)
        else:
            original = getattr(Path, call)
            patch.setattr(
                Path,
                call,
                lambda self, *a, **k: (
                    refuse() if ".writing" in str(self) and "r" not in a[:1] else original(self, *a, **k)
                ),
            )
        assert_told_and_unharmed(tmp_path, os.strerror(code))


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written \(the run's folder is gone\); there is none"):
        save(tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()
