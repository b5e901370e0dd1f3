"""Run PySC2's own tests of the game against the stand-in game: ``make conformance``.

The tests ship with ``pysc2_evolved`` (marker ``sc2``) and are run as they are, on an installation of the stand-in game
in a temporary folder. ``docs/conformance.md`` says which of them pass; a change of that is an error.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from envs.standin.protocol.install import install
from envs.standin.warm import load_kernels

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
TEST_SECONDS, SECONDS = 120, 1200
"""How long a test, and all of them together, may take."""


def documented() -> dict[str, bool]:
    """Whether a test passes, by ``file::test``, as the page has it."""
    rows = re.findall(r"^\| `(\w+::[\w\[\]]+)` \| (passes|fails) \|", PAGE.read_text(), re.MULTILINE)
    return {name: word == "passes" for name, word in rows}


def run(select: str = "") -> dict[str, str]:
    """What became of each test: "" if it passed, else the first line of what went wrong.

    ``select`` is an expression of pytest's ``-k``. No process and no file is left behind.
    """
    load_kernels()  # or the first games compile them, each for itself
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        (folder / "empty.ini").write_text("[pytest]\n")
        report = folder / "report.xml"
        command = [
            sys.executable, "-P", "-m", "pytest", "--pyargs", "pysc2_evolved", "-m", "sc2", "-k", select, "-q",
            "-c", str(folder / "empty.ini"), "--rootdir", name, "-p", "no:cacheprovider", "--disable-warnings",
            "--continue-on-collection-errors",  # three modules need programs that the package does not ship
            f"--timeout={TEST_SECONDS}", f"--junitxml={report}",
        ]  # fmt: skip
        # What a test writes, replays among it, goes to the working directory or the one for temporary files.
        environment = {
            **os.environ, "SC2PATH": str(install(folder / "StarCraftII").folder), "TMPDIR": name,
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        tests = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = tests.communicate(timeout=SECONDS)
        finally:
            _end(tests)
        if not report.is_file():
            raise RuntimeError(f"PySC2's tests did not run:\n{output}")
        return _results(report)


def _end(leader: subprocess.Popen[str]) -> None:
    """Kill what is left of the process group: a test that fails may leave its games running."""
    try:
        os.killpg(leader.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    leader.wait()


def _results(report: Path) -> dict[str, str]:
    results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = re.search(r"(\w+)_test\.Test\w+$", case.get("classname", ""))
        if not file:
            continue  # a module that could not be imported
        wrong = [part.get("message", "") for part in case if part.tag in ("failure", "error", "skipped")]
        results[f"{file[1]}::{case.get('name')}"] = _short(wrong[0]) if wrong else ""
    return results


def _short(message: str) -> str:
    return " ".join(re.sub(r"[\w.]+\.(\w+Error)", r"\1", message).split()) or "failed"


def differences(results: dict[str, str]) -> list[str]:
    """Where results contradict the page."""
    known = documented()
    found = []
    for name, wrong in results.items():
        if name not in known:
            found.append(f"{name} is not on the page")
        elif known[name] and wrong:
            found.append(f"{name} should pass")
        elif not known[name] and not wrong:
            found.append(f"{name} passes, and the page says that it fails")
    return found


def main() -> None:
    """Print a table; exit with 1 if it is not that of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("select", nargs="?", default="", help="only tests that match, as pytest's -k has it")
    select = parser.parse_args().select
    results = run(select)
    for name, wrong in sorted(results.items(), key=lambda item: (bool(item[1]), item[0])):
        print(f"{'fails ' if wrong else 'passes'}  {name:64}  {wrong[:160]}".rstrip())
    print(f"{sum(not wrong for wrong in results.values())} of {len(results)} pass")
    missing = [] if select else [f"{name} was not run" for name in documented().keys() - results.keys()]
    found = differences(results) + sorted(missing)
    print("\n".join(f"{PAGE.name}: {one}" for one in found) or f"as {PAGE.name} has it")
    sys.exit(bool(found) or not results)


if __name__ == "__main__":
    main()
