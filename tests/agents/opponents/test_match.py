"""Games for two from one side: who plays whom, what counts, and that a run goes on as if it had not stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.commands.cli import run
from agents.config import Config
from agents.errors import UserError
from agents.opponents.league import League
from agents.opponents.match import AgainstLeague, AgainstPlayer
from agents.placement.local import Training, train
from agents.runs import checkpoint, experiment
from envs import registry
from envs.spaces import describe_spaces
from tests.agents.opponents.games import ROCK_PAYS_TWICE, exploitability
from tests.agents.placement.test_resume import Recorder, assert_same

RPS = "tests.agents.opponents.games:parallel_env"
TINY = {"token_width": 16, "latents": 2, "latent_width": 16, "heads": 2}
CPU = torch.device("cpu")

SMALL_MELEE = {
    "style": "raw", "functions": ["no_op", "Attack_pt"], "minimap_planes": [], "max_units": 32, "minimap": 8,
}  # fmt: skip


def config_of(env: str, opponents: str, **options: Any) -> Config:
    ppo = {"unroll": 8, "minibatch": 256, "epochs": 2, "learning_rate": 3e-3, "schedule": "constant"}
    data = {"env": env, "opponents": opponents, "policy": TINY, "ppo": {**ppo, "entropy_coefficient": 0.05}}
    return Config.model_validate({**data, **options})


def training_of(config: Config, run_dir: Path) -> Training:
    torch.manual_seed(config.seed)
    env = registry.make(config.env, config.num_envs, **config.training_arguments)
    league = League(config, run_dir, describe_spaces(env), CPU)
    return Training(config, AgainstLeague(env, config.env, league), CPU)


class Always:
    """Plays one move."""

    def __init__(self, move: int) -> None:
        self.move = move

    def act(self, observation: Any, first: np.ndarray) -> np.ndarray:
        return np.full(len(first), self.move)


@pytest.mark.parametrize("mine", range(3))
@pytest.mark.parametrize("theirs", range(3))
def test_rewards_and_outcome_are_those_of_the_first_side(mine: int, theirs: int) -> None:
    env = AgainstPlayer(registry.make(RPS, 6, rounds=2), RPS, Always(theirs))
    env.reset(seed=0)
    assert env.num_envs == 3
    for last in (False, True):
        _, reward, terminated, _, info = env.step(np.full(3, mine))
        assert reward.tolist() == [ROCK_PAYS_TWICE[mine, theirs]] * 3
        assert terminated.tolist() == [last] * 3
    assert info["final_info"]["outcome"].tolist() == [np.sign(ROCK_PAYS_TWICE[mine, theirs])] * 3


def test_what_the_learner_won_is_counted_for_it_on_either_side(tmp_path: Path) -> None:
    training = training_of(config_of(RPS, "pool", num_envs=8), tmp_path)
    env, league = training.rollout.env, training.league
    assert isinstance(env, AgainstLeague)
    assert league is not None
    assert env.mine.tolist() == [0, 3, 4, 7]  # sides take turns
    env.others = lambda: env.put(np.array([1, 2, 5, 6]), np.zeros(4, int))  # type: ignore[method-assign]
    for move, (won, drawn, lost) in enumerate([(0, 4, 0), (4, 0, 0), (0, 0, 4)]):
        league.results.clear()
        _, reward, *_ = env.step(np.full(4, move))
        assert reward.tolist() == [ROCK_PAYS_TWICE[move, 0]] * 4
        assert league.results == {("learner since 0", "step-0"): [won, drawn, lost]}


def test_a_melee_seats_selves_the_past_and_computers_and_tells_who_won(tmp_path: Path) -> None:
    options = {**SMALL_MELEE, "max_loops": 400}
    config = config_of(
        "sim/Simple64", "self,pool,terran:very_easy", num_envs=16, env_options=options, self_play={"self_share": 0.25}
    )
    training = training_of(config, tmp_path)
    env, league = training.rollout.env, training.league
    assert isinstance(env, AgainstLeague)
    assert league is not None
    assert (env.num_envs, env.mine.tolist()) == (4 + 6, [0, 1, 2, 3, 4, 6, 8, 10, 12, 14])
    games = env.env.games  # type: ignore[attr-defined]
    for _ in range(10):
        training.step()
        computers = [name == "terran:very_easy:random" for name in env.playing]
        assert (games["other_difficulty"] == np.where(computers, 1, 0)).all()
        assert not any(computers[:2])
        if len(league.results) == 2:
            break
    assert {other for _, other in league.results} == {"step-0", "terran:very_easy:random"}
    assert sum(map(sum, league.results.values())) == training.episodes.count - sum(env.env.games["episode"][:2]) * 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("env", "opponents"),
    [(RPS, "self,pool"), pytest.param("sim/Simple64", "self,pool,very_easy,hard", marks=pytest.mark.slow)],
)
def test_resumed_is_uninterrupted(env: str, opponents: str, tmp_path: Path) -> None:
    options = {**SMALL_MELEE, "max_loops": 96}
    config = config_of(
        env,
        opponents,
        num_envs=8,
        total_steps=330,
        seed=3,
        threads=1,
        env_options=options if env.startswith("sim/") else {"rounds": 3},
        self_play={"snapshot_interval": 60, "pool_size": 2},
        policy={**TINY, "memory": "latents"},
    )
    whole, before, after = Recorder(), Recorder(stop_after=4), Recorder()
    train(config, tmp_path / "whole", whole, resume=False)  # type: ignore[arg-type]
    train(config, tmp_path / "parts", before, resume=False)  # type: ignore[arg-type]
    torch.manual_seed(12345)
    train(config, tmp_path / "parts", after, resume=True)  # type: ignore[arg-type]
    assert len(whole.metrics) >= 6
    assert before.metrics + after.metrics == whole.metrics
    states = [checkpoint.load(checkpoint.latest(tmp_path / name)) for name in ("whole", "parts")]
    assert_same(*states)
    assert len(states[0]["league"]["past"]) == 2
    assert states[0]["league"]["results"]


def test_a_run_leaves_its_payoffs_and_a_pool_that_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--num-envs", "8", "--total-steps", "200", "--ppo.unroll", "4", "--self-play.snapshot-interval", "50"]
    small = [f"--policy.{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    assert run(["train", "--env", RPS, "--opponents", "self,pool", *words, *small, "--run-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "not evaluated: there is nobody to play against but itself" in said
    assert re.search(r"step-0 .* won, .* drawn, .* lost; Elo ", said)
    told = json.loads((tmp_path / "opponents.json").read_text())
    games = sum(row[name] for row in told["payoff"] for name in ("won", "drawn", "lost"))
    steps = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert games == steps[-1]["episode/count"] / 3  # of three rows two play themselves
    assert told["elo"]["learner since 0"] == {"elo": 0, "low": 0, "high": 0}
    assert any("opponents/elo" in one for one in steps)
    versus = ["--against", str(tmp_path / "pool"), "--episodes", "20", "--sampled", "--trust"]
    assert run(["evaluate", str(tmp_path), *versus]) == 0
    (found,) = tmp_path.glob("evaluation-*.json")
    (played,) = json.loads(found.read_text())
    assert played["opponent"] == "pool (sampled)"
    assert [played[name] for name in ("win", "draw", "loss")] == [
        sum(np.sign(paid) == sign for paid in played["returns"]) for sign in (1, 0, -1)
    ]


def test_a_melee_is_played_against_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "evaluate",
        "--policy",
        "random",
        "--env",
        "sim/Simple64",
        "--env-option",
        "style=orders",
        "--episodes",
        "2",
    ]
    assert run([*asked, "--env-option", "max_loops=80", "--against", "scripted"]) == 0
    assert "against scripted" in capsys.readouterr().out
    assert run([*asked, "--against", "scripted", "--opponent", "hard"]) == 2
    assert run([*asked, "--against", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_pool_comes_to_play_the_equilibrium_that_the_newest_policy_runs_around(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    ppo = {"unroll": 4, "minibatch": 192, "epochs": 4, "learning_rate": 1e-2, "entropy_coefficient": 0.3}
    snapshots = {"snapshot_interval": 192, "pool_size": 60}
    config = config_of(RPS, "self,pool", num_envs=64, ppo=ppo, total_steps=60 * 192, self_play=snapshots)
    training = training_of(config, tmp_path)

    def strategy(policy: Any) -> np.ndarray:
        shown = {"observation": torch.zeros(3, 1), "action_mask": torch.ones(3, 3, dtype=torch.int8)}
        with torch.no_grad():
            return policy(shown, torch.arange(3))[0].exp().numpy()

    newest = []
    while training.learner.steps < config.total_steps:
        training.step()
        newest.append(exploitability(strategy(training.policy)))
    league = training.league
    assert league is not None
    pool = np.mean([strategy(league.policy(name)) for name in league.past], axis=0)
    np.testing.assert_allclose(pool, [0.25, 0.5, 0.25], atol=0.12)
    assert exploitability(pool) < 0.2
    assert np.mean(newest) > 1.5 * exploitability(pool)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"opponents": "self", "env": "CartPole-v1"}, "CartPole-v1 is for 1"),
        ({"opponents": "pool,hard", "env": RPS}, "no computer players such as random:hard"),
        ({"opponents": "self,pool", "env": RPS, "num_envs": 2}, "1 games are too few"),
        ({"opponents": "self,hrad", "env": "sim/Simple64"}, "did you mean 'hard'"),
        ({"opponents": "self", "env": "sim/Simple64", "workers": 2}, "leave workers away"),
        ({"opponents": "self", "env": "sim/Simple64", "num_envs": 5}, "use 6"),
        ({"opponents": "self,self", "env": "sim/Simple64"}, "named twice"),
        ({"opponents": "self", "env": "sc2/Simple64"}, "train on sim/Simple64"),
        ({"opponents": "self", "env": "sim/Simple64", "env_options": {"opponent": "hard"}}, "among the opponents"),
    ],
)
def test_what_cannot_be_is_refused_in_words(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        train(experiment.check({"num_envs": 4, "policy": TINY, **given}, "test"), tmp_path, Recorder(), resume=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("opponents", [(), ("self",)])
def test_rewards_on_the_way_are_for_learning_alone(opponents) -> None:
    options = {"shaping": 2.0} if opponents else {"shaping": 2.0, "opponent": "terran:easy"}
    config = Config(env="sim/Simple64", env_options=options, opponents=opponents, num_envs=2)
    assert config.training_arguments["shaping"] == 2.0
    assert ("players" in config.training_arguments, "opponent" in config.training_arguments) == (
        (True, False) if opponents else (False, True)
    )
    assert "shaping" not in config.env_arguments
    assert "opponent" in config.env_arguments
    other = Config(env="my.module:Env", env_options={"shaping": 2.0})  # of somebody else's, which may be anything
    assert other.env_arguments == other.training_arguments == {"shaping": 2.0}
    ahead = Config(env="sim/BuildMarines", env_options={"head_start": 0.5})
    assert (ahead.training_arguments, ahead.env_arguments) == ({"head_start": 0.5}, {})
