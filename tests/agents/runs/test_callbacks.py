"""What callbacks and loggers are told, against what the run itself wrote down."""

import io
import json
import sys

import pytest
from rich.console import Console

from agents.commands.train import begin_run, continue_run
from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.extensions import CALLBACKS, LOGGERS
from agents.placement.local import train
from agents.runs import experiment, folder
from agents.runs.callbacks import Callback, Logger
from agents.runs.report import METRICS, Report
from perceiver_policy.policy.config import PolicyConfig

SMALL = PolicyConfig(token_width=8, latents=2, latent_width=8, heads=2, self_attends=0)
CONFIG = Config(
    env="CartPole-v1", num_envs=4, total_steps=256, checkpoint_interval=128, policy=SMALL,
    ppo=PPOConfig(unroll=16, minibatch=64, epochs=1),
)  # fmt: skip


def run(run_dir, config, *callbacks):
    run_dir.mkdir(exist_ok=True)
    with Report(run_dir, Console(file=io.StringIO()), config=config, callbacks=callbacks) as report:
        train(config, run_dir, report, resume=False)
    return report


class Told(Callback):
    def __init__(self):
        self.events = []
        self.steps = self.returns = 0
        self.totals = []

    def on_start(self, run):
        self.events.append(("start", run.step, run.total_steps))
        assert sum(p.numel() for p in run.policy.parameters()) > 0

    def on_step(self, run, step):
        self.steps += len(step.reward)
        self.returns += step.reward.sum()

    def on_episode(self, run, episode):
        self.totals.append(episode.total)

    def on_update(self, run, metrics):
        self.events.append(("update", run.step, metrics["episode/count"]))

    def on_checkpoint(self, run, path):
        self.events.append(("checkpoint", run.step, path.name))

    def on_end(self, run):
        self.events.append(("end", run.step, None))


def test_a_callback_hears_of_all_that_happens_in_its_order(tmp_path):
    told = Told()
    run(tmp_path, CONFIG, told)
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    updates = [("update", line["step"], line["episode/count"]) for line in lines]
    first, second = (("checkpoint", step, f"step-{step:012d}") for step in (128, 256))
    assert told.events == [("start", 0, 256), *updates[:2], first, *updates[2:], second, ("end", 256, None)]
    assert told.steps == told.returns == 256  # CartPole gives 1 a step
    assert len(told.totals) == lines[-1]["episode/count"]
    assert lines[-1]["episode/return"] == pytest.approx(sum(told.totals) / len(told.totals))


def test_a_callback_ends_the_run_which_is_saved(tmp_path):
    class Enough(Callback):
        def on_update(self, run, metrics):
            if run.step >= 64:
                run.stop("64 steps are enough")

    report = run(tmp_path, CONFIG, Enough())
    assert [folder.step_of(path) for path in folder.checkpoints(tmp_path)] == [64]
    assert "64 steps are enough" in report.console.file.getvalue()
    assert report.stopped_by is None


def test_what_a_callback_raises_stops_the_run_and_what_was_learned_is_kept(tmp_path):
    class Fails(Callback):
        def on_update(self, run, metrics):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(tmp_path, CONFIG, Fails())
    assert [folder.step_of(path) for path in folder.checkpoints(tmp_path)] == [64]


def test_loggers_and_callbacks_are_named_in_the_experiment(tmp_path, monkeypatch):
    monkeypatch.setattr(LOGGERS, "added", {})
    monkeypatch.setattr(CALLBACKS, "added", {"told": Told})

    @LOGGERS.register("lines")
    class Lines(Logger):
        told: list = []  # noqa: RUF012

        def start(self, run_dir, config, step):
            self.told.append((run_dir, config.seed, step))

        def scalars(self, step, values):
            self.told.append((step, values["learner/learning_rate"]))

        def close(self):
            self.told.append("closed")

    run(tmp_path, CONFIG.model_copy(update={"track": ("lines",), "callbacks": ("told",)}))
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    written = [(line["step"], line["learner/learning_rate"]) for line in lines]
    assert Lines.told == [(tmp_path, 0, 0), *written, "closed"]
    assert not (tmp_path / "tensorboard").exists()


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="no logger is called 'tensorbord'; did you mean 'tensorboard'"):
        Config(track=("tensorbord",))


def test_the_file_that_an_experiment_names_is_imported_and_its_callback_called(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(CALLBACKS, "added", {})
    monkeypatch.chdir(tmp_path)
    config = {**CONFIG.model_dump(), "extensions": ["stop_early.py"], "callbacks": ["once"], "evaluation_episodes": 0}
    (tmp_path / "stop_early.py").write_text(
        "from agents.extensions import CALLBACKS\nfrom agents.runs.callbacks import Callback\n\n"
        "@CALLBACKS.register('once')\nclass Once(Callback):\n"
        "    def on_update(self, run, metrics):\n        run.stop()\n"
    )
    begin_run(tmp_path / "run", Config(**config))
    assert [folder.step_of(path) for path in folder.checkpoints(tmp_path / "run")] == [64]
    again = experiment.read_run_config(tmp_path / "run")
    assert again.extensions == ("stop_early.py",)
    with pytest.raises(UserError, match="no callback is called 'onse'; did you mean 'once'"):
        begin_run(tmp_path / "other", Config(**{**config, "callbacks": ["onse"]}))
    (tmp_path / "stop_early.py").unlink()
    del sys.modules["stop_early"]
    with pytest.raises(UserError, match=r"extensions: stop_early.py cannot be imported .*holds code"):
        continue_run(tmp_path / "run", again.model_copy(update={"total_steps": 512}))
