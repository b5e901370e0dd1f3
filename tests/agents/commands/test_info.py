"""``perceiver-rl info``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.commands.cli import run


def test_parameters_tokens_and_operations_are_those_counted_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--config", "cartpole", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tokens"] == {"observation": {"first": 1, "most": 1}}
    width = 32
    assert found["parameters"]["inputs"] == (4 + 1) * width + (width + 1) * width
    # a vector of four through two layers; a multiply and an add are two operations
    assert found["where"]["inputs: embedding"] == 2 * (4 * width + width * width)
    assert found["where"]["encoder: keys and values of the tokens"] == 2 * width * 2 * width
    assert sum(found["where"].values()) == found["flops"]["acting, at most"]
    assert found["flops"]["acting, at most"] < found["flops"]["learning by ppo, at most"]


def test_a_windows_tokens_are_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing here points to units or places: what is left over would be what was counted twice."""
    (tmp_path / "window.yaml").write_text("env: CartPole-v1\npolicy: {memory: window, window: 4}\n")
    assert run(["info", "--config", str(tmp_path / "window.yaml"), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["where"]["encoder: keys and values of the tokens"] == 4 * 2 * 32 * 2 * 32
    assert "choosing among units and places" not in found["where"]
    assert sum(found["where"].values()) == found["flops"]["acting, at most"]


def test_what_is_asked_must_be_one_thing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info"]) == 2
    assert "give one of: a run folder, --config NAME, --env ID" in capsys.readouterr().err
    assert run(["info", "--env", "sc2/MoveToBeacon"]) == 2
    assert "ask about the stand-in's" in capsys.readouterr().err
