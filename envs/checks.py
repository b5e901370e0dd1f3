"""Options of an environment that are numbers or switches: of the right type, and in range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def whole(name: str, value: Any, least: int, most: int) -> None:
    """Raise a ValueError that names the option unless it is an integer from ``least`` to ``most``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ValueError(f"{name}: expected a whole number from {least:,} to {most:,}, got {value!r}")


def number(name: str, value: Any, least: float, most: float = math.inf) -> None:
    """Raise a ValueError that names the option unless it is a finite number from ``least`` to ``most``."""
    fits = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not least <= value <= most:
        wanted = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise ValueError(f"{name}: expected a number {wanted}, got {value!r}")


def switch(name: str, value: Any) -> None:
    """Raise a ValueError that names the option unless it is true or false."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected true or false, got {value!r}")
