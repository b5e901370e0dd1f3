"""Several runs as experiments with seeds: their curves, with intervals, as a picture and a table.

Runs are of one experiment where their options differ in the seed alone. Of each experiment and step the interquartile
mean over the seeds is taken (the mean without the lowest and the highest quarter) and its 95 % interval by a bootstrap
over the seeds, as Agarwal et al. 2021 (arXiv 2108.13264) recommend for few runs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment
from agents.runs.report import METRICS

Array = npt.NDArray[np.float64]

POINTS = 200
"""Steps at which curves are compared."""
RESAMPLES = 2000
CONFIDENCE = 0.95
QUARTER = 0.25
STEM = re.compile(r"([-_]\d{8}-\d{6})?([-_]seed[-_]?\d+(-\d+)?)?$")
"""What follows an experiment's name in the name of a run's folder."""
SAME = {"seed", "run_dir", "device", "threads", "track", "keep_checkpoints"}
"""Options in which runs of one experiment may differ."""


@dataclass(frozen=True)
class Curve:
    """One experiment at ``steps`` [G]: its seeds' values [S, G], their interquartile mean and its interval [G].

    With one seed nothing is known of the interval (NaN).
    """

    name: str
    env: str
    seeds: tuple[int, ...]
    steps: Array
    values: Array
    middle: Array
    low: Array
    high: Array

    def as_dict(self) -> dict[str, Any]:
        """What the table shows, ready for JSON (what is not known is null)."""
        last = {"iqm": self.middle, "low": self.low, "high": self.high}
        return {
            "experiment": self.name,
            "environment": self.env,
            "seeds": list(self.seeds),
            "step": int(self.steps[-1]),
            **{name: _known(values[-1]) for name, values in last.items()},
            "each": self.values[:, -1].tolist(),
            "whole_course": _known(self.middle.mean()),
        }


def read(run_dir: Path, metric: str) -> tuple[Array, Array]:
    """A run's steps and values of a metric, where it was known. Raises UserError where it never was."""
    path = run_dir / METRICS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{run_dir}: has no curves: there is no {METRICS}, which training writes") from None
    except OSError as error:
        raise UserError(f"{run_dir}: its {METRICS} cannot be read ({error})") from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            if number < len(lines):  # the last one may be half written
                raise UserError(f"{path}, line {number}: not a record of metrics: {line[:60]!r}") from None
    known = [(record["step"], record[metric]) for record in records if record.get(metric) is not None]
    if not known:
        names = sorted({name for record in records for name in record} - {"step"})
        raise UserError(f"{run_dir}: has no {metric!r}; it has {', '.join(names) or 'recorded nothing yet'}")
    steps, values = np.array(known, np.float64).T
    return steps, values


def curves(run_dirs: Sequence[Path], metric: str) -> list[Curve]:
    """The experiments that runs belong to, in the order of their first runs.

    Raises UserError for what is no run, a seed that is there twice, and runs that have no step in common.
    """
    groups: list[tuple[Config, dict[int, Path]]] = []
    for run_dir in run_dirs:
        config = experiment.read_run_config(run_dir)
        seeds = next((seeds for other, seeds in groups if _same(config, other)), None)
        if seeds is None:
            groups.append((config, seeds := {}))
        if config.seed in seeds:
            raise UserError(
                f"{run_dir}: {seeds[config.seed]} is the same experiment with the same seed, {config.seed}: "
                "two runs that agree say no more than one"
            )
        seeds[config.seed] = run_dir
    named = zip(_names(groups), groups, strict=True)
    return [_curve(name, config.env, runs, metric) for name, (config, runs) in named]


def _curve(name: str, env: str, runs: dict[int, Path], metric: str) -> Curve:
    found = [read(run_dir, metric) for run_dir in runs.values()]
    first, last = max(steps[0] for steps, _ in found), min(steps[-1] for steps, _ in found)
    if first > last:
        raise UserError(f"{', '.join(map(str, runs.values()))}: have no step in common")
    grid = np.linspace(first, last, POINTS) if last > first else np.array([last])
    values = np.stack([np.interp(grid, steps, measured) for steps, measured in found])
    low, high = interval(values)
    return Curve(name, env, tuple(runs), grid, values, interquartile_mean(values), low, high)


def interquartile_mean(values: Array, axis: int = 0) -> Array:
    """The mean of the middle half; of fewer than four values of all of them."""
    from scipy.stats import trim_mean

    mean: Array = trim_mean(values, QUARTER, axis=axis)
    return mean


def interval(values: Array) -> tuple[Array, Array]:
    """The 95 % interval of the interquartile mean of values [S, G] over S, by a percentile bootstrap over S."""
    if len(values) < 2:
        unknown = np.full(values.shape[1], np.nan)
        return unknown, unknown
    from scipy.stats import bootstrap

    tails = bootstrap(
        (values,),
        interquartile_mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        axis=0,
        vectorized=True,
        batch=100,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return tails.low, tails.high


def table(found: Sequence[Curve], metric: str) -> str:
    """The curves' ends as a person reads them, an experiment a line."""
    rows = [["experiment", "seeds", "step", "IQM", f"{CONFIDENCE:.0%} interval", "lowest", "highest", "whole course"]]
    for curve in found:
        said, each = curve.as_dict(), curve.values[:, -1]
        known = "-" if said["low"] is None else f"{_short(said['low'])} to {_short(said['high'])}"
        rows.append(
            [
                curve.name,
                str(len(curve.seeds)),
                f"{said['step']:,}",
                _short(said["iqm"]),
                known,
                *(_short(value) for value in (each.min(), each.max(), said["whole_course"])),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    note = (
        f"{metric} at the last step that all seeds of an experiment have reached. IQM: interquartile mean over the "
        f"seeds; its interval by {RESAMPLES:,} bootstrap resamples of the seeds; whole course: the IQM's mean over "
        "all steps"
    )
    return "\n".join([lines[0], *lines[1:], "", note])


def draw(found: Sequence[Curve], metric: str, path: Path) -> None:
    """The curves as a picture, a panel an environment. Raises UserError where it cannot be drawn or written."""
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(f"{path}: pictures need matplotlib: pip install 'perceiver-rl[compare]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    envs = list(dict.fromkeys(curve.env for curve in found))
    figure, axes = pyplot.subplots(1, len(envs), figsize=(1 + 6 * len(envs), 4.5), squeeze=False, layout="constrained")
    for axis, env in zip(axes[0], envs, strict=True):
        for curve in (curve for curve in found if curve.env == env):
            count = f"{len(curve.seeds)} seed{'s' if len(curve.seeds) > 1 else ''}"
            (line,) = axis.plot(curve.steps, curve.middle, label=f"{curve.name} ({count})", linewidth=2)
            axis.fill_between(curve.steps, curve.low, curve.high, color=line.get_color(), alpha=0.2, linewidth=0)
            if len(curve.seeds) > 1:
                axis.plot(curve.steps, curve.values.T, color=line.get_color(), alpha=0.35, linewidth=0.7)
        axis.set_title(env)
        axis.set_xlabel("environment steps")
        axis.set_ylabel(metric)
        axis.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=9)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be written ({error})") from error
    finally:
        pyplot.close(figure)


def _same(a: Config, b: Config) -> bool:
    return experiment.changes(a, b).keys() <= SAME


def _names(groups: Sequence[tuple[Config, dict[int, Path]]]) -> list[str]:
    """What tells experiments apart: their folders' names without time and seed, or the options that differ."""
    if len(groups) == 1:
        return [groups[0][0].env]
    stems = [{STEM.sub("", run_dir.resolve().name) for run_dir in runs.values()} for _, runs in groups]
    found = [next(iter(names)) for names in stems if len(names) == 1]
    if len(set(found)) == len(groups):
        return found
    plain = [
        {key: value for key, value in experiment.flatten(config) if key in experiment.usable(config.algorithm)}
        for config, _ in groups
    ]
    keys = [key for key in dict.fromkeys(key for options in plain for key in options) if key not in SAME]
    differ = [key for key in keys if len({repr(options.get(key)) for options in plain}) > 1]
    return [", ".join(f"{key} {options[key]}" for key in differ if key in options) for options in plain]


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
