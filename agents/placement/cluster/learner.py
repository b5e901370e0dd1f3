"""A learner in a process of its own, alone or as one of a group that makes each update together."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import ray
import torch
from gymnasium import spaces
from torch import distributed

from agents.acting.rollout import Trajectory, concatenate
from agents.config import Config
from agents.device import choose_device
from agents.learning import gradient
from agents.learning.learner import Learner
from agents.placement.cluster.process import prepare_process
from agents.placement.transport import Packed, pack, unpack
from perceiver_policy.policy.policy import make_policy

JOIN_SECONDS = 120.0  # for all learners of a group to meet, and for an answer among them
FETCH_SECONDS = 60.0  # for a trajectory to come from another machine


@dataclass(frozen=True)
class Share:
    """Columns ``begin`` to ``end`` of a trajectory in the object store."""

    trajectory: Any
    """A list of the one reference: one that stands alone Ray would fetch before the call, and fail the call for."""
    begin: int
    end: int


@dataclass(frozen=True)
class Started:
    """A learner is ready."""

    version: int
    steps: int
    parameters: int


@dataclass(frozen=True)
class Updated:
    """What one learner tells of an update."""

    metrics: dict[str, float]
    version: int
    steps: int
    """Steps learned from since the run's beginning."""
    lost: dict[int, str]
    """Shares that could not be had: their place in the list, and the cause."""
    seconds: float
    """Wall-clock time of the update, fetching left out."""
    useful: float
    """Processor seconds of the update."""
    processor: float
    """Processor seconds of the whole process since the last update."""


class LearnerProcess:
    """Holds a :class:`~agents.learning.learner.Learner`; the driver restarts it, with the state that it saved last."""

    def __init__(self, config: Config) -> None:
        prepare_process(config.threads, config)
        self.config = config
        self.learner: Learner | None = None
        self.processor = 0.0

    def address(self) -> str:
        """Where the group can meet."""
        import socket

        with socket.socket() as free:
            free.bind(("", 0))
            return f"tcp://{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def start(
        self,
        described: tuple[spaces.Space[Any], spaces.Space[Any]],
        rank: int,
        address: str | None,
        state: Packed | None,
        counters: tuple[int, int] | None,
    ) -> tuple[Started, Packed | None]:
        """Make the learner for these spaces; ``address`` is where a group meets.

        ``counters``, version and steps, go on from where the run was, which is later than where ``state`` was saved.
        The first learner gives its weights, too.
        """
        device = choose_device(self.config.device)
        if address:
            distributed.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                init_method=address,
                rank=rank,
                world_size=self.config.cluster.learners,
                timeout=timedelta(seconds=JOIN_SECONDS),
            )
        torch.manual_seed(self.config.seed)
        policy = make_policy(*described, self.config.policy).to(device)
        learner = self.learner = Learner(policy, self.config, device=device)
        if state is not None:
            writable = replace(state, buffer=state.buffer.copy())  # the optimizer goes on in these very tensors
            learner.load_state_dict(unpack(writable))
        if counters is not None:
            learner.version, learner.steps = counters
        self.rank = rank
        parameters = sum(p.numel() for p in policy.parameters())
        return Started(learner.version, learner.steps, parameters), self._weights()

    def update(self, shares: list[Share]) -> tuple[Updated, Packed | None]:
        """Learn from these; what cannot be fetched is left out, and an update of which a learner has nothing, too."""
        learner = self.learner
        assert learner is not None
        parts, lost = [], {}
        for i, share in enumerate(shares):
            try:
                whole = Trajectory(**unpack(ray.get(share.trajectory[0], timeout=FETCH_SECONDS)))
            except ray.exceptions.RayError as error:
                lost[i] = type(error).__name__
                continue
            alone = (share.begin, share.end) == (0, whole.reward.shape[1])
            parts.append(whole if alone else whole.columns(torch.arange(share.begin, share.end)))
        began, processor = time.perf_counter(), time.process_time()
        metrics: dict[str, float] = {}
        if not gradient.total(torch.tensor(float(not parts), device=learner.device)):
            metrics = learner.update(concatenate(parts) if len(parts) > 1 else parts[0])
        seconds, now = time.perf_counter() - began, time.process_time()
        since, self.processor = now - self.processor, now
        updated = Updated(metrics, learner.version, learner.steps, lost, seconds, now - processor, since)
        return updated, self._weights()

    def state(self) -> Packed:
        """Of the learner: what another one needs to go on like this one."""
        assert self.learner is not None
        return pack(self.learner.state_dict())

    def _weights(self) -> Packed | None:
        if self.rank or self.learner is None:
            return None
        return pack(self.learner.policy.state_dict())


RemoteLearner: Any = ray.remote(max_restarts=0, max_task_retries=0)(LearnerProcess)
