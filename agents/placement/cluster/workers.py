"""The driver's side of the workers: who is at work, who has failed, and what each was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray

from agents.config import Config
from agents.errors import UserError
from agents.placement.cluster.inference import InferenceLost
from agents.placement.cluster.ledger import Health, Ledger, cause_of, reason
from agents.placement.cluster.worker import Collected, RemoteWorker
from envs.errors import EnvError, EnvFailure

CALL_SECONDS = 0.1  # of work in one call: a call costs 1 to 2 ms


@dataclass(frozen=True)
class Chunk:
    """A trajectory in the object store, and what is known of it."""

    trajectory: Any
    told: Collected
    worker: int


@dataclass
class Call:
    """A question that a worker is at."""

    told: Any
    trajectory: Any
    began: float


class Slot:
    """One worker, through all its lives."""

    def __init__(self, index: int, handle: Any) -> None:
        self.index, self.handle = index, handle
        self.health = Health()
        self.life = 0
        self.up = False
        """Whether its process is known to run; else it has been asked, and ``probe`` is the answer to come."""
        self.probe: Any = handle.where.remote()
        self.pid: tuple[str, int] | None = None
        self.call: Call | None = None
        self.version: int | None = None
        """Of the weights that it has; none: it has none."""
        self.delivered = -1
        """Version that its latest trajectory was made with."""
        self.steps = 0
        """In its latest trajectory."""
        self.idle_since = time.monotonic()


class Workers:
    """All workers of a run. Nothing here waits, except :meth:`spaces`."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self.config, self.ledger = config, ledger
        self.inference: list[Any] = []
        self.slots = [Slot(i, self._create(i)) for i in range(config.workers)]
        self.began = time.monotonic()
        self.told_waiting = False

    def _create(self, index: int) -> Any:
        options = self.config.cluster
        remote = RemoteWorker.options(
            num_cpus=options.worker_cpus,
            resources=options.worker_resources,
            scheduling_strategy="SPREAD",
        )
        return remote.remote(self.config, index)

    def use_inference(self, handles: list[Any]) -> None:
        """Have the policy run by these processes."""
        self.inference = handles

    def spaces(self, asked: Any, stop: Callable[[], bool]) -> tuple[Any, Any]:
        """Of the environments: the answer ``asked`` of the first worker, or another's; waits until ``stop()``.

        Raises EnvError or UserError where the environment cannot be made, or no worker can.
        """
        number = 0
        while True:
            slot = self.slots[number % len(self.slots)]
            asked = slot.handle.spaces.remote() if number else asked
            while not ray.wait([asked], timeout=0.2)[0]:
                if stop():
                    raise KeyboardInterrupt
                self._tell_if_waiting()
            try:
                found: tuple[Any, Any] = ray.get(asked)
                return found
            except ray.exceptions.RayTaskError as error:
                cause = reason(error)
                if isinstance(cause, UserError | EnvError | EnvFailure):
                    raise cause from None
                raise UserError(f"{self.config.env}: the environment cannot be made: {cause_of(error)}") from None
            except ray.exceptions.RayError as error:
                number += 1
                if number == 3:
                    raise UserError(f"no worker can be started: {cause_of(error)}") from None
                self.ledger.restart("worker", f"worker {slot.index}", error)
                time.sleep(0.5 * 2**number)

    # ---- asking

    def idle(self) -> Iterator[Slot]:
        """Workers that could do something now, the longest idle first."""
        ready = (slot for slot in self.slots if slot.up and slot.call is None and slot.health.due)
        yield from sorted(ready, key=lambda slot: slot.idle_since)

    @property
    def busy(self) -> list[Slot]:
        """Workers at work."""
        return [slot for slot in self.slots if slot.call]

    @property
    def steps_asked(self) -> int:
        """Steps that the workers at work will bring, going by their last ones."""
        share = self.config.learning.unroll * self.config.num_envs // self.config.workers
        return sum(slot.steps or share for slot in self.busy)

    @property
    def placed(self) -> bool:
        """Whether all run, or have had the time for it."""
        return all(slot.up for slot in self.slots) or time.monotonic() - self.began > 60

    def collect(self, slot: Slot, version: int, weights: Any, seconds: float) -> None:
        """Ask for unrolls worth ``seconds``; the weights travel only where they are new."""
        new = None if slot.version == version or self.inference else weights
        acting = self.inference[slot.index % len(self.inference)] if self.inference else None
        told, trajectory = slot.handle.collect.options(num_returns=2).remote(slot.life, version, new, seconds, acting)
        slot.call = Call(told, trajectory, time.monotonic())
        slot.version = version
        self.ledger.asked += 1

    # ---- answers

    def refs(self) -> dict[Any, Slot]:
        """What is still to come, and from whom."""
        calls = {slot.call.told: slot for slot in self.slots if slot.call}
        return calls | {slot.probe: slot for slot in self.slots if slot.probe is not None}

    def finish(self, slot: Slot, ref: Any) -> Chunk | InferenceLost | None:
        """Take an answer that is there: a trajectory, or none; and whether inference was at fault."""
        if ref is slot.probe:
            self._finish_probe(slot)
            return None
        call, slot.call = slot.call, None
        assert call is not None
        slot.idle_since = time.monotonic()
        try:
            told: Collected = ray.get(call.told)
        except ray.exceptions.RayError as error:
            self.ledger.lost += 1
            slot.version = None
            cause = reason(error)
            if isinstance(cause, InferenceLost):
                slot.health.pause()
                return cause
            self._failed(slot, error)
            return None
        slot.health.well()
        slot.delivered, slot.steps = told.version, told.steps
        return Chunk(call.trajectory, told, slot.index)

    def _failed(self, slot: Slot, error: ray.exceptions.RayError) -> None:
        if isinstance(error, ray.exceptions.RayActorError):
            slot.up = False
            self.ledger.restart("worker", f"worker {slot.index}", error)
        elif isinstance(error, ray.exceptions.RayTaskError):
            self.ledger.restart("environment", f"worker {slot.index}'s environments", error)
        else:  # the weights were lost with the machine that held them
            self.ledger.tell("call", f"worker {slot.index}: {cause_of(error)}")
            slot.health.pause()
            return
        slot.life += 1
        slot.health.failed(error)
        if all(other.health.hopeless for other in self.slots):
            cause = reason(error)
            if isinstance(cause, UserError | EnvError):
                raise cause from None
            raise UserError(
                f"no worker is well: each failed {slot.health.failures} times in a row. Checkpoints, where there are "
                "any, are unharmed; go on with --resume when this is mended. The last one failed so: "
                + (str(cause) if isinstance(cause, EnvFailure) else cause_of(error))
            ) from None

    def _finish_probe(self, slot: Slot) -> None:
        probe, slot.probe = slot.probe, None
        try:
            slot.pid = ray.get(probe)
            slot.up = True
        except ray.exceptions.ActorDiedError as error:  # for good: Ray does not restart it
            self.ledger.restart("worker", f"worker {slot.index}", error)
            slot.handle = self._create(slot.index)
            slot.health.failed(error)
        except ray.exceptions.RayError:
            slot.health.pause()

    def attend(self) -> None:
        """Look after those who are down, and those who have been silent for too long."""
        now = time.monotonic()
        for slot in self.slots:
            if not slot.up and slot.probe is None and slot.health.due:
                slot.probe = slot.handle.where.remote()
            if slot.call and now - slot.call.began > self.config.cluster.call_timeout:
                self.ledger.tell("hung", f"worker {slot.index} has not answered for {now - slot.call.began:.0f} s")
                slot.call.began = now
                ray.kill(slot.handle, no_restart=False)
        self._tell_if_waiting()

    def _tell_if_waiting(self) -> None:
        if self.told_waiting or time.monotonic() - self.began < 30:
            return
        missing = [slot.index for slot in self.slots if not slot.up and slot.life == 0]
        if missing:
            self.told_waiting = True
            options = self.config.cluster
            needs = {"CPU": options.worker_cpus, **options.worker_resources}
            self.ledger.note(
                f"note: {len(missing)} of {len(self.slots)} workers wait for a place; each needs "
                f"{_amounts(needs)}; the cluster has {_amounts(ray.cluster_resources(), needs)}"
            )


def _amounts(resources: dict[str, float], only: Any = None) -> str:
    names = resources if only is None else only
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in names)
