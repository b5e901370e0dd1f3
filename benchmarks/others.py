"""Other toolkits, each in an environment of its own beside this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def python_with(folder: Path, *packages: str) -> str:
    """The Python of an environment with these packages, made in ``folder`` where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for package in ("torch==2.13.0", *packages):  # torch first: it settles which build the rest must suit
            subprocess.run([str(python), "-m", "pip", "install", "-q", package], check=True)
    return str(python.absolute())
