"""Runs that are killed at random moments go on, and end bit for bit as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agents.commands.cli import run
from agents.runs import checkpoint, folder
from tests.agents.commands.test_cli import TINY
from tests.agents.commands.test_stops import recorded
from tests.agents.placement.test_resume import assert_same

ROOT = Path(__file__).resolve().parents[3]
FREQUENT = ["--checkpoint-interval", "64", "--evaluation-episodes", "0"]


def cut_short(argv: list[str], number: int, run_dir: Path, wait: float) -> int:
    """Start, and send a signal so long after a new record, once there is a checkpoint; returns the exit code."""
    before = len(recorded(run_dir))
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.commands.cli", "train", *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 120
    while (len(recorded(run_dir)) <= before or not folder.checkpoints(run_dir)) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.002)
    time.sleep(wait)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert b"Traceback" not in said, said.decode()
    return process.returncode


def outlives(tmp_path: Path, number: signal.Signals, times: int, total: int) -> None:
    random = np.random.default_rng(number)
    argv = [*TINY, *FREQUENT, "--total-steps", str(total)]
    assert run(["train", *argv, "--run-dir", str(tmp_path / "whole")]) == 0
    run_dir = tmp_path / "parts"
    codes = []
    for i in range(times):
        start = ["--resume", str(run_dir)] if i else [*argv, "--run-dir", str(run_dir)]
        codes.append(cut_short(start, number, run_dir, random.uniform(0, 0.08)))
        path = checkpoint.latest(run_dir)
        assert checkpoint.load(path)["learner"]["steps"] >= 64
    # one that had come to its end before the signal says so
    assert set(codes) == {-9 if number == signal.SIGKILL else 143}
    assert run(["train", "--resume", str(run_dir)]) == 0
    whole, parts = (checkpoint.load(checkpoint.latest(tmp_path / name)) for name in ("whole", "parts"))
    for state in (whole, parts):
        assert state["learner"]["steps"] == total
        state["rollout"]["environments"].pop("pickle")  # pickles of equal environments may differ in their bytes
    assert_same(whole, parts)
    records = [
        [
            {name: value for name, value in json.loads(line).items() if not name.startswith("time/")}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "parts")
    ]
    assert records[0] == records[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_few_kills(tmp_path: Path, number: signal.Signals) -> None:
    outlives(tmp_path, number, 2, 64 * 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_twenty_kills(tmp_path: Path, number: signal.Signals) -> None:
    outlives(tmp_path, number, 20, 64 * 400)
