"""The parts that need no Ray to run: who is given up, and how an inference process answers."""

from __future__ import annotations

import asyncio
from typing import Any

import optree
import pytest
import torch
from gymnasium import spaces

from agents.config import ClusterConfig, Config
from agents.errors import UserError
from agents.transport import Packed, pack, unpack
from perceiver_policy.config import PolicyConfig
from perceiver_policy.policy import PerceiverPolicy

ray = pytest.importorskip("ray", reason="training with workers needs ray")

from agents.cluster.inference import Inference  # noqa: E402
from agents.cluster.ledger import LONGEST_PAUSE, PATIENCE, Health, Ledger, cause_of  # noqa: E402


def experiment(*, policy_memory: str = "none", **placed: Any) -> Config:
    policy = PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, memory=policy_memory)
    return Config(env="CartPole-v1", num_envs=2, workers=2, threads=1, policy=policy, cluster=ClusterConfig(**placed))


SPACES = (spaces.Box(-1, 1, (3,)), spaces.Discrete(4))


@pytest.mark.parametrize("memory", ["none", "latents"])
def test_inference_answers_each_as_the_policy_would(memory: str) -> None:
    """Two workers' requests and a value in one batch, against the policy judging what was chosen."""
    config = experiment(policy_memory=memory, inference=1)
    torch.manual_seed(0)
    policy = PerceiverPolicy(*SPACES, config.policy)
    requests = []
    for batch in (2, 3):
        memory_before = torch.randn_like(policy.initial_memory(batch))
        requests.append((torch.rand(batch, 3), memory_before, torch.arange(batch) % 2 == 0))

    async def ask() -> list[Packed]:
        process = Inference(config, 0)
        first = asyncio.ensure_future(process.answer("act", pack(requests[0])))  # waits for weights
        await asyncio.sleep(0)
        await process.set_weights(SPACES, 0, 5, pack(policy.state_dict()))
        others = (process.answer("act", pack(requests[1])), process.answer("value", pack(requests[0])))
        answers = await asyncio.gather(first, *others)
        assert await process.statistics() == (3, 2)
        return answers

    *acted, valued = asyncio.run(ask())
    for (observation, before, first), answer in zip(requests, acted, strict=True):
        (choice, log_prob, value, after), version = unpack(answer)
        assert version == 5
        sequence: Any = optree.tree_map(lambda x: x[None], (observation, choice))
        judged = policy.judge(*sequence, before, first[None])
        torch.testing.assert_close(log_prob, judged.log_prob[0])
        torch.testing.assert_close(value, judged.value[0])
        torch.testing.assert_close(after, policy.act(observation, before, first)[1])
    torch.testing.assert_close(unpack(valued), policy.value(*requests[0]))


def test_a_full_batch_does_not_wait() -> None:
    config = experiment(inference=1, inference_batch=4, inference_wait=10_000.0)
    policy = PerceiverPolicy(*SPACES, config.policy)
    request = pack((torch.rand(2, 3), policy.initial_memory(2), torch.ones(2, dtype=torch.bool)))

    async def ask() -> None:
        process = Inference(config, 0)
        await process.set_weights(SPACES, 0, 0, pack(policy.state_dict()))
        await asyncio.wait_for(asyncio.gather(*(process.answer("act", request) for _ in range(2))), 5)

    asyncio.run(ask())


def test_pauses_double_up_to_a_limit_and_health_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    health = Health()
    assert health.due
    pauses = []
    for _ in range(10):
        health.failed(RuntimeError())
        pauses.append(health.not_before - now)
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert max(pauses) == LONGEST_PAUSE
    assert health.hopeless
    health.well()
    assert health.due
    assert not health.hopeless


def test_a_users_mistake_is_hopeless_at_once() -> None:
    health = Health()
    health.failed(RuntimeError())
    assert not health.hopeless
    health.failed(UserError("no such map"))
    assert health.hopeless
    assert PATIENCE > 2


def test_a_cause_is_shown_once_in_one_line() -> None:
    notes: list[str] = []
    ledger = Ledger(notes.append)
    for number in range(3):
        ledger.restart("worker", f"worker {number}", OSError(f"\n port {number} is taken\nand more"))
    ledger.restart("worker", "worker 1", OSError("another"))
    assert notes == [
        "note: worker 0: OSError: port 0 is taken; it is started anew",
        "note: worker 1: OSError: another; it is started anew",
    ]
    assert ledger.metrics()["cluster/worker_restarts"] == ledger.metrics()["cluster/restarts"] == 4
    assert cause_of(ray.exceptions.ActorUnavailableError("Socket closed\nand more", None)) == "its process died"
