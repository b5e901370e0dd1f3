"""Inference apart from the environments: one process runs the policy for many workers, in batches."""

from __future__ import annotations

import asyncio
from typing import Any

import optree
import ray
import torch
from gymnasium import spaces
from torch import Tensor

from agents.config import Config
from agents.device import choose_device
from agents.placement.cluster.process import prepare_process, seed_of
from agents.placement.transport import Packed, pack, unpack
from perceiver_policy.policy.outputs import Decision
from perceiver_policy.policy.policy import PerceiverPolicy, make_policy


class InferenceLost(ConnectionError):
    """The process that ran the policy does not answer: an unroll is lost, the environments are well."""


class Inference:
    """Answers workers' observations, those of several workers in one forward pass. Its methods run one at a time."""

    def __init__(self, config: Config, index: int) -> None:
        prepare_process(config.threads, config)
        self.config, self.options, self.index = config, config.cluster, index
        self.device = choose_device(config.device)
        self.policy: PerceiverPolicy | None = None
        self.generator = torch.Generator(self.device)
        self.version = 0
        self.loaded = asyncio.Event()
        self.waiting: list[tuple[Any, str, asyncio.Future[Packed]]] = []
        self.timer: asyncio.TimerHandle | None = None
        self.requests = self.batches = 0

    async def set_weights(
        self, described: tuple[spaces.Space[Any], spaces.Space[Any]], life: int, version: int, weights: Packed
    ) -> int:
        """Act by these from now on.

        ``described`` are the spaces of what is observed and done; ``life`` counts the times that this process has been
        started anew.
        """
        if self.policy is None:
            self.policy = make_policy(*described, self.config.policy).to(self.device).requires_grad_(False)
            self.generator.manual_seed(seed_of(self.config, self.config.workers + self.index, life, version))
        self.policy.load_state_dict(unpack(weights))
        self.version = version
        self.loaded.set()
        return version

    async def statistics(self) -> tuple[int, int]:
        """Requests answered so far, and the forward passes that it took."""
        return self.requests, self.batches

    async def answer(self, kind: str, request: Packed) -> Packed:
        """To ``kind`` "act" or "value", with (observation, memory, first) [B, ...]: ((action, log-probability,
        value, memory), version), or the values."""
        await self.loaded.wait()
        future: asyncio.Future[Packed] = asyncio.get_running_loop().create_future()
        self.waiting.append((unpack(request), kind, future))
        if sum(len(asked[2]) for asked, _, _ in self.waiting) >= self.options.inference_batch:
            self._run()
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(self.options.inference_wait / 1000, self._run)
        return await future

    def _run(self) -> None:
        if self.timer:
            self.timer.cancel()
        self.timer = None
        waiting, self.waiting = self.waiting, []
        for kind in ("act", "value"):
            asked = [(request, future) for request, its_kind, future in waiting if its_kind == kind]
            if not asked:
                continue
            try:
                answers = self._batch(kind, [request for request, _ in asked])
            except Exception as error:
                for _, future in asked:
                    future.set_exception(error)
                continue
            self.requests, self.batches = self.requests + len(asked), self.batches + 1
            for (_, future), answer in zip(asked, answers, strict=True):
                future.set_result(answer)

    def _batch(self, kind: str, requests: list[Any]) -> list[Packed]:
        sizes = [len(first) for _, _, first in requests]
        together: Any = optree.tree_map(lambda *x: torch.cat(x).to(self.device), *requests)
        observation, memory, first = together
        assert self.policy is not None
        if kind == "value":
            return [pack(part) for part in self.policy.value(observation, memory, first).split(sizes)]
        decision, memory = self.policy.act(observation, memory, first, generator=self.generator)
        nest: Any = (decision.action, decision.log_prob, decision.value, memory)
        leaves, structure = optree.tree_flatten(nest)
        each = zip(*(leaf.cpu().split(sizes) for leaf in leaves), strict=True)
        return [pack((optree.tree_unflatten(structure, parts), self.version)) for parts in each]


class RemotePolicy:
    """What a rollout needs of a policy, answered by an :class:`Inference`."""

    def __init__(self, inference: Any, config: Config, start: Tensor) -> None:
        """``start`` [1, ...] is the memory that an episode starts with."""
        self.inference, self.config, self.start = inference, config, start
        self.version: int | None = None
        """Of the first answer since this was set to None."""

    def initial_memory(self, batch: int) -> Tensor:
        """As `PerceiverPolicy.initial_memory`."""
        return self.start.repeat_interleave(batch, 0)

    def act(self, observation: Any, memory: Tensor, first: Tensor, *, generator: Any = None) -> tuple[Decision, Tensor]:
        """As `PerceiverPolicy.act`; the action is drawn there, not by ``generator``."""
        (action, log_prob, value, memory), version = self._ask("act", (observation, memory, first))
        self.version = version if self.version is None else self.version
        return Decision(action, log_prob, value), memory

    def value(self, observation: Any, memory: Tensor, first: Tensor) -> Tensor:
        """As `PerceiverPolicy.value`."""
        values: Tensor = self._ask("value", (observation, memory, first))
        return values

    def _ask(self, kind: str, request: Any) -> Any:
        answer = self.inference.answer.remote(kind, pack(request))
        try:
            return unpack(ray.get(answer, timeout=self.config.cluster.call_timeout))
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
            raise InferenceLost(f"inference process: {error}") from None


RemoteInference: Any = ray.remote(max_restarts=-1, max_task_retries=0)(Inference)
