"""``perceiver-rl status`` and ``runs``: how runs stand, living or ended, from what is in their folders."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment, folder

TAIL_BYTES = 1 << 17  # of the metrics: a hundred records or so
RUNNING = folder.RUNNING
SILENT_SECONDS, SILENT_UPDATES = 60.0, 10.0  # a run that has recorded nothing for longer than both has stopped
COLUMNS = ("run", "environment", "by", "seed", "steps", "return", "evaluated", "state")
"""Of the list of runs."""
DISPENSABLE = ("seed", "by", "evaluated", "environment")
"""Those left out of it one by one where it is too wide: a name that can be copied is worth more."""
WIDEST = 1000


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


@dataclass(frozen=True)
class Runs:
    """List the runs in a folder, the latest first."""

    folder: Positional[Path] = Path("runs")
    """Where to look; folders in it are looked into, too."""


def runs(argv: Sequence[str], prog: str) -> None:
    """List the runs in a folder."""
    asked = tyro.cli(Runs, args=argv, prog=prog, description=Runs.__doc__)
    if not asked.folder.is_dir():
        raise UserError(f"{asked.folder}: is no folder")
    found = sorted(run_folders(asked.folder), key=last_change, reverse=True)
    if not found:
        raise UserError(f"{asked.folder}: holds no runs")
    lines = [dict(zip(COLUMNS, line(run_dir, asked.folder, time.time()), strict=True)) for run_dir in found]
    console = Console()
    if not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = WIDEST  # a program reads it
    shown = list(COLUMNS)
    widths = {name: max(len(name), *(len(told[name]) for told in lines)) + 2 for name in COLUMNS}
    for name in DISPENSABLE:
        if sum(widths[name] for name in shown) > console.width:
            shown.remove(name)
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in shown:
        grid.add_column(name, overflow="fold", justify="right" if name in ("seed", "steps", "return") else "left")
    for told in lines:
        grid.add_row(*(told[name] for name in shown))
    console.print(grid)


def run_folders(path: Path) -> Iterator[Path]:
    """The run folders at or below ``path``; what is in a run's folder is none of its own."""
    if (path / "config.yaml").is_file():
        yield path
        return
    for inner in sorted(path.iterdir()):
        if inner.is_dir() and not inner.is_symlink():
            yield from run_folders(inner)


def line(run_dir: Path, parent: Path, now: float) -> list[str]:
    """A run in a row of the list: what cannot be read of it is said."""
    name = str(run_dir.relative_to(parent)) if run_dir != parent else str(run_dir)
    try:
        config = experiment.read_run_config(run_dir)
        from agents.runs.report import METRICS, summary

        records = latest_records(run_dir / METRICS)
    except UserError as error:
        return [name, "-", "-", "-", "-", "-", "-", str(error).splitlines()[0]]
    checkpoints = folder.checkpoints(run_dir)
    step = records[-1]["step"] if records else folder.step_of(checkpoints[0]) if checkpoints else 0
    known = summary(records)
    score, played = known.get("episode/return"), evaluated(run_dir)
    state = ended(run_dir, step, config.total_steps, now) or state_of(
        step, config.total_steps, now - last_change(run_dir), known
    )
    return [
        name,
        config.env,
        config.algorithm,
        str(config.seed),
        f"{step:,}",
        "-" if score is None else f"{score:.4g}",
        "-" if played is None else f"{played:.4g}",
        state,
    ]


def evaluated(run_dir: Path) -> float | None:
    """The mean return of a run's last evaluation in its own environment."""
    try:
        found = json.loads((run_dir / "evaluation.json").read_text(encoding="utf-8"))
        return float(found[0]["return"]["mean"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def last_change(run_dir: Path) -> float:
    """When a run last recorded something, in seconds since the epoch."""
    path = run_dir / "metrics.jsonl"
    return (path if path.exists() else run_dir / "config.yaml").stat().st_mtime
