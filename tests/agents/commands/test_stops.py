"""Runs that are stopped, killed, started twice, and whose terminal or disk goes away."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents.commands import output
from agents.commands import train as training
from agents.commands.cli import run
from agents.runs import checkpoint, folder
from tests.agents.commands.test_cli import TINY, refused

ROOT = Path(__file__).resolve().parents[3]
LONG = [*TINY, "--total-steps", "1_000_000", "--checkpoint-interval", "10_000_000", "--evaluation-episodes", "0"]


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "agents.commands.cli", *argv]


def start(*argv: str, **how: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    options = {"stdout": pipe, "stderr": pipe, **how}
    return subprocess.Popen(command(*argv), text=True, env=environment, **options)  # type: ignore[call-overload]


def recorded(run_dir: Path) -> list[int]:
    """The steps of the updates; an evaluation is recorded, too."""
    try:
        records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
        return [record["step"] for record in records if "evaluation/return" not in record]
    except (OSError, ValueError):
        return []


def wait_for(run_dir: Path, records: int = 1) -> None:
    until = time.monotonic() + 120
    while len(recorded(run_dir)) < records:
        assert time.monotonic() < until, "no record in two minutes"
        time.sleep(0.02)


def send(run_dir: Path, *numbers: int) -> threading.Thread:
    def wait_and_send() -> None:
        wait_for(run_dir, 2)
        for number in numbers:
            os.kill(os.getpid(), number)

    helper = threading.Thread(target=wait_and_send, daemon=True)
    helper.start()
    return helper


def state_of(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["status", str(run_dir)]) == 0
    said = capsys.readouterr().out
    assert " left" not in said
    found = re.search(r"^state +(.*?) *$", said, re.MULTILINE)
    assert found
    return found[1]


# ---- signals


@pytest.mark.parametrize(
    ("numbers", "code", "by"),
    [
        ([signal.SIGINT], 130, "Ctrl-C"),
        ([signal.SIGTERM], 143, "SIGTERM"),
        ([signal.SIGHUP], 129, "SIGHUP"),
        ([signal.SIGTERM, signal.SIGTERM], 143, "SIGTERM"),  # some send it to the process and to its group
    ],
)
def test_every_wish_to_stop_saves_and_status_says_so(tmp_path, capsys, numbers, code, by):
    run_dir = tmp_path / "run"
    before = [signal.getsignal(number) for number in numbers]
    helper = send(run_dir, *numbers)
    assert run(["train", *LONG, "--run-dir", str(run_dir)]) == code
    helper.join()
    assert [signal.getsignal(number) for number in numbers] == before
    assert checkpoint.latest(run_dir).name == f"step-{recorded(run_dir)[-1]:012d}"
    assert f"stopped, saved; go on with: {training.command('train', '--resume', run_dir)}" in capsys.readouterr().out
    assert re.fullmatch(rf"stopped by {by} \d s ago, last record \d s ago", state_of(run_dir, capsys))


def test_a_second_ctrl_c_stops_at_once_and_status_says_so(tmp_path, capsys):
    run_dir = tmp_path / "run"
    helper = send(run_dir, signal.SIGINT, signal.SIGINT)
    assert run(["train", *LONG, "--run-dir", str(run_dir)]) == 130
    helper.join()
    assert state_of(run_dir, capsys).startswith(("stopped at once by Ctrl-C", "stopped by Ctrl-C"))


def test_a_stop_that_is_ignored_stays_so(tmp_path, capsys):
    run_dir = tmp_path / "run"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        helper = send(run_dir, signal.SIGHUP, signal.SIGTERM)
        assert run(["train", *LONG, "--run-dir", str(run_dir)]) == 143
        helper.join()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stop_before_anything_is_learned_says_so(tmp_path, capsys, monkeypatch):
    run_dir = tmp_path / "run"
    from agents.placement import local

    original = local.Training.__init__

    def stopped(self, *args):
        original(self, *args)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(local.Training, "__init__", stopped)
    assert run(["train", *LONG, "--run-dir", str(run_dir)]) == 143
    assert "stopped, nothing was learned yet; go on with" in capsys.readouterr().out


# ---- what is printed to


def test_a_reader_that_goes_away_ends_nothing(tmp_path):
    run_dir = tmp_path / "run"
    both = start("train", *TINY, "--total-steps", "4096", "--run-dir", str(run_dir), stderr=subprocess.STDOUT)
    assert both.stdout is not None
    both.stdout.readline()
    both.stdout.close()  # as `head -1` does
    assert both.wait(120) == 0
    assert recorded(run_dir)[-1] == 4096
    assert (run_dir / "evaluation.json").exists()


def test_ctrl_c_after_tee_has_died_saves(tmp_path):
    run_dir = tmp_path / "run"
    process = start("train", *LONG, "--run-dir", str(run_dir), stderr=subprocess.STDOUT)
    wait_for(run_dir, 2)
    assert process.stdout is not None
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert checkpoint.latest(run_dir).name == f"step-{recorded(run_dir)[-1]:012d}"


def test_a_stream_that_fails_falls_silent_and_one_that_cannot_spell_replaces():
    class Broken:
        encoding = "ascii"

        def __init__(self):
            self.seen, self.error = [], None

        def write(self, text):
            if self.error:
                raise self.error
            text.encode("ascii")
            self.seen.append(text)

        flush = fileno = lambda self: 1 / 0 if self.error is None else self._raise()

        def _raise(self):
            raise self.error

    stream = Broken()
    lenient = output.Lenient(stream)
    assert lenient.write("grün") == 4
    assert stream.seen == ["gr?n"]
    stream.error = RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")
    lenient.write("lost")
    stream.error = None
    lenient.write("said")
    stream.error = BrokenPipeError()
    lenient.write("more")
    lenient.flush()
    stream.error = None
    lenient.write("silent")
    lenient.flush()
    assert stream.seen == ["gr?n", "said"]
    assert lenient.encoding == "ascii"


# ---- killed, and started twice


def test_killed_before_the_first_checkpoint_it_can_be_resumed_and_started_again(tmp_path, capsys):
    run_dir = tmp_path / "run"
    process = start("train", *LONG, "--run-dir", str(run_dir))
    wait_for(run_dir, 2)
    process.kill()
    process.wait()
    assert state_of(run_dir, capsys).startswith("killed, last record ")
    shutil.copytree(run_dir, tmp_path / "again")
    assert run(["train", "--resume", str(run_dir), "--total-steps", "192"]) == 0
    assert "ended before its first checkpoint: it begins anew" in capsys.readouterr().out
    assert recorded(run_dir) == [64, 128, 192]
    assert run(["train", *TINY, "--run-dir", str(tmp_path / "again")]) == 0
    assert recorded(tmp_path / "again") == [64, 128, 192, 256]
    assert len(list((tmp_path / "again/tensorboard").iterdir())) == 1


def test_a_second_process_is_refused_in_words_and_harms_nothing(tmp_path, capsys):
    run_dir = tmp_path / "run"
    assert run(["train", *TINY, "--run-dir", str(run_dir), "--evaluation-episodes", "0"]) == 0
    with folder.occupied(run_dir):
        folder.write_state(run_dir, folder.RUNNING)
        argv = ["train", "--resume", str(run_dir), "--total-steps", "512"]
        assert f"another process (process {os.getpid()} on " in refused(capsys, *argv)
        assert run(["status", str(run_dir)]) == 0
        assert "trained, evaluating" in capsys.readouterr().out
        assert run(["evaluate", str(run_dir), "--episodes", "1"]) == 0  # reading is free
    assert recorded(run_dir) == [64, 128, 192, 256]
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    with folder.occupied(fresh):
        assert "another process" in refused(capsys, "train", *TINY, "--run-dir", str(fresh))
        assert fresh.exists()  # it is the other's
    assert run(["train", *TINY, "--run-dir", str(fresh), "--evaluation-episodes", "0"]) == 0


def test_starts_in_one_second_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "run_name", lambda *args: "it")
    for _ in range(3):
        assert run(["train", *TINY, "--total-steps", "64", "--evaluation-episodes", "0"]) == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"it", "it-2", "it-3"}


# ---- disks


def test_a_run_whose_folder_is_taken_away_says_so(tmp_path, capsys):
    run_dir = tmp_path / "run"

    def take_away() -> None:
        wait_for(run_dir, 2)
        run_dir.rename(tmp_path / "taken")  # at once: what is written between two deletions would keep the folder

    helper = threading.Thread(target=take_away, daemon=True)
    helper.start()
    said = refused(capsys, "train", *LONG, "--checkpoint-interval", "20000", "--run-dir", str(run_dir))
    helper.join()
    assert re.search(r"error: .*: the checkpoint of step [\d,]+ cannot be written \(the run's folder is gone\)", said)
    assert not run_dir.exists()


def test_a_limit_of_file_size_is_one_line_and_the_last_checkpoint_loads(tmp_path):
    run_dir = tmp_path / "run"
    assert run(["train", *TINY, "--run-dir", str(run_dir), "--evaluation-episodes", "0"]) == 0
    size = max(path.stat().st_size for path in checkpoint.latest(run_dir).iterdir())
    assert (run_dir / "config.yaml").stat().st_size < size - 2000
    limited = start(
        *("train", "--resume", str(run_dir), "--total-steps", "100000"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size - 2000, size - 2000)),
    )
    said = limited.communicate(timeout=120)
    assert limited.returncode == 2, said
    assert "Traceback" not in said[1]
    errors = [line for line in said[1].splitlines() if line.startswith("error:")]
    assert len(errors) == 1, said
    assert "cannot be written" in errors[0]
    assert checkpoint.load(checkpoint.latest(run_dir))["learner"]["steps"] == 256
    assert run(["train", "--resume", str(run_dir), "--total-steps", "320", "--evaluation-episodes", "0"]) == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB of its own, where this may be had."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_file_system_that_fills_up_is_one_line_and_the_last_checkpoint_loads(small_disk, capsys):
    run_dir = small_disk / "run"
    argv = [*TINY, "--total-steps", "1_000_000", "--checkpoint-interval", "1", "--keep-checkpoints", "100000"]
    said = refused(capsys, "train", *argv, "--run-dir", str(run_dir))
    assert said.count("error:") == 1
    assert "No space left on device" in said
    last = checkpoint.load(checkpoint.latest(run_dir))["learner"]["steps"]
    assert last == recorded(run_dir)[-1] - 64 or last == recorded(run_dir)[-1]
    for path in folder.checkpoints(run_dir)[5:]:
        shutil.rmtree(path)
    go_on = ["train", "--resume", str(run_dir), "--total-steps", str(last + 128), "--evaluation-episodes", "0"]
    assert run([*go_on, "--keep-checkpoints", "3"]) == 0
    assert recorded(run_dir)[-1] == last + 128


def test_a_folder_that_cannot_be_written_is_refused(small_disk, capsys, monkeypatch):
    monkeypatch.chdir(small_disk)
    run_dir = small_disk / "run"
    assert run(["train", *TINY, "--run-dir", str(run_dir), "--evaluation-episodes", "0"]) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        said = refused(capsys, "train", "--resume", str(run_dir), "--total-steps", "512")
        assert "Read-only file system" in said
        assert "cannot be written" in refused(capsys, "train", *TINY)
        assert "--json it.json: cannot be written" in refused(capsys, "evaluate", "run", "--json", "it.json")
        assert state_of(run_dir, capsys).startswith("finished ")
    finally:
        monkeypatch.chdir("/")


# ---- with workers


def test_a_run_with_workers_saves_too(tmp_path):
    run_dir = tmp_path / "run"
    argv = [*LONG, "--workers", "1", "--algorithm", "impala", "--impala.unroll", "16"]
    process = start("train", *argv, "--run-dir", str(run_dir), stderr=subprocess.STDOUT)
    wait_for(run_dir, 2)
    assert process.stdout is not None
    process.stdout.close()  # whatever it has to say
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    assert checkpoint.latest(run_dir).name == f"step-{recorded(run_dir)[-1]:012d}"
