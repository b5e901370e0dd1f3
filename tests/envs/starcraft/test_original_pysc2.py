"""The original PySC2, in an environment of its own, plays through the same code: `make test ARGS="-m slow"`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# What pysc2 4.0.0 needs, but for the s2clientprotocol that no current protobuf reads; and what envs needs.
PACKAGES = [
    "pys2clientprotocol",
    "absl-py",
    "deepdiff",
    "dm-env",
    "mock",
    "mpyq",
    "numpy",
    "portpicker",
    "protobuf",
    "pygame",
    "requests",
    "s2protocol",
    "sk-video",
    "websocket-client",
    "gymnasium",
    "numba",
    "optree",
    "psutil",
    "scipy",
    "websockets",
]
PLAY = """
from envs import registry
from envs.starcraft import installation
env = registry.make("sc2/MoveToBeacon", 1, max_loops=400)
observation, _ = env.reset(seed=3)
env.action_space.seed(0)
ended = 0
for _ in range(120):
    observation, _, _, truncated, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    ended += int(truncated.sum())
print(installation.pysc2_package(), ended, dict(env.failures))
env.close()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_original_pysc2_plays(tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), *PACKAGES], check=True)
    subprocess.run([*pip, "--no-deps", "pysc2==4.0.0"], check=True)
    install = [sys.executable, "-m", "agents.commands.cli", "standin-install", str(tmp_path / "game")]
    subprocess.run(install, check=True, cwd=ROOT)
    told = subprocess.run(
        [str(python), "-c", PLAY],
        env={"PYTHONPATH": str(ROOT), "SC2PATH": str(tmp_path / "game"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.split() == ["pysc2", "2", "{}"], told.stderr[-2000:]
