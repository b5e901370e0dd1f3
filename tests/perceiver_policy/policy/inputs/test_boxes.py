"""Boxes of every kind, keys of every kind, types of every kind: observed and chosen."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from torch.distributions import Bernoulli, kl_divergence

from envs.spaces import Feature, Functions, Pointer, SpaceError, Units, at, leaves, path_of
from perceiver_policy.policy.choices import Choosing, make_head
from perceiver_policy.policy.distributions import bernoulli
from perceiver_policy.policy.heads import BernoulliHead, CategoricalHead, NormalHead
from perceiver_policy.policy.inputs import BoxScale, Inputs
from perceiver_policy.policy.outputs import to_environment
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import SMALL, perturbed, sample_batch, with_time

MOST = float(np.finfo(np.float32).max)
SEEN = spaces.Box(-1, 1, (3,), np.float32)


def chosen(space: spaces.Space[Any], games: int = 200, seed: int = 0) -> list[Any]:
    """Actions as environments are given them, by a new policy, which must also know how likely they were."""
    torch.manual_seed(seed)
    policy = PerceiverPolicy(SEEN, space, SMALL)
    first, memory = torch.ones(games, dtype=torch.bool), policy.initial_memory(games)
    observation = torch.randn(games, 3)
    decision, _ = policy.act(observation, memory, first, generator=torch.Generator().manual_seed(seed))
    evaluated = policy.evaluate_actions(with_time(observation), with_time(decision.action), memory, first[None])
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, rtol=1e-5, atol=1e-5)
    given = to_environment(space, optree.tree_map(lambda x: x.numpy(), decision.action))
    return list(iterate(batch_space(space, games), given))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(4, dtype=np.int32),
        spaces.Discrete(3, start=250, dtype=np.int16),
        spaces.Discrete(3, start=-100, dtype=np.int8),
        spaces.MultiDiscrete([2, 3], dtype=np.int32),
        spaces.MultiDiscrete([2, 3], dtype=np.uint8, start=[250, 0]),
        spaces.MultiDiscrete([[2, 3], [4, 5]], dtype=np.int16),
        spaces.MultiBinary((2, 3)),
        spaces.Box(-1, 1, (), np.float32),
        spaces.Box(0, 9, (), np.int64),
        spaces.Box(-1, 1, (2, 2), np.float64),
        spaces.Box(-1, 1, (2,), np.float16),
        spaces.Box(0, 5, (3,), np.uint8),
        spaces.Box(-7, 2, (2, 2), np.int32),
        spaces.Box(0, 1, (2,), np.bool_),
        spaces.Box(0, 255, (2,), np.uint8),
        spaces.Box(np.int64(0), np.iinfo(np.int64).max - 1, (2,), np.int64),
        spaces.Box(-(2**63), 2**63 - 2, (1,), np.int64),
        spaces.Box(np.array([0, -np.inf, -2]), np.array([np.inf, 0, 5]), dtype=np.float64),
        spaces.Box(-MOST, MOST, (2,), np.float32),
        spaces.Box(1e30, np.inf, (2,), np.float32),
        spaces.Box(2e6, 3e6, (2,), np.float32),
        spaces.Box(3, 3, (2,), np.float32),
        spaces.Dict({"a": spaces.Discrete(4, dtype=np.int32), 7: spaces.Tuple((spaces.Box(0, 1, (), np.float32),))}),
    ],
    ids=str,
)
def test_every_action_is_in_its_space(space: Any) -> None:
    for action in chosen(space):
        assert space.contains(action), action


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [(5, np.inf, (5, 12)), (-np.inf, -5, (-12, -5)), (0, np.inf, (0, 7)), (-np.inf, np.inf, (-6, 6)),
     (-MOST, MOST, (-6, 6)), (-MOST, 3, (-6, 3)), (1e30, np.inf, (1e30, 1.00001e30)), (2e6, 3e6, (2e6, 3e6)),
     (-1, 1, (-1, 1)), (100, 300, (100, 300))],
)  # fmt: skip
def test_actions_are_spread_over_a_sensible_scale_and_not_stuck_at_a_bound(
    low: float, high: float, within: Any
) -> None:
    space = spaces.Box(low, high, (1,), np.float64)
    values = np.array([float(action[0]) for action in chosen(space, 500)])
    assert within[0] <= values.min() <= values.max() <= within[1]
    assert np.mean((values > space.low[0]) & (values < space.high[0])) > 0.75
    assert len(set(values)) > 300


def test_few_integers_are_a_choice_and_many_a_rounded_number() -> None:
    heads = [
        (spaces.Box(0, 5, (2,), np.int32), CategoricalHead),
        (spaces.Box(0, 1, (2,), np.bool_), CategoricalHead),
        (spaces.Box(0, 255, (2,), np.uint8), NormalHead),
        (spaces.Box(0, 5, (2,), np.float32), NormalHead),
    ]
    for space, kind in heads:
        assert isinstance(make_head(space, "", Choosing(SEEN, 8, 4)), kind), space
    values = np.array(chosen(spaces.Box(-2, 3, (2,), np.int8), 600)).ravel()
    counts = np.bincount(values + 2)
    assert len(counts) == 6
    assert counts.min() > 0.1 * len(values)  # about equally likely at the start


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (), np.float64),
        spaces.Box(-np.inf, np.inf, (), np.float64),
        spaces.Box(0, 255, (), np.uint8),
        spaces.Box(0, 1, (2,), np.bool_),
        spaces.Box(-1, 1, (2,), np.float16),
        spaces.Box(0, 2**40, (2,), np.uint64),
        spaces.Discrete(3, start=4, dtype=np.uint32),
        spaces.MultiDiscrete([[2, 3], [4, 5]], dtype=np.uint16),
        spaces.MultiDiscrete([100, 100, 100], dtype=np.int8),
        spaces.Dict({"height": spaces.Box(-1, 1, (), np.float64), "x": SEEN}),
    ],
    ids=str,
)
def test_every_type_and_shape_is_read(space: Any) -> None:
    from agents.acting.rollout import as_tensor

    inputs = Inputs(space, 8)
    space.seed(0)
    batch = optree.tree_map(lambda *x: as_tensor(np.stack(x)), *(space.sample() for _ in range(4)))
    inputs.learn_scales(batch)
    assert inputs(batch).tokens.isfinite().all()


def test_what_is_not_finite_is_kept_out_of_the_statistics() -> None:
    scale, clean = (BoxScale(spaces.Box(-np.inf, np.inf, (2,), np.float32)) for _ in range(2))
    values = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    spoilt = torch.cat((values, torch.tensor([[np.inf, 0.0], [0.0, -np.inf], [np.nan, 1.0]])))
    scale.learn(torch.tensor([[np.nan, np.inf]]))  # before anything else, too
    scale.learn(spoilt[torch.randperm(23, generator=torch.Generator().manual_seed(1))])
    clean.learn(values)
    torch.testing.assert_close(scale.state_dict(), clean.state_dict())
    torch.testing.assert_close(scale(values), clean(values))


KEYS: dict[Any, Any] = {"a/b": 1.0, "a": {"b": 2.0}, "": 3.0, "~": 4.0, 0: 5.0, "0": 6.0, "~1": 7.0, "a~1b": 8.0}


def _space(nest: Any) -> spaces.Space[Any]:
    if isinstance(nest, dict):
        return spaces.Dict({key: _space(part) for key, part in nest.items()})
    return spaces.Box(0, 10, (1,), np.float32)


def test_every_path_is_of_one_part() -> None:
    space = _space(KEYS)
    paths = {path_of(space, keys): keys for keys, _ in leaves(space)}
    assert len(paths) == 8
    assert path_of(space, ("a/b",)) == "a~1b"
    for path, keys in paths.items():
        assert at(KEYS, path) == at(KEYS, keys)
        assert at(space, path) is at(space, keys)


def test_any_key_is_observed_and_chosen_by_its_own_value() -> None:
    space = _space(KEYS)
    torch.manual_seed(0)
    inputs = Inputs(space, 8)
    observation = optree.tree_map(lambda x: torch.full((2, 1), x), KEYS)
    before = inputs(observation).tokens
    for keys, _ in leaves(space):
        changed = optree.tree_map(torch.clone, observation)
        at(changed, keys)[:] = 9.5
        moved = (inputs(changed).tokens - before).abs().sum((0, 2)) > 0
        assert moved.sum() == 1, keys
    kinds = spaces.Dict({key: spaces.Discrete(i + 2) for i, key in enumerate(("a/b", "", 0, "0"))} | {
        "a": spaces.Dict({"b": spaces.Discrete(7)})})  # fmt: skip
    for action in chosen(kinds, 20):
        assert kinds.contains(action)
    policy = perturbed(SEEN, kinds)
    names = [leaf.path for leaf in policy.outputs.leaves]
    assert sorted(names) == sorted({"a~1b", "~", "~:0", "0", "a/b"})


def test_units_under_any_key_are_pointed_to() -> None:
    units = Units(3, [Feature("x")])
    space = spaces.Dict({"my/units": units, "x": SEEN})
    policy = perturbed(space, Pointer("my~1units", 3))
    observation = sample_batch(space, 40, 0)
    observation["my/units"]["mask"][:] = torch.tensor([0, 1, 1])
    first = torch.ones(40, dtype=torch.bool)
    assert set(policy.act(observation, policy.initial_memory(40), first)[0].action.tolist()) == {1, 2}
    with pytest.raises(SpaceError, match=r"points to 'my/units', which is no Units.*it has \['my~1units'\]"):
        PerceiverPolicy(space, Pointer("my/units", 3), SMALL)


@pytest.mark.parametrize(
    ("observed", "chosen", "said"),
    [
        (spaces.Tuple(()), spaces.Discrete(2), "observation space .* is empty"),
        (spaces.Dict({}), spaces.Discrete(2), "observation space .* is empty"),
        (SEEN, spaces.Tuple(()), "action space .* is empty"),
        (SEEN, spaces.Dict({"a": spaces.Dict({})}), "action space .* is empty"),
        (SEEN, spaces.Dict({"a": spaces.Discrete(10**6)}), "action 'a': Discrete of 1,000,000 values"),
        (spaces.Dict({"a": spaces.Discrete(10**6)}), spaces.Discrete(2), "observation 'a': Discrete of 1,000,000"),
        (SEEN, spaces.MultiDiscrete([40_000, 40_000]), "MultiDiscrete of 80,000 values"),
    ],
)
def test_what_cannot_be_learned_is_refused_at_once(observed: Any, chosen: Any, said: str) -> None:
    began = time.perf_counter()
    with pytest.raises(SpaceError, match=said):
        PerceiverPolicy(observed, chosen, SMALL)
    assert time.perf_counter() - began < 5


def test_a_bit_that_is_held_has_no_entropy_and_probability_1() -> None:
    head = BernoulliHead(spaces.MultiBinary(4), 8)
    with torch.no_grad():
        head.logits.weight.normal_()
    answers, mask = torch.randn(5, 1, 8), torch.tensor([[0, 1, 2, 2]] * 5)
    found = head.distribution(answers, None, mask)  # type: ignore[arg-type]
    free = Bernoulli(logits=head.logits(answers[:, 0])[:, 2:])
    action = found.sample(torch.Generator().manual_seed(0))
    assert action[:, 0].tolist() == [0] * 5
    assert action[:, 1].tolist() == found.best()[:, 1].tolist() == [1] * 5
    torch.testing.assert_close(found.log_prob(action), free.log_prob(action[:, 2:].float()).sum(1))
    torch.testing.assert_close(found.entropy(), free.entropy().sum(1))
    other = head.distribution(torch.randn(5, 1, 8), None, mask)  # type: ignore[arg-type]
    expected = kl_divergence(Bernoulli(logits=other.parameters[:, 2:]), free).sum(1)
    torch.testing.assert_close(found.divergence(other), expected)
    found.entropy().sum().backward()
    assert head.logits.weight.grad is not None
    assert head.logits.weight.grad.isfinite().all()
    assert not head.logits.weight.grad[:2].any()
    assert bernoulli(torch.zeros(2, 3), None).entropy().shape == (2,)


def test_an_unused_argument_is_in_its_space() -> None:
    space = Functions(
        {"wait": (), "go": ("n", "box")}, {"n": spaces.Discrete(3, start=5), "box": spaces.Box(1, 2, (2,), np.int16)}
    )
    space.seed(0)
    for action in [*chosen(space, 40), *(space.sample() for _ in range(40))]:
        assert space.contains(action), action
