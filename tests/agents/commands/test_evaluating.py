"""An evaluation over several opponents: interrupted, resumed, written as a table."""

import contextlib
import json

from agents.acting import evaluate
from agents.commands.cli import run
from tests.agents.commands.test_cli import refused


def test_an_evaluation_that_was_interrupted_goes_on(tmp_path, monkeypatch, capsys):
    whole, parts, table = tmp_path / "whole.json", tmp_path / "parts.json", tmp_path / "table.csv"
    asked = [
        "evaluate",
        "--policy",
        "random",
        "--env",
        "sim/Simple64",
        "--episodes",
        "2",
        "--env-option",
        "max_loops=400",
    ]
    opponents = ["--opponent", "terran:easy", "--opponent", "terran:hard:rush"]
    assert run([*asked, *opponents, "--json", str(whole)]) == 0
    assert "all 4 games: 0% won" in capsys.readouterr().out
    played, play = [], evaluate.play

    def interrupted(*arguments):
        if len(played) == 1:
            raise KeyboardInterrupt
        played.append(1)
        return play(*arguments)

    monkeypatch.setattr(evaluate, "play", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        run([*asked, *opponents, "--json", str(parts)])
    assert len(json.loads(parts.read_text())) == 1
    played.clear()
    assert run([*asked, *opponents, "--json", str(parts), "--resume", "--csv", str(table)]) == 0
    assert played == [1]
    assert json.loads(parts.read_text()) == json.loads(whole.read_text())
    lines = table.read_text().splitlines()
    assert len(lines) == 3
    assert "terran:easy:random,random,0,2,0,2,0,0,0" in lines[1]
    assert "say with --json" in refused(capsys, *asked, "--resume")
    parts.write_text("[1]")
    assert "holds no evaluations" in refused(capsys, *asked, *opponents, "--resume", "--json", str(parts))
