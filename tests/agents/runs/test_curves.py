"""Curves of several runs, against a bootstrap by hand, and `perceiver-rl compare`."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from agents.commands.cli import run
from agents.errors import UserError
from agents.runs.curves import RESAMPLES, curves, interquartile_mean, interval, read
from agents.runs.experiment import check, write_config
from agents.runs.report import METRICS


def make_run(folder: Path, values: list[float | None], *, steps: list[int] | None = None, **options: object) -> Path:
    folder.mkdir(parents=True)
    write_config(check({"env": "CartPole-v1", **options}, "test"), folder / "config.yaml")
    steps = steps or list(range(100, 100 * len(values) + 1, 100))
    lines = [json.dumps({"step": step, "episode/return": value}) for step, value in zip(steps, values, strict=True)]
    (folder / METRICS).write_text("\n".join(lines) + "\n")
    return folder


def middle_half_mean(values: np.ndarray) -> float:
    """Of one sample: sort, leave out a quarter of the values at each end, rounded down."""
    cut = len(values) // 4
    return float(np.mean(np.sort(values)[cut : len(values) - cut]))


def test_interquartile_means_are_those_of_sorting() -> None:
    rng = np.random.default_rng(1)
    for count in range(1, 12):
        values = rng.normal(size=(count, 4))
        expected = [middle_half_mean(column) for column in values.T]
        np.testing.assert_allclose(interquartile_mean(values), expected)


@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_intervals_are_those_of_a_bootstrap_by_hand(seeds: int) -> None:
    """All S^S ways to draw S seeds: a tail of 2.5 % of them, give or take four errors of a bootstrap, is outside."""
    values = np.random.default_rng(seeds).normal(100, 20, size=(seeds, 3))
    low, high = interval(values)
    error = 4 * np.sqrt(0.025 * 0.975 / RESAMPLES)
    for column in range(3):
        means = np.array([middle_half_mean(np.array(drawn)) for drawn in product(values[:, column], repeat=seeds)])
        for tails, end in ((means, low[column]), (-means, -high[column])):
            assert np.mean(tails < end - 1e-9) < 0.025 + error
            assert np.mean(tails <= end + 1e-9) > 0.025 - error


def test_three_seeds_resampled_in_all_27_ways() -> None:
    values = np.array([[1.0], [2.0], [6.0]])
    means = sorted((a + b + c) / 3 for a in (1, 2, 6) for b in (1, 2, 6) for c in (1, 2, 6))
    low, high = interval(values)
    assert (low[0], high[0]) == (means[0], means[-1])  # 1 of 27 is more than 2.5 %


def test_one_seed_has_no_interval() -> None:
    low, high = interval(np.ones((1, 3)))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_runs_that_differ_in_the_seed_alone_are_one_experiment(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "a-20260101-000000-seed0", [10, 20, 30], seed=0),
        make_run(tmp_path / "a-20260101-000100-seed1", [20, 30, 40], seed=1, device="cpu"),
        make_run(tmp_path / "b-seed0", [1, None, 5], seed=0, ppo={"gamma": 0.9}),
    ]
    first, second = curves(runs, "episode/return")
    assert (first.name, first.seeds, second.name, second.seeds) == ("a", (0, 1), "b", (0,))
    np.testing.assert_allclose(first.middle, np.interp(first.steps, [100, 200, 300], [15, 25, 35]))
    np.testing.assert_allclose(second.middle, np.interp(second.steps, [100, 300], [1, 5]))
    assert first.as_dict()["whole_course"] == pytest.approx(25)


def test_experiments_whose_folders_say_nothing_are_told_apart_by_their_options(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "x/seed0", [1.0], ppo={"gamma": 0.9}),
        make_run(tmp_path / "y/seed0", [1.0], algorithm="impala"),
    ]
    assert [curve.name for curve in curves(runs, "episode/return")][1].startswith("algorithm impala")


def test_steps_that_not_all_seeds_have_reached_are_left_out(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "0", [1, 2, 3]), make_run(tmp_path / "1", [3, 4], seed=1)]
    (curve,) = curves(runs, "episode/return")
    assert (curve.steps[0], curve.steps[-1], curve.middle[-1]) == (100, 200, 3)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"seed": 0}, "the same seed"),
        ({"seed": 1, "steps": [900, 1000, 1100]}, "no step in common"),
        ({"seed": 1, "values": [None, None, None]}, "has no 'episode/return'; it has episode/return"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, other: dict, why: str) -> None:
    values = other.pop("values", [1, 2, 3])
    runs = [make_run(tmp_path / "0", [1, 2, 3]), make_run(tmp_path / "1", values, **other)]
    with pytest.raises(UserError, match=why):
        curves(runs, "episode/return")


def test_a_record_that_is_half_written_is_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "0", [1, 2])
    with (folder / METRICS).open("a") as file:
        file.write('{"step": 300, "epis')
    assert read(folder, "episode/return")[0].tolist() == [100, 200]


def test_the_command_draws_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        make_run(tmp_path / f"runs/fast-seed{seed}", [seed, 100 + seed], seed=seed)
        make_run(tmp_path / f"runs/slow-seed{seed}", [seed, 50 + seed], seed=seed, ppo={"gamma": 0.9})
    make_run(tmp_path / "runs/crashed", [], seed=9)
    image = tmp_path / "curves.png"
    assert run(["compare", str(tmp_path / "runs"), "--image", str(image)]) == 0
    said, noted = capsys.readouterr()
    assert noted.startswith(f"left out: {tmp_path / 'runs/crashed'}: has no 'episode/return'")
    assert [line.split()[:4] for line in said.splitlines()[1:3]] == [
        ["fast", "3", "200", "101"],
        ["slow", "3", "200", "51"],
    ]
    picture = imread(image)
    assert picture.shape[0] > 400
    assert picture.std() > 0.01  # something is drawn
    assert run(["compare", str(tmp_path / "runs"), "--image", str(image), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["experiment"], one["iqm"], one["low"], one["high"]) for one in told] == [
        ("fast", 101, 100, 102),
        ("slow", 51, 50, 52),
    ]
