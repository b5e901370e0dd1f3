"""A worker: a process of its own that steps environments with a policy and hands over what happened."""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import optree
import ray
import torch
from gymnasium import spaces

from agents.acting.rollout import Episode, Rollout, Trajectory, concatenate
from agents.acting.seeding import seed_all
from agents.config import Config
from agents.placement.cluster.inference import InferenceLost, RemotePolicy
from agents.placement.cluster.process import prepare_process, seed_of
from agents.placement.transport import Packed, pack, unpack
from envs import registry
from perceiver_policy.policy.policy import make_policy

MAX_UNROLLS = 64  # in one call
T = TypeVar("T")


@dataclass(frozen=True)
class Collected:
    """What the driver is told of one call; the trajectory itself goes to a learner."""

    version: int
    """The oldest policy that acted."""
    steps: int
    columns: int
    """Environments, counted once an unroll."""
    episodes: list[Episode]
    aborted: int
    """Episodes ended by a failure of their game since the last call."""
    seconds: float
    """Wall-clock time of the call."""
    useful: float
    """Of which in environments and policy."""
    processor: float
    """Processor seconds of the whole process since the last call."""


class Worker:
    """Owns environments. Everything is made when first asked for, so that Ray can restart the process at any time."""

    def __init__(self, config: Config, index: int) -> None:
        prepare_process(1, config)
        self.config, self.index = config, index
        self.env: Any = None
        self.rollout: Rollout | None = None
        self.aborted = 0
        self.processor, self.useful = 0.0, 0.0

    def where(self) -> tuple[str, int]:
        """Machine and process."""
        return socket.gethostname(), os.getpid()

    def spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """Of one environment: what is observed and what is done. Raises EnvError if it cannot be made."""
        env = self._environment()
        return env.single_observation_space, env.single_action_space

    def collect(
        self, life: int, version: int, weights: Packed | None, seconds: float, inference: Any = None
    ) -> tuple[Collected, Packed]:
        """Unrolls worth ``seconds`` of work, at least one, side by side as one trajectory.

        ``weights`` are of the policy ``version``; None where the last call's are still the newest, or where an
        ``inference`` process acts (the handle of an :class:`~agents.placement.cluster.inference.Inference`). ``life``
        counts the times that this worker has been started anew. An exception leaves no environment behind, unless
        inference was at fault.
        """
        began = time.perf_counter()
        try:
            rollout = self._rollout(life, version, inference)
            remote = rollout.policy if isinstance(rollout.policy, RemotePolicy) else None
            if weights is not None and not remote:
                rollout.policy.load_state_dict(unpack(weights))
            rollout.version = version
            unrolls, episodes = [], []
            while True:
                if remote:
                    remote.version = None
                trajectory, ended = rollout.collect()
                if remote and remote.version is not None:
                    trajectory.version.fill_(remote.version)
                episodes += ended
                elapsed = time.perf_counter() - began
                unrolls.append(trajectory)
                if elapsed + 0.5 * elapsed / len(unrolls) > seconds or len(unrolls) == MAX_UNROLLS:
                    break
                unrolls[-1] = _copy(trajectory)  # the next unroll is written over it
        except InferenceLost:
            raise
        except BaseException:
            self._close()
            raise
        packed = pack(vars(concatenate(unrolls) if len(unrolls) > 1 else unrolls[0]))
        return self._collected(unrolls, episodes, began), packed

    def _collected(self, unrolls: list[Trajectory], episodes: list[Episode], began: float) -> Collected:
        assert self.rollout is not None
        aborted, self.aborted = self.rollout.aborted - self.aborted, self.rollout.aborted
        now = time.process_time()
        processor, self.processor = now - self.processor, now
        useful, self.useful = self.useful, 0.0
        version = min(int(trajectory.version.min()) for trajectory in unrolls)
        steps = sum(trajectory.steps for trajectory in unrolls)
        columns = sum(trajectory.reward.shape[1] for trajectory in unrolls)
        seconds = time.perf_counter() - began
        return Collected(version, steps, columns, episodes, aborted, seconds, useful, processor)

    def _environment(self) -> Any:
        if self.env is None:
            seed_all(seed_of(self.config, self.index, 0, 0))  # it may draw while it is made
            self.env = registry.make(
                self.config.env, self.config.num_envs // self.config.workers, **self.config.training_arguments
            )
        return self.env

    def _rollout(self, life: int, version: int, inference: Any) -> Rollout:
        if self.rollout is None:
            env = self._environment()
            policy: Any
            if inference is None:
                policy = make_policy(
                    env.single_observation_space, env.single_action_space, self.config.policy
                ).requires_grad_(False)
                policy.act, policy.value = self._clocked(policy.act), self._clocked(policy.value)
            else:
                with torch.random.fork_rng(devices=[]):  # made for its memory alone
                    start = make_policy(
                        env.single_observation_space, env.single_action_space, self.config.policy
                    ).initial_memory(1)
                policy = RemotePolicy(inference, self.config, start)
            env.step = self._clocked(env.step)
            seed = seed_of(self.config, self.index, life, version)
            seed_all(seed)
            self.rollout = Rollout(env, policy, self.config.learning.unroll, seed=seed, device=torch.device("cpu"))
            self.aborted = 0
        return self.rollout

    def _clocked(self, function: Callable[..., T]) -> Callable[..., T]:
        def timed(*args: Any, **options: Any) -> T:
            began = time.perf_counter()
            result = function(*args, **options)
            self.useful += time.perf_counter() - began
            return result

        return timed

    def _close(self) -> None:
        env, self.env, self.rollout = self.env, None, None
        if env is not None:
            try:
                env.close()
            except (Exception, SystemExit) as error:
                warnings.warn(f"an environment that failed could not be closed either: {error}", stacklevel=1)


def _copy(trajectory: Trajectory) -> Trajectory:
    nest: Any = vars(trajectory)
    return Trajectory(**optree.tree_map(torch.clone, nest))


RemoteWorker: Any = ray.remote(max_restarts=-1, max_task_retries=0)(Worker)
