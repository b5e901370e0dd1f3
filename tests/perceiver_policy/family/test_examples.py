"""Every example of docs/perceiver.md, shortened: it runs, it learns a little, and the page names it."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "perceiver.md"


@pytest.mark.parametrize(
    ("name", "options", "figure", "low", "high"),
    [
        ("digits", {"steps": 50}, "accuracy", 0.1, 1.0),
        ("digits", {"steps": 30, "permute": True}, "accuracy", 0.02, 1.0),
        ("bytes", {"steps": 20}, "accuracy", 0.15, 1.0),
        ("flow", {"steps": 10}, "error", 0.0, 1.8),
        ("multimodal", {"steps": 10}, "video", 12.0, 99.0),
        ("copying", {"steps": 10, "length": 16}, "accuracy", 0.02, 1.0),
        ("hierarchy", {"steps": 6, "size": 32}, "error", 0.0, 3.0),
    ],
)
def test_example_runs(name, options, figure, low, high):
    module = importlib.import_module(f"examples.perceiver.{name}")
    if name == "digits":
        pytest.importorskip("sklearn")
    assert low <= module.main(**options)[figure] <= high


def test_all_examples_are_on_the_page():
    files = {path.stem for path in (PAGE.parents[1] / "examples" / "perceiver").glob("*.py")} - {"__init__", "training"}
    named = set(re.findall(r"python -m examples\.perceiver\.(\w+)", PAGE.read_text()))
    assert named == files


def test_code_on_the_page_runs():
    """The page's Python, top to bottom in one namespace, without what needs a download."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
