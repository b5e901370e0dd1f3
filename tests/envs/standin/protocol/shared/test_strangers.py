"""Bots that others have written play whole games, unmodified: ``PERCEIVER_RL_BOTS`` names a folder with the checkouts
``python-sc2`` and ``pysc2-tutorial``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sc2.main")
from benchmarks.strangers.__main__ import AGENTS, BOTS


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BOTS, "arcade_bot", *AGENTS])
def test_bot_plays_to_the_end(installation: Path, name: str) -> None:
    folder = os.environ.get("PERCEIVER_RL_BOTS")
    if not folder:
        pytest.skip("PERCEIVER_RL_BOTS names no folder with others' bots")
    sources = ["--python-sc2", f"{folder}/python-sc2", "--tutorial", f"{folder}/pysc2-tutorial"]
    command = [sys.executable, "-m", "benchmarks.strangers", *sources, "--only", name]
    command += ["--difficulty", "Hard", "--seconds", "2700"]
    done = subprocess.run(command, env={**os.environ, "SC2PATH": str(installation)}, capture_output=True, text=True)
    games = done.stdout.splitlines()[2:]
    print(*games, sep="\n")
    assert len(games) == (2 if name == "arcade_bot" else 1)
    assert all(game.endswith("| the game |") for game in games), done.stdout + done.stderr
