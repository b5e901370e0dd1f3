"""The rules of the house, read from the imports: no circle, one way, rooms that can be held in the head."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agents", "envs", "perceiver_policy", "perceiver_rl")
LONGEST_FILE, MOST_FILES = 450, 14

LAYERS = (
    # Each may import itself and those before it.
    ("envs.spaces", "envs.errors", "envs.spelling"),
    ("perceiver_policy.core", "perceiver_policy.registry"),
    ("perceiver_policy.family", "perceiver_policy.policy"),
    ("agents.config", "agents.errors", "agents.extensions", "agents.device"),
    ("agents.acting", "agents.runs"),
    ("agents.opponents",),
    ("agents.learning",),
    ("agents.placement",),
    ("agents.commands",),
    ("perceiver_rl",),
)


def sources() -> dict[str, Path]:
    """Every module of the packages, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(sources: dict[str, Path]) -> dict[str, set[str]]:
    """What each module imports of the others, wherever in the file it does."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in sources.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute here"
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [target if target in sources else str(node.module) for target in inner]
            else:
                continue
            found[name] |= {target for target in targets if target != name}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, however far around (Tarjan 1972, without recursion: Kosaraju)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in graph:
        stack = [(start, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(other, False) for other in graph.get(node, ()) if other in graph]
    reverse: dict[str, set[str]] = defaultdict(set)
    for node, others in graph.items():
        for other in others:
            reverse[other].add(node)
    groups, placed = [], set()
    for node in reversed(order):
        group, stack2 = [], [node]
        while stack2:
            here = stack2.pop()
            if here not in placed:
                placed.add(here)
                group.append(here)
                stack2 += [other for other in reverse[here] if other in graph]
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


def layer(name: str) -> int | None:
    """The layer that a module is in, or None for one that is in none of those named."""
    for i, names in enumerate(LAYERS):
        if any(name == n or name.startswith(n + ".") for n in names):
            return i
    return None


SOURCES = sources()
GRAPH = imports(SOURCES)


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_no_import_circle() -> None:
    inner = {name: {other for other in GRAPH[name] if other in SOURCES} for name in SOURCES}
    assert circles(inner) == []


def test_packages_import_one_way() -> None:
    for name, others in GRAPH.items():
        top = name.partition(".")[0]
        for other in others:
            package = other.partition(".")[0]
            if top == "envs":
                assert package not in ("agents", "perceiver_policy", "perceiver_rl"), f"{name} imports {other}"
            if top == "perceiver_policy":
                assert package not in ("agents", "perceiver_rl"), f"{name} imports {other}"
                assert package != "envs" or other in ("envs.spaces", "envs.arrays"), f"{name} imports {other}"


def test_rooms_import_one_way() -> None:
    for name, others in GRAPH.items():
        mine = layer(name)
        for other in others:
            theirs = layer(other)
            if mine is not None and theirs is not None:
                assert theirs <= mine, f"{name} imports {other}, which stands above it"


def test_ray_and_pysc2_have_one_room_each() -> None:
    for name, others in GRAPH.items():
        packages = {other.partition(".")[0] for other in others}
        assert "ray" not in packages or name.startswith("agents.placement.cluster"), name
        assert not {"pysc2", "pysc2_evolved"} & packages or name == "envs.starcraft.pysc2", name


@pytest.mark.parametrize("package", [*PACKAGES, "tests", "benchmarks", "examples"])
def test_files_and_folders_can_be_held_in_the_head(package: str) -> None:
    paths = list((ROOT / package).rglob("*.py"))
    long = {str(p): n for p in paths if (n := len(p.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE}
    assert not long
    full = {str(folder): n for folder, n in Counter(p.parent for p in paths).items() if n > MOST_FILES}
    assert not full
