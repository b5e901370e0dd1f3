"""Each example of docs/extending.md in a folder outside the repository: trained, loaded, evaluated, resumed, missed."""

import importlib
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import perceiver_rl
from perceiver_policy.policy import choices, inputs
from perceiver_policy.registry import Registry
from perceiver_rl import extending  # noqa: F401 (so that all kinds are known)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/extend"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "__init__")
SMALL = {
    "policy": {"token_width": 8, "latents": 2, "latent_width": 8, "heads": 2, "self_attends": 0},
    "num_envs": 4, "total_steps": 128, "ppo": {"unroll": 16, "minibatch": 64, "epochs": 1}, "quiet": True,
}  # fmt: skip
NAMED = {
    "callback": {"callbacks": ["good_enough"]},
    "logger": {"track": ["csv"]},
    "loss": {"ppo": {**SMALL["ppo"], "losses": {"small_logits": 0.5}}},
    "algorithm": {"algorithm": "a2c", "algorithm_options": {"unroll": 16, "gamma": 0.9}},
    "network": {"policy": {**SMALL["policy"], "network": "deep_sets", "network_options": {"hidden": 12}}},
    "memory": {"policy": {**SMALL["policy"], "memory": "running_mean"}},
    "space": {"env": "space:Opposite"},
}


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder with the examples in it, of which nothing is imported or registered yet, nor will be afterwards."""
    for registry in Registry.each.values():
        monkeypatch.setattr(registry, "added", {})
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    tables = [(table, dict(table)) for table in (inputs.EMBEDDERS, choices.HEADS)]
    for name in NAMES:
        shutil.copy(EXAMPLES / f"{name}.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    forget()
    for table, kept in tables:
        table.clear()
        table.update(kept)


def forget():
    """What another process does not know."""
    for name in NAMES:
        sys.modules.pop(name, None)
    for registry in Registry.each.values():
        registry.added.clear()
    importlib.invalidate_caches()


def train(name, **more):
    """A short run with the extension that the file holds."""
    extension = name if name == "space" else f"{name}.py"
    options = {**SMALL, "env": "CartPole-v1", "extensions": [extension], **NAMED[name], **more}
    return perceiver_rl.train(run_dir=f"run-{name}", **options)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_evaluates_and_goes_on_and_is_missed_in_words(outside, name):
    run = train(name)
    assert list(run.metrics()["step"]) == [64, 128] or name == "algorithm"
    saved = yaml.safe_load((run.path / "config.yaml").read_text())
    assert saved["extensions"] == [name if name == "space" else f"{name}.py"]
    forget()
    with pytest.raises(perceiver_rl.UserError, match=f"names code to run, {name}.*trust=True"):
        perceiver_rl.load(run.path)
    agent = perceiver_rl.load(run.path, trust=True)
    assert len(agent.evaluate(episodes=3).returns) == 3
    run.resume(total_steps=192, quiet=True)
    assert run.metrics()["step"].max() == 192
    forget()
    (outside / f"{name}.py").unlink()
    with pytest.raises(perceiver_rl.UserError, match=rf"extensions: {name}(\.py)? cannot be imported .*code that this"):
        perceiver_rl.load(run.path, trust=True)


def test_what_is_registered_is_what_is_used(outside):
    from network import DeepSets  # the file, in this folder

    run = train("network")
    agent = perceiver_rl.load(run)
    found = agent.policy.encoder.network
    assert type(found).__name__ == DeepSets.__name__
    assert found.each[0].out_features == 12
    run = train("loss")
    table = run.metrics()
    assert np.allclose(table["loss/small_logits"], table["loss/entropy"] / 2, rtol=0.1)  # E[-log p] is the entropy
    run = train("logger")
    rows = [line.split(",") for line in (run.path / "numbers.csv").read_text().splitlines()]
    assert [float(row[2]) for row in rows if row[1] == "loss/total"] == list(run.metrics()["loss/total"])
    assert not (run.path / "tensorboard").exists()
    run = train("algorithm")
    assert run.config.learning.gamma == 0.9
    with pytest.raises(perceiver_rl.UserError, match=r"algorithm_options.gama: Extra inputs are not permitted"):
        train("algorithm", algorithm_options={"gama": 0.9})


def test_a_name_without_the_code_is_missed_in_words(outside):
    with pytest.raises(perceiver_rl.UserError, match=r"no network is called 'deep_set'.*docs/extending.md"):
        perceiver_rl.train("CartPole-v1", policy={"network": "deep_set"})
    with pytest.raises(perceiver_rl.UserError, match=r"no kind of extension is called 'netwrok'.*mean 'network'"):
        perceiver_rl.register("netwrok", "mine")
    with pytest.raises(ValueError, match="algorithm 'ppo' is built in"):
        perceiver_rl.register("algorithm", "ppo")


def test_latents_of_a_wrong_shape_are_said(outside):
    @perceiver_rl.register("network", "flat")
    class Flat(torch.nn.Linear):
        def __init__(self, config):
            super().__init__(config.token_width, config.latent_width)

        def forward(self, tokens, mask):
            return super().forward(tokens[:, 0])

    with pytest.raises(ValueError, match=r"Flat returned latents of shape \(4, 8\); expected \[4, any number, 8\]"):
        perceiver_rl.train("CartPole-v1", **{**SMALL, "policy": {**SMALL["policy"], "network": "flat"}})


def test_the_angles_distribution_is_one(outside):
    import space  # the file, in this folder

    torch.manual_seed(0)
    head = space.ChooseAngle(space.Angle(), 6)
    with torch.no_grad():
        head.concentration.fill_(0.7)
    mine, other = (head.distribution(torch.randn(3, 1, 6), None, None) for _ in range(2))
    grid, width = torch.arange(64) / 32 - 1, 1 / 32  # of a smooth function around a circle such a sum is the integral
    with torch.no_grad():
        log_p, log_q = (torch.stack([d.log_prob(g.expand(3, 1)) for g in grid]) for d in (mine, other))
        entropy, divergence = mine.entropy(), mine.divergence(other)
    assert (log_p.exp().sum(0) * width).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert (-(log_p.exp() * log_p).sum(0) * width).tolist() == pytest.approx(entropy.tolist(), abs=1e-4)
    by_sum = ((log_q.exp() * (log_q - log_p)).sum(0) * width).tolist()
    assert by_sum == pytest.approx(divergence.tolist(), abs=1e-4)
    assert mine.sample(None).shape == mine.best().shape == (3, 1)
    assert bool((mine.best().abs() <= 1).all())
    assert math.isfinite(float(mine.log_prob(mine.sample(None)).sum()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network", "algorithm", "memory", "space"])
def test_it_runs_with_workers(outside, name):
    run = train(name, workers=2)
    assert run.metrics()["step"].max() >= 128
    assert len(perceiver_rl.load(run).evaluate(episodes=2).returns) == 2


def test_an_algorithm_without_an_update_is_named_where_it_is_written():
    with pytest.raises(TypeError, match=r"algorithm Forgetful lacks its update\(learner, trajectory\)"):
        type("Forgetful", (perceiver_rl.Algorithm,), {})
