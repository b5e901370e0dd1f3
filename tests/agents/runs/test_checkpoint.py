"""Checkpoints survive being killed, damaged, and used in the wrong place."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting.player import load_player
from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.placement.local import train
from agents.runs import checkpoint
from envs import registry
from envs.errors import EnvFailure
from tests.agents.placement.test_resume import POLICY, Recorder

SPACES = {"observation_space": "o", "action_space": "a"}

WRITE_FOR_EVER = """
import sys, torch
from pathlib import Path
from agents.runs import checkpoint
for step in range(1, 10**6):
    value = torch.full((400_000,), float(step))
    state = {"learner": {"policy": {"w": value}, "steps": step}, "rollout": {"x": value}}
    checkpoint.save(Path(sys.argv[1]), step, state, spaces={"observation_space": "o", "action_space": "a"}, keep=2)
    print(step, flush=True)
"""


def state(step: int) -> dict:
    return {
        "learner": {"policy": {"w": torch.full((3,), float(step))}, "steps": step},
        "rollout": {"n": np.arange(step)},
    }


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    saved = state(5) | {"nested": ({"u8": np.arange(3, dtype=np.uint8)}, [(1.5, 2)], "text", None)}
    loaded = checkpoint.load(checkpoint.save(tmp_path, 5, saved, spaces=SPACES, keep=1))
    assert loaded["learner"]["steps"] == 5
    assert torch.equal(loaded["learner"]["policy"]["w"], torch.full((3,), 5.0))
    assert loaded["rollout"]["n"].tolist() == [0, 1, 2, 3, 4]
    array = loaded["nested"][0]["u8"]
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.uint8
    assert loaded["nested"][1:] == ([(1.5, 2)], "text", None)


def test_killed_while_writing_leaves_a_loadable_run(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    last = 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        printed = [int(process.stdout.readline()) for _ in range(3)]
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        printed += [int(line) for line in process.stdout.read().split("\n") if line.strip()]
        process.wait()
        path = checkpoint.latest(tmp_path)
        loaded = checkpoint.load(path)
        last = loaded["learner"]["steps"]
        assert last >= printed[-1]
        assert path.name == f"step-{last:012d}"
        assert (loaded["learner"]["policy"]["w"] == last).all()
        assert (loaded["rollout"]["x"] == last).all()


@pytest.mark.parametrize("name", ["policy.safetensors", "state.pt", "manifest.json"])
def test_a_damaged_checkpoint_is_named_and_passed_over(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step), spaces=SPACES, keep=3)
    broken = tmp_path / "checkpoints" / "step-000000000002" / name
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 0xFF
    broken.write_bytes(content)
    assert checkpoint.latest(tmp_path).name == "step-000000000001"
    assert "step-000000000002" in caplog.text
    broken.unlink()
    assert checkpoint.latest(tmp_path).name == "step-000000000001"


def test_none_whole_none_there_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder at"):
        checkpoint.latest(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpoint.latest(tmp_path)
    path = checkpoint.save(tmp_path, 1, state(1), spaces=SPACES, keep=1)
    (path / "state.pt").write_bytes(b"")
    with pytest.raises(UserError, match="none of the 1 checkpoints"):
        checkpoint.latest(tmp_path)


def test_state_is_loaded_without_running_code(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, state(1), spaces=SPACES, keep=1)
    torch.save({"evil": time.sleep}, path / "state.pt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only"):
        checkpoint.load(path)


def test_another_environments_checkpoint_is_refused(tmp_path: Path) -> None:
    config = Config(env="CartPole-v1", num_envs=2, total_steps=16, threads=1, policy=POLICY, ppo=PPOConfig(unroll=8))
    train(config, tmp_path, Recorder(), resume=False)  # type: ignore[arg-type]
    player = load_player(tmp_path, config, registry.make("CartPole-v1", 3), device="cpu")
    assert player.act(np.zeros((3, 4), np.float32), np.ones(3, bool)).shape == (3,)
    with pytest.raises(UserError, match="observation space"):
        load_player(tmp_path, config, registry.make("Acrobot-v1", 1), device="cpu")


class Poisoned(gymnasium.Env[np.ndarray, int]):
    """Pays well, until it pays something that is no number."""

    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
        self.steps = getattr(self, "steps", 0)
        return np.zeros(2, np.float32), {}

    def step(self, action: int):  # type: ignore[no-untyped-def]
        self.steps += 1
        return np.zeros(2, np.float32), 1.0 if self.steps < 20 else np.nan, self.steps % 5 == 0, False, {}


def test_a_nan_stops_training_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = Config(
        env="tests.agents.runs.test_checkpoint:Poisoned",
        num_envs=2,
        total_steps=10_000,
        checkpoint_interval=16,
        threads=1,
        policy=POLICY,
        ppo=PPOConfig(unroll=8),
    )
    with pytest.raises(EnvFailure, match="Poisoned, game 1 of 2, episode 4, step 5: the reward is nan"):
        train(config, tmp_path, Recorder(), resume=False)  # type: ignore[arg-type]
    path = checkpoint.latest(tmp_path)
    assert path.name == "step-000000000032"
    assert all(torch.isfinite(x).all() for x in checkpoint.load_policy(path).values())


def test_the_newest_so_many_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        checkpoint.save(tmp_path, step, state(step), spaces=SPACES, keep=2)
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step-000000000003",
        "step-000000000010",
    ]
