"""The plug-ins and the notebook run. Slow: they train, some in environments of their own.

    PERCEIVER_RL_SB3=/path/python PERCEIVER_RL_RLLIB=/path/python pytest -m slow tests/perceiver_rl/test_plugins.py

name Pythons that can import Stable-Baselines3 with sb3-contrib, and ray[rllib], besides what we need.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples/notebook.ipynb"


@pytest.mark.parametrize("path", sorted((ROOT / "examples/plugins").glob("*.py")), ids=lambda path: path.stem)
def test_a_plug_in_is_under_a_hundred_lines(path):
    assert len(path.read_text().splitlines()) < 100


def test_the_notebook_has_under_fifteen_lines_of_code():
    import json

    cells = json.loads(NOTEBOOK.read_text())["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]
    statements = [line for line in lines if line.strip() and not line.startswith(("import", "from"))]
    assert 5 < len(statements) < 15


def test_what_the_plug_ins_share_makes_one_vector_of_any_space():
    import torch
    from gymnasium import spaces

    from examples.plugins.cleanrl import Agent
    from examples.plugins.trunk import PerceiverTrunk

    space = spaces.Dict({"camera": spaces.Box(0, 1, (20, 20, 3)), "speed": spaces.Box(-1, 1, (2,))})
    trunk = PerceiverTrunk(space)
    seen = {"camera": torch.rand(5, 20, 20, 3), "speed": torch.rand(5, 2)}
    assert trunk(seen).shape == (5, trunk.width)
    games = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    agent = Agent(games)
    action, log_prob, entropy, value = agent.get_action_and_value(torch.rand(3, 4))
    assert action.shape == log_prob.shape == entropy.shape == value.shape == (3,)
    assert agent.get_value(torch.rand(3, 4)).shape == (3,)


@pytest.mark.slow
def test_the_notebook_trains_plots_evaluates_and_acts(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = "".join(output.get("text", "") for output in outputs)
    assert "Returns of notebook" in text
    assert (tmp_path / "runs/notebook/checkpoints").is_dir()


def run(variable, *argv):
    """What a program prints that runs in the environment that the variable names."""
    python = os.environ.get(variable)
    if python is None:
        pytest.skip(f"{variable} names no Python")
    done = subprocess.run(
        [python, *argv], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=3000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3100)
def test_cartpole_to_475_in_stable_baselines3():
    told = run("PERCEIVER_RL_SB3", "-m", "examples.plugins.sb3")
    assert float(re.search(r"CartPole-v1: ([\d.]+)", told)[1]) >= 475


@pytest.mark.slow
@pytest.mark.timeout(3100)
def test_cartpole_to_475_in_rllib():
    told = run("PERCEIVER_RL_RLLIB", "-m", "examples.plugins.rllib")
    assert float(re.findall(r"update \d+: ([\d.]+)", told)[-1]) >= 475


@pytest.mark.slow
@pytest.mark.timeout(3100)
def test_cleanrls_loop_learns():
    done = subprocess.run([sys.executable, "-m", "examples.plugins.cleanrl"], cwd=ROOT, capture_output=True, text=True)
    assert float(re.search(r"CartPole-v1: ([\d.]+)", done.stdout)[1]) >= 150


FLAT = """
import gymnasium, perceiver_rl
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked

env = gymnasium.make("perceiver_rl/MoveToBeacon-flat")
for kind, evaluate in ((PPO, evaluate_policy), (MaskablePPO, evaluate_masked)):
    model = kind("MlpPolicy", env, n_steps=240, batch_size=240, seed=0, device="cpu")
    before = evaluate(model, model.get_env(), 5, deterministic=False)[0]
    model.learn(STEPS)
    print(kind.__name__, before, evaluate(model, model.get_env(), 5, deterministic=False)[0])
"""


@pytest.mark.slow
@pytest.mark.timeout(3100)
def test_their_algorithms_train_on_the_flat_games_unchanged():
    told = run("PERCEIVER_RL_SB3", "-c", FLAT.replace("STEPS", "24_000"))
    for name in ("PPO", "MaskablePPO"):
        before, after = map(float, re.search(rf"^{name} (\S+) (\S+)", told, re.MULTILINE).groups())
        assert after > before + 2
