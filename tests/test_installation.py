"""The package as people get it: a wheel, in an environment of its own, used from an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("agents", "envs", "perceiver_policy", "perceiver_rl", "configs")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
ALONE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SC2PATH")}
TINY = ["--policy.latents", "2", "--num-envs", "4", "--ppo.unroll", "50", "--total-steps", "2000"]


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment into which the wheel was installed, and beside it what the wheel asks for alone."""
    folder = tmp_path_factory.mktemp("installation")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / "sources" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / "sources")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(folder / "sources")]
    subprocess.run(command, env=ALONE, check=True, timeout=240)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], env=ALONE, check=True, timeout=120)
    found = folder / "env/bin/python"
    command = [str(found), "-m", "pip", "--quiet", "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, env=ALONE, check=True, timeout=120)
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    (dist_info,) = site.glob("perceiver_rl-*.dist-info")
    needed = closure(re.findall(r"^Requires-Dist: (.*)$", (dist_info / "METADATA").read_text(), re.MULTILINE))
    link(needed, folder / "needed")
    (site / "needed.pth").write_text(f"{folder / 'needed'}\n")
    copy_kernels(site)
    return found


def copy_kernels(site: Path) -> None:
    """What this tree has compiled is the wheel's, too: numba knows a source by its time and size."""
    for compiled in ROOT.glob("envs/**/__pycache__/*.nb[ic]"):
        shutil.copy2(compiled, site / compiled.relative_to(ROOT))
    for source in ROOT.glob("envs/**/*.py"):
        shutil.copystat(source, site / source.relative_to(ROOT))


def closure(requirements: list[str]) -> set[str]:
    """The distributions that these requirements bring with them, no extra asked for."""
    found: set[str] = set()
    wanted = list(requirements)
    while wanted:
        requirement = Requirement(wanted.pop())
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            wanted += distribution(requirement.name).requires or []
        except PackageNotFoundError:  # of another platform, such as the CUDA libraries of a CPU build
            continue
        found.add(requirement.name)
    return found


def link(names: set[str], folder: Path) -> None:
    """Put links to what these distributions installed into ``folder``."""
    folder.mkdir()
    for name in names:
        there = distribution(name)
        for part in {file.parts[0] for file in there.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / part).is_symlink():
                (folder / part).symlink_to(str(there.locate_file(part)))


def run(python: Path, folder: Path, *argv: str, code: int = 0) -> str:
    """What ``perceiver-rl`` of that environment says, called in ``folder``."""
    done = subprocess.run(
        [str(python.with_name("perceiver-rl")), *argv],
        cwd=folder,
        env=ALONE | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_wheel_is_all_that_is_needed(python, tmp_path):
    from perceiver_rl import __version__

    assert run(python, tmp_path, "--version") == f"perceiver-rl {__version__}\n"
    assert "--ppo.learning-rate" in run(python, tmp_path, "train", "--help")
    said = run(python, tmp_path, "train", "--config", "cartpole", *TINY, "--evaluation-episodes", "5")
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert str(run_dir.relative_to(tmp_path)) in said
    assert "CartPole-v1" in run(python, tmp_path, "evaluate", str(run_dir), "--episodes", "3")
    assert len(json.loads((run_dir / "evaluation.json").read_text())[0]["returns"]) == 3
    run(python, tmp_path, "watch", str(run_dir), "--video", "it.mp4")
    assert (tmp_path / "it.mp4").stat().st_size > 1000
    assert "finished" in run(python, tmp_path, "status", str(run_dir))
    said = run(python, tmp_path, "doctor")
    assert "problem" not in said
    assert "site-packages" not in said.partition("package names")[2].splitlines()[0]
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "it.mp4"}


@pytest.mark.slow
def test_it_serves(python, tmp_path):
    from s2clientprotocol import sc2api_pb2 as sc_pb
    from websockets.sync.client import connect

    command = [str(python.with_name("perceiver-rl")), "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=ALONE, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline())[1]
            with connect(f"ws://127.0.0.1:{port}/sc2api", compression=None, open_timeout=60) as client:
                client.send(sc_pb.Request(ping=sc_pb.RequestPing()).SerializeToString())
                answer = sc_pb.Response.FromString(client.recv(60))
            assert answer.ping.base_build == 75689
        finally:
            server.terminate()


@pytest.mark.slow
def test_what_an_extra_brings_is_named(python, tmp_path):
    said = run(python, tmp_path, "train", "--config", "cartpole", *TINY, "--workers", "2", code=2)
    assert "perceiver-rl[cluster]" in said
    said = run(python, tmp_path, "train", "--env", "sc2/MoveToBeacon", code=2)
    assert "no StarCraft II" in said


@pytest.mark.slow
@pytest.mark.parametrize("package", ["agents", "envs"])
def test_a_folder_of_ones_own_with_a_package_s_name_does_no_harm_and_is_named(python, tmp_path, package):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    (tmp_path / package / "mine.py").write_text("class Mine: pass\n")
    said = run(python, tmp_path, "evaluate", "--policy", "random", "--env", "CartPole-v1", "--episodes", "2")
    assert f"{tmp_path / package} has the name of" in said
    said = run(python, tmp_path, "evaluate", "--policy", "random", "--env", f"{package}.mine:Mine", code=2)
    assert str(tmp_path / package / "mine.py") in said
    assert "rename" in said


@pytest.mark.slow
@pytest.mark.parametrize("package", ["agents", "envs"])
@pytest.mark.parametrize("later", [True, False], ids=["installed later", "installed earlier"])
def test_another_distribution_of_that_name_does_no_harm_and_is_named(python, tmp_path, package, later):
    """What pip leaves of two distributions with one top-level package: a folder with the later one's __init__."""
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    ours = (site / package / "__init__.py").read_text()
    record = site / f"other_{package}-1.0.dist-info"
    try:
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: other-{package}\nVersion: 1.0\n")
        (record / "RECORD").write_text(f"{package}/__init__.py,,\n{package}/theirs.py,,\n")
        (site / package / "theirs.py").write_text("")
        if later:
            (site / package / "__init__.py").write_text("raise RuntimeError('not ours')\n")
        said = run(python, tmp_path, "evaluate", "--policy", "random", "--env", "CartPole-v1", "--episodes", "2")
        assert f"other-{package} installs a package {package!r} too" in said
        assert f"other-{package}" in run(python, tmp_path, "doctor")
        victim = site / package / "errors.py"  # both packages have one
        kept = victim.read_text()
        victim.write_text("raise RuntimeError('not ours')\n")
        with (record / "RECORD").open("a") as file:
            file.write(f"{package}/errors.py,,\n")
        try:
            said = run(python, tmp_path, "doctor", code=2)
        finally:
            victim.write_text(kept)
        assert f"other-{package} has put files of its own in place of" in said
        assert f"{package}/errors.py" in said
        assert "Traceback" not in said
    finally:
        (site / package / "__init__.py").write_text(ours)
        (site / package / "theirs.py").unlink(missing_ok=True)
        shutil.rmtree(record, ignore_errors=True)
