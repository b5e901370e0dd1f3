"""Training with workers: the loop that hands references about. No trajectory passes through this process."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

import ray

from agents.acting.episodes import EpisodeLog
from agents.config import Config
from agents.errors import UserError
from agents.extensions import ALGORITHMS
from agents.placement.cluster.inference import InferenceLost
from agents.placement.cluster.inferences import Inferences
from agents.placement.cluster.learner import Updated
from agents.placement.cluster.learners import Learners
from agents.placement.cluster.ledger import Ledger
from agents.placement.cluster.process import quiet_torch
from agents.placement.cluster.window import Window
from agents.placement.cluster.workers import CALL_SECONDS, Chunk, Workers
from agents.placement.evaluations import Evaluations
from agents.placement.transport import Packed, pack, unpack
from agents.runs import checkpoint, experiment
from agents.runs.callbacks import Silent
from envs.errors import EnvError, EnvFailure
from envs.spaces import describe
from perceiver_policy.policy.policy import make_policy

OBJECT_STORE_BYTES = 1 << 30  # of a local run: room for the queue; taken from the system as it fills
WAIT_SECONDS = 0.2  # between two looks at whether a stop has been asked for
STOP_SECONDS = 60.0  # for the learner's last state to come


def train(config: Config, run_dir: Path, report: Silent, *, resume: bool) -> None:
    """Train with workers, leaving checkpoints in ``run_dir``; ``resume`` goes on from the newest one.

    Workers, inference processes, learners and machines may die on the way: what they were at is lost and counted, and
    they are started anew. Raises UserError or EnvError for what a user can mend.
    """
    began = time.monotonic()
    quiet_torch()
    run_dir.mkdir(parents=True, exist_ok=True)
    ours = connect(config)
    try:
        training = ClusterTraining(config, run_dir, report, began)
        try:
            training.run(resume)
        finally:
            training.close()
    finally:
        if ours:
            ray.shutdown()


def connect(config: Config) -> bool:
    """Join the Ray cluster, or start Ray here; whether it was not there before. Raises UserError where it cannot."""
    cluster = config.cluster
    # logical cores: on fewer real ones the processes share
    needed = config.workers * cluster.worker_cpus + cluster.learners + cluster.inference
    return start_ray(
        config.ray_address,
        num_cpus=max(os.cpu_count() or 1, round(needed + 0.5)),
        resources={name: amount * config.workers for name, amount in cluster.worker_resources.items()},
        object_store_memory=OBJECT_STORE_BYTES,
    )


def start_ray(address: str | None, **here: Any) -> bool:
    """Join the Ray cluster at ``address``, or without one start Ray with the options ``here``; as :func:`connect`.

    A Ray that is started here listens to this machine alone: other machines need ``ray start`` and an address.
    """
    # Ray prints eight lines for every process that dies; a run counts it and shows the cause once
    ray._private.worker._worker_logs_enabled = False
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if ray.is_initialized():
        return False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    options |= {"address": address} if address else {"address": "local", "include_dashboard": False, **here}
    stops = signal.getsignal(signal.SIGTERM)
    # What makes Ray take 127.0.0.1 for the machine's address; `_node_ip_address` is turned into an outer one.
    constants = ray._private.ray_constants
    clusters = constants.ENABLE_RAY_CLUSTER
    try:
        constants.ENABLE_RAY_CLUSTER = clusters and address is not None
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        asked = f"--ray-address {address}" if address else "Ray cannot be started here"
        raise UserError(f"{asked}: {' '.join(str(error).split())[:300]} (see docs/cluster.md)") from error
    finally:
        constants.ENABLE_RAY_CLUSTER = clusters
    if callable(stops):  # Ray would end the program without saving
        signal.signal(signal.SIGTERM, stops)
    return True


def gpu_shares(config: Config, gpus: float) -> tuple[float, float]:
    """Of how many GPUs each learner and each inference process gets: whole ones, unless one of each must share."""
    learners, inference = config.cluster.learners, config.cluster.inference
    if config.device == "cpu" or not gpus:
        return 0.0, 0.0
    if gpus >= learners + min(inference, 1):
        return 1.0, min(1.0, (gpus - learners) / inference) if inference else 0.0
    if learners == 1:
        return 0.5, 0.5 / inference
    raise UserError(
        f"cluster.learners is {learners} and cluster.inference {inference}, but the cluster has {gpus:g} GPUs: "
        "use fewer, or --device cpu"
    )


class ClusterTraining:
    """The parts of one run, as seen from its driver."""

    def __init__(self, config: Config, run_dir: Path, report: Silent, began: float) -> None:
        if report.on_step:
            raise UserError(
                "a callback wants to hear of every step (on_step), but with workers steps are taken in other "
                "processes: use on_update or on_episode, or train without --workers"
            )
        self.config, self.run_dir, self.report, self.began = config, run_dir, report, began
        self.synchronous = ALGORITHMS.find(config.algorithm).on_policy
        self.batch_steps = config.learning.unroll * config.num_envs
        self.ledger = Ledger(report.note)
        self.episodes = EpisodeLog()
        self.queue: deque[Chunk] = deque()
        self.workers = Workers(config, self.ledger)
        self.learners: Learners | None = None
        self.inferences: Inferences | None = None
        self.window = Window(config.workers)
        self.checkpoint_due = False
        self.evaluation_due = False
        self.evaluations = Evaluations(config, run_dir, report)
        self.state: Packed | None = None

    def run(self, resume: bool) -> None:
        """Update until the steps are done or a stop is asked for; the last state is always saved."""
        connected = time.monotonic()
        step = self._load() if resume else 0
        described = self.workers.slots[0].handle.spaces.remote()
        learner_gpus, inference_gpus = gpu_shares(self.config, ray.cluster_resources().get("GPU", 0.0))
        # their processes start while the first worker makes its environment
        learners = self.learners = Learners(self.config, described, self.ledger, learner_gpus, self.state)
        self.inferences = Inferences(self.config, described, self.ledger, inference_gpus)
        self.workers.use_inference(self.inferences.handles)
        found = self.workers.spaces(described, lambda: self.report.stop_requested)
        learners.described = self.inferences.described = ray.put(found)
        self.found = found
        self.spaces = {"observation_space": describe(found[0]), "action_space": describe(found[1])}
        self.space_data = checkpoint.data_of(*found)
        if resume:
            checkpoint.check_spaces(checkpoint.latest(self.run_dir), self.spaces)
        while learners.counters is None:
            self._turn()
            if self.report.stop_requested:
                raise KeyboardInterrupt
        started = time.monotonic()
        self.report.start(learners.steps, self.config.total_steps, learners.parameters)
        self.window.start(learners.steps)
        first = True
        while learners.steps < self.config.total_steps and not self.report.stop_requested:
            self._turn()
            if first and learners.steps > step:
                first = False
                now = time.monotonic()
                self.report.note(
                    f"first update after {now - self.began:.1f} s (Ray {connected - self.began:.1f} s, processes "
                    f"{started - connected:.1f} s, first data and learning from it {now - started:.1f} s)"
                )
        self._finish()

    # ---- one turn of the loop: give work, wait for an answer, take it

    def _turn(self) -> None:
        assert self.learners is not None
        assert self.inferences is not None
        self.workers.attend()
        self.learners.attend()
        if self.learners.weights is not None:
            self.inferences.push(self.learners.version, self.learners.weights)
            self._ask_learners()
            self._ask_workers()
        calls = self.workers.refs()
        refs = [*calls, *self.learners.refs(), *self.inferences.refs()]
        there, _ = ray.wait(refs, timeout=WAIT_SECONDS) if refs else ([], [])
        if not refs:
            time.sleep(WAIT_SECONDS)
        for ref in there:
            if ref in calls:
                self._take(calls[ref], ref)
            else:
                self.inferences.finish(ref)
        before = self.learners.steps
        updated, saved = self.learners.finish(self.queue)
        if updated:
            self._learned(updated, before)
        if saved and self.checkpoint_due:
            self._write()

    def _take(self, slot: Any, ref: Any) -> None:
        try:
            found = self.workers.finish(slot, ref)
        except (UserError, EnvError, EnvFailure):  # no worker is well; the learners are
            self._finish()
            raise
        if isinstance(found, InferenceLost):
            assert self.inferences is not None
            self.inferences.suspect(slot.index)
        elif found is not None:
            self.episodes.add(found.told.episodes)
            self.report.episodes(found.told.episodes)
            self.episodes.aborted += found.told.aborted
            self.window.collected(found.told)
            self.queue.append(found)

    def _ask_workers(self) -> None:
        learners, workers = self.learners, self.workers
        assert learners is not None
        if learners.steps + learners.steps_asked >= self.config.total_steps:
            return
        if self.synchronous:
            if not learners.in_flight and workers.placed:
                for slot in workers.idle():
                    if slot.delivered != learners.version:
                        workers.collect(slot, learners.version, learners.weights, 0.0)
            return
        # the update that is being made does not count: room is what waits behind it
        waiting = sum(chunk.told.steps for chunk in self.queue)
        waiting += sum(chunk.told.steps for update in list(learners.in_flight)[1:] for chunk in update.chunks)
        room = self.config.cluster.queue * self.batch_steps - waiting - workers.steps_asked
        for slot in workers.idle():
            if room <= 0:
                break
            before = workers.steps_asked
            workers.collect(slot, learners.version, learners.weights, CALL_SECONDS)
            room -= workers.steps_asked - before

    def _ask_learners(self) -> None:
        learners = self.learners
        assert learners is not None
        while learners.ready and (chunks := self._batch(learners.version + len(learners.in_flight))):
            self.window.learn([version_then - chunk.told.version for version_then, chunk in chunks])
            learners.update([chunk for _, chunk in chunks])

    def _batch(self, version: int) -> list[tuple[int, Chunk]]:
        """The next update's data, which the learner will have as ``version``; none if there is not enough yet."""
        fresh: deque[Chunk] = deque()
        most = 0 if self.synchronous else self.config.cluster.max_lag
        for chunk in self.queue:
            if version - chunk.told.version > most:
                self.ledger.too_old += 1
                self.ledger.tell("lag", f"a trajectory was {version - chunk.told.version} updates old and is left out")
            else:
                fresh.append(chunk)
        self.queue = deque(sorted(fresh, key=lambda chunk: chunk.worker)) if self.synchronous else fresh
        if self.synchronous:
            complete = not self.workers.busy and all(
                slot.delivered == version for slot in self.workers.slots if slot.up and slot.health.due
            )
            count = len(fresh) if complete else 0  # in the workers' order, so that a run can be repeated
        else:
            count = steps = 0
            for chunk in fresh:
                steps += chunk.told.steps
                count += 1
                if steps >= self.batch_steps:
                    break
            count = count if steps >= self.batch_steps else 0
        return [(version, self.queue.popleft()) for _ in range(count)]

    def _learned(self, updated: list[Updated], before: int) -> None:
        assert self.learners is not None
        self.window.updated(updated)
        if not updated[0].metrics:  # nothing was there to learn from: collect it again
            for slot in self.workers.slots:
                slot.delivered = -1
        if self.window.due:
            self._record()
        interval = self.config.checkpoint_interval
        self.evaluation_due |= self.evaluations.due(before, self.learners.steps)
        if self.evaluation_due or self.learners.steps // interval > before // interval:
            self.checkpoint_due = True
            self.learners.save()

    def _record(self, **more: float) -> None:
        """Tell what was measured since the last time, if anything was."""
        assert self.learners is not None
        steps = self.learners.steps
        measured: dict[str, float] = {}
        if self.window.learner:
            waiting = sum(chunk.told.steps for chunk in self.queue) / self.batch_steps
            self.report.histogram(steps, "learner/lag", self.window.lags)
            measured = self.window.close(steps, sum(slot.up for slot in self.workers.slots), waiting)
        self.report.update(steps, self.episodes.metrics() | measured | self.ledger.metrics() | more)

    # ---- states

    def _write(self) -> None:
        """Save the state that has come last."""
        assert self.learners is not None
        self.checkpoint_due = False
        if self.learners.snapshot is None:
            return
        learner = unpack(self.learners.snapshot)
        if learner["steps"]:
            if self.evaluation_due:
                self._evaluate(learner)
            path = checkpoint.save(
                self.run_dir,
                learner["steps"],
                self._state(learner),
                spaces=self.spaces,
                space_data=self.space_data,
                keep=self.config.keep_checkpoints,
                options=experiment.plain(self.config),
            )
            self.report.checkpoint(path)

    def _state(self, learner: dict[str, Any]) -> dict[str, Any]:
        return {"learner": learner, "episodes": self.episodes.state_dict(), "best": self.evaluations.best}

    def _evaluate(self, learner: dict[str, Any]) -> None:
        """Play what the learners have sent, here, while they and the workers go on."""
        self.evaluation_due = False
        policy = make_policy(*self.found, self.config.policy)
        policy.load_state_dict(learner["policy"])
        self.evaluations.make(policy, int(learner["steps"]), lambda: self._state(learner))

    def _load(self) -> int:
        """Take up the newest checkpoint; returns its step."""
        return checkpoint.newest(self.run_dir, self._take_up)

    def _take_up(self, path: Path) -> int:
        state = checkpoint.load(path)
        self.episodes.load_state_dict(state["episodes"])
        self.evaluations.best = state.get("best", self.evaluations.best)
        self.state = pack(state["learner"])
        return int(state["learner"]["steps"])

    def _finish(self) -> None:
        """Save where training ends, when the updates on the way are made or, if they take too long, without them."""
        learners = self.learners
        assert learners is not None
        until = time.monotonic() + STOP_SECONDS
        learners.saving = None
        learners.save()
        while (learners.saving is not None or learners.in_flight) and time.monotonic() < until:
            ray.wait(learners.refs(), timeout=WAIT_SECONDS)
            updated, _ = learners.finish(self.queue)
            if updated:
                self.window.updated(updated)
        self._write()
        left = len(self.queue) + len(self.workers.busy) + learners.chunks_asked
        self._record(**{"cluster/left": float(left)})

    def close(self) -> None:
        """End every process of the run."""
        self.evaluations.close()
        if self.learners:
            self.learners.close()
        for slot in [*self.workers.slots, *(self.inferences.slots if self.inferences else ())]:
            ray.kill(slot.handle)
