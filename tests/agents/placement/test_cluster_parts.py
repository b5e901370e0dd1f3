"""The parts that need no Ray to run: who is given up, and how an inference process answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces

from agents.config import ClusterConfig, Config
from agents.errors import UserError
from agents.placement.transport import Packed, pack, unpack
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy

ray = pytest.importorskip("ray", reason="training with workers needs ray")

from agents.placement.cluster import inferences  # noqa: E402
from agents.placement.cluster.inference import Inference  # noqa: E402
from agents.placement.cluster.inferences import Inferences  # noqa: E402
from agents.placement.cluster.ledger import LONGEST_PAUSE, PATIENCE, Health, Ledger, cause_of  # noqa: E402
from agents.placement.cluster.worker import Worker  # noqa: E402


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
        (action, log_prob, value, after), version = unpack(answer)
        assert version == 5
        sequence: Any = optree.tree_map(lambda x: x[None], (observation, action))
        evaluated = policy.evaluate_actions(*sequence, before, first[None])
        torch.testing.assert_close(log_prob, evaluated.log_prob[0])
        torch.testing.assert_close(value, evaluated.value[0])
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


class Process:
    """An inference process as its driver sees it: each answer, or what is raised instead, in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.set_weights = self.statistics = SimpleNamespace(remote=self.answer)

    def answer(self, *asked: Any) -> Any:
        return [self.answers.pop(0)]  # a reference, which is told apart from others by identity


@pytest.fixture
def inference(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the driver's side of one inference process, of which one life after the other is given."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def get(ref: Any) -> Any:
        if isinstance(ref[0], Exception):
            raise ref[0]
        return ref[0]

    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "kill", lambda handle: None)

    def make(*lives: Process) -> tuple[Inferences, Callable[[], None]]:
        remaining = list(lives)
        remote = SimpleNamespace(remote=lambda *_: remaining.pop(0))
        monkeypatch.setattr(inferences, "RemoteInference", SimpleNamespace(options=lambda **_: remote))
        made = Inferences(experiment(inference=1), SPACES, Ledger(lambda text: None), 0.0)

        def turn() -> None:
            now[0] += 100.0  # longer than any pause
            made.push(1, None)
            for ref in made.refs():
                made.finish(ref)

        return made, turn

    return make


def away() -> Exception:
    return ray.exceptions.ActorUnavailableError("on its way back", None)


def test_an_inference_process_that_is_on_its_way_back_fails_once(inference: Any) -> None:
    """However often it is asked: Ray may take longer to place it than patience lasts."""
    tries = 3 * PATIENCE
    made, turn = inference(Process(away(), *(away() for _ in range(tries)), (0, 0), 1))
    for _ in range(1 + tries + 1):
        turn()
    assert made.ledger.restarts["inference"] == made.slots[0].life == 1
    assert made.slots[0].up
    assert made.slots[0].version is None
    turn()
    assert made.slots[0].version == 1
    assert made.slots[0].health.failures == 0


def test_an_inference_process_that_dies_of_its_weights_is_given_up(inference: Any) -> None:
    answers = [answer for _ in range(PATIENCE) for answer in (away(), (0, 0))]  # it comes back, and dies again
    made, turn = inference(Process(*answers))
    for _ in range(2 * PATIENCE - 2):
        turn()
    with pytest.raises(UserError, match=f"inference process 0 cannot be kept alive: it failed {PATIENCE} times"):
        turn()
    assert made.ledger.restarts["inference"] == PATIENCE


def test_an_inference_process_that_is_gone_for_good_is_replaced_where_workers_look(inference: Any) -> None:
    replacement = Process((0, 0), 1)
    made, turn = inference(Process(ray.exceptions.ActorDiedError()), replacement)
    handles = made.handles
    for _ in range(3):
        turn()
    assert handles == [replacement]
    assert made.slots[0].version == 1
    assert made.ledger.restarts["inference"] == 1


class Listed(gymnasium.Env[Any, Any]):
    """Returns lists, more keys than its space names and a mask; truncated after two steps."""

    observation_space = spaces.Dict({"a/b": spaces.Box(-1, 1, (2,)), 0: spaces.Tuple((spaces.Discrete(3, start=1),))})
    action_space = spaces.Dict({"n": spaces.MultiDiscrete([2, 3], dtype=np.int32), "x": spaces.Box(-1, 1, ())})

    def show(self) -> Any:
        mask = {"n": [[False, True], [True, False, False]], "x": None}
        return {"a/b": [0.0, 0.5], 0: [2], "note": "more"}, {"action_mask": mask}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return self.show()

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        assert action["n"].tolist() == [1, 0]
        self.steps += 1
        return self.show()[0], 1.0, False, self.steps == 2, self.show()[1]


def test_a_worker_reads_and_obeys_as_one_process_does() -> None:
    config = experiment().model_copy(update={"env": f"{__name__}:Listed"})
    worker = Worker(config, 0)
    policy = PerceiverPolicy(*worker.spaces(), config.policy)
    told, packed = worker.collect(0, 0, pack(policy.state_dict()), 0.0)
    trajectory = unpack(packed)
    assert told.episodes
    assert trajectory["observation"]["a/b"].unique().tolist() == [0.0, 0.5]
    assert trajectory["observation"][0][0].unique().tolist() == [2]
    assert trajectory["next_value"].isfinite().all()
