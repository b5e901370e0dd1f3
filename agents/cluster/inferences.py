"""The driver's side of the inference processes: they get every new policy, and a new life when they die."""

from __future__ import annotations

from typing import Any

import ray

from agents.cluster.inference import RemoteInference
from agents.cluster.ledger import Health, Ledger, cause_of
from agents.config import Config
from agents.errors import UserError


class Slot:
    """One inference process, through all its lives."""

    def __init__(self, index: int, handle: Any) -> None:
        self.index, self.handle = index, handle
        self.health = Health()
        self.life = 0
        self.push: Any = None
        self.version: int | None = None
        """Of the weights last pushed; none: it needs some."""


class Inferences:
    """All inference processes of a run; none, where workers run the policy themselves. Nothing here waits."""

    def __init__(self, config: Config, described: Any, ledger: Ledger, gpus: float) -> None:
        self.described, self.ledger = described, ledger
        remote = RemoteInference.options(num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD")
        count = config.cluster.inference
        self.slots = [Slot(i, remote.remote(config, i)) for i in range(count)]

    @property
    def handles(self) -> list[Any]:
        """The processes, for workers to ask."""
        return [slot.handle for slot in self.slots]

    def refs(self) -> list[Any]:
        """What is still to come."""
        return [slot.push for slot in self.slots if slot.push is not None]

    def push(self, version: int, weights: Any) -> None:
        """Give the newest weights to all that have older ones, one at a time."""
        for slot in self.slots:
            if slot.push is None and slot.version != version and slot.health.due:
                slot.push = slot.handle.set_weights.remote(self.described, slot.life, version, weights)
                slot.version = version

    def suspect(self, index: int) -> None:
        """A worker had no answer from the process that it asks: have it answer for itself."""
        self.slots[index % len(self.slots)].version = None

    def finish(self, ref: Any) -> None:
        """Take an answer that is there. Raises UserError where one cannot be kept alive."""
        for slot in self.slots:
            if slot.push is not ref:
                continue
            slot.push = None
            try:
                ray.get(ref)
                slot.health.well()
            except ray.exceptions.RayError as error:
                slot.version = None
                slot.life += 1
                slot.health.failed(error)
                self.ledger.restart("inference", f"inference process {slot.index}", error)
                if slot.health.hopeless:
                    raise UserError(
                        f"inference process {slot.index} cannot be kept alive: it failed {slot.health.failures} times "
                        f"in a row, the last time so: {cause_of(error)}. The last checkpoint is unharmed."
                    ) from None
