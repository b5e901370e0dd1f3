"""Trials for Ray Tune: exact when restored, under new options when these have changed, and refused by name."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agents.commands.cli import run
from agents.errors import UserError
from agents.placement import local
from agents.runs import checkpoint, experiment
from tests.agents.placement.test_resume import Recorder, assert_same

pytest.importorskip("ray.tune", reason="trials need ray[tune]")

from ray import tune

from agents.placement.cluster.tune import PerceiverTrainable, search_space, trial_config

ROOT = Path(__file__).parents[3]
STEPS = 128  # an update's
TINY: dict[str, Any] = {
    "num_envs": 4,
    "total_steps": 6 * STEPS,
    "seed": 3,
    "threads": 1,
    "device": "cpu",
    "evaluation_episodes": 0,
    "policy.token_width": 16,
    "policy.latents": 2,
    "policy.latent_width": 16,
    "policy.heads": 2,
    "ppo.unroll": 32,
    "ppo.minibatch": STEPS,
    "ppo.epochs": 1,
}


# so that Adam alone moves the parameters, by what the gradients and these options say
PLAIN = {"ppo__schedule": "constant", "ppo__max_gradient_norm": 1e9, "ppo__normalize_returns": False}


def trial(steps: int = STEPS, **changed: Any) -> PerceiverTrainable:
    """A trial outside of Ray; ``ppo__gamma`` is ppo.gamma."""
    return PerceiverTrainable(asked(steps, **changed))


def asked(steps: int = STEPS, **changed: Any) -> dict[str, Any]:
    changed = {key.replace("__", "."): value for key, value in changed.items()}
    return search_space("cartpole", steps, TINY | changed)


def measured(result: dict[str, Any]) -> dict[str, float]:
    return {key: result[key] for key in result if re.match(r"(episode|loss|learner)/|timesteps|done", key)}


def parameters(one: PerceiverTrainable) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in one.training.policy.parameters()])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint after three updates of a trial."""
    one = trial(**PLAIN)
    for _ in range(3):
        one.train()
    one.save(str(tmp_path / "saved"))
    one.stop()
    return tmp_path / "saved"


def test_a_trial_is_a_run_in_steps(tmp_path: Path) -> None:
    """To the last bit of the weights, and its end is the run's."""
    one = trial(2 * STEPS)
    results = [one.train() for _ in range(3)]
    assert [result["timesteps_total"] for result in results] == [2 * STEPS, 4 * STEPS, 6 * STEPS]
    assert [result["done"] for result in results] == [False, False, True]
    recorder = Recorder()
    local.train(trial_config(asked()), tmp_path, recorder, resume=False)
    counts = [result["episode/count"] for result in results]
    assert counts == [m["episode/count"] for m in recorder.metrics[1::2]]
    assert counts[-1] < 100  # so that the run's mean is of all episodes, and an iteration's of those that ended in it
    parts = zip(counts, [0, *counts], results, strict=False)
    total = sum((count - earlier) * result["episode/return"] for count, earlier, result in parts)
    assert total == pytest.approx(counts[-1] * recorder.metrics[-1]["episode/return"])
    assert_same(dict(one.training.policy.state_dict()), checkpoint.load_policy(checkpoint.latest(tmp_path)))


@pytest.mark.parametrize("how", ["new", "reset"])
def test_restored_is_uninterrupted(tmp_path: Path, how: str) -> None:
    one = trial()
    one.train()
    one.save(str(tmp_path / "it"))
    expected = [measured(one.train()) for _ in range(2)]
    torch.manual_seed(12345)  # whatever happened in between must not matter
    if how == "new":
        other = trial()
    else:
        other = trial(seed=9, ppo__gamma=0.5)
        other.train()
        assert other.reset(asked())
    other.restore(str(tmp_path / "it"))
    assert [measured(other.train()) for _ in range(2)] == expected
    states = [t.training.state_dict() for t in (one, other)]
    for state in states:
        state["rollout"]["environments"].pop("pickle")  # of equal environments may differ in its bytes
    assert_same(*states)


def moved(saved: Path, **changed: Any) -> tuple[torch.Tensor, dict[str, Any]]:
    """What one update after the restored checkpoint does to the parameters, and its result."""
    one = trial(**PLAIN | changed)
    one.restore(str(saved))
    before = parameters(one)
    result = one.train()
    return parameters(one) - before, result


def test_restored_under_another_learning_rate_it_learns_at_that_rate(saved: Path) -> None:
    """Adam's step is its rate times what does not depend on it; the old rate is the experiment's."""
    slow, result = moved(saved, ppo__learning_rate=0.003)
    fast, _ = moved(saved, ppo__learning_rate=0.03)
    assert result["learner/learning_rate"] == 0.003
    torch.testing.assert_close(fast, 10 * slow, rtol=1e-3, atol=1e-6)
    assert slow.abs().max() > 1e-4


def test_restored_under_another_epsilon_it_uses_that(saved: Path) -> None:
    """Against an epsilon of 1e6 Adam's momentum is nothing."""
    assert moved(saved, ppo__epsilon=1e6)[0].abs().max() < 1e-7 < moved(saved)[0].abs().max()


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_restored_under_other_coefficients_its_loss_has_those(saved: Path, coefficient: float) -> None:
    _, result = moved(saved, ppo__entropy_coefficient=coefficient, ppo__value_coefficient=0.25)
    expected = result["loss/policy"] + 0.25 * result["loss/value"] - coefficient * result["loss/entropy"]
    assert result["loss/total"] == pytest.approx(expected, abs=1e-6)


def test_copies_of_a_trial_draw_different_actions_and_a_trial_that_goes_on_the_same(saved: Path) -> None:
    results = []
    for name in ("default", "default", "a", "b"):  # the first is whoever made the checkpoint
        one = PerceiverTrainable(asked(**PLAIN) | {"__trial_info__": SimpleNamespace(trial_id=name)})
        one.restore(str(saved))
        results.append(measured(one.train()))
    assert results[0] == results[1]
    assert results[0] != results[2] != results[3] != results[0]


def test_another_network_cannot_take_up_a_checkpoint(saved: Path) -> None:
    for changed, name in (({"policy__latents": 3}, r"policy\.latents"), ({"num_envs": 8}, "num_envs")):
        with pytest.raises(UserError, match=f"^{name}: cannot change from"):
            trial(**changed).restore(str(saved))


def test_a_checkpoint_is_a_run_folder(saved: Path, tmp_path: Path) -> None:
    assert run(["evaluate", str(saved), "--episodes", "2"]) == 0
    assert run(["train", "--resume", str(saved)]) == 0
    assert checkpoint.manifest(checkpoint.latest(saved))["step"] == 6 * STEPS
    again = tmp_path / "again"
    assert run(["train", "--config", str(saved / "config.yaml"), "--run-dir", str(again)]) == 0
    # stopped, taken up by another command and never stopped: all one
    weights = [checkpoint.load_policy(checkpoint.latest(folder)) for folder in (saved, again)]
    assert_same(*weights)


@pytest.mark.parametrize(
    ("space", "answer"),
    [
        ({"ppo.lerning_rate": 1e-3}, "unknown key 'ppo.lerning_rate'; did you mean 'ppo.learning_rate'"),
        ({"ppo.lerning_rate": tune.uniform(0, 1)}, "unknown key 'ppo.lerning_rate'; did you mean 'ppo.learning_rate'"),
        ({"learning_rate": tune.uniform(0, 1)}, "did you mean 'ppo.learning_rate'"),
        ({"pppo.gamma": 0.9}, "unknown key 'pppo.gamma'; did you mean 'ppo.gamma'"),
        ({"ppo.gamma": tune.uniform(0.9, 1.1)}, "ppo.gamma should be less than or equal to 1, got 1.1"),
        ({"ppo.gamma": tune.choice([0.9, 9.9])}, "ppo.gamma should be less than or equal to 1, got 9.9"),
        ({"ppo.gamma": tune.grid_search([0.9, 9.9])}, "ppo.gamma should be less than or equal to 1, got 9.9"),
        ({"ppo.epochs": tune.randint(0, 4)}, "ppo.epochs should be greater than or equal to 1, got 0"),
        ({"ppo.gamma": tune.randn(50, 1)}, "ppo.gamma should be less than or equal to 1"),
        ({"policy.heads": tune.choice([2, 5])}, "must be a multiple of heads (5)"),
        ({"workers": 2}, "workers is 2, but a trial is one process"),
        ({"env": "sim/Simple64", "opponents": ["self"]}, "opponents: a trial has one opponent at most"),
        ({"env": "CartPol-v1"}, "did you mean 'CartPole-v1'"),
    ],
)
def test_a_search_is_refused_before_it_starts(space: dict[str, Any], answer: str) -> None:
    with pytest.raises(Exception, match=re.escape(answer)) as refused:
        search_space("cartpole", STEPS, space)
    assert isinstance(refused.value, UserError | ValueError)


def test_what_is_searched_over_is_refused_too() -> None:
    with pytest.raises(UserError, match=r"experiment cartpol: no such file.*did you mean 'cartpole'"):
        search_space("cartpol", STEPS, {})
    with pytest.raises(UserError, match="steps_per_iteration should be at least 1, got 0"):
        search_space("cartpole", 0, {})


def test_options_win_over_the_experiment_and_reach_inside_groups() -> None:
    base = experiment.read_config(ROOT / "configs" / "move_to_beacon.yaml")
    space = {"ppo.gamma": 0.5, "env_options.max_loops": 80}
    found = trial_config(search_space("move_to_beacon", 10, space))
    changes = experiment.changes(base, found)
    assert changes == {
        "ppo.gamma": (base.ppo.gamma, 0.5),
        "env_options": (base.env_options, {**base.env_options, "max_loops": 80}),
    }


def test_a_trial_that_no_episode_ends_in_says_so() -> None:
    with pytest.raises(UserError, match="no episode has ended in the first 8 steps: raise steps_per_iteration"):
        trial(1, num_envs=8, ppo__unroll=1).train()


def test_an_iteration_without_an_episode_repeats_what_is_known() -> None:
    one = trial(1, num_envs=1, ppo__unroll=4)
    one.steps_per_iteration = 100
    first = one.train()
    one.steps_per_iteration = 1
    following = [one.train() for _ in range(3)]
    quiet = [result for result in following if result["episode/count"] == first["episode/count"]]
    assert quiet
    assert {result["episode/return"] for result in quiet} == {first["episode/return"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shortened"),
    [
        ("cartpole_asha", {"trials": 2, "steps": 3072}),
        ("mini_game_pbt", {"trials": 2, "steps": 4096, "game_loops": 160}),
    ],
)
def test_example_runs(name: str, shortened: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"examples.tune.{name}")
    best = module.main(dataclasses.replace(module.DEFAULT, **shortened, folder=tmp_path))
    assert best["trials"] == 2
    assert best["timesteps_total"] >= shortened["steps"]
    told = capsys.readouterr().out
    assert "Trials, best first" in told
    assert str(best["run"]) in told
    assert checkpoint.manifest(checkpoint.latest(best["run"]))["step"] == best["timesteps_total"]
    chosen = experiment.read_run_config(best["run"])
    assert chosen.ppo.learning_rate == best["config"]["ppo.learning_rate"]
    assert run(["evaluate", str(best["run"]), "--episodes", "2"]) == 0


def test_all_examples_are_on_the_page() -> None:
    files = {path.stem for path in (ROOT / "examples" / "tune").glob("*.py")} - {"__init__", "trials"}
    assert set(re.findall(r"python -m examples\.tune\.(\w+)", (ROOT / "docs" / "tune.md").read_text())) == files


def test_code_on_the_page_makes_a_search() -> None:
    """All of it but the running."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tune.md").read_text(), re.DOTALL)
    before, running, _ = block.partition("best = ")
    assert running
    namespace: dict[str, Any] = {}
    exec(compile(before, "docs/tune.md", "exec"), namespace)
    assert trial_config({**namespace["space"], "ppo.learning_rate": 1e-3, "ppo.gamma": 0.98}).total_steps == 100_000
