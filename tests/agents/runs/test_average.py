"""``perceiver-rl average``: one policy of a run's last ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from agents.commands.cli import run
from tests.agents.commands.test_cli import TINY, refused


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run with checkpoints at 128, 192 and 256 steps."""
    run_dir = tmp_path / "run"
    argv = [*TINY, "--checkpoint-interval", "64", "--keep-checkpoints", "3", "--evaluation-episodes", "0"]
    assert run(["train", *argv, "--run-dir", str(run_dir)]) == 0
    return run_dir


def policies(run_dir: Path) -> dict[str, dict[str, np.ndarray]]:
    return {path.parent.name: load_file(path) for path in sorted(run_dir.glob("checkpoints/*/policy.safetensors"))}


def test_it_is_the_mean_of_the_newest_whole_ones(trained, tmp_path, capsys, caplog):
    found = policies(trained)
    assert len(found) == 3
    out = tmp_path / "mean"
    assert run(["average", str(trained), "--last", "2", "--out", str(out)]) == 0
    assert "the mean of 2 policies, steps 192 to 256" in capsys.readouterr().out
    ((name, mean),) = policies(out).items()
    assert name == "step-000000000256"
    former, latter = list(found.values())[1:]
    assert any((former[key] != latter[key]).any() for key in mean)
    for key, value in mean.items():
        np.testing.assert_allclose(value, (former[key].astype(float) + latter[key]) / 2, rtol=1e-6, atol=1e-9)
    (trained / "checkpoints/step-000000000192/policy.safetensors").write_bytes(b"")
    assert run(["average", str(trained), "--last", "2", "--out", str(tmp_path / "other")]) == 0
    assert "steps 128 to 256" in capsys.readouterr().out
    assert "step-000000000192 is damaged" in caplog.text


def test_what_comes_of_it_is_a_run(trained, tmp_path, capsys):
    out = tmp_path / "mean"
    assert run(["average", str(trained), "--last", "3", "--out", str(out)]) == 0
    assert run(["evaluate", str(out), "--episodes", "3"]) == 0
    assert run(["train", *TINY, "--init", str(out), "--run-dir", str(tmp_path / "on")]) == 0
    assert "without the state of its training" in refused(capsys, "train", "--resume", str(out), "--total-steps", "512")


def test_what_cannot_be_averaged_is_said(trained, tmp_path, capsys):
    out = str(tmp_path / "mean")
    assert "holds 3 whole checkpoints, not 4" in refused(capsys, "average", str(trained), "--last", "4", "--out", out)
    assert "at least 2" in refused(capsys, "average", str(trained), "--last", "1", "--out", out)
    assert not Path(out).exists()
    assert "not empty" in refused(capsys, "average", str(trained), "--last", "2", "--out", str(trained))
    assert "it is no folder" in refused(capsys, "average", str(tmp_path / "none"), "--out", out)
