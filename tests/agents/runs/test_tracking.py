"""What TensorBoard, Weights & Biases and MLflow hold of a run, against what its folder says."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.commands.cli import run
from agents.runs import experiment
from agents.runs.report import METRICS

TINY = [
    "--env",
    "CartPole-v1",
    "--num-envs",
    "2",
    "--ppo.unroll",
    "32",
    "--policy.latents",
    "2",
    "--total-steps",
    "256",
]
Series = dict[str, list[tuple[int, float]]]


def train(folder: Path, *words: str) -> Path:
    assert run(["train", *TINY, "--evaluation-episodes", "2", "--run-dir", str(folder), *words]) == 0
    return folder


def recorded(folder: Path) -> Series:
    """What metrics.jsonl says: the truth."""
    found: Series = defaultdict(list)
    for line in (folder / METRICS).read_text().splitlines():
        record = json.loads(line)
        for name, value in record.items():
            if name != "step" and value is not None:
                found[name].append((record["step"], value))
    return found


def same(found: Series, wanted: Series) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in values], name
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in values], rel=1e-5), name


def tensorboard(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    reader.Reload()
    return reader


def scalars(reader: Any) -> Series:
    return {name: [(event.step, event.value) for event in reader.Scalars(name)] for name in reader.Tags()["scalars"]}


def test_tensorboard_holds_figures_options_evaluation_text_and_video(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    folder = train(tmp_path / "run", "--evaluation-video")
    reader, truth = tensorboard(folder), recorded(folder)
    same(scalars(reader), truth)
    evaluation = json.loads((folder / "evaluation.json").read_text())[0]
    assert truth["evaluation/return"] == [(256, pytest.approx(evaluation["return"]["mean"]))]
    assert truth["evaluation/length"] == [(256, pytest.approx(evaluation["length"]["mean"]))]

    content = reader.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    options = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
    settings = experiment.settings(experiment.read_run_config(folder))
    assert options == {key: float(v) if type(v) is int else v for key, v in settings.items()}
    assert options["ppo.unroll"] == 32

    (text,) = reader.Tensors("experiment/text_summary")
    assert "env: CartPole-v1" in text.tensor_proto.string_val[0].decode()
    (image,) = reader.Images("evaluation")
    assert image.encoded_image_string.startswith(b"GIF8")
    assert image.step == 256
    assert (folder / "evaluation.mp4").exists()


def log_records(file: bytes) -> Iterator[bytes]:
    """The records of an offline run's file: LevelDB's log format, in blocks of 32 KiB, after a header of 7 bytes."""
    place, whole = 7, b""
    while place + 7 <= len(file):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = int.from_bytes(file[place + 4 : place + 6], "little"), file[place + 6]
        whole += file[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # full, or the last of several
            yield whole
            whole = b""


@pytest.mark.slow
def test_wandb_holds_what_tensorboard_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = train(tmp_path / "run", "--track", "tensorboard", "wandb", "--evaluation-video")
    found: Series = defaultdict(list)
    others, options = set(), {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in log_records(path.read_bytes()):
            record = Record.FromString(data)
            options |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            history = record.history.item
            items = [(list(item.nested_key) or [item.key], json.loads(item.value_json)) for item in history]
            steps = [value for keys, value in items if keys == ["step"]]
            for (name, *part), value in items:
                if part == ["_type"]:
                    others.add((name, value))
                elif not part and name != "step" and not name.startswith("_"):
                    found[name].append((steps[0], value))
    same(found, scalars(tensorboard(folder)))
    assert {("experiment", "html-file"), ("evaluation", "video-file")} <= others
    settings = experiment.settings(experiment.read_run_config(folder))
    assert {key: options[key] for key in settings} == settings


@pytest.mark.slow
def test_mlflow_holds_what_tensorboard_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    folder = train(tmp_path / "run", "--track", "tensorboard", "mlflow", "--evaluation-video")
    client, identity = mlflow.MlflowClient(), (folder / "mlflow-id").read_text()
    kept = client.get_run(identity)
    names = kept.data.metrics
    found = {name: [(m.step, m.value) for m in client.get_metric_history(identity, name)] for name in names}
    same(found, scalars(tensorboard(folder)))
    settings = experiment.settings(experiment.read_run_config(folder))
    assert kept.data.params == {key: str(value) for key, value in settings.items()}
    assert {file.path for file in client.list_artifacts(identity)} == {"experiment.txt", "evaluation"}
    assert kept.info.status == "FINISHED"


@pytest.mark.parametrize(("name", "why"), [("wandb", "perceiver-rl[wandb]"), ("mlflow", "perceiver-rl[mlflow]")])
def test_a_client_that_is_missing_is_named(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, name, None)
    assert run(["train", *TINY, "--run-dir", str(tmp_path / "run"), "--track", name]) == 2
    assert why in capsys.readouterr().err
