"""What the docs and the program tell people to type works, and what they name exists."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.acting import demonstrations, evaluate
from agents.commands import check, export, play, serve, train
from agents.commands.cli import run
from agents.runs import checkpoint, curves, experiment, hub, search
from envs import registry
from envs.starcraft.maps import MAPS
from tests.prose import LONGEST, prose

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
PACKAGES = ("agents", "envs", "perceiver_policy", "perceiver_rl", "tests", "benchmarks", "examples", "configs", "docs")
TINY = ["--num-envs", "2", "--ppo.unroll", "16", "--policy.latents", "2", "--total-steps", "64"]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# ---- paths


def named_paths(page: Path) -> Iterator[str]:
    text = re.sub(r"https?://\S+", "", text_of(page))
    yield from re.findall(rf"\b(?:{'|'.join(PACKAGES)})/[\w/.-]*[\w/]", text)
    yield from re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|yaml|toml|txt|cff))`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    names = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts}
    made = {"my_walk.py", "hunt.py", "config.yaml", "best.yaml"}  # by a user; in a folder of a run, or of a sweep
    made |= {"ppo_atari_lstm.py", "tuner.py"}  # others'
    made |= {f"perceiver_rl/{name}{flat}" for name in MAPS for flat in ("", "-flat")}  # Gymnasium's ids
    beside = ("envs/standin", "perceiver_policy", "tests/envs/standin/protocol")  # where a page says so
    there = [ROOT, page.parent, *(ROOT / folder for folder in beside)]
    for path in named_paths(page):
        if path not in made and not path.startswith("configs/NAME"):
            assert any((folder / path).exists() for folder in there) or ("/" not in path and path in names), path


def test_every_page_that_code_names_exists():
    for package in set(PACKAGES) - {"docs", "tests"}:
        for path in (ROOT / package).rglob("*.*"):
            if path.suffix in (".py", ".yaml"):
                for page in re.findall(r"\bdocs/\w+\.md", text_of(path)):
                    assert (ROOT / page).is_file(), f"{path}: {page}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", text_of(file), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_and_name_in_a_module_exists(page):
    dotted = rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`"
    modules = re.findall(r"python -m ((?:agents|envs|tests|benchmarks|examples|perceiver_rl)[\w.]*)", text_of(page))
    code = [imported for block in blocks(page, "python") for imported in re.findall(r"^from (\S+) import", block, re.M)]
    ours = [name for name in code if name.partition(".")[0] in PACKAGES]
    for name in [*re.findall(dotted, text_of(page)), *modules, *ours]:
        parts = name.split(".")
        if parts[-1] in ("py", "yaml"):
            continue
        for length in range(len(parts), 0, -1):
            path = ROOT.joinpath(*parts[:length])
            file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
            if file.is_file():
                rest = parts[length:]
                assert not rest or re.search(rf"\b{rest[0]}\b", file.read_text()), name
                break
        else:
            pytest.fail(f"{page.name}: there is no {name}")


def test_the_functions_of_the_architecture_page_are_where_it_says():
    rows = re.findall(r"^\|.*$", text_of(ROOT / "docs/architecture.md"), re.MULTILINE)
    seen = 0
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) < 3:
            continue
        files = re.findall(r"`([\w/]+\.py)`", cells[-2])
        names = re.findall(r"`(\w+(?:\.\w+)?)`", cells[-1])
        if not files or row.startswith("| new"):
            continue
        text = "\n".join((ROOT / file).read_text() for file in files if (ROOT / file).exists())
        for name in names if "(" not in cells[-1] else ():
            for part in name.split("."):
                assert re.search(rf"(?:def|class) {part}\b", text), f"{name} is not in {files}"
                seen += 1
    assert seen > 20


# ---- commands


def blocks(page: Path, language: str = "") -> list[str]:
    return re.findall(rf"^ *```{language or '(?:bash)?'}\n(.*?)^ *```", text_of(page), re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands between backticks outside of blocks."""
    outside = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    return [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", outside)]


def commands() -> list[tuple[str, str]]:
    """Every command line of ours in a page: where, and what is to be typed."""
    found = []
    for page in PAGES:
        lines = [line for block in blocks(page) for line in block.splitlines()]
        for line in [*lines, *(span for span in spans(page) if len(span.split()) > 2)]:  # not the mere name of one
            line = re.sub(r"^python train_agent.py", "perceiver-rl train", line.partition(" #")[0].strip())
            if line.startswith("perceiver-rl ") and not re.search(r"COMMAND| \| | \.\.\. ", line):
                found.append((page.name, re.sub(r"\bK\b", "3", line)))
    return sorted(set(found))


def printed() -> list[tuple[str, str]]:
    """The command lines in the texts of the program itself, as far as they are written out."""
    found = []
    pattern = re.compile(r"perceiver-rl [a-z][a-z-]+(?: (?:--[\w.-]+|[A-Z]{3,}|runs/\w+|sim/\w+))+")
    for path in sorted(path for name in ("agents", "envs", "perceiver_rl") for path in (ROOT / name).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found += [(path.name, text) for text in pattern.findall(node.value)]
    return sorted(set(found))


class Reached(Exception):
    """The command line was read, and work would begin."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a run in it, runs/NAME."""
    path = tmp_path_factory.mktemp("docs")
    argv = ["train", "--env", "CartPole-v1", *TINY, "--evaluation-episodes", "0"]
    assert run([*argv, "--run-dir", str(path / "runs/NAME")]) == 0
    (path / "sweeps/learning_rate").mkdir(parents=True)
    shutil.copy(path / "runs/NAME/config.yaml", path / "sweeps/learning_rate/best.yaml")
    (path / "zoo").symlink_to(ROOT / "zoo")
    return path


QUICK = (
    r"status|perceiver-rl runs$|doctor|--help"
    r"|evaluate runs/NAME( --episodes| --sampled|$)|watch runs/NAME --video episode.mp4$"
)


@pytest.mark.parametrize(("page", "line"), [*commands(), *printed()])
def test_what_is_to_be_typed_is_understood_and_runs_where_that_is_quick(page, line, folder, monkeypatch, capsys):
    words = [re.sub(r"^(?:runs/[^/]+|\.\.\.|DIR|RUN)(/.+)?$", r"runs/NAME\1", word) for word in shlex.split(line)[1:]]
    if words == ["--version"]:
        return  # tests/perceiver_rl/test_names.py
    monkeypatch.chdir(folder)
    (folder / "FILE.SC2Replay").touch()
    if not re.search(QUICK, line) or page.endswith(".py"):

        def reached(*args, **kwargs):
            raise Reached

        for module, name in (
            (train, "begin_run"),
            (train, "continue_run"),
            (check, "_played"),
            (play, "play_and_tell"),
            (play, "check_trust"),
            (play, "watch_replay"),
            (demonstrations, "load"),
            (demonstrations, "record"),
            (serve, "_need_starcraft"),
            (export, "load"),
            (hub, "push"),
            (hub, "pull"),
            (curves, "curves"),
            (checkpoint, "average"),
            (evaluate, "read_json"),
            (search, "read_search"),
        ):
            monkeypatch.setattr(module, name, reached)
        monkeypatch.setattr(registry, "check", lambda *args: None)
    try:
        code = run(words)
    except Reached:
        return
    except SystemExit as stop:
        code = stop.code
    assert code == 0, capsys.readouterr().err


def test_there_are_commands_of_every_kind():
    seen = {line.split()[1] for _, line in commands()}
    assert {"train", "status", "evaluate", "watch", "doctor", "serve", "standin-install", "--version"} <= seen
    assert len(commands()) > 40


def test_what_may_change_where_a_run_goes_on_is_what_the_page_says():
    told = re.search(r"Only (.*?) may\s+change", text_of(ROOT / "docs/usage.md"), re.DOTALL)
    assert told
    assert re.findall(r"`--([\w-]+)`", told[1]) == [name.replace("_", "-") for name in experiment.RESUMABLE]


def test_every_target_that_is_named_is_in_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for line in [*spans(page), *(line for block in blocks(page) for line in block.splitlines())]:
            for name in re.findall(r"^(?:PIP\S* )?make ([a-z-]+)", line.strip()):
                assert name in targets, f"{page.name}: make {name}"


def test_what_a_run_ends_with_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--env", "CartPole-v1", *TINY, "--evaluation-episodes", "1", "--run-dir", "a run"]) == 0
    said = capsys.readouterr().out
    told = {name: re.search(rf"^{name} +(.*)$", said, re.MULTILINE)[1] for name in ("watch it", "its curves", "go on")}
    assert shlex.split(told["its curves"])[1:] == ["--logdir", "a run/tensorboard"]
    for name in ("watch it", "go on"):
        program, *words = shlex.split(told[name])
        assert program.endswith("perceiver-rl")
        assert run(words) == 0
    assert (tmp_path / "a run/episode.mp4").exists()
    assert "128 of 128" in capsys.readouterr().out
    assert run(["train", "--resume", "a run"]) == 0
    (again,) = re.findall(r"To go on: (.*)", capsys.readouterr().out)
    assert run(shlex.split(again)[1:]) == 0


# ---- form


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_has_short_lines(page):
    """``python -m tests.prose docs/PAGE.md`` wraps a page."""
    long = [line for is_prose, lines in prose(text_of(page)) if is_prose for line in lines if len(line) > LONGEST]
    assert [line for line in long if " " in re.sub(r"`[^`]*`|\]\([^)]*\)", "", line).strip()[60:]] == []
