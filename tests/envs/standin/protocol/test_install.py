"""The folder that passes for an installation, and what those are told who name the wrong one."""

import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("websockets")

from agents.commands.cli import run
from envs.standin.protocol.install import NotOurs, install


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    install(tmp_path / "sc2")
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    made = install(tmp_path / "sc2")
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == files
    assert os.access(made.binary, os.X_OK)


def test_the_program_runs_from_anywhere_whatever_the_folder_is_called(tmp_path: Path) -> None:
    made = install(tmp_path / "it's a folder")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([made.binary, "-h"], cwd=elsewhere, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "-listen" in done.stdout


def test_nothing_of_somebody_elses_is_touched(tmp_path: Path) -> None:
    theirs = tmp_path / "notes.txt"
    theirs.write_text("mine")
    with pytest.raises(NotOurs, match="is not empty and was not made by standin-install"):
        install(tmp_path)
    with pytest.raises(NotOurs, match="is a file"):
        install(theirs)
    assert [theirs] == list(tmp_path.iterdir())
    assert theirs.read_text() == "mine"


def test_a_real_installation_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Versions" / "Base75689").mkdir(parents=True)
    assert run(["standin-install", str(tmp_path)]) == 2
    assert "looks like an installation of StarCraft II" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["Versions", "Base75689"]


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--port", "70000"], "--port should be from 0 to 65535"), (["--fault", "crsh@step"], "--fault: ")],
)
def test_wrong_options_of_serve(options: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", *options]) == 2
    assert word in capsys.readouterr().err
