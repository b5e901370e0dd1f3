"""Training, evaluating and watching with environments that misbehave: short words, exit code 2, and nothing lost."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import imageio.v3 as imageio
import pytest

from agents.commands.cli import run
from agents.runs import checkpoint, folder
from tests.agents.commands.test_cli import TINY, refused

HERE = "tests.agents.misbehaving:"
QUICK = ["--evaluation-episodes", "0", "--checkpoint-interval", "1000000"]


def train(name: str, run_dir: Path, *more: str) -> list[str]:
    return ["train", *TINY, "--env", HERE + name, "--run-dir", str(run_dir), *QUICK, *more]


def test_what_was_learned_before_an_environment_failed_is_saved_and_goes_on(tmp_path, capsys):
    run_dir = tmp_path / "run"
    said = refused(capsys, *train("Raises", run_dir, "--total-steps", "1024"))
    assert "episode 6, step 5: OSError: the game has gone away File" in said
    assert "misbehaving.py" in said
    assert "rollout.py" not in said  # its own trace only
    # 16 steps of 4 environments an update: two updates were made when the 40th step failed
    assert checkpoint.latest(run_dir).name == "step-000000000128"
    # it is no pickle of an environment in the middle of a step
    assert checkpoint.load(checkpoint.latest(run_dir))["rollout"]["environments"] == {}
    assert folder.state(run_dir)["state"].startswith(f"failed: {HERE}Raises, game 1 of ")
    assert "gone away" in refused(capsys, "train", "--resume", str(run_dir))  # two updates further, the 40th step again
    assert checkpoint.latest(run_dir).name == "step-000000000256"


@pytest.mark.parametrize("name", ["RaisesAtOnce", "RaisesInConstructor"])
def test_what_fails_before_anything_is_learned_leaves_no_folder(tmp_path, capsys, name):
    run_dir = tmp_path / "run"
    refused(capsys, *train(name, run_dir))
    assert not run_dir.exists()
    assert run(train("Calm", run_dir)) == 0


@pytest.mark.parametrize(
    "name", ["Exits", "FourValues", "Nothing", "WrongShape", "WrongType", "ResetGivesObservationOnly"]
)
def test_all_that_misbehave_are_told_in_words(tmp_path, capsys, name):
    said = refused(capsys, *train(name, tmp_path / "run"))
    assert said.count("error:") == 1
    assert f"{HERE}{name}, game 1 of " in said
    assert checkpoint.latest(tmp_path / "run").is_dir()


def test_one_that_cannot_be_closed_trains_to_the_end(tmp_path, capsys):
    assert run([*train("CloseRaises", tmp_path / "run"), "--evaluation-episodes", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.count("could not be closed: RuntimeError: cannot close") == 4 + 2
    assert "Traceback" not in said.err


def test_one_that_leaves_the_folder_takes_nothing_along(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([*train("Wanders", Path("run")), "--evaluation-episodes", "2"]) == 0
    assert os.getcwd() == str(tmp_path)
    assert "go on        " in capsys.readouterr().out
    assert {"checkpoints", "evaluation.json"} <= {path.name for path in Path("run").iterdir()}
    assert run(["train", "--resume", "run", "--total-steps", "320"]) == 0
    assert checkpoint.latest(tmp_path / "run").name == "step-000000000320"
    assert run(["evaluate", "run", "--trust", "--episodes", "2", "--json", "it.json"]) == 0
    assert run(["watch", "run", "--trust", "--video", "it.gif"]) == 0
    assert {"it.json", "it.gif", "run"} == {path.name for path in tmp_path.iterdir()}
    assert imageio.imread("it.gif").ndim == 4


def test_evaluating_one_that_fails_says_so(tmp_path, capsys):
    said = refused(
        capsys, "evaluate", "--policy", "random", "--env", HERE + "Raises", "--episodes", "9", "--num-envs", "1"
    )
    assert "OSError: the game has gone away" in said


def test_an_evaluation_of_endless_episodes_ends_and_tells_them_apart(tmp_path, capsys):
    argv = [*train("Endless", tmp_path / "run"), "--evaluation-episodes", "6", "--evaluation-max-steps", "5_050"]
    assert run(argv) == 0
    said = capsys.readouterr().out
    assert said.index("run folder") < said.index("has not ended in 5,000 steps; one is cut after 5,050")
    assert "cut: episodes that had not ended" in said
    (result,) = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert result["cut"] == result["episodes"] == 6
    assert result["lengths"] == [5050] * 6
    assert result["returns"] == [5050.0] * 6


def test_watching_an_endless_episode_ends(tmp_path, capsys):
    video = tmp_path / "it.gif"
    argv = ["watch", "--policy", "random", "--env", "CliffWalking-v1", "--max-steps", "20", "--video", str(video)]
    assert run(argv) == 0
    assert re.search(
        "episode 1 goes on after 20 steps; the video ends here .--max-steps.\n20 frames", capsys.readouterr().out
    )


def untimed(path: Path) -> list[dict]:
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if not name.startswith("time/")} for record in records]


def test_runs_of_one_seed_agree_whatever_an_environment_draws_from(tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run([*train("Global", tmp_path / name), "--seed", seed, "--evaluation-episodes", "3"]) == 0
    assert untimed(tmp_path / "a") == untimed(tmp_path / "b") != untimed(tmp_path / "c")
    returns = [json.loads((tmp_path / name / "evaluation.json").read_text())[0]["returns"] for name in "abc"]
    assert returns[0] == returns[1] == returns[2]  # this environment pays what it draws, whoever plays
    assert run(["evaluate", str(tmp_path / "a"), "--episodes", "3", "--trust"]) == 0
    assert json.loads((tmp_path / "a/evaluation.json").read_text())[0]["returns"] == returns[0]


def test_it_goes_on_where_the_global_streams_were(tmp_path):
    assert run([*train("Global", tmp_path / "whole"), "--total-steps", "512"]) == 0
    assert run(train("Global", tmp_path / "parts")) == 0
    config = (tmp_path / "parts/config.yaml").read_text()
    assert run(["train", "--resume", str(tmp_path / "parts"), "--total-steps", "512"]) == 0
    assert "total_steps: 256" in config
    # the learning rate falls to its end, which was nearer in the first half of the parts
    whole, parts = ([record["episode/return"] for record in untimed(tmp_path / name)] for name in ("whole", "parts"))
    assert len(whole) == len(parts) == 8
    assert whole[:4] == parts[:4]
