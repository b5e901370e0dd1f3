"""What a GPU records and replays, held to the plain path: here a recording is the function of the first recorded call,
so that whatever moved, or was decided, after it shows; and the hot path asks no tensor for a value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces
from torch.utils._python_dispatch import TorchDispatchMode

from agents.acting.rollout import Rollout, collect
from agents.config import Config, PPOConfig
from agents.graphs import WARM, Graphs
from agents.learning import gradient, ppo
from agents.learning.learner import Learner
from agents.placement.local import Training
from envs import registry
from envs.spaces import ACTION_MASK, Feature, PerUnit, Place, Pointer, Units
from perceiver_policy.core import cost
from perceiver_policy.policy import outputs, per_unit, selection, trim
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import FUNCTIONS, SMALL, game, perturbed, sample_batch

CPU = torch.device("cpu")


def record(function: Callable[[], Any], _: Any) -> Callable[[], Any]:
    """As a graph does it: always the same tensors are written."""
    found = function()
    called = False

    def replay() -> Any:
        nonlocal called
        if called:
            optree.tree_map_(lambda place, x: place.copy_(x), found, function())
        called = True
        return found

    return replay


@pytest.mark.parametrize(
    ("env", "options"),
    [("sim/DefeatRoaches", {"style": "orders"}), ("sim/MoveToBeacon", {"style": "raw"}), ("CartPole-v1", {})],
)
def test_recorded_and_plain_agree(env: str, options: dict[str, Any]) -> None:
    made = [registry.make(env, 4, **options) for _ in range(2)]
    size = SMALL.model_copy(update={"memory": "latents" if env == "CartPole-v1" else "none"})
    policy = perturbed(made[0].single_observation_space, made[0].single_action_space, size)
    config = Config(ppo=PPOConfig(unroll=10, minibatch=20, epochs=2, learning_rate=1e-3))
    fast = Learner(policy, config, device=CPU, record=record)
    rollouts = [Rollout(one, policy, 10, seed=seed, device=CPU, record=record) for seed, one in enumerate(made)]
    plain = PerceiverPolicy(policy.observation_space, policy.action_space, size)
    reference = Learner(plain, config, device=CPU)
    reference.load_state_dict(fast.state_dict())
    for _ in range(3):
        trajectory, _ = collect(rollouts)
        assert trajectory.reward.shape == (10, 8)
        with torch.no_grad():
            again = plain.evaluate_actions(
                trajectory.observation, trajectory.action, trajectory.memory, trajectory.first
            )
        torch.testing.assert_close(again.log_prob, trajectory.log_prob, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(again.value[:-1], trajectory.value, atol=1e-5, rtol=1e-5)
        mine, theirs = fast.update(trajectory), reference.update(trajectory)
        assert mine["loss/total"] == pytest.approx(theirs["loss/total"], abs=1e-5)
        for one, other in zip(policy.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert any(rollout.resident.graphs.recorded for rollout in rollouts)
    assert fast.graphs.recorded
    assert len(fast.graphs.recorded) < 3


def test_a_recording_is_made_once_and_sees_new_values() -> None:
    graphs = Graphs(CPU, record=record)
    for i in range(2 * WARM):
        place = graphs.keep("x", torch.tensor(float(i)))
        assert float(graphs("double", lambda: place * 2)) == 2 * i  # noqa: B023
    assert len(graphs.recorded) == 1
    assert Graphs(CPU).keep("x", place) is place


class NobodyWaits(TorchDispatchMode):
    """Refuses what a GPU's host would have to wait for, or to send on the way."""

    REFUSED = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "unique", "item", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in self.REFUSED, f"{name} waits for the device"
        if name in ("index", "index_put_"):
            assert not any(x is not None and x.dtype == torch.bool for x in args[1]), "a size depends on values"
        return func(*args, **(kwargs or {}))


def orders() -> tuple[spaces.Dict, PerUnit]:
    parts: dict[str, spaces.Space[Any]] = {
        "function": spaces.MultiBinary((6, 3)),
        "target": spaces.MultiBinary(6),
        "place": spaces.MultiBinary(16),
    }
    mask = spaces.Dict(parts)
    units = Units(6, [Feature("x", "position"), Feature("y", "position"), Feature("hp")])
    arguments = {"target": Pointer("units", 6), "place": Place(None, 4, 4), "how": spaces.Discrete(3)}
    space = PerUnit("units", 6, {"keep": (), "attack": ("target", "how"), "move": ("place",)}, arguments)
    return spaces.Dict({"units": units, ACTION_MASK: mask}), space


SPACES: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "discrete": (spaces.Box(-1, 1, (3,)), spaces.Discrete(4)),
    "unbounded": (spaces.Box(-9e9, 9e9, (3,)), spaces.MultiDiscrete([2, 3])),
    "picture": (spaces.Box(0, 255, (16, 16, 3), dtype=np.uint8), spaces.MultiBinary(3)),
    "box": (spaces.Dict({"a": spaces.Discrete(3), "b": spaces.MultiBinary(4)}), spaces.Box(-1, 1, (2,))),
    "functions": (game(1)[0], FUNCTIONS),
    "orders": orders(),
    "clicks": (spaces.Dict({"units": orders()[0]["units"]}), Place(None, 4, 6, units="units")),
}


@pytest.mark.parametrize(
    ("name", "memory"),
    [*((name, "none") for name in SPACES), *(("discrete", m) for m in ("latents", "lstm", "window"))],
)
def test_between_two_steps_no_tensor_is_asked_for_a_value(
    name: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acting, and a minibatch's gradient step, as on a device that is not the host."""
    policy = perturbed(*SPACES[name], SMALL.model_copy(update={"memory": memory, "window": 3, "scatter": True}))
    observation = sample_batch(SPACES[name][0], 8, 0)
    assert cost.cost(policy, observation).forward > 0  # which asks of shapes alone
    for module in (cost, outputs, per_unit, selection, trim, gradient):
        monkeypatch.setattr(module, "on_host", lambda x: False)
    carried, first = policy.initial_memory(8), torch.ones(8, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(policy.parameters(), fused=True)
    rows = torch.arange(8)
    with NobodyWaits():
        decision, _ = policy.act(observation, carried, first, generator=generator)
        policy.value(observation, carried, first)
        batch: Any = {"observation": observation, "action": decision.action, "first": first}
        batch |= dict.fromkeys(("log_prob", "value", "advantage", "target"), decision.value)
        batch = optree.tree_map(lambda x: x[rows][None], batch)
        gradient.descend(policy, optimizer, ppo.loss_terms(policy, batch, carried, PPOConfig(), 8), 0.5)


@pytest.mark.parametrize("name", list(SPACES))
def test_bfloat16_is_near_float32(name: str) -> None:
    policy = perturbed(*SPACES[name])
    half = PerceiverPolicy(*SPACES[name], SMALL.model_copy(update={"precision": "bfloat16"}))
    half.load_state_dict(policy.state_dict())
    observation, first = sample_batch(SPACES[name][0], 64, 0), torch.ones(64, dtype=torch.bool)
    action = policy.act(observation, policy.initial_memory(64), first)[0].action
    found = [one(observation, action) for one in (policy, half)]
    for exact, near in zip(*found, strict=True):
        assert near.dtype == torch.float32
        assert (exact - near).abs().mean() < 0.02 * exact.abs().mean() + 0.02
    assert (found[0][2] != found[1][2]).any()  # the values: it is another precision
    sum(part.sum() for part in found[1]).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in half.parameters())


def test_games_that_take_turns_go_on_where_they_were() -> None:
    """Two groups, stopped after an update and gone on with elsewhere, are bit for bit those that were not stopped."""
    config = Config(env="CartPole-v1", num_envs=4, policy=SMALL, ppo=PPOConfig(unroll=8, minibatch=16))

    def made() -> Training:
        torch.manual_seed(0)
        return Training(config, [registry.make("CartPole-v1", 2) for _ in range(2)], CPU)

    one, other = made(), made()
    one.step()
    assert one.learner.steps == 32
    first, second = (rollout.reward for rollout in one.rollouts)
    assert not torch.equal(one.rollouts[0].observation, one.rollouts[1].observation)
    assert first.shape == second.shape == (8, 2)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    one.step()
    other.step()
    for mine, its in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(mine, its)
