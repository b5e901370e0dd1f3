"""The driver's side of the learners: a group that is placed, fed, saved and, when one of it fails, started anew."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from agents.config import Config
from agents.errors import UserError
from agents.placement.cluster.learner import RemoteLearner, Share, Started, Updated
from agents.placement.cluster.ledger import Health, Ledger, cause_of, reason
from agents.placement.cluster.workers import Chunk
from agents.placement.transport import Packed
from envs.errors import EnvError

SNAPSHOT_SECONDS = 5.0  # at least, between two copies of the learner's state here; more where copying takes long


@dataclass
class Update:
    """What the learners are at."""

    chunks: list[Chunk]
    told: list[Any]
    weights: Any


class Learners:
    """Learners that act as one. Nothing here waits."""

    def __init__(self, config: Config, described: Any, ledger: Ledger, gpus: float, state: Packed | None) -> None:
        """``described``: the spaces, or a reference to them; ``gpus``: each one's share; ``state``: to begin with."""
        self.config, self.described, self.ledger, self.gpus = config, described, ledger, gpus
        self.health = Health()
        self.snapshot = state
        self.counters: tuple[int, int] | None = None
        """Updates made and steps learned from, as far as is known."""
        self.weights: Any = None
        """Reference to those after the last update."""
        self.parameters = 0
        self.in_flight: deque[Update] = deque()
        self.starting: Any = None
        self.saving: Any = None
        self.saved_at = 0.0
        self.save_seconds = 0.0
        self._launch()

    @property
    def version(self) -> int:
        """Updates made."""
        return self.counters[0] if self.counters else 0

    @property
    def steps(self) -> int:
        """Steps learned from."""
        return self.counters[1] if self.counters else 0

    @property
    def steps_asked(self) -> int:
        """Steps in the updates that they are at."""
        return sum(chunk.told.steps for update in self.in_flight for chunk in update.chunks)

    @property
    def chunks_asked(self) -> int:
        """Trajectories in those updates."""
        return sum(len(update.chunks) for update in self.in_flight)

    @property
    def ready(self) -> bool:
        """Whether they can take another update: they are never left without one on the way."""
        return self.starting is None and bool(self.handles) and len(self.in_flight) < 2

    def _launch(self) -> None:
        count = self.config.cluster.learners
        bundle = {"CPU": 1.0} | ({"GPU": self.gpus} if self.gpus else {})
        self.group = placement_group([bundle] * count, strategy="PACK")
        self.handles = [
            RemoteLearner.options(
                num_cpus=1,
                num_gpus=self.gpus,
                scheduling_strategy=PlacementGroupSchedulingStrategy(self.group, placement_group_bundle_index=rank),
            ).remote(self.config)
            for rank in range(count)
        ]
        address = self.handles[0].address.remote() if count > 1 else None
        told = [
            handle.start.options(num_returns=2).remote(self.described, rank, address, self.snapshot, self.counters)
            for rank, handle in enumerate(self.handles)
        ]
        self.starting = [ref for ref, _ in told], told[0][1]

    def close(self) -> None:
        """End the processes and give their places back."""
        for handle in self.handles:
            ray.kill(handle)
        self.handles = []
        remove_placement_group(self.group)

    # ---- asking

    def update(self, chunks: Sequence[Chunk]) -> None:
        """Learn from these: every learner gets as many columns as the others, to within one."""
        total, count = sum(chunk.told.columns for chunk in chunks), len(self.handles)
        told = []
        for rank, handle in enumerate(self.handles):
            shares = _cut(chunks, total * rank // count, total * (rank + 1) // count)
            told.append(handle.update.options(num_returns=2).remote(shares))
        self.in_flight.append(Update(list(chunks), [ref for ref, _ in told], told[0][1]))

    def save(self) -> None:
        """Ask for the state; :meth:`finish` gives it."""
        if self.saving is None and self.starting is None and self.handles:
            self.saved_at = time.monotonic()
            self.saving = self.handles[0].state.remote()

    # ---- answers

    def refs(self) -> list[Any]:
        """What is still to come."""
        refs = list(self.starting[0]) if self.starting else []
        refs += [ref for update in self.in_flight for ref in update.told]
        return refs + ([self.saving] if self.saving is not None else [])

    def attend(self) -> None:
        """Start them anew where it is time, and copy their state here now and then."""
        if not self.handles and self.health.due:
            self._launch()
        if time.monotonic() - self.saved_at > max(SNAPSHOT_SECONDS, 20 * self.save_seconds):
            self.save()

    def finish(self, queue: deque[Chunk]) -> tuple[list[Updated] | None, bool]:
        """Take what is there of the oldest question: what each learner tells of an update; whether a state came.

        Where one has failed, trajectories that it was not at go back to the ``queue``.
        """
        saved = False
        try:
            if self.starting and _all_there(self.starting[0]):
                self._finish_start()
            if self.saving is not None and _all_there([self.saving]):
                saved = self._finish_save()
            if self.in_flight and _all_there(self.in_flight[0].told):
                return self._finish_update(), saved
        except ray.exceptions.RayError as error:
            self._failed(error, queue)
        return None, saved

    def _finish_start(self) -> None:
        started: list[Started] = ray.get(self.starting[0])
        self.weights, self.starting = self.starting[1], None
        self.counters = (started[0].version, started[0].steps)
        self.parameters = started[0].parameters
        if self.snapshot is None:
            self.save()

    def _finish_save(self) -> bool:
        saving, self.saving = self.saving, None
        self.snapshot = ray.get(saving)
        self.save_seconds = time.monotonic() - self.saved_at
        return True

    def _finish_update(self) -> list[Updated]:
        update = self.in_flight[0]
        updated: list[Updated] = ray.get(update.told)
        self.in_flight.popleft()
        self.health.well()
        self.weights = update.weights
        self.counters = (updated[0].version, updated[0].steps)
        causes = {name for told in updated for name in told.lost.values()}
        # an update of which one learner had nothing was not made
        lost = len(update.chunks) if not updated[0].metrics else sum(len(told.lost) for told in updated)
        lost = min(lost, len(update.chunks))
        self.ledger.lost += lost
        self.ledger.learned += len(update.chunks) - lost
        if causes:
            self.ledger.tell("fetch", f"a trajectory could not be fetched for learning: {', '.join(sorted(causes))}")
        return updated

    def _failed(self, error: ray.exceptions.RayError, queue: deque[Chunk]) -> None:
        cause = reason(error)
        if isinstance(cause, UserError | EnvError):
            raise cause from None
        self.ledger.restart("learner", "the learner" if len(self.handles) == 1 else "a learner of the group", error)
        if self.in_flight:  # the first of these may be what it failed of
            self.ledger.lost += len(self.in_flight.popleft().chunks)
        while self.in_flight:
            queue.extendleft(reversed(self.in_flight.pop().chunks))
        self.starting = self.saving = None
        if self.counters:  # no other weights may go by the version of those that were lost
            self.counters = (self.counters[0] + 1, self.counters[1])
        self.close()
        self.health.failed(error)
        if self.health.hopeless:
            raise UserError(
                f"the learner cannot be kept alive: it failed {self.health.failures} times in a row, the last time so: "
                f"{cause_of(error)}. Checkpoints, where there are any, are unharmed."
            ) from None


def _cut(chunks: Sequence[Chunk], begin: int, end: int) -> list[Share]:
    """Columns ``begin`` to ``end`` of the chunks side by side."""
    shares, first = [], 0
    for chunk in chunks:
        low, high = max(begin - first, 0), min(end - first, chunk.told.columns)
        if low < high:
            shares.append(Share([chunk.trajectory], low, high))
        first += chunk.told.columns
    return shares


def _all_there(refs: list[Any]) -> bool:
    """Whether all have come. Raises what one of them failed of, at once: the others may wait for that one."""
    there, missing = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
    if missing:
        ray.get(there)
    return not missing
