"""``perceiver-rl status``: how a run stands, living or ended, from what is in its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from tyro.conf import Positional

from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment, folder

TAIL_BYTES = 1 << 17  # of the metrics: a hundred records or so
RUNNING = folder.RUNNING
SILENT_SECONDS, SILENT_UPDATES = 60.0, 10.0  # a run that has recorded nothing for longer than both has stopped


@dataclass(frozen=True)
class Status:
    """Say how a run stands, whether it is at work or has ended."""

    run: Positional[Path]
    """The run folder."""


def status(argv: Sequence[str], prog: str) -> None:
    """Say how a run stands."""
    asked = tyro.cli(Status, args=argv, prog=prog, description=Status.__doc__)
    config = experiment.read_run_config(asked.run)
    from agents.runs.report import table

    Console().print(table(rows(asked.run, config, time.time())))


def rows(run_dir: Path, config: Config, now: float) -> list[tuple[str, str]]:
    """What there is to say at ``now`` (seconds since the epoch), as labels and texts."""
    from agents.runs.report import METRICS, RECENT, duration, figures, summary

    path = run_dir / METRICS
    records = latest_records(path)[-RECENT:]
    checkpoints = folder.checkpoints(run_dir)
    saved = folder.step_of(checkpoints[0]) if checkpoints else 0
    step = records[-1]["step"] if records else saved
    known = summary(records)
    rate = known.get("time/steps_per_second", 0.0)
    silent = now - (path if path.exists() else run_dir / "config.yaml").stat().st_mtime
    state = ended(run_dir, step, config.total_steps, now) or state_of(step, config.total_steps, silent, known)
    steps = f"{step:,} of {config.total_steps:,} ({100 * step // config.total_steps}%)"
    steps += f", {rate:,.0f} a second" if rate else ""
    going_on = rate and state == RUNNING and step < config.total_steps
    steps += f", {duration((config.total_steps - step) / rate)} left" if going_on else ""
    where = f"{config.workers} workers" if config.workers else "one process"
    return [
        ("run", str(run_dir)),
        ("experiment", f"{config.env}, {config.algorithm}, {where}, seed {config.seed}"),
        ("state", f"{state}, last record {ago(silent)}" if records else f"{state}, nothing recorded"),
        ("steps", steps),
        *figures(known),
        ("checkpoint", f"step {saved:,}, {ago(now - checkpoints[0].stat().st_mtime)}" if checkpoints else "none yet"),
    ]


def ended(run_dir: Path, step: int, total_steps: int, now: float) -> str:
    """How and when a run has ended, or that it is at work, as far as its folder tells; else nothing."""
    told, busy = folder.state(run_dir), folder.at_work(run_dir)
    if busy:
        return RUNNING if step < total_steps else "trained, evaluating"
    if not told:
        return ""
    if told["state"] != RUNNING:
        return f"{told['state']} {ago(now - told['time'])}"
    return "" if busy is None else "killed"


def state_of(step: int, total_steps: int, silent: float, known: dict[str, float]) -> str:
    """Whether a run that has recorded nothing for ``silent`` seconds is done, at work, or has stopped."""
    if step >= total_steps:
        return "finished"
    update = 1 / known["time/updates_per_second"] if known.get("time/updates_per_second") else 0.0
    return RUNNING if silent < max(SILENT_SECONDS, SILENT_UPDATES * update) else "stopped"


def latest_records(path: Path) -> list[dict[str, Any]]:
    """The last records of a metrics file, oldest first, without one that is being written; none where there is no file.

    Raises UserError if a line in the middle is no record.
    """
    if not path.exists():
        return []
    with path.open("rb") as file:
        skipped = max(0, path.stat().st_size - TAIL_BYTES)
        file.seek(skipped)
        lines = file.read().split(b"\n")[1 if skipped else 0 : -1]
    try:
        records = [json.loads(line) for line in lines]
        return [{**record, "step": int(record["step"])} for record in records]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: among its last lines is one that is no record of metrics") from None


def ago(seconds: float) -> str:
    """``5 s ago``, ``3 min ago``, ``2 h ago`` or ``4 days ago``."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
