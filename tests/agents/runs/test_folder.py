"""A run's folder: free names, one process at a time, and what in it counts."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agents.errors import UserError
from agents.runs import folder

HOLD = """
import sys
from pathlib import Path
from agents.runs import folder
with folder.occupied(Path(sys.argv[1])):
    folder.write_state(Path(sys.argv[1]), folder.RUNNING)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_several_starts_of_one_name_get_a_folder_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: folder.new(tmp_path / "runs", "it"), range(8)))
    assert {path.name for path in made} == {"it", *(f"it-{n}" for n in range(2, 9))}


def test_a_folder_is_one_processes_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    assert folder.at_work(tmp_path) is None
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert folder.at_work(tmp_path) is True
    with (
        pytest.raises(UserError, match=rf"another process \(process {holder.pid} on .*--run-dir"),
        folder.occupied(tmp_path),
    ):
        pass
    holder.kill()
    holder.wait()
    assert folder.at_work(tmp_path) is False
    with folder.occupied(tmp_path):
        assert folder.at_work(tmp_path) is True
    assert folder.at_work(tmp_path) is False


def test_only_a_step_and_digits_is_a_checkpoint(tmp_path: Path) -> None:
    for name in (
        "step-000000000009",
        "step-000000000010",
        "step-best",
        "step-000000000010 copy",
        "step-",
        ".writing-1",
    ):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [folder.step_of(path) for path in folder.checkpoints(tmp_path)] == [10, 9]
    assert folder.checkpoints(tmp_path / "none") == []


def test_what_a_run_left_that_saved_nothing_is_unused_and_nothing_else_is(tmp_path: Path) -> None:
    assert folder.is_unused(tmp_path)
    assert folder.is_unused(tmp_path / "none")
    (tmp_path / "config.yaml").write_text("mine: true")
    assert not folder.is_unused(tmp_path)  # written by hand: a run locks its folder first
    with folder.occupied(tmp_path):
        folder.write_state(tmp_path, folder.RUNNING)
    (tmp_path / "checkpoints/.writing-7").mkdir(parents=True)
    (tmp_path / "metrics.jsonl.tmp").write_text("")
    assert folder.is_unused(tmp_path)
    (tmp_path / "checkpoints/step-best").mkdir()
    assert not folder.is_unused(tmp_path)
    (tmp_path / "checkpoints/step-best").rmdir()
    (tmp_path / "notes.txt").write_text("")
    assert not folder.is_unused(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": 3, "time": 1.0}', '{"state": "running"}'])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / folder.STATE).write_text(text)
    assert folder.state(tmp_path) == {}


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "it"
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    folder.write_whole(path, "one")
    assert synced == [str(path) + ".tmp", str(tmp_path)]  # the content before the name, then the name

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.write_whole(path, "two")
    assert path.read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["it"]
