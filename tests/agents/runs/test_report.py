import io
import json
import math
import os
import signal
import time

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.errors import UserError
from agents.runs.report import METRICS, Report, keep_metrics


def plain() -> Console:
    return Console(file=io.StringIO(), width=100)


def record(run_dir, begin, end, offset=0.0):
    with Report(run_dir, plain()) as report:
        report.start(begin, 100, 1234)
        for step in range(begin + 10, end + 10, 10):
            report.update(step, {"episode/return": step + offset, "time/seconds": 1.0})
    return report.console.file.getvalue()


def lines(run_dir):
    return [json.loads(line) for line in (run_dir / METRICS).read_text().splitlines()]


def test_a_run_leaves_a_line_an_update_and_curves(tmp_path):
    told = record(tmp_path, 0, 100)
    assert [line["step"] for line in lines(tmp_path)] == list(range(10, 101, 10))
    assert lines(tmp_path)[0] == {"step": 10, "episode/return": 10.0, "time/seconds": 1.0}
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in curves.Scalars("episode/return")] == [(s, s) for s in range(10, 101, 10)]
    assert "100 steps, 1,234 parameters" in told
    assert "step 10 of 100" in told
    assert "step 100 of 100" in told
    assert len(told.splitlines()) <= 4


def test_a_resumed_run_drops_what_it_does_again(tmp_path):
    record(tmp_path, 0, 80)
    time.sleep(1.01 - time.time() % 1)  # TensorBoard reads its files in the order of their names' seconds
    told = record(tmp_path, 50, 100, offset=0.5)
    assert "resuming at step 50" in told
    expected = [(s, s + (0.5 if s > 50 else 0)) for s in range(10, 101, 10)]
    assert [(line["step"], line["episode/return"]) for line in lines(tmp_path)] == expected
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in curves.Scalars("episode/return")] == expected


def test_a_line_that_was_cut_off_in_writing_is_dropped_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / METRICS
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    keep_metrics(path, 9)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    path.write_text('{"step": 1}\nwhat\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2"):
        keep_metrics(path, 9)


def test_what_is_not_finite_is_missing_and_the_file_stays_json(tmp_path):
    with Report(tmp_path, plain()) as report:
        report.start(0, 10, 1)
        report.update(5, {"episode/return": math.nan, "loss/value": math.inf, "loss/policy": 1.0})
    text = (tmp_path / METRICS).read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "step": 5,
        "episode/return": None,
        "loss/value": None,
        "loss/policy": 1.0,
    }


def test_every_line_is_on_disk_when_its_update_returns(tmp_path):
    with Report(tmp_path, plain()) as report:
        report.start(0, 10, 1)
        report.update(5, {"loss/policy": 1.0})
        assert len(lines(tmp_path)) == 1


def test_the_first_interrupt_asks_and_the_second_stops(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with Report(tmp_path, plain()) as report:
        report.start(0, 10, 1)
        assert not report.stop_requested
        os.kill(os.getpid(), signal.SIGINT)
        assert report.stop_requested
        assert "Ctrl-C again" in report.console.file.getvalue()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_terminal_gets_a_live_display(tmp_path):
    screen = io.StringIO()
    with Report(tmp_path, Console(file=screen, force_terminal=True, width=100)) as report:
        report.start(0, 100, 1)
        report.update(50, {"episode/return": 12.25, "time/steps_per_second": 5.0})
        report.note("a note")
    shown = screen.getvalue()
    for part in ("50 / 100", "50%", "5 steps/s", "0:10 left", "12.25", "a note"):
        assert part in shown


def test_the_live_display_tells_of_workers_and_scenarios_in_80_columns(tmp_path):
    screen = io.StringIO()
    record = {
        "episode/return": 2.5,
        "episode/return/sim/DefeatRoaches": 31.25,
        "episode/count": 77.0,
        "episode/aborted": 4.0,
        "time/steps_per_second": 5.0,
        "time/updates_per_second": 6.25,
        "learner/lag": 1.5,
        "cluster/queue": 0.75,
        "cluster/worker_idle": 0.11,
        "cluster/learner_idle": 0.22,
        "cluster/restarts": 3.0,
        "cluster/worker_restarts": 3.0,
    }
    with Report(tmp_path, Console(file=screen, force_terminal=True, width=80, color_system=None)) as report:
        report.start(0, 100, 1)
        report.update(50, record)
        report.update(60, {"episode/count": 78.0})  # without what is measured by time: it stays
    shown = screen.getvalue()[screen.getvalue().rindex("60 / 100") :]
    for part in (
        "5 steps/s",
        "2.5",
        "31.25 in sim/DefeatRoaches",
        "78, 4 aborted",
        "6.25 a second",
        "queue 0.75 updates, lag 1.5 updates",
        "workers 11%, learners 22%",
        "3 in all, workers 3",
    ):
        assert part in shown
