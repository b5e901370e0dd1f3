"""Others have packages called `agents` and `envs`: ours are used, theirs are named.

For wheels see ``test_installation.py``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_rl import __version__, names

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, *argv: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """``python -m perceiver_rl`` in ``folder``, which so comes first on the path of imports."""
    code = f"import sys; sys.path[1:1] = {[path] if path else []!r}; sys.path.append({str(ROOT)!r}); "
    code += "import runpy; runpy.run_module('perceiver_rl', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, *argv]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", names.PACKAGES)
@pytest.mark.parametrize("form", ["package", "module", "namespace"])
def test_a_folder_or_file_of_that_name_where_we_are_called_is_named_and_not_imported(tmp_path, name, form):
    place = tmp_path / (f"{name}.py" if form == "module" else name)
    if form != "module":
        place.mkdir()
    file = {"package": place / "__init__.py", "module": place, "namespace": place / "cli.py"}
    file = file[form] if form != "package" else place / "__init__.py"
    file.write_text("raise RuntimeError('not ours')\n")
    done = start(tmp_path, "evaluate", "--episods", "3")
    assert done.returncode == 2
    assert "did you mean '--episodes'" in done.stderr
    (note,) = [line for line in done.stderr.splitlines() if line.startswith("note:")]
    assert str(place) in note
    assert f"own package {name!r}" in note


def test_one_along_the_path_of_imports_is_named_too(tmp_path):
    (tmp_path / "theirs" / "envs").mkdir(parents=True)
    (tmp_path / "theirs" / "envs" / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    record = tmp_path / "theirs" / "envs-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: envs\nVersion: 1.0\n")
    (record / "RECORD").write_text("envs/__init__.py,,\n")
    done = start(tmp_path, "evaluate", "--episods", "3", path=str(tmp_path / "theirs"))
    assert "did you mean '--episodes'" in done.stderr
    assert f"note: {tmp_path / 'theirs' / 'envs'}, of envs, has the name of" in done.stderr


def test_a_folder_without_python_is_nobody_s_business(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "notes.txt").write_text("007")
    assert "note:" not in start(tmp_path, "evaluate", "--episods", "3").stderr


def test_in_the_checkout_nothing_is_said():
    assert names.overwritten() == {}
    assert "note:" not in start(ROOT, "evaluate", "--episods", "3").stderr


def test_the_version(tmp_path):
    for option in ("--version", "-V"):
        done = start(tmp_path, option)
        assert (done.returncode, done.stdout) == (0, f"perceiver-rl {__version__}\n")


@pytest.mark.parametrize("argv", [["train", "--help"], ["--help"], ["--version"], ["doctor", "--help"]])
@pytest.mark.parametrize("read", [0, 100])
def test_a_reader_that_has_seen_enough_is_no_error(argv, read):
    command = [sys.executable, "-m", "perceiver_rl", *argv]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(read)
        process.stdout.close()
        said = process.stderr.read().decode()
        process.wait(60)
    assert said == ""


def test_the_facade_s_version_is_the_distribution_s():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "perceiver_rl.__version__"}
