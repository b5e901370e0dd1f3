"""``perceiver-rl compare``, ``average`` and ``sweep``: several runs, or several policies of one, at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from agents.commands import options
from agents.commands.output import to_standard_output
from agents.commands.status import run_folders
from agents.commands.train import begin_run, command
from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment, folder
from agents.runs.callbacks import Callback
from envs import registry

SHOWN = 10
"""Trials in the table of a sweep."""


@dataclass(frozen=True)
class Compare:
    """Draw the curves of runs, with intervals over the seeds of each experiment, and say in a table where they end.

    Runs whose options differ in the seed alone are one experiment. Of two files that evaluate has written (.json), the
    difference is told game by game instead.
    """

    runs: Positional[tuple[Path, ...]] = ()
    """Run folders, or folders that hold some; or two evaluations."""
    metric: str = "episode/return"
    """What is compared: any figure of metrics.jsonl."""
    image: Path = Path("compare.png")
    """The picture: .png, .svg or .pdf."""
    json: Path | None = None
    """Where the table goes as JSON, - for standard output."""


def compare(argv: Sequence[str], prog: str) -> None:
    """Draw the curves of several runs, with intervals over their seeds, and say where they end."""
    asked = options.parse(Compare, Compare(), argv, prog)
    if any(path.suffix == ".json" for path in asked.runs):
        compare_evaluations(asked)
        return
    if asked.image.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--image {asked.image}: expected a name that ends in .png, .svg or .pdf")
    run_dirs = [found for path in asked.runs for found in _recorded(path, asked.metric)]
    if not run_dirs:
        raise UserError("name run folders to compare, such as runs/*")
    from agents.runs.curves import curves, draw, table

    found = curves(run_dirs, asked.metric)
    said = json.dumps([curve.as_dict() for curve in found], indent=1) + "\n"
    if to_standard_output(asked.json):
        sys.stdout.write(said)
    else:
        print(table(found, asked.metric))
    if asked.json and not to_standard_output(asked.json):
        try:
            asked.json.write_text(said, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--json {asked.json}: cannot be written ({error})") from error
    draw(found, asked.metric, asked.image)
    print(f"curves in {asked.image}", file=sys.stderr if to_standard_output(asked.json) else sys.stdout)


def _recorded(path: Path, metric: str) -> Iterator[Path]:
    """The run at ``path``; where that is a folder of runs, those that have recorded ``metric``: others are named."""
    from agents.runs.curves import read

    for run_dir in run_folders(path) if path.is_dir() else [path]:
        try:
            if run_dir != path:
                read(run_dir, metric)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            yield run_dir


def compare_evaluations(asked: Compare) -> None:
    """Say how much better the second of two evaluations is than the first, game by game."""
    if len(asked.runs) != 2 or any(path.suffix != ".json" for path in asked.runs):
        raise UserError(
            "name two files of evaluate's, such as one/evaluation.json other/evaluation.json, or run folders"
        )
    from agents.acting import evaluate
    from agents.acting.pairs import pair, table

    both = []
    for path in asked.runs:
        try:
            both.append(evaluate.read_json(path))
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
        if not both[-1]:
            raise UserError(f"{path}: there is no such file, or no evaluation in it")
    try:
        found = pair(*both)
    except ValueError as error:
        raise UserError(f"{asked.runs[0]} and {asked.runs[1]}: {error}") from error
    print(table(found, *(one[0].player for one in both)))


@dataclass(frozen=True)
class Average:
    """Make one policy of a run's last ones: the mean of their parameters, which often plays better than any of them.

    What comes of it is a run's folder that is evaluated, watched, exported and trained from (--init).
    """

    run: Positional[Path]
    """The run folder of a trained policy."""
    out: Path
    """The folder that the mean is written to; it must be empty, or not there."""
    last: int = 10
    """How many of its newest checkpoints. Range: at least 2."""


def average(argv: Sequence[str], prog: str) -> None:
    """Make one policy of a run's last ones: the mean of their parameters."""
    asked = options.parse(Average, Average(tyro.MISSING, tyro.MISSING), argv, prog)
    if asked.last < 2:
        raise UserError(f"--last {asked.last}: expected at least 2")
    config = experiment.read_run_config(asked.run)
    if asked.out.exists() and not (asked.out.is_dir() and not any(asked.out.iterdir())):
        raise UserError(f"--out {asked.out}: is there already, and not empty")
    from agents.runs import checkpoint

    steps = checkpoint.average(asked.run, asked.last, asked.out)
    experiment.write_config(config, asked.out / "config.yaml")
    folder.write_state(asked.out, "finished")
    print(f"{asked.out}: the mean of {len(steps)} policies, steps {steps[-1]:,} to {steps[0]:,}")


@dataclass(frozen=True)
class Sweep:
    """Look for options that suit an experiment, by Optuna, as a YAML file says.

    Started again, or several times side by side in one folder, it goes on with the same search.
    """

    file: Positional[Path] = tyro.MISSING
    """What to search: see docs/experiments.md."""
    folder: Path | None = None
    """Where the trials' runs go; without it sweeps/ and the file's name."""


def sweep(argv: Sequence[str], prog: str) -> None:
    """Look for options that suit an experiment: trials by Optuna, as a YAML file says."""
    asked = options.parse(Sweep, Sweep(), argv, prog)
    from agents.runs.search import read_search, search

    wanted, base = read_search(asked.file)
    registry.check(base.env, base.env_arguments)
    parent = asked.folder or Path("sweeps") / asked.file.stem

    def train(run_dir: Path, config: Config, callback: Callback) -> None:
        begin_run(run_dir, config, [callback], Console(quiet=True))

    print(f"{wanted.trials} trials of {wanted.experiment} in {parent}, {wanted.direction} {wanted.metric}")
    trials = search(wanted, base, parent, train, print)
    keys = list(wanted.parameters)
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("trial", "state", wanted.metric, *keys):
        grid.add_column(heading, overflow="fold")
    for number, state, value, chosen in trials[:SHOWN]:
        told = [chosen.get(key) for key in keys]
        numbers = [f"{one:.4g}" if isinstance(one, float) else str(one) for one in told]
        grid.add_row(str(number), state, "-" if value is None else f"{value:.4g}", *numbers)
    Console().print(grid)
    print(f"the best one's experiment: {command('train', '--config', parent / 'best.yaml')}")
