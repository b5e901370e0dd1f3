"""The documentation site: every block of code parses or runs, every option is listed, and it is built strictly."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agents.commands.cli import run
from agents.runs import experiment
from agents.runs.search import read_search
from agents.runs.synonyms import meant
from tests.test_docs import ROOT, text_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block of a page."""
    return [(language, text) for _, language, text in FENCE.findall(text_of(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_parses(page: Path, tmp_path: Path) -> None:
    for language, text in blocks_of(page):
        assert language in ("", "bash", "python", "yaml", "json", "text"), f"{page.name}: a block in {language}"
        if language == "python":
            ast.parse(text)
        elif language == "yaml":
            found = yaml.safe_load(text)
            if "parameters" in found:
                (tmp_path / "sweep.yaml").write_text(text)
                read_search(tmp_path / "sweep.yaml")
            elif "env" in found:
                experiment.check(found, page.name)


def test_every_page_is_in_the_site() -> None:
    listed = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in PAGES[1:])


def test_other_toolkits_words_lead_to_ours() -> None:
    """What the page says of an option, the command line says to who types the old name."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| `(\w+)`[^|]*\|$", text_of(ROOT / "docs/coming_from.md"), re.MULTILINE)
    known = experiment.usable("ppo")
    assert len(rows) > 8
    for theirs, ours in rows:
        assert ours in {key.rpartition(".")[2] for key in known}, ours
        if theirs != ours:
            assert ours.replace("_", "-") in meant(theirs, known, "ppo", experiment.option), theirs


@pytest.mark.slow
def test_the_five_minutes_are_as_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    game, play = (text for language, text in blocks_of(ROOT / "docs/five_minutes.md") if language == "python")
    (tmp_path / "hunt.py").write_text(game)
    (line,) = re.findall(r"^perceiver-rl (train .*)$", text_of(ROOT / "docs/five_minutes.md"), re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert run(line.split()) == 0
    capsys.readouterr()
    done = subprocess.run(
        [sys.executable, "-c", play],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0 <= float(done.stdout.split()[-1]) <= 10
    found = json.loads((tmp_path / "runs/hunt/evaluation.json").read_text())[0]["return"]
    assert found["low"] > 6.11  # of who shoots at random: the mean of 1, 1/2 and 1/3 of ten shots
    code = "import hunt, gymnasium.utils.env_checker as c; c.check_env(hunt.Hunt(), skip_render_check=True)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.slow
def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    pages = "".join((tmp_path / f"reference/{name}.html").read_text() for name in ("api", "options", "callbacks"))
    for name in ("train", "Agent", "learning_rate", "on_episode", "gae_lambda", "token_width"):
        assert name in pages
