"""A logger: what was measured as one CSV file, a line a number.

perceiver-rl train --env CartPole-v1 --extensions examples/extend/logger.py --track tensorboard csv
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import perceiver_rl
from agents.config import Config


@perceiver_rl.register("logger", "csv")
class Csv(perceiver_rl.Logger):
    """Writes ``numbers.csv`` into the run's folder."""

    def start(self, run_dir: Path, config: Config, step: int) -> None:
        """The run begins, or goes on after ``step``."""
        self.file = (run_dir / "numbers.csv").open("a", newline="")
        self.writer = csv.writer(self.file)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name."""
        self.writer.writerows((step, name, value) for name, value in values.items())

    def close(self) -> None:
        """The run is over."""
        self.file.close()
