"""What a person's own code is told of a run, as it happens: callbacks act, loggers record.

Both are called by :class:`~agents.runs.report.Report`, in the process that drives the run. Whatever one of them raises
stops the run; what was learned is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.config import Config

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from agents.acting.rollout import Episode


@dataclass
class RunState:
    """How far a run has come, for its callbacks."""

    run_dir: Path
    config: Config
    step: int = 0
    total_steps: int = 0
    policy: Any = None
    """The network as it is now, a torch module; None in a run with workers, where it lives in another process."""
    stopped: str | None = None
    """Why a callback has asked for an end."""

    def stop(self, why: str = "a callback asked for it") -> None:
        """End the run after this update, as if its steps were done: it is saved and evaluated."""
        self.stopped = self.stopped or why


@dataclass(frozen=True)
class Step:
    """One step of all environments, [B, ...]; arrays may be overwritten by the next step: copy what you keep."""

    action: Any
    observation: Any
    reward: npt.NDArray[np.floating]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    info: Mapping[str, Any]


class Callback:
    """Base class; override what you want to hear of."""

    def on_start(self, run: RunState) -> None:
        """Training begins, or goes on."""

    def on_step(self, run: RunState, step: Step) -> None:
        """All environments have taken a step. Not with workers, whose steps are taken in other processes."""

    def on_episode(self, run: RunState, episode: Episode) -> None:
        """An episode has ended; told after the unroll that it ended in."""

    def on_update(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """The policy has learned from a trajectory; with workers, from those since the last time."""

    def on_evaluation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """The policy has been evaluated: ``evaluation/return`` and more."""

    def on_checkpoint(self, run: RunState, path: Path) -> None:
        """A checkpoint has been written to the folder ``path``."""

    def on_end(self, run: RunState) -> None:
        """Training is over, for whatever reason."""


class Logger:
    """Base class of what records a run's figures beside ``metrics.jsonl``, such as TensorBoard."""

    def start(self, run_dir: Path, config: Config, step: int) -> None:
        """The run in ``run_dir`` begins, or goes on after ``step``: what was recorded later is done again."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Finite numbers by name, such as ``loss/policy`` and ``evaluation/return``."""

    def histogram(self, step: int, name: str, values: npt.NDArray[Any]) -> None:
        """How numbers were distributed."""

    def text(self, step: int, name: str, text: str) -> None:
        """A text."""

    def video(self, step: int, name: str, path: Path) -> None:
        """A video file."""

    def close(self) -> None:
        """The run is over."""


class Silent:
    """What placements tell of a run. This one shows nothing; :class:`~agents.runs.report.Report` does."""

    @property
    def stop_requested(self) -> bool:
        """Whether the trainer should finish its update, save and return."""
        return False

    @cached_property
    def state(self) -> RunState:
        """What callbacks know of the run."""
        return RunState(Path(), Config())

    @property
    def on_step(self) -> Callable[[Step], None] | None:
        """Whom to tell of every step; None where nobody wants to hear of it."""
        return None

    def start(self, step: int, total_steps: int, parameters: int) -> None:
        """Training begins at ``step``, which is 0 or where a resumed run goes on: later records are dropped."""

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record what was measured up to ``step``."""

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record how the policy of ``step`` has played: ``evaluation/return`` and more."""

    def episodes(self, episodes: Iterable[Episode]) -> None:
        """Tell of episodes that have ended."""

    def checkpoint(self, path: Path) -> None:
        """Tell of a checkpoint that was written."""

    def histogram(self, step: int, name: str, values: Sequence[float]) -> None:
        """Record how ``values`` up to ``step`` were distributed."""

    def note(self, text: str) -> None:
        """Say one line."""
