"""`agents`, `envs` and `perceiver_policy` are common names: ours are the ones imported here, and others are told of.

Two distributions that install a package of one name share one folder, file by file, and pip says nothing; and a folder
of that name comes first where a program is started beside it (``python -m``, PYTHONPATH). This module imports nothing
of ours.
"""

from __future__ import annotations

import hashlib
import sys
from base64 import urlsafe_b64encode
from collections.abc import Container, Iterator
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGES = ("agents", "envs", "perceiver_policy")
DISTRIBUTION = "perceiver-rl"
ROOT = Path(__file__).resolve().parents[1]
UNUSED = {"agents/__init__.py", "envs/__init__.py"}
"""Files of ours that hold nothing a program needs."""


def pin(spoiled: Container[str] = ()) -> None:
    """Have the packages beside this one imported under their names from now on, whatever else would be found first.

    Of :data:`UNUSED` files those that are ``spoiled`` are left out.
    """
    for name in PACKAGES:
        folder = ROOT / name
        spec = spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        if name in sys.modules or spec is None or spec.loader is None:
            continue
        sys.modules[name] = module = module_from_spec(spec)
        if f"{name}/__init__.py" not in spoiled:
            spec.loader.exec_module(module)


def taken() -> str:
    """What to say where another package has been imported under a name of ours, after :func:`pin`; else nothing."""
    for name in PACKAGES:
        found = sys.modules.get(name)
        if found is not None and str(ROOT / name) not in map(str, getattr(found, "__path__", ())):
            where = getattr(found, "__file__", None) or "another place"
            return (
                f"{name!r} has been imported from {where} before, which is the name of {DISTRIBUTION}'s own package: "
                "import perceiver_rl first, or rename the other one"
            )
    return ""


def overwritten() -> dict[str, str]:
    """The files of ours that another distribution has put its own in place of, and that distribution's name.

    Empty where we run from a checkout: then the folders are nobody else's.
    """
    ours = _installed()
    changed = [
        str(file)
        for file in (ours.files or () if ours else ())
        if file.parts[0] in PACKAGES and file.suffix == ".py" and file.hash and _hash(ROOT / file) != file.hash.value
    ]
    return {file: name for file in changed for name in _owners(file)}


def tell_overwritten(files: dict[str, str]) -> str:
    """What to say where :func:`overwritten` found something that we cannot do without."""
    others = sorted(set(files.values()))
    return (
        f"{', '.join(others)} has put files of its own in place of {', '.join(sorted(files))} in {ROOT}, "
        f"which {DISTRIBUTION} needs. Install one of the two in an environment of its own; to have {DISTRIBUTION} back "
        f"here: pip uninstall {' '.join(others)}, then install {DISTRIBUTION} again with --force-reinstall --no-deps"
    )


def neighbours() -> list[str]:
    """Who else has one of our packages' names, a line each: distributions installed here, folders and files nearby."""
    lines = []
    ours = _installed()
    for name in PACKAGES:
        if ours:
            mine = {file.parts[1] for file in ours.files or () if file.parts[0] == name}
            extra = sorted(entry.name for entry in (ROOT / name).iterdir() if entry.name not in {*mine, "__pycache__"})
            owners = {owner for entry in extra for owner in _owners(f"{name}/{entry}")}
            lines += [
                f"{owner} installs a package {name!r} too, in the same folder as {DISTRIBUTION}'s ({ROOT / name}); "
                "one of them will not work for other programs: give them environments of their own"
                for owner in sorted(owners)
            ]
        for place in _others(name):
            owners = set(_owners(f"{name}/__init__.py", place.parent))
            whose = f", of {', '.join(sorted(owners))}," if owners else ""
            lines.append(
                f"{place}{whose} has the name of {DISTRIBUTION}'s own package {name!r}, which is used here instead; "
                "what is in it cannot be imported here unless it is renamed"
            )
    return lines


def _others(name: str) -> Iterator[Path]:
    """Packages and modules called ``name`` in this folder and along the path of imports, but ours."""
    seen = {ROOT / name}
    for entry in [Path.cwd(), *(Path(entry or ".") for entry in sys.path)]:
        spec = PathFinder.find_spec(name, [str(entry.absolute())])
        if spec is None:
            continue
        if spec.origin is None and not any((entry / name).glob("*.py")):  # a folder without Python in it
            continue
        place = (entry / name if (entry / name).is_dir() else Path(spec.origin or entry / name)).resolve()
        if place not in seen:
            seen.add(place)
            yield place


def _installed() -> Distribution | None:
    """Our own distribution, where we run as installed from a wheel and not from a checkout."""
    for found in distributions(name=DISTRIBUTION):
        files = {str(file) for file in found.files or ()}
        if "agents/config.py" in files and Path(str(found.locate_file("agents"))).resolve() == ROOT / "agents":
            return found
    return None


def _owners(path: str, root: Path = ROOT) -> list[str]:
    """Other distributions in ``root`` that installed ``path``, a file or folder."""
    return [
        found.metadata["Name"]
        for found in distributions(path=[str(root)])
        if found.metadata["Name"] not in (DISTRIBUTION, None)
        and any(str(file) == path or str(file).startswith(path + "/") for file in found.files or ())
    ]


def _hash(path: Path) -> str:
    """As a RECORD file states it (PEP 376)."""
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return "missing"
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
