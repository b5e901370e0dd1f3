"""What is cut off changes nothing: with sets cut to what is there, and at their full capacity, all comes out alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from envs.spaces import ACTION_MASK, Feature, PerUnit, Pointer, Units
from perceiver_policy.policy.policy import PerceiverPolicy
from perceiver_policy.policy.trim import SIZES, Trim
from tests.policies import FUNCTIONS, as_tensors, game, perturbed, with_time

CAPACITY = 40


def orders() -> tuple[spaces.Dict, PerUnit]:
    mask = spaces.Dict({"function": spaces.MultiBinary((CAPACITY, 2)), "target": spaces.MultiBinary(CAPACITY)})
    units = Units(CAPACITY, [Feature("x", "position"), Feature("hp")])
    space = PerUnit("units", CAPACITY, {"keep": (), "attack": ("target",)}, {"target": Pointer("units", CAPACITY)})
    return spaces.Dict({"units": units, ACTION_MASK: mask}), space


def observe(units: int, ordered: int, batch: int = 12) -> dict[str, Any]:
    """Some of the first ``units`` rows are there, some of the first ``ordered`` may get an order."""
    generator = torch.Generator().manual_seed(units)
    there = torch.rand(batch, CAPACITY, generator=generator) < 0.7
    there[:, units:] = False
    function = there[..., None].repeat(1, 1, 2) & (torch.rand(batch, CAPACITY, 2, generator=generator) < 0.8)
    function[:, ordered:] = False
    features = torch.rand(batch, CAPACITY, 2, generator=generator)
    mask = {"function": function.to(torch.int8), "target": there.to(torch.int8)}
    return {"units": {"features": features, "mask": there.to(torch.int8)}, ACTION_MASK: mask}


def evaluated(policy: PerceiverPolicy, observation: Any, action: Any) -> tuple[Tensor, ...]:
    """Log-probabilities, entropies, values, and the gradient of their sum."""
    batch = len(observation["units"]["mask"])
    memory, first = policy.initial_memory(batch), torch.ones(1, batch, dtype=torch.bool)
    found = policy.evaluate_actions(with_time(observation), with_time(action), memory, first)
    loss = (found.log_prob + found.entropy + found.value).sum() / batch
    gradient = torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True, materialize_grads=True)
    return found.log_prob, found.entropy, found.value, torch.cat([part.flatten() for part in gradient])


@pytest.mark.parametrize("kind", ["orders", "functions"])
def test_sets_cut_short_and_whole_give_the_same(kind: str) -> None:
    if kind == "orders":
        space, action_space = orders()
        observation: Any = observe(11, 6)
    else:
        space, observation = game(32)
        action_space = FUNCTIONS
        observation["units"]["mask"][:, 2:] = 0
    policy = perturbed(space, action_space)
    memory, first = policy.initial_memory(32)[: len(observation["units"]["mask"])], torch.ones(32, dtype=torch.bool)
    action = policy.act(observation, memory, first, generator=torch.Generator().manual_seed(0))[0].action
    short = evaluated(policy, observation, action)
    cut = policy.trim(observation)
    assert cut["units"]["mask"].shape[1] < observation["units"]["mask"].shape[1]
    policy.trim = lambda x, **_: x  # type: ignore[assignment]
    for mine, reference in zip(short, evaluated(policy, observation, action), strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)


def test_sizes_are_few_and_hold_all_that_is_there() -> None:
    space, _ = orders()
    trim = Trim(space, [(ACTION_MASK,)])
    seen = set()
    for units in range(1, CAPACITY + 1):
        whole = observe(units, max(1, units // 2))
        cut = trim(whole, exactly=False)
        size = cut["units"]["mask"].shape[1]
        seen.add(size)
        assert size == cut["units"]["features"].shape[1]
        assert int(cut["units"]["mask"].sum()) == int(whole["units"]["mask"].sum())
        assert int(cut[ACTION_MASK]["function"].sum()) == int(whole[ACTION_MASK]["function"].sum())
    assert seen <= {*SIZES, CAPACITY}
    assert len(seen) < CAPACITY / 2
    assert whole["units"]["mask"].shape == (12, CAPACITY)  # and what is given is left as it is


def test_on_the_host_sets_end_with_the_longest() -> None:
    space, _ = orders()
    trim = Trim(space, [(ACTION_MASK,)])
    for units in (1, 7, 13, CAPACITY):
        whole = observe(units, units)
        there, ordered = whole["units"]["mask"], whole[ACTION_MASK]["function"].any(-1)
        rows = [max([1, *(i + 1 for i in range(CAPACITY) if mask[:, i].any())]) for mask in (there, ordered)]
        cut = trim(whole)
        assert [cut["units"]["mask"].shape[1], cut[ACTION_MASK]["function"].shape[1]] == rows
        lengths = [
            sum(max([0, *(i + 1 for i in range(CAPACITY) if mask[row, i])]) for mask in (there, ordered))
            for row in range(len(there))
        ]
        found = trim.lengths(whole)
        assert found is None if len({*lengths}) == 1 else found is not None and found.tolist() == lengths


def test_nobody_there_is_a_set_of_one_row() -> None:
    space, _ = orders()
    cut = Trim(space, [(ACTION_MASK,)])(as_tensors(observe(0, 0)))
    assert cut["units"]["features"].shape == (12, 1, 2)
    assert cut[ACTION_MASK]["function"].shape == (12, 1, 2)
