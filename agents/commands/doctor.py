"""What this machine has for training and playing, and what each missing thing would take."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from typing import Literal

from rich.markup import escape
from rich.table import Table

from envs.starcraft import installation

OUR_PACKAGES = ("agents", "envs", "perceiver_policy")
OUR_DISTRIBUTION = "perceiver-rl"
REINSTALL = (
    f"install {OUR_DISTRIBUTION} again: make install in a checkout, or pip install --force-reinstall with its wheel"
)
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
        return Finding("PyTorch", "problem", f"{type(error).__name__}: {error}", REINSTALL)
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return Finding("PyTorch", "ok", f"{torch.__version__}, {build}, threads: {torch.get_num_threads()}")


def _gpu() -> Finding:
    try:
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            return Finding("GPU", "ok", ", ".join(names))
        built = torch.version.cuda is not None
    except Exception as error:
        return Finding("GPU", "problem", f"{type(error).__name__}: {error}", REINSTALL)
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
        return Finding("numba", "problem", what, f"{REINSTALL}; the stand-in game needs it")
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
    from envs.starcraft.pysc2 import load

    try:
        name = installation.pysc2_package()
    except installation.InstallationError as error:
        return Finding("PySC2", "missing", f"{error}; needed for StarCraft II only")
    try:
        load()
    except installation.InstallationError as error:
        return Finding("PySC2", "problem", str(error))
    return Finding("PySC2", "ok", _version(name) + (", the original" if name == "pysc2" else ""))


def _version(package: str) -> str:
    from importlib.metadata import version

    names = packages_distributions().get(package, [])
    return f"{names[0]} {version(names[0])}" if names else package


def _starcraft() -> Finding:
    try:
        here = installation.find()
    except installation.InstallationError as error:
        state: State = "problem" if os.environ.get("SC2PATH") else "missing"
        return Finding("StarCraft II", state, f"{error}. Training on sim/ environments needs none of it")
    builds = ", ".join(f"Base{build}" for build in here.builds)
    what = "the stand-in game, for PySC2 to play" if here.is_standin else "StarCraft II"
    return Finding("StarCraft II", "ok", f"{what}, at {here.folder}: {builds}")


def _maps() -> Finding:
    from envs.starcraft.layouts.archive import archive
    from envs.starcraft.maps import MAPS

    folder = installation.maps_folder(installation.folder())
    there = set(installation.map_files(installation.folder()))
    packed = {name for name in MAPS if archive(name) is not None} - there
    found = [f"{len(names)} in {place}" for names, place in ((there, folder), (packed, "PySC2")) if names]
    missing = [name for name in MAPS if name not in there | packed]
    if not missing:
        return Finding("maps", "ok", f"{' and '.join(found)}, all {len(MAPS)} mini-games among them")
    return Finding(
        "maps",
        "missing",
        f"{' and '.join(found) or f'none in {folder} nor in PySC2'}; not there: {', '.join(missing)}",
        f"{installation.HOW_TO_GET_PYSC2} brings the mini-games; sim/ environments need none",
    )


def _ray() -> Finding:
    if importlib.util.find_spec("ray") is None:
        return Finding(
            "Ray", "missing", "without it training runs in one process", f"pip install '{OUR_DISTRIBUTION}[cluster]'"
        )
    return Finding("Ray", "ok", _version("ray"))
