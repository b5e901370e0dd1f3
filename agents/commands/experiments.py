"""``perceiver-rl compare``: several runs at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from agents.commands import options
from agents.commands.output import to_standard_output
from agents.commands.status import run_folders
from agents.errors import UserError


@dataclass(frozen=True)
class Compare:
    """Draw the curves of runs, with intervals over the seeds of each experiment, and say in a table where they end.

    Runs whose options differ in the seed alone are one experiment.
    """

    runs: Positional[tuple[Path, ...]] = ()
    """Run folders, or folders that hold some."""
    metric: str = "episode/return"
    """What is compared: any figure of metrics.jsonl."""
    image: Path = Path("compare.png")
    """The picture: .png, .svg or .pdf."""
    json: Path | None = None
    """Where the table goes as JSON, - for standard output."""


def compare(argv: Sequence[str], prog: str) -> None:
    """Draw the curves of several runs, with intervals over their seeds, and say where they end."""
    asked = options.parse(Compare, Compare(), argv, prog)
    if asked.image.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--image {asked.image}: expected a name that ends in .png, .svg or .pdf")
    run_dirs = [found for path in asked.runs for found in (run_folders(path) if path.is_dir() else [path])]
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
