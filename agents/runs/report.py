"""What a person sees of a run: progress on the terminal, one JSON line an update, and what loggers and callbacks make
of it (see `callbacks`)."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from agents.config import Config
from agents.errors import UserError
from agents.extensions import CALLBACKS, LOGGERS
from agents.runs import experiment
from agents.runs.callbacks import Callback, Logger, RunState, Silent, Step
from agents.runs.folder import write_whole

if TYPE_CHECKING:
    from agents.acting.rollout import Episode

METRICS = "metrics.jsonl"
# Slurm, Kubernetes and others send SIGTERM, a terminal that closes SIGHUP.
SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PLAIN_SECONDS = 10.0
EPISODE = "episode/"
SCENARIO = "episode/return/"  # and the name of one environment of several
RECENT = 20  # records: those that SMOOTHED figures are means of
SMOOTHED = ("time/", "learner/lag", "cluster/queue", "cluster/worker_idle", "cluster/learner_idle", "cluster/overhead")
# What the live table and `perceiver-rl status` show, a row each: in this order, where a run has a row's first figure.
FIGURES = {
    "return": {
        "episode/return": "{:.4g}, latest 100 episodes with actions drawn",
        "episode/length": "{:.4g} steps each",
    },
    "episodes": {"episode/count": "{:,.0f}", "episode/aborted": "{:,.0f} aborted"},
    "opponents": {
        "opponents/win_rate": "{:.0%} of the points, the mean over all",
        "opponents/elo": "Elo {:+.0f}",
        "opponents/elo_low": "{:+.0f} at least",
        "opponents/elo_high": "{:+.0f} at most",
    },
    "losses": {"loss/policy": "policy {:.3g}", "loss/value": "value {:.3g}", "loss/entropy": "entropy {:.3g}"},
    "change": {"learner/kl": "KL {:.2g}", "learner/clip_fraction": "{:.0%} clipped"},
    "updates": {"time/updates_per_second": "{:.3g} a second"},
    "data": {
        "cluster/queue": "queue {:.2g} updates",
        "learner/lag": "lag {:.2g} updates",
        "learner/lag_max": "at most {:.0f}",
    },
    "idle": {
        "cluster/worker_idle": "workers {:.0%}",
        "cluster/learner_idle": "learners {:.0%}",
        "cluster/overhead": "overhead {:.0%} of processor time",
    },
    "workers": {"cluster/workers": "{:.0f} up"},
    "restarts": {
        "cluster/restarts": "{:,.0f} in all",
        "cluster/worker_restarts": "workers {:,.0f}",
        "cluster/environment_restarts": "environments {:,.0f}",
        "cluster/inference_restarts": "inference {:,.0f}",
        "cluster/learner_restarts": "learners {:,.0f}",
    },
    "trajectories": {
        "cluster/trajectories": "{:,.0f} asked for",
        "cluster/learned": "{:,.0f} learned from",
        "cluster/lost": "{:,.0f} lost",
        "cluster/too_old": "{:,.0f} too old",
    },
}


class Report(Silent):
    """Tells how training goes. Use it as a context: Ctrl-C, SIGTERM and SIGHUP then ask for a clean stop, and a second
    Ctrl-C stops at once."""

    stop_requested: bool = False
    stopped_by: signal.Signals | None = None
    """What has asked for it."""

    def __init__(
        self,
        run_dir: Path,
        console: Console | None = None,
        name: Path | None = None,
        config: Config | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Report on the run whose folder is ``run_dir``, which exists; ``name`` is what to call it.

        ``config`` names its loggers and callbacks; ``callbacks`` are called besides.
        """
        self.run_dir, self.name = run_dir, name or run_dir
        self.console = console or Console()
        config = config or Config()
        self.state = RunState(run_dir, config)
        self._loggers: list[Logger] = [LOGGERS.find(logger)() for logger in config.track]
        self._callbacks = [*(CALLBACKS.find(callback)() for callback in config.callbacks), *callbacks]
        self._open: list[Logger] = []
        """Those of them that have been started."""
        self._started = False
        self._live: Live | None = None
        self._metrics: Any = None
        self._recent: deque[Mapping[str, float | None]] = deque(maxlen=RECENT)
        self._handlers: dict[signal.Signals, Any] = {}
        self._thread_hook = threading.excepthook

    def __enter__(self) -> Report:
        if threading.current_thread() is threading.main_thread():  # no other can be told of signals
            for number in SIGNALS:
                # what is ignored stays so: nohup's wish
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._interrupt)
        threading.excepthook = self._thread_failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._started:
                self._call(lambda callback: callback.on_end(self.state))
        finally:
            self.rest()
            self.close()
            threading.excepthook = self._thread_hook

    def rest(self) -> None:
        """Training is over, and what is told from now on is no progress: end the display, leave signals alone."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        live, self._live = self._live, None
        if live:
            live.stop()

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        # TensorBoard's writes in a thread, and is told of it again when it writes next
        if not isinstance(failure.exc_value, OSError):
            self._thread_hook(failure)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.stop_requested:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return  # some send a signal to the group and to the process
        self.stop_requested, self.stopped_by = True, signal.Signals(number)
        again = "; Ctrl-C again stops at once" if number == signal.SIGINT else f" ({self.stopped_by.name})"
        self.note(f"stopping after this update, then saving{again}")

    def start(self, step: int, total_steps: int, parameters: int) -> None:
        """Training begins at ``step``, which is 0 or where a resumed run goes on: later records are dropped.

        Raises UserError where the run's folder cannot be written.
        """
        with _writing(self.run_dir):
            self._start(step, total_steps, parameters)
        self.state.step, self.state.total_steps = step, total_steps
        self._started = True
        self._call(lambda callback: callback.on_start(self.state))

    def _start(self, step: int, total_steps: int, parameters: int) -> None:
        self._first = self._last = step
        self._total = total_steps
        self._began = self._told = time.monotonic()
        keep_metrics(self.run_dir / METRICS, step)
        self._metrics = (self.run_dir / METRICS).open("a", encoding="utf-8")
        for logger in self._loggers:
            logger.start(self.run_dir, self.state.config, step)
            self._open.append(logger)
            if not step:
                logger.text(step, "experiment", experiment.as_text(self.state.config))
        begins = f"resuming at step {step:,}" if step else "training"
        self.note(f"{begins}: {total_steps:,} steps, {parameters:,} parameters, run folder {self.name}")
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("[bold]{task.fields[steps]}"),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("[cyan]{task.fields[rate]}"),
                TextColumn("{task.fields[left]}"),
                console=self.console,
                expand=True,
            )
            self._task = self._progress.add_task("", total=total_steps, completed=step, steps="", rate="", left="")
            self._live = Live(self._progress, console=self.console, refresh_per_second=4)
            self._live.start()

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record what was measured up to ``step``. Values that are no finite numbers are recorded as missing.

        Raises UserError where the run's folder cannot be written.
        """
        finite = self._write(step, metrics)
        now = time.monotonic()
        self._recent.append(finite)
        known = summary(self._recent)
        rate = known.get("time/steps_per_second") or (step - self._first) / max(now - self._began, 1e-9)
        left = duration((self._total - step) / rate) if rate and step < self._total else ""
        if self._live:
            steps = f"{step:,} / {self._total:,}"
            self._progress.update(
                self._task, completed=step, steps=steps, rate=f"{rate:,.0f} steps/s", left=left and f"{left} left"
            )
            self._live.update(Group(self._progress, table(figures(known))))
        elif now - self._told >= PLAIN_SECONDS or self._last == self._first or step >= self._total:
            self._told = now
            score = finite.get("episode/return")
            parts = [f"step {step:,} of {self._total:,}", f"{rate:,.0f} steps/s"]
            parts += [f"training return {score:.2f}"] if score is not None else []
            parts += [
                f"{name.removeprefix(SCENARIO)} {value:.2f}"
                for name, value in finite.items()
                if name.startswith(SCENARIO) and value is not None
            ]
            parts += [f"{left} left"] if left else []
            self.console.print("  ".join(parts), highlight=False, soft_wrap=True)
        self._last = step
        self._call(lambda callback: callback.on_update(self.state, metrics))

    def _write(self, step: int, metrics: Mapping[str, float]) -> dict[str, float | None]:
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self.state.step = step
        with _writing(self.run_dir):
            self._metrics.write(json.dumps({"step": step, **finite}) + "\n")
            self._metrics.flush()
            for logger in self._loggers:
                logger.scalars(step, {name: value for name, value in finite.items() if value is not None})
        return finite

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record how the policy of ``step`` has played: ``evaluation/return`` and more. Raises as :meth:`update`."""
        self._recent.append(self._write(step, metrics))
        self._call(lambda callback: callback.on_evaluation(self.state, metrics))

    def episodes(self, episodes: Iterable[Episode]) -> None:
        """Tell of episodes that have ended."""
        if self._callbacks:
            for episode in episodes:
                self._call(lambda callback: callback.on_episode(self.state, episode))  # noqa: B023 (called at once)

    def checkpoint(self, path: Path) -> None:
        """Tell of a checkpoint that was written."""
        self._call(lambda callback: callback.on_checkpoint(self.state, path))

    @property
    def on_step(self) -> Callable[[Step], None] | None:
        """Whom to tell of every step; None where nobody wants to hear of it."""
        listening = [callback for callback in self._callbacks if type(callback).on_step is not Callback.on_step]
        if not listening:
            return None
        return lambda step: self._call(lambda callback: callback.on_step(self.state, step), listening)

    def _call(self, hook: Callable[[Callback], None], callbacks: Sequence[Callback] | None = None) -> None:
        for callback in self._callbacks if callbacks is None else callbacks:
            hook(callback)
        if self.state.stopped and not self.stop_requested:
            self.stop_requested = True
            self.note(f"stopping after this update: {self.state.stopped}")

    def histogram(self, step: int, name: str, values: Sequence[float]) -> None:
        """Record how ``values`` up to ``step`` were distributed, in TensorBoard."""
        with _writing(self.run_dir):
            for logger in self._loggers:
                logger.histogram(step, name, np.asarray(values))

    def video(self, step: int, name: str, path: Path) -> None:
        """Hand a video file on to the loggers."""
        with _writing(self.run_dir):
            for logger in self._loggers:
                logger.video(step, name, path)

    def note(self, text: str) -> None:
        """Say one line, above the live display if there is one."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Finish the display and the files; may be called twice."""
        live, metrics, loggers = self._live, self._metrics, self._open
        self._live, self._metrics, self._open = None, None, []
        if live:
            live.stop()
        for file in (*loggers, metrics):
            try:
                if file:
                    file.close()
            except OSError as error:  # what it could not write was told when it was written, and curves are not the run
                self.note(f"note: {self.run_dir}: cannot be written ({error})")


@contextlib.contextmanager
def _writing(run_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{run_dir}: cannot be written ({error})") from error


@contextlib.contextmanager
def notes_to(show: Callable[[str], None]) -> Iterator[None]:
    """Show what the environments log, such as why a game was started anew: a line each."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            show(f"note: {record.getMessage()}")

    lines, logger = Lines(logging.WARNING), logging.getLogger("envs")
    logger.addHandler(lines)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.propagate = True


def keep_metrics(path: Path, step: int) -> None:
    """Drop from a metrics file, at once and whole, every line after ``step`` and one that was cut off in writing.

    Raises UserError if a line in the middle is no record.
    """
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = []
    for number, line in enumerate(lines, 1):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise UserError(f"{path}, line {number}: not a record of metrics: {line[:60]!r}") from None
    write_whole(path, "".join(line + "\n" for line in kept))


def summary(records: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
    """What the latest records, oldest first, come to: the last known value of each figure, of some the mean."""
    known: dict[str, list[float]] = defaultdict(list)
    for record in records:
        for name, value in record.items():
            if value is not None:
                known[name].append(value)
    return {name: _digest(name, values) for name, values in known.items()}


def _digest(name: str, values: list[float]) -> float:
    if name.endswith("_max"):
        return max(values)
    return sum(values) / len(values) if name.startswith(SMOOTHED) else values[-1]


def figures(known: Mapping[str, float]) -> list[tuple[str, str]]:
    """The rows of FIGURES for a :func:`summary`, a label and a text each; of several scenarios each has a row more."""
    rows = []
    for label, parts in FIGURES.items():
        if next(iter(parts)) in known:
            rows.append((label, ", ".join(text.format(known[name]) for name, text in parts.items() if name in known)))
        if label == "return":
            rows += [(name.removeprefix(EPISODE), f"{known[name]:.4g}") for name in known if _is_metric(name)]
            scenarios = [(name.removeprefix(SCENARIO), known[name]) for name in known if name.startswith(SCENARIO)]
            rows += [("", f"{score:.4g} in {scenario}") for scenario, score in scenarios]
    return rows


def _is_metric(name: str) -> bool:
    """Whether that is what an environment told of its episodes."""
    ours = {figure for parts in FIGURES.values() for figure in parts}
    return name.startswith(EPISODE) and not name.startswith(SCENARIO) and name not in ours


def table(rows: Iterable[tuple[str, str]]) -> Table:
    """Labels and texts side by side."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, Text(text))
    return grid


def duration(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
