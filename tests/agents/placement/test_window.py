"""What is measured between two records, by a clock that the test turns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="training with workers needs ray")

from agents.placement.cluster.window import SECONDS, Window


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seconds that have passed, and seconds of processor time."""
    clock = SimpleNamespace(now=100.0, driver=3.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    monkeypatch.setattr("time.process_time", lambda: clock.driver)
    return clock


def told(**numbers: Any) -> Any:
    return SimpleNamespace(**numbers)


def test_a_record_by_hand(clock: Any) -> None:
    window = Window(workers=4)
    window.start(1000)
    assert not window.due
    # two collections of a second, of which half and nearly all was useful; three quarters of it was processor time
    window.collected(told(seconds=1.0, useful=0.5, processor=0.75))
    window.collected(told(seconds=1.0, useful=1.2, processor=0.75))
    metrics = ({"loss": 1.0, "learner/lag_max": 3.0}, {"loss": 3.0, "learner/lag_max": 2.0})
    for measured in metrics:  # two learners, whose metrics are the same
        learner = told(metrics=measured, seconds=0.5, useful=0.25, processor=0.5)
        window.updated([learner, told(metrics={"loss": 99.0}, seconds=9.0, useful=0.25, processor=0.5)])
    window.learn([1, 0])
    window.learn([2])
    assert window.lags == [1, 0, 2]
    clock.now += 2.0
    clock.driver += 0.5
    assert window.due
    processor, useful = 2 * 0.75 + 2 * 2 * 0.5 + 0.5, 0.75 * 0.5 + 0.75 * 1 + 2 * 2 * 0.25
    assert window.close(1600, up=3, waiting=1.5) == pytest.approx(
        {
            "loss": 2.0,
            "learner/lag_max": 3.0,
            "time/steps_per_second": 300.0,
            "time/updates_per_second": 1.0,
            "cluster/workers": 3.0,
            "cluster/queue": 1.5,
            "cluster/worker_idle": 1 - 2 / (2 * 4),
            "cluster/learner_idle": 1 - 1 / 2,
            "cluster/overhead": 1 - useful / processor,
        }
    )


def test_a_new_window_starts_from_nothing(clock: Any) -> None:
    window = Window(workers=1)
    window.start(0)
    window.collected(told(seconds=5.0, useful=5.0, processor=5.0))
    window.learn([7])
    clock.now += 10.0
    window.close(100, up=1, waiting=0.0)
    assert not window.due
    assert window.lags == []
    clock.now += SECONDS
    assert window.due
    record = window.close(100, up=1, waiting=0.0)
    assert record["time/steps_per_second"] == record["time/updates_per_second"] == 0
    assert record["cluster/worker_idle"] == record["cluster/learner_idle"] == 1
    assert record["cluster/overhead"] == 0  # no processor time has passed
