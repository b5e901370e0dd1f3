"""What this program may use of the machine. Imports next to nothing."""

from __future__ import annotations

import os


def cores() -> int:
    """Processor cores that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
