"""Choosing several: against enumeration of every set, against what is drawn, against its own definition."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from envs.spaces import Functions, Pointers
from perceiver_policy.policy.distributions import Distribution
from perceiver_policy.policy.selection import Selection
from tests.policies import UNITS, game, perturbed, with_time

ROWS, WIDTH = 5, 6


def build(seed: int, batch: int = 1, rows: int = ROWS, count: int = ROWS, **options: int) -> tuple[Selection, Tensor]:
    torch.manual_seed(seed)
    selection = Selection(WIDTH, **options)
    with torch.no_grad():
        selection.add.weight += torch.randn(WIDTH, WIDTH)
    return selection, torch.randn(batch, rows + 1, WIDTH)  # the keys, and the query


def of(selection: Selection, numbers: Tensor, legal: Tensor, count: int = ROWS) -> Distribution:
    return selection(numbers[:, :-1], numbers[:, -1], legal, count)


def every(count: int = ROWS) -> Tensor:
    return torch.tensor(list(itertools.product((0, 1), repeat=count)))


def by_hand(selection: Selection, numbers: Tensor, legal: list[bool], action: list[int]) -> float:
    """The probability of one set, row after row, in plain numbers."""
    keys, query = numbers[0, :-1].double(), numbers[0, -1].double()
    taken, probability = torch.zeros(WIDTH, dtype=torch.float64), 1.0
    for row in range(len(keys)):
        if not legal[row]:
            probability *= 1 - action[row]
            continue
        number = sum(action[:row])
        asked = query + selection.add.weight.double() @ taken / (1 + number)
        p = 1 / (1 + math.exp(-float((asked @ keys[row]).detach()) / math.sqrt(WIDTH)))
        if number == 0 and not any(legal[row + 1 :]):
            p = 1.0
        if number >= selection.most:
            p = 0.0
        probability *= p if action[row] else 1 - p
        taken = taken + action[row] * keys[row]
    return probability


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), legal=st.lists(st.booleans(), min_size=ROWS, max_size=ROWS), most=st.integers(1, 6))
def test_every_set_has_its_probability_and_they_sum_to_one(seed: int, legal: list[bool], most: int) -> None:
    selection, numbers = build(seed, most=most)
    sets = every()
    many = numbers.expand(len(sets), -1, -1)
    with torch.no_grad():
        found = of(selection, many, torch.tensor(legal).expand(len(sets), -1)).log_prob(sets).exp()
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    expected = torch.tensor([by_hand(selection, numbers, legal, action) for action in sets.tolist()])
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-4)
    assert float(found[0]) == (0.0 if any(legal) else 1.0), "nobody, where somebody could be selected"
    assert float(found[sets.sum(1) > most].sum()) == 0


def test_what_is_drawn_has_the_stated_probability() -> None:
    selection, numbers = build(3)
    legal = torch.tensor([True, True, False, True, True])
    draws = 40_000
    with torch.no_grad():
        drawn = of(selection, numbers.expand(draws, -1, -1), legal.expand(draws, -1)).sample(
            torch.Generator().manual_seed(0)
        )
        sets = every()
        stated = of(selection, numbers.expand(len(sets), -1, -1), legal.expand(len(sets), -1)).log_prob(sets).exp()
    frequency = (drawn @ (2 ** torch.arange(ROWS - 1, -1, -1))).bincount(minlength=len(sets)) / draws
    torch.testing.assert_close(frequency, stated, atol=0.01, rtol=0)


def test_entropy_and_divergence_average_to_the_exact_ones() -> None:
    (mine, numbers), (theirs, others) = build(3), build(4)
    legal = torch.tensor([True, True, False, True, True])
    sets = every()
    legal = legal.expand(len(sets), -1)
    with torch.no_grad():
        p = of(mine, numbers.expand(len(sets), -1, -1), legal)
        q = of(theirs, others.expand(len(sets), -1, -1), legal)
        log_p, log_q = p.log_prob(sets), q.log_prob(sets)
        assert p.given is not None
        assert q.given is not None
        real = log_p > -1e6
        entropy = -(log_p.exp() * log_p)[real].sum()
        torch.testing.assert_close((log_p.exp() * p.given(sets).entropy())[real].sum(), entropy)
        divergence = (log_p.exp() * (log_p - log_q))[real].sum()
        found = (log_p.exp() * q.given(sets).divergence(p.given(sets)))[real].sum()
        torch.testing.assert_close(found, divergence)


def test_the_likeliest_way_is_taken_greedily_and_somebody_always() -> None:
    selection, numbers = build(0, batch=200)
    legal = torch.rand(200, ROWS, generator=torch.Generator().manual_seed(0)) < 0.6
    with torch.no_grad():
        best = of(selection, numbers, legal).best()
    assert not (best.bool() & ~legal).any()
    assert torch.equal(best.any(1), legal.any(1))
    reluctant = torch.cat((torch.ones(1, ROWS, WIDTH), -9 * torch.ones(1, 1, WIDTH)), 1)
    with torch.no_grad():
        best = of(selection, reluctant, torch.tensor([[True, True, True, False, False]])).best()
    assert best.tolist() == [[0, 0, 1, 0, 0]]


def test_rows_beyond_the_longest_set_are_not_taken() -> None:
    selection, numbers = build(1, batch=50, rows=3)
    legal = torch.ones(50, 3, dtype=torch.bool)
    distribution = of(selection, numbers, legal)
    drawn = distribution.sample(None)
    assert drawn.shape == (50, ROWS)
    assert not drawn[:, 3:].any()
    padded = of(
        selection, torch.cat((numbers[:, :3], torch.randn(50, 2, WIDTH), numbers[:, 3:]), 1), F.pad(legal, (0, 2))
    )
    torch.testing.assert_close(distribution.log_prob(drawn), padded.log_prob(drawn))


def test_nobody_to_select_is_no_action_and_has_no_gradient() -> None:
    selection, numbers = build(1, batch=2)
    legal = torch.tensor([[False] * ROWS, [True] * ROWS])
    distribution = of(selection, numbers, legal)
    drawn = distribution.sample(None)
    assert not drawn[0].any()
    assert float(distribution.log_prob(drawn)[0]) == 0
    assert distribution.given is not None
    (distribution.log_prob(drawn) + distribution.given(drawn).entropy()).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in selection.parameters())


def test_a_selection_that_is_acted_is_a_selection_that_is_evaluated() -> None:
    """Through the policy: a mask of the observation, sets of other lengths, the embedding of what was selected."""
    space, observation = game(64)
    chosen = Functions({"group": ("several",)}, {"several": Pointers("units", UNITS.capacity)})
    space["action_mask"] = type(space["action_mask"])({"several": space["action_mask"]["unit"]})
    observation["action_mask"] = {"several": observation["action_mask"]["unit"]}
    policy = perturbed(space, chosen)
    first, memory = torch.ones(64, dtype=torch.bool), policy.initial_memory(64)
    decision, _ = policy.act(observation, memory, first, generator=torch.Generator().manual_seed(0))
    several = decision.action["several"].bool()
    legal = observation["units"]["mask"].bool() & observation["action_mask"]["several"].bool()
    assert not (several & ~legal).any()
    assert several.any(1).all()
    evaluated = policy.evaluate_actions(with_time(observation), with_time(decision.action), memory, first[None])
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, rtol=1e-5, atol=1e-5)
    assert (evaluated.entropy > 0).any()
    torch.testing.assert_close(evaluated.divergence(evaluated), torch.zeros(1, 64))
