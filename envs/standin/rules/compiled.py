"""How the kernels are compiled: to files beside the sources, and anew when any of the kernels' sources changes.

numba looks only at the file of the function that is called, not at the files of the functions that this one calls. A
kernel compiled before an edit of a rule that it uses would therefore live on; so the stamp of every cached kernel is
made from the sources of all kernels and of the constants that they use.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def _digest() -> str:
    digest = hashlib.sha256()
    standin = Path(__file__).parents[1]
    constants = {
        standin / "rules/catalog.py",
        standin / "rules/scenario_ids.py",
        standin / "rules/terrain/simple64.py",
        standin / "scenarios/plans.py",
        standin.parent / "starcraft/interface.py",
    }
    for path in sorted({*standin.rglob("*.py"), *constants}):
        source = path.read_bytes()
        if b"standin.rules.compiled import" in source or path in constants:
            digest.update(source)
    return digest.hexdigest()


_STAMP = _digest()


def rule(function: F) -> F:
    """Compile a function that kernels call, and only kernels: without what Python would need to call it."""
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(F, numba.njit(error_model="numpy", nogil=True, **options)(function))


def _telling(load: Callable[..., Any]) -> Callable[..., Any]:
    """``load``, which says what is waited for where nothing is there to be loaded."""

    def load_or_tell(*signature: Any) -> Any:
        found = load(*signature)
        if found is None and not _told:
            _told.append(True)
            print("compiling the stand-in game's rules: one to two minutes, once", file=sys.stderr, flush=True)
        return found

    return load_or_tell


_told: list[bool] = []


def kernel(function: F) -> F:
    """Compile a function that Python calls, and keep the result on disk. It lets other threads run."""
    compiled = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    cache: Any = getattr(compiled, "_cache", None)
    if hasattr(cache, "_cache_file") and hasattr(cache._cache_file, "_source_stamp"):
        cache._cache_file._source_stamp = _STAMP
        cache.load_overload = _telling(cache.load_overload)
    return cast(F, compiled)
