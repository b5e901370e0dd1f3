"""Loggers that hand a run's figures to other programs' clients, which are optional: Weights & Biases, and MLflow.

Where they send them, and whether anywhere at all, their own variables say: WANDB_MODE=offline, WANDB_PROJECT,
MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME. A run that goes on goes on there, too.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment
from agents.runs.callbacks import Logger

PROJECT = "perceiver-rl"


class WandB(Logger):
    """Weights & Biases."""

    def start(self, run_dir: Path, config: Config, step: int) -> None:
        self.client = _client("wandb")
        folder = run_dir / "wandb"
        folder.mkdir(exist_ok=True)
        remembered = folder / "id"
        identity = remembered.read_text() if step and remembered.exists() else uuid.uuid4().hex[:8]
        remembered.write_text(identity)
        self.run = self.client.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=identity,
            name=run_dir.name,
            dir=run_dir,
            config=experiment.settings(config),
            resume="allow",
        )
        # not their own step, which refuses to record two things at one
        self.run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({**values, "step": step})

    def histogram(self, step: int, name: str, values: npt.NDArray[Any]) -> None:
        self.run.log({name: self.client.Histogram(values), "step": step})

    def text(self, step: int, name: str, text: str) -> None:
        self.run.log({name: self.client.Html(f"<pre>{text}</pre>"), "step": step})

    def video(self, step: int, name: str, path: Path) -> None:
        self.run.log({name: self.client.Video(str(path), format=path.suffix[1:]), "step": step})

    def close(self) -> None:
        self.run.finish()


class MLflow(Logger):
    """MLflow: figures, options as parameters, texts and videos as artifacts; it knows no histograms."""

    def start(self, run_dir: Path, config: Config, step: int) -> None:
        mlflow = _client("mlflow")
        self.client = mlflow.MlflowClient()
        remembered = run_dir / "mlflow-id"
        if step and remembered.exists():
            self.identity = remembered.read_text()
            self.client.update_run(self.identity, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self.client.get_experiment_by_name(name)
        place = known.experiment_id if known else self.client.create_experiment(name)
        self.identity = self.client.create_run(place, run_name=run_dir.name).info.run_id
        remembered.write_text(self.identity)
        for key, value in experiment.settings(config).items():
            self.client.log_param(self.identity, key, value)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric  # type: ignore[import-not-found]
        from mlflow.utils.time import get_current_time_millis  # type: ignore[import-not-found]

        now = get_current_time_millis()
        # their names hold no other signs
        metrics = [Metric(re.sub(r"[^\w./ -]", "_", name), value, now, step) for name, value in values.items()]
        self.client.log_batch(self.identity, metrics=metrics)

    def text(self, step: int, name: str, text: str) -> None:
        self.client.log_text(self.identity, text, f"{name}.txt")

    def video(self, step: int, name: str, path: Path) -> None:
        self.client.log_artifact(self.identity, str(path), name)

    def close(self) -> None:
        self.client.set_terminated(self.identity)


def _client(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"--track {name}: needs {error.name}: pip install 'perceiver-rl[{name}]'") from error
