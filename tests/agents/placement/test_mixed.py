"""One policy on several mini-games: returns are told apart, and a run goes on as if it had not stopped."""

import json

from agents.acting.episodes import EpisodeLog
from agents.acting.rollout import Episode
from agents.commands import cli


def test_returns_are_told_for_each_environment():
    log = EpisodeLog()
    log.add([Episode(1.0, 10, "a"), Episode(5.0, 20, "b"), Episode(3.0, 30, "a")])
    told = log.metrics()
    assert (told["episode/return/a"], told["episode/return/b"], told["episode/return"]) == (2.0, 5.0, 3.0)
    again = EpisodeLog()
    again.load_state_dict(log.state_dict())
    assert again.metrics() == told


def test_one_policy_is_trained_and_evaluated_on_two_mini_games(tmp_path, capsys):
    run = tmp_path / "run"
    arguments = ["train", "--env", "sim/MoveToBeacon*2 + sim/DefeatRoaches", "--env-option", "max_loops=160"]
    arguments += ["--num-envs", "6", "--ppo.unroll", "32", "--total-steps", "384", "--evaluation-episodes", "4"]
    assert cli.run([*arguments, "--run-dir", str(run)]) == 0
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if "loss/total" in record][-1]
    assert {"episode/return/sim/MoveToBeacon", "episode/return/sim/DefeatRoaches"} <= last.keys()
    rows = json.loads((run / "evaluation.json").read_text())
    assert [row["environment"] for row in rows] == [
        "sim/MoveToBeacon (stand-in game)",
        "sim/DefeatRoaches (stand-in game)",
    ]
    assert cli.run(["train", "--resume", str(run), "--total-steps", "576"]) == 0
