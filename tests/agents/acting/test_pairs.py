"""Two evaluations game by game, against scipy's paired test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from agents.acting.evaluate import Evaluation, Played, elo_above, write_json
from agents.acting.pairs import pair, table
from agents.commands.cli import run

CELLS = (("sim/Simple64", "terran:easy:random"), ("sim/Simple64", "terran:hard:random"))


def evaluations(name: str, seed: int, games: int = 8, **changed: object) -> list[Evaluation]:
    random = np.random.default_rng(seed)
    return [
        Evaluation(label, name, 0, Played(random.choice([-1.0, 0.0, 1.0], 40).tolist(), [5] * 40), opponent, games)
        for label, opponent in CELLS
    ]


def test_differences_are_those_of_a_paired_test() -> None:
    one, other = evaluations("one", 1), evaluations("other", 2)
    found = pair(one, other)
    assert [each.label for each in found] == [*(f"{label} against {opponent}" for label, opponent in CELLS), "all"]
    for each, a, b in zip(found, one, other, strict=False):
        test = ttest_rel(b.returns, a.returns).confidence_interval(0.95)
        spread = each.spread
        assert spread.mean == pytest.approx(np.mean(b.returns) - np.mean(a.returns))
        assert (spread.low, spread.high) == pytest.approx((test.low, test.high))
    assert found[-1].differences == found[0].differences + found[1].differences
    assert "other, less one" in table(found, "one", "other")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (evaluations("other", 2, games=4), "games is 8 in one and 4 in the other"),
        ([], "nothing|common"),
        ([Evaluation(*CELLS[0][:1], "other", 0, Played([1.0], [5]), CELLS[0][1], 8)], "40 episodes against 1"),
        ([Evaluation(*CELLS[0][:1], "other", 5, Played([1.0], [5]), CELLS[0][1], 8)], "seed is 0 in one and 5"),
    ],
)
def test_games_that_are_not_the_same_are_not_compared(other: list[Evaluation], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pair(evaluations("one", 1), other)


def test_the_command_compares_files(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for k, file in enumerate(files):
        write_json(evaluations(file.stem, k), file)
    assert run(["compare", *map(str, files)]) == 0
    assert "b, less a, in the same games" in capsys.readouterr().out
    assert run(["compare", str(files[0])]) == 2
    assert run(["compare", str(files[0]), str(tmp_path / "none.json")]) == 2


def test_elo_is_the_logistic_curves() -> None:
    assert elo_above(0.5) == 0
    assert elo_above(10 / 11) == pytest.approx(400)
    assert elo_above(1.0) == pytest.approx(-elo_above(0.0)) == pytest.approx(798.25, abs=0.01)
