"""What this machine has for training and playing, and what each missing thing would take."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Literal

from rich.markup import escape
from rich.table import Table

OUR_PACKAGES = ("agents", "envs", "perceiver_policy")
OUR_DISTRIBUTION = "perceiver-rl"
State = Literal["ok", "missing", "problem"]
SIGNS = {"ok": "[green]yes", "missing": "[yellow]no", "problem": "[bold red]problem"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    name: str
    state: State
    what: str
    """What was found."""
    remedy: str = ""
    """What it would take, if it is missing."""


def examine() -> list[Finding]:
    """Look at everything; nothing that is missing or broken stops the rest."""
    checks: list[Callable[[], Finding]] = [_python, _torch, _gpu, _numba, _names, _pysc2, _starcraft, _maps, _ray]
    return [check() for check in checks]


def table(findings: list[Finding]) -> Table:
    """The findings as a person reads them."""
    result = Table(title="What this machine has", box=None, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(3):
        result.add_column(overflow="fold")
    for finding in findings:
        text = escape(finding.what) + (f"\n[dim]to have it: {escape(finding.remedy)}" if finding.remedy else "")
        result.add_row(f"[bold]{finding.name}", SIGNS[finding.state], text)
    return result


def _python() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}, {cores} cores")


def _torch() -> Finding:
    try:
        import torch
    except Exception as error:
        return Finding("PyTorch", "problem", f"{type(error).__name__}: {error}", "make install")
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return Finding("PyTorch", "ok", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads")


def _gpu() -> Finding:
    try:
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            return Finding("GPU", "ok", ", ".join(names))
        built = torch.version.cuda is not None
    except Exception as error:
        return Finding("GPU", "problem", f"{type(error).__name__}: {error}", "make install")
    remedy = "an NVIDIA GPU with its driver" if built else "an NVIDIA GPU, and the CUDA build of PyTorch (pytorch.org)"
    return Finding("GPU", "missing", "training runs on the CPU", remedy)


def _numba() -> Finding:
    try:
        import numba

        @numba.njit
        def one_more(x: int) -> int:
            return x + 1

        assert one_more(1) == 2
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return Finding("numba", "problem", what, "make install; the stand-in game needs it")
    return Finding("numba", "ok", f"{numba.__version__}, compiles")


def _names() -> Finding:
    """Other distributions that install packages under our names: whichever is found first is imported."""
    providers = packages_distributions()
    clashes = {
        name: others
        for name in OUR_PACKAGES
        if (others := sorted(set(providers.get(name, [])) - {OUR_DISTRIBUTION, OUR_DISTRIBUTION.replace("-", "_")}))
    }
    if not clashes:
        return Finding("package names", "ok", f"{', '.join(OUR_PACKAGES)} are this project's alone")
    what = "; ".join(f"{name!r} is installed by {', '.join(others)} too" for name, others in clashes.items())
    others = sorted({other for others in clashes.values() for other in others})
    return Finding("package names", "problem", what, f"pip uninstall {' '.join(others)}, or an environment of its own")


def _pysc2() -> Finding:
    for name, remark in (("pysc2_evolved", ""), ("pysc2", ", the original")):
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(f"{name}.lib.actions")
        except Exception as error:
            what = f"{name}{remark} does not import: {type(error).__name__}: {error}"
            return Finding("PySC2", "problem", what, "pip install 'perceiver-rl[starcraft]'")
        return Finding("PySC2", "ok", f"{_version(name)}{remark}")
    return Finding("PySC2", "missing", "needed for StarCraft II only", "pip install 'perceiver-rl[starcraft]'")


def _version(package: str) -> str:
    from importlib.metadata import version

    names = packages_distributions().get(package, [])
    return f"{names[0]} {version(names[0])}" if names else package


def starcraft_folder() -> Path:
    """Where StarCraft II is or should be: ``SC2PATH``, or PySC2's default for this system."""
    default = {
        "Darwin": "/Applications/StarCraft II",
        "Windows": "C:/Program Files (x86)/StarCraft II",
    }.get(platform.system(), "~/StarCraftII")
    return Path(os.environ.get("SC2PATH", default)).expanduser()


def _starcraft() -> Finding:
    folder = starcraft_folder()
    told = "SC2PATH" if "SC2PATH" in os.environ else "the usual place; SC2PATH is not set"
    builds = sorted(folder.glob("Versions/Base*"))
    if builds:
        return Finding("StarCraft II", "ok", f"{folder}, {', '.join(b.name for b in builds)}")
    what = f"not at {folder} ({told}); the stand-in game needs none of it"
    state: State = "problem" if "SC2PATH" in os.environ else "missing"
    return Finding(
        "StarCraft II",
        state,
        what,
        "unpack Blizzard's Linux package there (4.10 is the newest; about 4 GB, their license), or set SC2PATH. "
        "This version trains on the stand-in game alone",
    )


def _maps() -> Finding:
    folders = [starcraft_folder() / "Maps"]
    for package in ("pysc2_evolved", "pysc2"):
        spec = importlib.util.find_spec(package)
        if spec and spec.submodule_search_locations:
            folders += [Path(place) for place in spec.submodule_search_locations]
    for folder in folders:
        maps = sorted(folder.rglob("*.SC2Map"))
        if maps:
            mini = sorted({p.stem for p in maps if "mini" in str(p.parent).lower()})
            return Finding("maps", "ok", f"{len(maps)} in {folder}" + (f" ({', '.join(mini)})" if mini else ""))
    return Finding(
        "maps",
        "missing",
        f"no .SC2Map file in {folders[0]} nor in PySC2",
        "pip install 'perceiver-rl[starcraft]' brings the mini-games; the stand-in game needs none",
    )


def _ray() -> Finding:
    if importlib.util.find_spec("ray") is None:
        return Finding("Ray", "missing", "this version trains in one process and does not use it", "pip install ray")
    return Finding("Ray", "ok", _version("ray"))
