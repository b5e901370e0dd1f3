"""The options of a run, in its config.yaml and in its checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.runs import checkpoint, experiment

CONFIG = Config(
    env="CartPole-v1",
    env_options={"gravity": 9.0, "names": ["a", None]},
    total_steps=1234,
    evaluation_episodes=3,
    ppo=PPOConfig(clip=0.25),
)


def write(run_dir: Path) -> str:
    experiment.write_config(CONFIG, run_dir / "config.yaml")
    checkpoint.save(
        run_dir,
        5,
        {"learner": {"policy": {"w": torch.zeros(1)}}},
        spaces={"observation_space": "o", "action_space": "a"},
        keep=1,
        options=experiment.plain(CONFIG),
    )
    return (run_dir / "config.yaml").read_text()


def test_a_config_cut_anywhere_is_read_from_the_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = write(tmp_path)
    assert experiment.read_run_config(tmp_path) == CONFIG
    assert caplog.text == ""
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines))]
    for end in (0, *starts[1:-1:7], *(start + 9 for start in starts[:-1:5])):
        caplog.clear()
        (tmp_path / "config.yaml").write_text(text[:end])
        assert experiment.read_run_config(tmp_path) == CONFIG, end
        assert "its options are taken from the newest checkpoint" in caplog.text
    (tmp_path / "config.yaml").unlink()
    assert experiment.read_run_config(tmp_path) == CONFIG


def test_a_config_that_was_changed_is_refused_but_for_what_may_change(tmp_path: Path) -> None:
    text = write(tmp_path)
    (tmp_path / "config.yaml").write_text(text.replace("clip: 0.25", "clip: 0.3"))
    with pytest.raises(UserError, match=r"ppo.clip is 0.3, but the run was trained with 0.25: put that back"):
        experiment.read_run_config(tmp_path)
    (tmp_path / "config.yaml").write_text(text.replace("gravity: 9.0", "gravity: 9.5"))
    with pytest.raises(UserError, match="env_options is"):
        experiment.read_run_config(tmp_path)
    (tmp_path / "config.yaml").write_text(text.replace("total_steps: 1234", "total_steps: 5678"))
    assert experiment.read_run_config(tmp_path).total_steps == 5678


@pytest.mark.parametrize("content", ["{", "[]", '{"options": 3}', '{"no": "options"}'])
def test_a_manifest_without_options_leaves_the_config_alone(tmp_path: Path, content: str) -> None:
    write(tmp_path)
    (tmp_path / "checkpoints/step-000000000005/manifest.json").write_text(content)
    assert experiment.read_run_config(tmp_path) == CONFIG
