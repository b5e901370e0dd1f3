"""`record` and `imitate`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.acting.demonstrations import joined, record
from agents.acting.evaluate import ScriptedPlayer
from agents.acting.player import PolicyPlayer
from agents.commands.cli import run
from agents.commands.demonstrate import seat
from agents.runs import experiment, folder
from agents.runs.card import card
from envs import registry

BEACON = ["--env", "sim/MoveToBeacon", "--env-option", "style=orders", "--env-option", "max_loops=160"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("it") / "shown"
    assert run(["record", "--policy", "scripted", *BEACON, "--episodes", "6", "--out", str(folder)]) == 0
    return folder


def test_a_script_is_recorded(shown: Path) -> None:
    card = json.loads((shown / "card.json").read_text())
    assert (card["environment"], card["player"], card["episodes"], card["steps"]) == (
        "sim/MoveToBeacon", "scripted", 6, 120,
    )  # fmt: skip
    assert card["env_options"] == {"style": "orders", "max_loops": 160}
    assert np.load(shown / "observation" / "units~features.npy").shape[0] == 120
    function = np.load(shown / "action" / "function.npy")
    assert (function[:, 0] == 1).all()  # the marine walks to the beacon in every step
    assert not function[:, 1].any()


def test_a_clone_is_a_run_that_plays_and_goes_on(shown: Path, tmp_path: Path, capsys) -> None:
    clone, further = tmp_path / "clone", tmp_path / "further"
    argv = ["imitate", str(shown), "--run-dir", str(clone), "--epochs", "2", "--minibatch", "40"]
    assert run([*argv, "--evaluation-episodes", "2"]) == 0
    said = capsys.readouterr().out
    assert "held_out" in said
    assert "sim/MoveToBeacon (stand-in game)" in said
    course = [json.loads(line) for line in (clone / "metrics.jsonl").read_text().splitlines()]
    assert [(record["step"], "imitation/held_out" in record) for record in course] == [(120, True), (240, True)]
    assert list((clone / "tensorboard").iterdir())
    assert experiment.read_run_config(clone).env_options == {"style": "orders", "max_loops": 160}
    assert folder.state(clone)["state"] == "finished"
    told = card(clone, "clone")
    assert "`sim/MoveToBeacon`, cloned from demonstrations (seed 0)" in told
    assert "- behavior-cloning" in told
    assert "perceiver-rl evaluate clone --sampled" in told  # its figures are of drawn actions
    assert "perceiver-rl pull" not in told
    assert run(["evaluate", str(clone), "--episodes", "2"]) == 0
    more = ["--init", str(clone), "--epochs", "1", "--evaluation-episodes", "0"]
    assert run([*argv[:2], "--run-dir", str(tmp_path / "more"), "--minibatch", "40", *more]) == 0
    (later,) = [json.loads(line) for line in (tmp_path / "more" / "metrics.jsonl").read_text().splitlines()]
    assert later["imitation/loss"] < course[0]["imitation/loss"]  # it begins with what the clone had learned
    steps = ["--num-envs", "2", "--total-steps", "64", "--ppo.unroll", "16", "--evaluation-episodes", "0"]
    assert run(["train", *BEACON, "--init", str(clone), *steps, "--run-dir", str(further)]) == 0


def test_a_clone_learns_from_what_it_is_told_where_it_has_led(shown: Path, tmp_path: Path, capsys) -> None:
    argv = ["imitate", str(shown), "--run-dir", str(tmp_path / "it"), "--epochs", "2", "--minibatch", "40"]
    assert run([*argv, "--dagger-rounds", "2", "--dagger-episodes", "3", "--evaluation-episodes", "0"]) == 0
    said = capsys.readouterr().out
    assert "round 1: the clone earns" in said
    assert "round 2: the clone earns" in said
    assert said.count("60 steps more are shown") == 2
    course = [json.loads(line) for line in (tmp_path / "it" / "metrics.jsonl").read_text().splitlines()]
    passes = [record["step"] for record in course if "imitation/loss" in record]
    assert passes == [120, 240, 420, 600, 840, 1080]  # two passes each over 120, 180 and 240 steps
    rounds = [(record["step"], record["imitation/shown"]) for record in course if "imitation/return" in record]
    assert rounds == [(240, 180), (600, 240)]
    assert f"round 1: the clone earns {course[2]['imitation/return']:.4g};" in said
    assert 0 < course[2]["time/seconds"] < course[5]["time/seconds"]


@pytest.mark.parametrize("sampled", [True, False])
def test_a_clone_leads_as_it_is_evaluated(shown: Path, tmp_path: Path, monkeypatch, sampled: bool) -> None:
    greedy: list[bool] = []

    class Spy(PolicyPlayer):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            greedy.append(self.greedy)

    monkeypatch.setattr("agents.acting.player.PolicyPlayer", Spy)
    experiment = tmp_path / "it.yaml"
    experiment.write_text(
        "env: sim/MoveToBeacon\nenv_options: {style: orders, max_loops: 160}\n"
        f"evaluation_sampled: {str(sampled).lower()}\npolicy: {{latents: 2}}\n"
    )
    argv = ["imitate", str(shown), "--config", str(experiment), "--run-dir", str(tmp_path / "it"), "--epochs", "1"]
    assert run([*argv, "--dagger-rounds", "1", "--dagger-episodes", "1", "--evaluation-episodes", "1"]) == 0
    assert greedy == [not sampled, not sampled]


def test_labels_are_the_demonstrators_and_the_way_is_the_players() -> None:
    env = registry.make("sim/MoveToBeacon", 2, style="orders", max_loops=160)
    teacher = ScriptedPlayer(registry.scripted("sim/MoveToBeacon", "scripted", env))
    still = ScriptedPlayer(lambda seen: {k: np.zeros_like(v) for k, v in teacher.act(seen, np.ones(2, bool)).items()})
    found = record(still, env, 2, 0, {}, demonstrator=teacher)
    assert (found.action["function"][:, 0] == 1).all()
    units = found.observation["units"]["features"]
    place = units[:, 0, [env.interface.unit_features.index(axis) for axis in "xy"]]
    for episode in np.split(place, np.flatnonzero(found.first)[1:]):
        np.testing.assert_array_equal(episode, np.repeat(episode[:1], len(episode), 0))  # it stood still all the time
    again = joined([found, found])
    assert len(again) == 2 * len(found)
    assert again.returns() == 2 * found.returns()


def test_computers_take_turns_in_the_games_that_are_recorded(tmp_path: Path) -> None:
    env = registry.make("sim/Simple64", 3, style="orders", opponent="easy")
    seat(env, "sim/Simple64", ["terran:easy", "terran:hard"])
    env.reset(seed=0)
    assert env.games["other_difficulty"].tolist() == [2, 5, 2]
    melee = ["--env", "sim/Simple64", "--env-option", "style=orders", "--env-option", "max_loops=64"]
    argv = ["record", "--policy", "scripted", *melee, "--episodes", "2", "--out", str(tmp_path / "it")]
    assert run([*argv, "--opponent", "terran:easy,hard"]) == 0
    card = json.loads((tmp_path / "it" / "card.json").read_text())
    assert card["opponents"] == ["terran:easy:random", "terran:hard:random"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["record", "--policy", "scripted", *BEACON, "--out", "{shown}"], "is not empty"),
        (["record", "--policy", "scripted", *BEACON, "--episodes", "0"], "at least 1"),
        (["record", *BEACON], "name one player"),
        (["record", "--policy", "scripted", *BEACON, "--opponent", "hard"], "MoveToBeacon is played alone"),
        (["imitate", "nothing"], "nothing: holds no demonstrations"),
        (["imitate", "{shown}", "--config", "move_to_beacon_clicks"], "was recorded with the observation space"),
    ],
)
def test_what_cannot_be_done_is_said(shown: Path, tmp_path: Path, monkeypatch, capsys, argv, said) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([word.replace("{shown}", str(shown)) for word in argv]) == 2
    assert said in capsys.readouterr().err


def test_code_that_a_card_names_is_not_run(shown: Path, tmp_path: Path, capsys) -> None:
    import shutil

    strange = tmp_path / "strange"
    shutil.copytree(shown, strange)
    card = json.loads((strange / "card.json").read_text())
    (strange / "card.json").write_text(json.dumps({**card, "environment": "os:system"}))
    assert run(["imitate", str(strange), "--run-dir", str(tmp_path / "run")]) == 2
    assert "names code to run, os:system" in capsys.readouterr().err
