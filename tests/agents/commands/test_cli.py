"""The command line, end to end: what a person types and what they see."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium
import imageio.v3 as imageio
import pytest

from agents.commands import train as training
from agents.commands.cli import run
from agents.config import Config
from agents.runs import experiment

ROOT = Path(__file__).resolve().parents[3]
TINY = [
    *("--env", "CartPole-v1", "--num-envs", "4", "--ppo.unroll", "16", "--ppo.minibatch", "64", "--ppo.epochs", "1"),
    *("--policy.latents", "2", "--policy.token-width", "8", "--policy.latent-width", "8", "--policy.heads", "2"),
    *("--total-steps", "256", "--checkpoint-interval", "128", "--evaluation-episodes", "6", "--threads", "1"),
]

ENVIRONMENTS = """
import gymnasium, numpy as np

class Broken(gymnasium.Env):
    '''Its reward is not a number from the 40th step on.'''
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}
    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), float('nan') if self.steps > 40 else 1.0, False, False, {}

class Unsaved(Broken):
    '''It cannot be pickled.'''
    def __init__(self):
        self.change = lambda reward: 1.0
    def step(self, action):
        observation, reward, *ends = super().step(action)
        return observation, self.change(reward), *ends

class Odd(Broken):
    '''A space that no policy reads.'''
    observation_space = gymnasium.spaces.Text(5)
"""


def refused(capsys, *argv: str) -> str:
    """What is said to a user whose command line is refused: exit code 2, and no trace."""
    try:
        code = run(argv)
    except SystemExit as stop:  # tyro's own refusals
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in said
    assert "errors.pydantic.dev" not in said
    return " ".join(said.replace("│", " ").split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run that has been trained, in the way of a user."""
    run_dir = tmp_path_factory.mktemp("runs") / "tiny run"
    assert run(["train", *TINY, "--run-dir", str(run_dir)]) == 0
    return run_dir


# ---- refusals


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["--ppo.lerning-rate", "1e-3"], "--ppo.learning-rate"),
        (["--ppo.learning-rate", "-1"], "--ppo.learning-rate should be greater than 0, got -1.0"),
        (["--ppo.learning-rate", "fast"], "--ppo.learning-rate"),
        (["--ppo.schedule", "liner"], "linear"),
        (["--num-envs", "0"], "--num-envs should be greater than or equal to 1, got 0"),
        (["--policy.heads", "5"], "must be a multiple of heads (5)"),
        (["--env", "CartPol-v1"], "did you mean 'CartPole-v1'"),
        (["--env", "sim/MoveToBeacn"], "did you mean 'sim/MoveToBeacon'"),
        (["--env", "sc2/MoveToBeacon"], "no StarCraft II: there is no folder"),
        (["--env", "CartPole-v1", "--env-option", "gravity"], "expected KEY=VALUE"),
        (["--env", "CartPole-v1", "--env-option", "gravitee=3"], "gravitee"),
        (["--env-options.gravity", "3"], "--env-option"),
        (["--config", "cartpol"], "did you mean 'cartpole'"),
        (["--config"], "--config"),
        (["--device", "cud"], "did you mean 'cuda'"),
        (["--resume", "runs/none-such"], "is no folder"),
        (["--resume", "runs/none-such", "--config", "cartpole"], "leave --config away"),
    ],
)
def test_train_refuses_before_anything_starts(capsys, tmp_path, monkeypatch, argv, answer):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SC2PATH", str(tmp_path / "none"))
    assert answer in refused(capsys, "train", *argv)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_wrong_key_in_a_file_is_named_with_its_file(capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("ppo:\n  learnin_rate: 1.0e-3\n")
    said = refused(capsys, "train", "--config", str(path))
    assert f"{path}: unknown key 'ppo.learnin_rate'; did you mean 'ppo.learning_rate'?" in said


def test_a_folder_in_use_is_refused(capsys, tmp_path):
    (tmp_path / "precious").write_text("mine")
    assert "is not empty" in refused(capsys, "train", *TINY, "--run-dir", str(tmp_path))
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(capsys, "train", *TINY, "--run-dir", str(tmp_path / "file" / "run"))


@pytest.mark.parametrize(("name", "answer"), [("Odd", "expected a text"), ("Broken", "finite")])
def test_an_environment_that_will_not_do_is_explained(capsys, tmp_path, monkeypatch, name, answer):
    module = f"{name.lower()}_environment"
    (tmp_path / f"{module}.py").write_text(ENVIRONMENTS)
    monkeypatch.chdir(tmp_path)
    argv = [*TINY, "--env", f"{module}:{name}", "--run-dir", "mine", "--checkpoint-interval", "1"]
    assert answer in refused(capsys, "train", *argv)
    checkpoints = [path.name for path in tmp_path.glob("mine/checkpoints/*")]
    # What was good stays: the updates of steps 1 to 32 of each game, none of the later ones.
    assert checkpoints == ([] if name == "Odd" else ["step-000000000064", "step-000000000128"])
    assert (tmp_path / "mine").exists() == (name == "Broken")


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["trian"], "did you mean 'train'"),
        (["evaluate"], "name one player"),
        (["evaluate", "runs/none-such"], "not a run folder"),
        (["evaluate", "runs/none-such", "--policy", "random"], "name one player"),
        (["evaluate", "--policy", "random"], "needs --env"),
        (["evaluate", "--policy", "randm", "--env", "CartPole-v1"], "did you mean 'random'"),
        (["evaluate", "--policy", "scripted", "--env", "CartPole-v1"], "no scripted player"),
        (["evaluate", "--policy", "random", "--env", "CartPol-v1"], "did you mean 'CartPole-v1'"),
        (
            ["evaluate", "--policy", "random", "--env", "CartPole-v1", "--episodes", "0"],
            "--episodes should be at least 1",
        ),
        (
            ["evaluate", "--policy", "random", "--env", "CartPole-v1", "--json", "none/such.json"],
            "there is no folder none",
        ),
        (["evaluate", "--episods", "3"], "--episodes"),
        (["watch", "runs/none-such", "--video", "it.avi"], ".mp4 or .gif"),
        (["watch", "runs/none-such"], "not a run folder"),
        (["watch", "--policy", "random", "--env", "CartPole-v1", "--fps", "0"], "--fps should be at least 0.1"),
        (["doctor", "--fix"], "--fix"),
    ],
)
def test_the_other_commands_refuse_too(capsys, tmp_path, monkeypatch, argv, answer):
    monkeypatch.chdir(tmp_path)
    assert answer in refused(capsys, *argv)


def test_no_command_shows_the_commands(capsys):
    assert run([]) == 2
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    for command in ("train", "status", "evaluate", "watch", "doctor", "record", "imitate"):
        assert command in said


def test_help_explains_every_option_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from agents.commands.cli import run\n"
        "try:\n"
        "    run(['train', '--help'])\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "heavy = {'torch', 'numba', 'tensorboard', 'matplotlib', 'gymnasium', 'scipy', 'ray'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    config = experiment.read_config(experiment.find_config(experiment.DEFAULT))
    text = " ".join(done.stdout.replace("│", " ").split())
    for key, value in experiment.flatten(config):
        if isinstance(value, dict) or key in ("env_wrappers", "env_metrics"):
            continue  # groups are for files; others are given one by one: --env-wrapper
        assert experiment.option(key) in text
        assert f"(default: {' '.join(value) if isinstance(value, tuple) else value})" in text
    for more in ("--config", "--env-option", "--resume", "Range: above 0"):
        assert more in text


# ---- what is chosen


def test_options_come_from_the_file_and_those_typed_win():
    config, resume = training.parse_train(["--config", "cartpole", "--seed", "7", "--ppo.target-kl", "0.1"], "it")
    file = experiment.read_config(experiment.CONFIGS / "cartpole.yaml")
    assert experiment.changes(file, config) == {"seed": (0, 7), "ppo.target_kl": (None, 0.1)}
    assert resume is None


def test_without_a_file_it_is_the_default_experiment_or_plain_defaults_of_an_environment():
    assert training.parse_train([], "it")[0] == experiment.read_config(experiment.CONFIGS / "move_to_beacon.yaml")
    config, _ = training.parse_train(["--env=CartPole-v1", "--env-option", "a-b=3"], "it")
    assert config == experiment.check({"env": "CartPole-v1", "env_options": {"a_b": 3}, **training.GYMNASIUM}, "it")
    config, _ = training.parse_train(["--env=sim/MoveToBeacon"], "it")
    assert config == Config(env="sim/MoveToBeacon")


def test_a_run_is_named_after_what_it_is():
    stamp = r"-\d{8}-\d{6}-seed"
    config = Config(seed=4)
    assert re.fullmatch(f"move_to_beacon{stamp}4", training.run_name([], config))
    assert re.fullmatch(f"cartpole{stamp}4", training.run_name(["--config", "configs/cartpole.yaml"], config))
    own = Config(env="my.package:Env")
    assert re.fullmatch(f"my.package-Env{stamp}0", training.run_name(["--env", "my.package:Env"], own))


# ---- a run


def updates(run_dir: Path) -> list[int]:
    """The steps of the updates; an evaluation is recorded, too."""
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [record["step"] for record in records if "evaluation/return" not in record]


def test_training_leaves_a_whole_run_folder(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"config.yaml", "checkpoints", "tensorboard", "metrics.jsonl", "evaluation.json"} <= names
    assert updates(trained) == [64, 128, 192, 256]
    (result,) = json.loads((trained / "evaluation.json").read_text())
    assert result["episodes"] == len(result["returns"]) == 6
    assert result["player"] == "tiny run (greedy)"
    config = experiment.read_config(trained / "config.yaml")
    assert (config.env, config.total_steps, config.ppo.unroll, config.run_dir) == ("CartPole-v1", 256, 16, None)


def test_a_run_ends_with_the_commands_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *TINY, "--total-steps", "64"]) == 0
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"CartPole-v1-\d{8}-\d{6}-seed0", run_dir.name)
    said = capsys.readouterr().out
    name = f"runs/{run_dir.name}"
    for part in ("CartPole-v1", "95% CI", "(greedy)", name, f"watch {name} --video {name}/episode.mp4"):
        assert part in said
    assert f"tensorboard --logdir {name}/tensorboard" in said
    assert f"train --resume {name} --total-steps 128" in said


def test_its_config_trains_again_as_it_is(trained, tmp_path):
    assert run(["train", "--config", str(trained / "config.yaml"), "--run-dir", str(tmp_path / "again")]) == 0
    first, second = ((folder / "metrics.jsonl").read_text() for folder in (trained, tmp_path / "again"))
    assert untimed(first) == untimed(second)


def untimed(text: str) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


def test_resuming(trained, tmp_path, capsys):
    assert run(["train", "--resume", str(trained)]) == 0
    assert "already been trained for 256 of 256 steps" in capsys.readouterr().out
    said = refused(capsys, "train", "--resume", str(trained), "--ppo.clip", "0.3", "--seed", "3")
    assert said.startswith("error: --seed, --ppo.clip: cannot change when a run goes on")
    assert run(["train", "--resume", str(trained), "--total-steps", "384", "--evaluation-episodes", "0"]) == 0
    assert "resuming at step 256" in capsys.readouterr().out
    assert updates(trained) == list(range(64, 385, 64))
    assert experiment.read_config(trained / "config.yaml").total_steps == 384


def test_a_run_whose_environment_cannot_be_saved_says_so_and_goes_on_with_new_episodes(tmp_path, monkeypatch, capsys):
    (tmp_path / "unsaved_environment.py").write_text(ENVIRONMENTS)
    monkeypatch.chdir(tmp_path)
    argv = [*TINY, "--env", "unsaved_environment:Unsaved", "--run-dir", "mine", "--evaluation-episodes", "0"]
    assert run(["train", *argv]) == 0
    assert re.search("^note: Unsaved cannot be saved .*start its episodes anew$", capsys.readouterr().out, re.MULTILINE)
    assert run(["train", "--resume", "mine", "--total-steps", "384"]) == 0
    assert (tmp_path / "mine/checkpoints/step-000000000384").is_dir()


def test_evaluating_a_run_and_others(trained, tmp_path, capsys):
    target = tmp_path / "it.json"
    assert run(["evaluate", str(trained), "--episodes", "5", "--sampled", "--json", str(target)]) == 0
    (result,) = json.loads(target.read_text())
    assert (result["environment"], result["player"], result["episodes"]) == ("CartPole-v1", "tiny run (sampled)", 5)
    assert result["return"]["min"] <= result["return"]["mean"] <= result["return"]["max"]
    names = ["CartPole-v1", "sim/MoveToBeacon"]
    assert run(["evaluate", "--policy", "random", "--env", *names, "--episodes", "3", "--json", str(target)]) == 0
    labels = [result["environment"] for result in json.loads(target.read_text())]
    assert labels == ["CartPole-v1", "sim/MoveToBeacon (stand-in game)"]
    assert "stand-in game" in capsys.readouterr().out


def test_an_evaluation_on_something_else_is_kept_apart(trained, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(trained, run_dir)
    own = (run_dir / "evaluation.json").read_text()
    shorter = "tests.agents.commands.test_cli:shorter"
    for argv, name in (
        (["--env", shorter], "evaluation-tests.agents.commands.test_cli-shorter.json"),
        (["--env-option", "sutton_barto_reward=true"], "evaluation-sutton_barto_reward=true.json"),
    ):
        assert run(["evaluate", str(run_dir), "--episodes", "2", *argv]) == 0
        assert json.loads((run_dir / name).read_text())[0]["episodes"] == 2
        assert (run_dir / "evaluation.json").read_text() == own
    assert run(["evaluate", str(run_dir), "--episodes", "2", "--env", "CartPole-v1"]) == 0
    assert json.loads((run_dir / "evaluation.json").read_text())[0]["episodes"] == 2


def shorter():
    return gymnasium.make("CartPole-v1", max_episode_steps=5)


def test_random_play_loses_a_melee_to_strong_computers(tmp_path):
    target = tmp_path / "results.json"
    opponents = ["--opponent", "terran:elite", "--opponent", "cheat_insane:rush"]
    asked = ["evaluate", "--policy", "random", "--env", "sim/Simple64", *opponents, "--episodes", "3"]
    assert run([*asked, "--json", str(target)]) == 0
    rows = json.loads(target.read_text())
    assert [row["opponent"] for row in rows] == ["terran:very_hard:random", "random:cheat_insane:rush"]
    for row in rows:
        assert [row[name] for name in ("win", "aborted")] == [0, 0]
        assert row["loss"] >= 2


def test_evaluation_is_the_same_for_a_seed(trained, tmp_path):
    results = []
    for seed in (1, 1, 2):
        target = tmp_path / "it.json"
        assert run(["evaluate", str(trained), "--episodes", "6", "--seed", str(seed), "--json", str(target)]) == 0
        results.append(json.loads(target.read_text())[0]["returns"])
    assert results[0] == results[1] != results[2]


def test_of_a_run_that_cannot_be_written_to_the_results_are_shown(trained, tmp_path, capsys, monkeypatch):
    kept = (trained / "evaluation.json").read_bytes()
    monkeypatch.setattr("agents.commands.play.os.access", lambda path, mode: False)  # for root all can be written
    assert run(["evaluate", str(trained), "--episodes", "2"]) == 0
    said = capsys.readouterr().out
    assert "cannot be written: the results are only shown" in said
    assert "95% CI" in said
    assert (trained / "evaluation.json").read_bytes() == kept


def test_a_checkpoint_of_another_action_space_is_refused(trained, capsys):
    said = refused(capsys, "evaluate", str(trained), "--env", "MountainCar-v0")
    assert "was trained with" in said


def test_a_run_without_a_whole_checkpoint_is_refused(trained, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text((trained / "config.yaml").read_text())
    assert "holds no checkpoint" in refused(capsys, "evaluate", str(tmp_path))
    (tmp_path / "checkpoints/step-000000000064").mkdir(parents=True)
    assert "none of the 1 checkpoints" in refused(capsys, "train", "--resume", str(tmp_path))
    (tmp_path / "config.yaml").write_text("env: [")
    assert "not valid YAML" in refused(capsys, "watch", str(tmp_path))
    (tmp_path / "config.yaml").unlink()
    assert "has no config.yaml" in refused(capsys, "watch", str(tmp_path))


def test_watching(trained, tmp_path, capsys):
    video = tmp_path / "it.gif"
    assert run(["watch", str(trained), "--video", str(video)]) == 0
    assert f"frames in {video}" in capsys.readouterr().out
    assert imageio.imread(video).ndim == 4


def test_an_interrupted_run_is_saved_and_goes_on(tmp_path, capsys):
    run_dir = tmp_path / "run"

    def interrupt_once_it_trains() -> None:
        while not (run_dir / "metrics.jsonl").exists() or not (run_dir / "metrics.jsonl").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt_once_it_trains, daemon=True)
    helper.start()
    assert run(["train", *TINY, "--total-steps", "1_000_000", "--run-dir", str(run_dir)]) == 130
    helper.join()
    assert f"train --resume {run_dir}" in capsys.readouterr().out
    last = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert (run_dir / "checkpoints" / f"step-{last:012d}").is_dir()


def test_the_doctor_looks_at_everything(capsys, monkeypatch):
    monkeypatch.setenv("SC2PATH", "/no/such/folder")
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    for name in ("Python", "PyTorch", "GPU", "numba", "package names", "PySC2", "StarCraft II", "maps", "Ray"):
        assert name in said
    assert "/no/such/folder" in said


def test_the_doctor_names_who_else_installs_our_packages(monkeypatch):
    from agents.commands import doctor

    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"agents": ["perceiver-rl", "other-agents"]})
    (finding,) = [finding for finding in doctor.examine() if finding.name == "package names"]
    assert finding.state == "problem"
    assert "'agents' is installed by other-agents too" in finding.what


def test_the_script_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "train_agent.py", "--seed", "-1"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert "--seed should be greater than or equal to 0, got -1" in done.stderr


def test_the_docs_name_only_commands_and_options_that_exist(capsys):
    helps = {}
    documented = (
        "train status evaluate watch doctor record imitate info check export push pull runs compare average sweep"
    )
    for command in documented.split():
        with pytest.raises(SystemExit):
            run([command, "--help"])
        helps[command] = capsys.readouterr().out
    seen = set()
    for name in ("README.md", "docs/usage.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("python train_agent.py", "perceiver-rl train")
        for command, words in re.findall(r"perceiver-rl ([a-z]+)([^\n`#]*)", text):
            seen.add(command)
            for option in re.findall(r"--[a-z][\w.-]*", words):
                assert re.search(rf"{option}[ ,]", helps[command]), f"{name}: perceiver-rl {command} has no {option}"
    assert seen >= {"train", "status", "evaluate", "watch", "doctor", "record", "imitate"}
