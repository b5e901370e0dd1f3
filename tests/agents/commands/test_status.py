"""What `perceiver-rl status` says of run folders written by hand, and of a real run."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from agents.commands.cli import run
from agents.commands.status import ago

CONFIG = "env: CartPole-v1\ntotal_steps: 10_000\nalgorithm: impala\nworkers: 2\nnum_envs: 8\nseed: 4\n"
EARLY = {"step": 1000, "time/steps_per_second": 90.0, "cluster/queue": 0.0, "learner/lag": 1.0, "learner/lag_max": 7.0}
LATE = {
    "step": 2500,
    "episode/return": 12.345,
    "episode/return/sim/MoveToBeacon": 3.5,
    "episode/return/sim/DefeatRoaches": -8.25,
    "episode/length": 41.0,
    "episode/count": 1234.0,
    "episode/aborted": 3.0,
    "time/steps_per_second": 110.0,
    "time/updates_per_second": 5.5,
    "cluster/workers": 2.0,
    "cluster/queue": 1.5,
    "cluster/worker_idle": 0.125,
    "cluster/learner_idle": 0.5,
    "cluster/overhead": 0.0925,
    "learner/lag": 2.0,
    "learner/lag_max": 4.0,
    "cluster/restarts": 5.0,
    "cluster/worker_restarts": 2.0,
    "cluster/environment_restarts": 3.0,
    "cluster/inference_restarts": 0.0,
    "cluster/learner_restarts": 0.0,
    "cluster/trajectories": 100.0,
    "cluster/learned": 96.0,
    "cluster/lost": 3.0,
    "cluster/too_old": 1.0,
}
LAST = {"step": 2600, "episode/return": None, "episode/count": 1240.0}  # recorded without what is measured by time


def write(run_dir: Path, *records: dict, age: float = 0.0) -> None:
    (run_dir / "config.yaml").write_text(CONFIG)
    path = run_dir / "metrics.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    os.utime(path, (time.time() - age,) * 2)


def told(capsys: pytest.CaptureFixture[str], run_dir: Path) -> dict[str, str]:
    """Label -> text; a row without a label goes by its place."""
    assert run(["status", str(run_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [re.fullmatch(r"(\w*)  +(.*?) *", line) for line in lines]
    return {row[1] or str(i): row[2] for i, row in enumerate(rows) if row}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_everything_that_is_known_of_a_run_with_workers(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_dir = Path("it")
    (run_dir / "checkpoints" / "step-000000000900").mkdir(parents=True)
    newest = run_dir / "checkpoints" / "step-000000002000"
    newest.mkdir()
    os.utime(newest, (time.time() - 600,) * 2)
    write(run_dir, EARLY, LATE, LAST)
    with (run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2700, "episode/ret')  # is being written
    rows = told(capsys, run_dir)
    assert rows.pop("state") in {f"running, last record {n} s ago" for n in range(5)}
    assert rows == {
        "run": "it",
        "experiment": "CartPole-v1, impala, 2 workers, seed 4",
        "steps": "2,600 of 10,000 (26%), 100 a second, 1:14 left",
        "return": "12.35, latest 100 episodes with actions drawn, 41 steps each",
        "5": "3.5 in sim/MoveToBeacon",
        "6": "-8.25 in sim/DefeatRoaches",
        "episodes": "1,240, 3 aborted",
        "updates": "5.5 a second",
        "data": "queue 0.75 updates, lag 1.5 updates, at most 7",
        "idle": "workers 12%, learners 50%, overhead 9% of processor time",
        "workers": "2 up",
        "restarts": "5 in all, workers 2, environments 3, inference 0, learners 0",
        "trajectories": "100 asked for, 96 learned from, 3 lost, 1 too old",
        "checkpoint": "step 2,000, 10 min ago",
    }


@pytest.mark.parametrize(
    ("records", "age", "state"),
    [
        ([LATE], 40, r"running, last record 4\d s ago"),
        ([LATE], 290, "stopped, last record 5 min ago"),
        ([{"step": 9, "time/updates_per_second": 0.01}], 290, "running, last record 5 min ago"),  # 100 s an update
        ([{**LATE, "step": 10_000}], 5 * 3600, "finished, last record 5 h ago"),
        ([], 290, "stopped, nothing recorded"),
    ],
)
def test_whether_a_run_is_at_work(tmp_path, capsys, records, age, state):
    write(tmp_path, *records, age=age)
    assert re.fullmatch(state, told(capsys, tmp_path)["state"])


def test_a_run_that_has_recorded_nothing(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(CONFIG)
    rows = told(capsys, tmp_path)
    assert rows["state"] == "running, nothing recorded"
    assert rows["steps"] == "0 of 10,000 (0%)"
    assert rows["checkpoint"] == "none yet"
    (tmp_path / "checkpoints" / "step-000000009000").mkdir(parents=True)  # as a trial of Ray Tune leaves it
    assert told(capsys, tmp_path)["steps"] == "9,000 of 10,000 (90%)"


def test_only_the_end_of_a_long_file_is_read(tmp_path, capsys):
    write(tmp_path, *({**LATE, "step": step, "episode/count": float(step)} for step in range(5000)))
    text = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").write_text("damaged" + text[7:])
    assert told(capsys, tmp_path)["episodes"] == "4,999, 3 aborted"


def test_what_is_no_run_is_refused(tmp_path, capsys):
    write(tmp_path, LATE, {"no": "step"}, LATE)
    (tmp_path / "empty").mkdir()
    for folder, answer in (
        (tmp_path / "none", "not a run folder: it is no folder"),
        (tmp_path / "empty", "not a run folder: it has no config.yaml"),
        (tmp_path, "among its last lines is one that is no record of metrics"),
    ):
        assert run(["status", str(folder)]) == 2
        said = capsys.readouterr().err
        assert answer in said
        assert "Traceback" not in said


def test_a_real_run(tmp_path, capsys):
    tiny = ["--num-envs", "4", "--ppo.unroll", "16", "--policy.latents", "2", "--evaluation-episodes", "0"]
    run_dir = tmp_path / "run"
    assert run(["train", "--env", "CartPole-v1", *tiny, "--total-steps", "256", "--run-dir", str(run_dir)]) == 0
    capsys.readouterr()
    rows = told(capsys, run_dir)
    last = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert rows["experiment"] == "CartPole-v1, ppo, one process, seed 0"
    assert re.fullmatch(r"finished \d s ago, last record \d s ago", rows["state"])
    assert rows["steps"].startswith("256 of 256 (100%), ")
    score = f"{last['episode/return']:.4g}, latest 100 episodes with actions drawn"
    assert rows["return"] == f"{score}, {last['episode/length']:.4g} steps each"
    assert rows["checkpoint"].startswith("step 256, ")
    assert not {"data", "idle", "workers", "restarts", "trajectories"} & set(rows)


def test_names_in_the_list_of_runs_are_whole_and_what_has_no_room_is_left_out(tmp_path, capsys, monkeypatch):
    name = "collect_minerals_and_gas-20261126-185315-seed0"
    (tmp_path / name).mkdir()
    write(tmp_path / name, LATE)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["runs", str(tmp_path)]) == 0
    narrow = capsys.readouterr().out
    assert [line.split()[:3] for line in narrow.splitlines()] == [["run", "steps", "return"], [name, "2,500", "12.35"]]
    monkeypatch.delenv("COLUMNS")  # a program reads it: rich would fold at 80 columns
    assert run(["runs", str(tmp_path)]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["run", "environment", "by", "seed", "steps", "return", "evaluated", "state"]
    assert row.split()[:4] == [name, "CartPole-v1", "impala", "4"]


def test_ages():
    assert [ago(s) for s in (0, 119, 120, 7199, 7200, 2 * 86400)] == [
        "0 s ago",
        "119 s ago",
        "2 min ago",
        "120 min ago",
        "2 h ago",
        "2 days ago",
    ]
