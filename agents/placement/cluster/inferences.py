"""The driver's side of the inference processes: they get every new policy, and a new life when they die."""

from __future__ import annotations

from typing import Any

import ray

from agents.config import Config
from agents.errors import UserError
from agents.placement.cluster.inference import RemoteInference
from agents.placement.cluster.ledger import Health, Ledger, cause_of


class Slot:
    """One inference process, through all its lives."""

    def __init__(self, index: int, handle: Any) -> None:
        self.index, self.handle = index, handle
        self.health = Health()
        self.life = 0
        self.push: Any = None
        self.probe: Any = None
        self.up = True
        """Whether it may be asked; a new life begins with a probe, which is answered when Ray has placed it."""
        self.version: int | None = None
        """Of the weights last pushed; none: it needs some."""


class Inferences:
    """All inference processes of a run; none, where workers run the policy themselves. Nothing here waits."""

    def __init__(self, config: Config, described: Any, ledger: Ledger, gpus: float) -> None:
        self.config, self.described, self.ledger = config, described, ledger
        self.remote = RemoteInference.options(num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD")
        self.handles = [self.remote.remote(config, i) for i in range(config.cluster.inference)]
        """The processes, for workers to ask; one that is gone for good is replaced in this list."""
        self.slots = [Slot(i, handle) for i, handle in enumerate(self.handles)]

    def refs(self) -> list[Any]:
        """What is still to come."""
        return [ref for slot in self.slots for ref in (slot.push, slot.probe) if ref is not None]

    def push(self, version: int, weights: Any) -> None:
        """Give the newest weights to all that have older ones, one at a time."""
        for slot in self.slots:
            if slot.push is not None or slot.probe is not None or not slot.health.due:
                continue
            if not slot.up:
                slot.probe = slot.handle.statistics.remote()
            elif slot.version != version:
                slot.push = slot.handle.set_weights.remote(self.described, slot.life, version, weights)
                slot.version = version

    def suspect(self, index: int) -> None:
        """A worker had no answer from the process that it asks: have it answer for itself."""
        self.slots[index % len(self.slots)].version = None

    def finish(self, ref: Any) -> None:
        """Take an answer that is there. Raises UserError where one cannot be kept alive."""
        for slot in self.slots:
            try:
                if slot.push is ref:
                    slot.push = None
                    ray.get(ref)
                    slot.health.well()
                elif slot.probe is ref:
                    slot.probe = None
                    ray.get(ref)
                    slot.up = True
            except ray.exceptions.RayError as error:
                self._failed(slot, error)

    def _failed(self, slot: Slot, error: ray.exceptions.RayError) -> None:
        for_good = isinstance(error, ray.exceptions.ActorDiedError)  # Ray does not restart it
        if for_good:
            ray.kill(slot.handle)
            slot.handle = self.handles[slot.index] = self.remote.remote(self.config, slot.index)
        elif not slot.up:
            slot.health.pause()  # it is still on its way back, which is no failure of its own
            return
        slot.up, slot.version = False, None
        slot.life += 1
        slot.health.failed(error)
        self.ledger.restart("inference", f"inference process {slot.index}", error)
        if slot.health.hopeless:
            raise UserError(
                f"inference process {slot.index} cannot be kept alive: it failed {slot.health.failures} times "
                f"in a row, the last time so: {cause_of(error)}. Checkpoints, where there are any, are unharmed."
            ) from None
