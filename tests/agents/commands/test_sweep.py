"""`perceiver-rl sweep`: trials by Optuna, held against what their folders say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.commands.cli import run
from agents.runs import experiment

optuna = pytest.importorskip("optuna")
SMALL = {"num_envs": 2, "policy.latents": 2, "ppo.unroll": 32, "total_steps": 128, "evaluation_episodes": 0}
SEARCH = """
experiment: cartpole
options: {options}
trials: {trials}
metric: {metric}
direction: minimize
prune: {prune}
parameters:
  ppo.learning_rate: {{low: 1.0e-4, high: 1.0e-2, log: true}}
  ppo.epochs: {{low: 1, high: 3}}
  ppo.gamma: [0.9, 0.99]
"""


def write(path: Path, *, trials: int = 8, metric: str = "loss/value", prune: str = "false") -> Path:
    path.write_text(SEARCH.format(options=json.dumps(SMALL), trials=trials, metric=metric, prune=prune))
    return path


def last(run_dir: Path, metric: str) -> float:
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [record[metric] for record in records if record.get(metric) is not None][-1]


@pytest.mark.slow
def test_eight_trials_and_the_best_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "look.yaml", trials=5)
    assert run(["sweep", "look.yaml"]) == 0
    write(tmp_path / "look.yaml", trials=8)  # it goes on
    assert run(["sweep", "look.yaml"]) == 0
    folders = sorted((tmp_path / "sweeps/look").glob("trial-*"))
    assert len(folders) == 8
    values = {folder: last(folder, "loss/value") for folder in folders}
    best = min(values, key=lambda folder: values[folder])
    assert experiment.read_config(best.parent / "best.yaml") == experiment.read_run_config(best)
    configs = [experiment.read_run_config(folder) for folder in folders]
    assert all(1e-4 <= config.ppo.learning_rate <= 1e-2 and config.ppo.epochs in (1, 2, 3) for config in configs)
    assert len({config.ppo.learning_rate for config in configs}) == 8
    assert {config.total_steps for config in configs} == {128}
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{best.parent / 'study.db'}")
    assert study.best_trial.number == int(best.name.removeprefix("trial-"))
    assert study.best_value == pytest.approx(values[best])
    said = capsys.readouterr().out
    assert "sweeps/look/best.yaml" in said
    assert f"{values[best]:.4g}" in said


@pytest.mark.slow
def test_a_trial_that_is_worse_than_most_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told of a figure that grows with each trial, Optuna ends the later ones at their first updates."""
    from agents.runs import search as searching

    reported = searching._Pruning.on_update

    def worse_and_worse(self: searching._Pruning, run: object, metrics: dict[str, float]) -> None:
        reported(self, run, {"loss/value": float(self.trial.number)})

    monkeypatch.setattr(searching._Pruning, "on_update", worse_and_worse)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "look.yaml", trials=7, prune="true")
    assert run(["sweep", "look.yaml"]) == 0
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path / 'sweeps/look/study.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 5 + ["PRUNED"] * 2
    steps = [json.loads(line)["step"] for line in (tmp_path / "sweeps/look/trial-0006/metrics.jsonl").open()]
    assert steps[-1] < 128


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("experiment: cartpole", "look.yaml: parameters: must be given\n"),
        ("experiment: cartpool\nparameters: {ppo.gamma: [0.9]}", "did you mean 'cartpole'"),
        ("experiment: cartpole\nparameters: {ppo.gama: [0.9]}", "ppo.gama"),
        (
            "experiment: cartpole\nparameters: {ppo.gamma: {low: 1, high: 0}}",
            "look.yaml: parameters.ppo.gamma: low (1) should be below high (0)\n",
        ),
        (
            "experiment: cartpole\nparameters: {ppo.gamma: 3}",
            "look.yaml: parameters.ppo.gamma: Input should be a valid list\n",
        ),
        ("experiment: cartpole\nparameters: {ppo.gamma: [2.0]}", "ppo.gamma"),
        (
            "experiment: cartpole\ntrails: 3\nparameters: {ppo.gamma: [0.9]}",
            "unknown key 'trails'; did you mean 'trials'",
        ),
        ("- 1", "the file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "look.yaml").write_text(text)
    assert run(["sweep", str(tmp_path / "look.yaml")]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "[" not in said.replace("[2.0]", "")  # of pydantic's own words
    assert not (tmp_path / "sweeps").exists()
