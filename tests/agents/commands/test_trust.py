"""A run folder may come from anybody: playing and looking at it runs no code that it names, unless the user says so."""

import json
import re
import shlex

import pytest

from agents.commands import play
from agents.commands.cli import run
from agents.config import Config
from agents.errors import UserError
from envs import registry

TINY = ["--num-envs", "2", "--ppo.unroll", "16", "--policy.latents", "2", "--total-steps", "64"]

WALK = """
import gymnasium, numpy as np

open("imported", "a").write("x")

class Walk(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def __init__(self, slope=0.0):
        self.slope = slope
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}
    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), 1.0, self.steps == 5, False, {}

class Drawn(Walk):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}
    def __init__(self, slope=0.0, render_mode=None):
        super().__init__(slope)
        self.render_mode = render_mode
    def render(self):
        return np.zeros((32, 32, 3), np.uint8)
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A folder with a run in it whose config.yaml can be made to say anything; we are called in it."""
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--env", "CartPole-v1", *TINY, "--evaluation-episodes", "0", "--run-dir", "run"]) == 0

    def names(env: str, options: str = "{}") -> None:
        path = tmp_path / "run" / "config.yaml"
        text = re.sub(r"(?m)^env: \S*", f"env: {env}", path.read_text())
        path.write_text(re.sub(r"(?m)^env_options: \{.*?\}", f"env_options: {options}", text))
        for manifest in (tmp_path / "run" / "checkpoints").glob("*/manifest.json"):
            told = json.loads(manifest.read_text())
            told.pop("options")  # a stranger would have it say the same
            manifest.write_text(json.dumps(told))
        (tmp_path / "walk_of_a_stranger.py").write_text(WALK)

    return names


@pytest.mark.parametrize("argv", [["evaluate", "run", "--episodes", "1"], ["watch", "run"]])
@pytest.mark.parametrize(
    ("env", "options"),
    [
        ("subprocess:run", "{args: [touch, imported]}"),
        ("os:system", "{command: touch imported}"),
        ("walk_of_a_stranger:Walk", "{}"),
        ("walk_of_a_stranger:CartPole-v1", "{}"),
        ("GymV21Environment-v0", "{env_id: 'walk_of_a_stranger:Walk'}"),
        ("GymV21Environment-v0", "{deeper: [{env_id: 'walk_of_a_stranger:Walk'}]}"),
    ],
)
def test_no_code_is_run_that_the_folder_names(stranger, capsys, tmp_path, argv, env, options):
    stranger(env, options)
    assert run(argv) == 2
    said = capsys.readouterr().err
    assert "names code to run" in said
    assert "--trust" in said
    assert not (tmp_path / "imported").exists()


def test_status_and_a_reference_run_none(stranger, capsys, tmp_path):
    stranger("walk_of_a_stranger:Walk")
    assert run(["status", "run"]) == 0
    argv = ["train", "--env", "CartPole-v1", *TINY, "--evaluation-episodes", "0", "--ppo.reference", "run"]
    assert run([*argv, "--run-dir", "second"]) == 0
    assert not (tmp_path / "imported").exists()


def test_another_environment_may_be_played_without_a_word(stranger, tmp_path):
    stranger("walk_of_a_stranger:Walk")
    assert run(["evaluate", "run", "--env", "CartPole-v1", "--episodes", "1"]) == 0
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("word", [["--trust"], ["--env", "walk_of_ones_own:Walk"]])
def test_the_user_s_word_is_enough(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk_of_ones_own.py").write_text(WALK)
    argv = ["--env", "walk_of_ones_own:Walk", "--env-option", "slope=0.5", "--evaluation-episodes", "2"]
    assert run(["train", *argv, *TINY, "--run-dir", "run"]) == 0  # and evaluates what it has trained
    assert run(["evaluate", "run", "--episodes", "1"]) == 2
    assert run(["evaluate", "run", "--episodes", "1", *word]) == 0


def test_a_class_that_is_no_environment_is_not_even_called_when_trusted(stranger, capsys, tmp_path):
    stranger("subprocess:Popen", "{args: [touch, imported]}")
    assert run(["evaluate", "run", "--trust", "--episodes", "1"]) == 2
    assert "not called" in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("env_id", "options", "code"),
    [
        ("CartPole-v1", {}, None),
        ("sim/Simple64", {"opponent": "zerg:hard:rush"}, None),
        ("sc2/Simple64", {"opponent": "zerg:hard:rush"}, None),
        ("a:B", {}, "a:B"),
        ("module:CartPole-v1", {}, "module:CartPole-v1"),
        ("X-v0", {"a": ({"b": ["c:d"]},)}, "c:d"),
    ],
)
def test_what_names_code(env_id, options, code):
    assert registry.code_named(env_id, options) == code


@pytest.mark.parametrize("name", ["envs", "agents"])
def test_workers_are_refused_beside_a_package_of_one_of_our_names(tmp_path, monkeypatch, capsys, name):
    """Ray's processes import from the folder in which a run is started before all else."""
    pytest.importorskip("ray")
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--env", "CartPole-v1", *TINY, "--workers", "1"]) == 2
    said = capsys.readouterr().err
    assert f"--workers: {tmp_path / name} has the name" in said
    assert f"my_{name}" in said


# ---- the command that a run ends with


@pytest.mark.parametrize("name", ["Walk", "Drawn"])
def test_how_to_watch_is_said_only_where_it_works_and_runs_as_printed(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk_to_watch.py").write_text(WALK)
    argv = ["train", "--env", f"walk_to_watch:{name}", *TINY, "--evaluation-episodes", "0", "--run-dir", "a run"]
    assert run(argv) == 0
    (told,) = re.findall(r"watch it +(.*)", capsys.readouterr().out)
    if name == "Walk":
        assert "draws no pictures" in told
        assert run(["watch", "a run", "--trust"]) == 2
        assert "draws no pictures; it must take render_mode" in capsys.readouterr().err
    else:
        assert run(shlex.split(told)[1:]) == 0
        assert (tmp_path / "a run" / "episode.mp4").exists()


@pytest.mark.parametrize(
    ("trained", "drawn"),
    [
        ("sc2/MoveToBeacon", "sim/MoveToBeacon"),
        ("sim/MoveToBeacon", "sim/MoveToBeacon"),
        ("sim/MoveToBeacon*2 + sim/DefeatRoaches", "sim/MoveToBeacon"),
        ("sim/Simple64", "sim/Simple64"),
        ("CartPole-v1", "CartPole-v1"),
        ("sc2/SomethingElse", None),
    ],
)
def test_what_draws_a_run(trained, drawn, monkeypatch, tmp_path):
    monkeypatch.setenv("SC2PATH", str(tmp_path / "none"))
    assert play.what_draws(trained, {}) == drawn


def test_starcraft_is_drawn_by_the_stand_in_game(monkeypatch):
    def refuse(*args, **options):
        raise registry.EnvError("sc2/MoveToBeacon: unknown option render_mode")

    monkeypatch.setattr(registry, "make", refuse)
    with pytest.raises(UserError, match="plays the stand-in game: --env sim/MoveToBeacon"):
        play.make_drawn("sc2/MoveToBeacon", {})


def test_the_options_of_what_is_seen_go_with_the_policy_to_the_other_side():
    options = {"screen": 16, "max_units": 48, "step_mul": 16, "save_replay_episodes": 3, "version": "4.10"}
    seen = {"screen": 16, "max_units": 48, "step_mul": 16}
    assert registry.options_for("sim/BuildMarines", "sc2/BuildMarines", options) == seen
    assert registry.options_for("sc2/BuildMarines", "sc2/BuildMarines", options) == options
    assert registry.options_for("sim/MoveToBeacon", "sc2/BuildMarines", options) == {}
    assert registry.options_for("CartPole-v1", "sc2/BuildMarines", options) == {}


def test_training_says_what_its_return_is(tmp_path, capsys):
    argv = ["train", "--env", "CartPole-v1", *TINY, "--evaluation-episodes", "2", "--run-dir", str(tmp_path / "run")]
    assert run(argv) == 0
    said = capsys.readouterr().out
    assert "training return " in said
    assert "in fresh episodes, the likeliest actions; the return in training is the mean of the latest 100" in said
    assert Config().evaluation_sampled is False
