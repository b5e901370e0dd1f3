"""The modules that are run: compiling the game, and its process."""

import runpy
import subprocess
import sys

import pytest


def test_the_game_is_compiled_by_running_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    monkeypatch.setattr("envs.standin.warm.load_kernels", lambda: called.append(1))
    runpy.run_module("envs.standin", run_name="__main__")
    assert called == [1]
    assert capsys.readouterr().out == "the stand-in game is compiled\n"


def test_every_kernel_is_called_when_the_game_is_compiled() -> None:
    """Or the first game would wait for the one that was forgotten."""
    from envs.standin import game
    from envs.standin.rules import questions
    from envs.standin.warm import load_kernels

    load_kernels()
    kernels = {
        name: value
        for module in (game, questions)
        for name, value in vars(module).items()
        if getattr(value, "targetoptions", {}).get("no_cpython_wrapper") is None and hasattr(value, "signatures")
    }
    assert {"run", "choose_all", "order_all", "reset", "observe", "create", "choose", "command", "placement"} <= {
        *kernels
    }
    assert [name for name, kernel in kernels.items() if not kernel.signatures] == []


def test_the_process_hands_its_arguments_to_the_server() -> None:
    pytest.importorskip("websockets")
    done = subprocess.run(
        [sys.executable, "-m", "envs.standin.protocol", "-port", "no-number"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no-number" in done.stderr
    assert "Traceback" not in done.stderr
