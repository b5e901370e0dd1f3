"""Runs to and from a hub, through its own client and a stand-in of the hub on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from agents.commands.cli import run
from agents.runs import checkpoint
from agents.runs.hub import HELD, _machine_paths, bundle
from tests.agents.runs.hub_stand_in import Hub, hub

huggingface_hub = pytest.importorskip("huggingface_hub")
TINY = ["--num-envs", "2", "--ppo.unroll", "16", "--policy.latents", "2", "--total-steps", "64"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "run"
    argv = ["train", "--env", "CartPole-v1", *TINY, "--evaluation-episodes", "3", "--run-dir", str(folder)]
    assert run(argv) == 0
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
        yield server


def test_what_was_pushed_is_pulled_plays_and_trains_on(
    trained: Path, served: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(trained), "me/pole", "--private"]) == 0
    assert served.private["me/pole"]
    files = served.repositories["me/pole"]
    assert not [name for name in files if name.endswith((".pt", ".pkl", ".py"))]
    assert run(["push", str(trained), "me/pole"]) == 0  # again: the same files
    assert served.repositories["me/pole"].keys() == files.keys()

    pulled = tmp_path / "pulled"
    assert run(["pull", "me/pole", str(pulled)]) == 0
    assert sorted(path.relative_to(pulled).as_posix() for path in pulled.rglob("*") if path.is_file()) == sorted(files)
    ours, theirs = (checkpoint.load_policy(checkpoint.latest(folder)) for folder in (trained, pulled))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)

    capsys.readouterr()
    played = []
    for folder in (trained, pulled):
        assert run(["evaluate", str(folder), "--episodes", "3", "--json", "-"]) == 0
        played.append(json.loads(capsys.readouterr().out)[0]["returns"])
    assert played[0] == played[1]
    argv = ["train", "--env", "CartPole-v1", *TINY, "--init", str(pulled), "--evaluation-episodes", "0"]
    assert run([*argv, "--run-dir", str(tmp_path / "on")]) == 0
    assert run(["train", "--resume", str(pulled), "--total-steps", "128"]) == 2
    assert "--init" in capsys.readouterr().err


def test_the_card_tells_what_the_evaluation_found(trained: Path, served: Hub) -> None:
    assert run(["push", str(trained), "me/pole"]) == 0
    card = served.repositories["me/pole"]["README.md"].decode()
    front = yaml.safe_load(card.split("---")[1])
    found = json.loads((trained / "evaluation.json").read_text())[0]["return"]
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["type"] == "CartPole-v1"
    assert result["metrics"][0]["value"] == f"{found['mean']:.2f} +/- {found['sd']:.2f}"
    assert f"| {found['mean']:.4g} |" in card
    assert huggingface_hub.ModelCard(card).data.library_name == "perceiver-rl"


def test_nothing_else_is_taken_from_a_repository(trained: Path, served: Hub, tmp_path: Path) -> None:
    assert run(["push", str(trained), "me/pole"]) == 0
    files = served.repositories["me/pole"]
    files |= {
        "evil.py": b"1/0",
        "checkpoints/step-000000000064/state.pt": b"a pickle",
        "../up": b"",
        "x/config.yaml": b"",
    }
    assert run(["pull", "me/pole", str(tmp_path / "pulled")]) == 0
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "config.yaml",
        "metrics.jsonl",
        "evaluation.json",
        "policy.safetensors",
        "manifest.json",
    }


def test_no_folder_of_this_machine_is_told(trained: Path, tmp_path: Path) -> None:
    further, copy = tmp_path / "further", tmp_path / "copy"
    argv = ["train", "--env", "CartPole-v1", *TINY, "--init", str(trained), "--ppo.reference", str(trained)]
    assert run([*argv, "--evaluation-episodes", "2", "--run-dir", str(further)]) == 0
    assert str(trained) in (further / "config.yaml").read_text()
    bundle(further, copy, "further")
    texts = [path for path in copy.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert len(texts) >= 4
    for path in texts:
        assert str(trained.parent) not in path.read_text()
        assert str(tmp_path) not in path.read_text()
    told = yaml.safe_load((copy / "config.yaml").read_text())
    assert (told["init"], told["ppo"]["reference"]) == ("run", "run")
    assert run(["evaluate", str(copy), "--episodes", "1"]) == 0


def test_every_path_of_this_machine_is_found_and_nothing_else() -> None:
    given = {"file": "/home/me", "between": "/", "of": "a/b"}
    options = {"extensions": ["/home/me/own.py", "own"], "env_options": given}
    assert _machine_paths(options) == ["/home/me/own.py", "/home/me"]


def test_a_clone_is_bundled(tmp_path: Path) -> None:
    shown, clone, copy = tmp_path / "shown", tmp_path / "clone", tmp_path / "copy"
    game = ["--env", "sim/MoveToBeacon", "--env-option", "style=orders"]
    assert run(["record", "--policy", "scripted", *game, "--episodes", "2", "--out", str(shown)]) == 0
    options = ["--epochs", "1", "--evaluation-episodes", "0", "--run-dir", str(clone)]
    assert run(["imitate", str(shown), *options]) == 0
    bundle(clone, copy, "clone")
    assert run(["evaluate", str(copy), "--episodes", "1"]) == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["push", "RUN", "pole"], "expected USER/NAME"),
        (["pull", "me/nothing", "new"], "me/nothing"),
        (["pull", "me/damaged", "new"], "none of the 1 checkpoints"),
        (["pull", "me/other", "new"], "holds no run"),
        (["pull", "me/pole", "RUN"], "is there, and not empty"),
        (["push", "nowhere", "me/pole"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said(
    trained: Path,
    served: Hub,
    tmp_path: Path,
    words: list[str],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, tmp_path / "RUN")
    assert run(["push", str(trained), "me/pole"]) == 0
    files = served.repositories["me/pole"]
    policy = next(name for name in files if name.endswith(".safetensors"))
    served.repositories["me/damaged"] = {**files, policy: files[policy][:-1] + b"?"}
    served.repositories["me/other"] = {"README.md": b"hello"}
    capsys.readouterr()
    assert run(words) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_is_held_is_no_pickle() -> None:
    assert not any("state.pt" in pattern or pattern.endswith("*") for pattern in HELD)
