"""What is compiled, and what is said of it."""

import os
import subprocess
import sys
from pathlib import Path

SOURCE = """
from envs.standin.rules.compiled import kernel


@kernel
def one(x):
    return x + 1


@kernel
def two(x):
    return x + 2


print(one(1), two(1))
"""


def run(path: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[4]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([sys.executable, path], capture_output=True, text=True, check=True, env=environment)


def test_who_waits_for_the_compiler_is_told_so_once_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "lone.py"
    path.write_text(SOURCE)
    first, second = run(path), run(path)
    assert first.stdout == second.stdout == "2 3\n"
    assert first.stderr == "compiling the stand-in game's rules: one to two minutes, once\n"
    assert second.stderr == ""
