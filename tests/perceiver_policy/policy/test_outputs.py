"""The joint distribution: against torch.distributions, against its own definition, and against brute enumeration."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from typing import Any

import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as D

from envs.spaces import Functions, Place, Pointer
from perceiver_policy.policy.distributions import bernoulli, categorical, normal
from perceiver_policy.policy.outputs import ActionEvaluation, to_environment
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import FUNCTIONS, SCREEN, SMALL, UNITS, game, perturbed, sample_batch, with_time

actions = st.recursive(
    st.one_of(
        st.builds(spaces.Discrete, st.integers(1, 5)),
        st.builds(lambda n: spaces.MultiDiscrete(n), st.lists(st.integers(1, 4), min_size=1, max_size=3)),
        st.builds(spaces.MultiBinary, st.integers(1, 4)),
        st.builds(lambda n: spaces.Box(-2, 3, (n,)), st.integers(1, 3)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=5,
)


@settings(max_examples=25, deadline=None)
@given(actions, st.integers(0, 3), st.booleans())
def test_what_was_recorded_is_what_is_judged(action: spaces.Space[Any], seed: int, greedy: bool) -> None:
    observation_space = spaces.Box(-1, 1, (3,))
    policy = perturbed(observation_space, action, seed=seed)
    observation = sample_batch(observation_space, 6, seed)
    first, memory = torch.ones(6, dtype=torch.bool), policy.initial_memory(6)
    decision, _ = policy.act(observation, memory, first, greedy=greedy, generator=torch.Generator().manual_seed(seed))
    evaluated = policy.evaluate_actions(with_time(observation), with_time(decision.action), memory, first[None])
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(evaluated.value[0], decision.value, rtol=1e-5, atol=1e-5)
    taken = to_environment(action, optree.tree_map(lambda x: x.numpy(), decision.action))
    for i in range(6):
        one = optree.tree_map(lambda x: x[i], taken)  # noqa: B023
        assert action.contains(one), (action, one)


@pytest.mark.parametrize("seed", range(3))
def test_functions_are_recorded_and_judged_alike_with_masks_and_padding(seed: int) -> None:
    space, observation = game(64, seed)
    policy = perturbed(space, FUNCTIONS, seed=seed)
    first, memory = torch.ones(64, dtype=torch.bool), policy.initial_memory(64)
    decision, _ = policy.act(observation, memory, first, generator=torch.Generator().manual_seed(seed))
    action = decision.action
    evaluated = policy.evaluate_actions(
        with_time(observation),
        with_time(action),
        memory,
        first[None],
    )
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, rtol=1e-5, atol=1e-5)
    assert len(action["function"].unique()) == 4
    legal = observation["action_mask"]["function"].bool()
    assert legal.gather(1, action["function"][:, None]).all()
    selecting = action["function"] == 1
    units = (observation["units"]["mask"] * observation["action_mask"]["unit"]).bool()
    assert units[selecting].gather(1, action["unit"][selecting][:, None]).all()
    assert not (action["several"].bool() & ~observation["units"]["mask"].bool()).any()
    for i, name in enumerate(FUNCTIONS.arguments):
        unused = ~torch.as_tensor(FUNCTIONS.uses)[action["function"], i]
        assert not action[name][unused].any(), name


def enumerated() -> tuple[list[tuple[Any, ...]], spaces.Dict, Any, dict[str, torch.Tensor]]:
    """Every action of FUNCTIONS, by head in their order; and one observation, repeated for each, with the actions."""
    space, observation = game(1, 3)
    observation["units"]["mask"][:] = torch.tensor([1, 0, 1, 1, 0])
    observation["action_mask"]["function"][:] = 1
    observation["action_mask"]["unit"][:] = torch.tensor([1, 1, 0, 1, 1])
    every: list[tuple[Any, ...]] = [(0, 0, 0, 0, (0,) * 5)]
    every += [(1, 0, unit, 0, (0,) * 5) for unit in range(5)]
    every += [(2, queued, 0, cell, (0,) * 5) for queued in range(2) for cell in range(16)]
    every += [(3, q, 0, 0, several) for q in range(2) for several in itertools.product((0, 1), repeat=5)]
    columns = [torch.tensor(column)[None] for column in zip(*every, strict=True)]
    action = dict(zip(("function", "queued", "unit", "screen", "several"), columns, strict=True))
    return every, space, optree.tree_map(lambda x: x.expand(len(every), *x.shape[1:])[None], observation), action


def of_all(policy: PerceiverPolicy, many: Any, action: dict[str, torch.Tensor]) -> ActionEvaluation:
    batch = action["function"].shape[1]
    first = torch.ones(1, batch, dtype=torch.bool)
    with torch.no_grad():
        return policy.evaluate_actions(many, action, policy.initial_memory(batch), first)


def test_probabilities_of_all_choices_sum_to_one() -> None:
    every, space, many, action = enumerated()
    log_prob = of_all(perturbed(space, FUNCTIONS), many, action).log_prob
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-5)
    impossible = [i for i, e in enumerate(every) if (e[0] == 1 and e[2] in (1, 2, 4)) or e[4][1] or e[4][4]]
    assert float(log_prob[0, impossible].exp().max()) == 0


def conditionals(every: list[tuple[Any, ...]], chances: np.ndarray) -> list[list[dict[Any, float]]]:
    """For each action and each head, the distribution of the head given what was chosen before it, from the chances of
    all actions alone. An argument that the function does not take has one value, for certain."""
    prefixes: dict[tuple[Any, ...], float] = defaultdict(float)
    values: dict[tuple[Any, ...], set[Any]] = defaultdict(set)
    for one, chance in zip(every, chances, strict=True):
        for head in range(len(one) + 1):
            prefixes[one[:head]] += chance
        for head, value in enumerate(one):
            values[one[:head]].add(value)
    return [
        [{v: prefixes[(*one[:h], v)] / prefixes[one[:h]] for v in values[one[:h]]} for h in range(len(one))]
        if chance > 0
        else []
        for one, chance in zip(every, chances, strict=True)
    ]


def test_entropies_and_divergences_are_those_of_all_choices() -> None:
    """By enumeration: the arguments that a function does not take count for nothing."""
    every, space, many, action = enumerated()
    mine = of_all(perturbed(space, FUNCTIONS, seed=1), many, action)
    known = of_all(perturbed(space, FUNCTIONS, seed=2), many, action)
    p, q = (evaluated.log_prob[0].double().exp().numpy() for evaluated in (mine, known))
    of_mine, of_known = conditionals(every, p), conditionals(every, q)
    possible = [i for i in range(len(every)) if p[i] > 0]
    assert len(possible) == 1 + 2 + 32 + 14
    for head, path in enumerate(("function", "queued", "unit", "screen")):
        expected = [sum(-c * math.log(c) for c in of_mine[i][head].values() if c > 0) for i in possible]
        assert mine.entropies[path][0, possible].tolist() == pytest.approx(expected, abs=1e-4), path
    total = torch.stack(list(mine.entropies.values())).sum(0)
    torch.testing.assert_close(mine.entropy, total)
    # a selection's is told along what was selected: right in the mean
    mean = float((mine.entropy[0].double().numpy() * p).sum())
    assert mean == pytest.approx(-sum(x * math.log(x) for x in p if x > 0), abs=1e-4)

    def apart(i: int) -> float:
        pairs = [(of_known[i][h][v], c) for h in range(5) for v, c in of_mine[i][h].items()]
        return sum(theirs * math.log(theirs / ours) for theirs, ours in pairs if theirs > 0)

    divergence = mine.divergence(known)[0]
    alone = [i for i in possible if every[i][0] != 3]  # without a selection
    assert divergence[alone].tolist() == pytest.approx([apart(i) for i in alone], abs=1e-4)
    # so its mean over what the reference does is the divergence of the joint distributions
    joint = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True) if b > 0)
    assert float((divergence.double().numpy() * q).sum()) == pytest.approx(joint, abs=1e-4)
    assert joint != pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0), abs=0.01)


def test_samples_have_the_stated_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    mask = torch.tensor([[1, 1, 0, 1]])
    distribution = categorical(logits.expand(20_000, -1), mask)
    counts = distribution.sample(torch.Generator().manual_seed(0)).bincount(minlength=4) / 20_000
    expected = D.Categorical(logits=logits.masked_fill(mask == 0, -math.inf)).probs[0]
    assert counts[2] == 0
    torch.testing.assert_close(counts, expected, atol=0.012, rtol=0)


def test_samples_of_flags_and_numbers_have_the_stated_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([-1.0, 0.0, 2.0])
    rates = bernoulli(logits.expand(20_000, -1), None).sample(generator).float().mean(0)
    torch.testing.assert_close(rates, logits.sigmoid(), atol=0.012, rtol=0)
    mean, log_deviation = torch.tensor([3.0, -1.0]), torch.tensor([-1.2, 0.7])
    drawn = normal(mean.expand(20_000, -1), log_deviation).sample(generator)
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), log_deviation.exp(), atol=0.0, rtol=0.03)


def test_a_fresh_policy_reaches_all_of_a_box() -> None:
    """Deviations of half the way from the middle to a bound; of one where there is no bound."""
    space = spaces.Box(np.float32([-1, 0, -np.inf]), np.float32([1, 8, np.inf]))
    head = PerceiverPolicy(spaces.Box(-1, 1, (3,)), space, SMALL).outputs.heads[0]
    torch.testing.assert_close(head.log_deviation.exp(), torch.tensor([0.5, 0.5, 1.0]))


def test_a_pointer_by_hand() -> None:
    """Scaled dot products of the answer with the units; the units chosen go on as their mean, nobody as zeros."""
    space, observation = game(2, 3)
    policy = perturbed(space, FUNCTIONS)
    tokens = policy.inputs(observation)
    units = tokens.elements["units"]
    pointer, several = (
        policy.outputs.heads[[leaf.path for leaf in policy.outputs.leaves].index(name)] for name in ("unit", "several")
    )
    answer = torch.randn(2, 1, 16)
    found = pointer.distribution(answer, tokens, None).parameters
    scores = torch.einsum("bnc,bc->bn", units, pointer.ask(answer[:, 0])) / 4
    valid = tokens.masks["units"]
    expected = scores.masked_fill(~valid, -math.inf).log_softmax(-1)
    torch.testing.assert_close(found[:, : units.shape[1]][valid], expected[valid])
    chosen = torch.tensor([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    if units.shape[1] > 1:
        chosen[0, 1] = 1
    mean = units[0, : int(chosen[0].sum())].mean(0)
    embedded = several.embed(chosen, tokens)
    torch.testing.assert_close(embedded[0], several.embedding(mean))
    assert not embedded[1].any()


def test_scores_agree_with_torch_distributions() -> None:
    torch.manual_seed(0)
    logits, action = torch.randn(7, 5), torch.randint(5, (7,))
    mine, theirs = categorical(logits, None), D.Categorical(logits=logits)
    torch.testing.assert_close(mine.log_prob(action), theirs.log_prob(action))
    torch.testing.assert_close(mine.entropy(), theirs.entropy())
    bits = torch.randint(2, (7, 5))
    mine, theirs = bernoulli(logits, None), D.Independent(D.Bernoulli(logits=logits), 1)
    torch.testing.assert_close(mine.log_prob(bits), theirs.log_prob(bits.float()))
    torch.testing.assert_close(mine.entropy(), theirs.entropy())
    log_deviation, place = torch.randn(5), torch.randn(7, 5)
    mine, theirs = normal(logits, log_deviation), D.Independent(D.Normal(logits, log_deviation.exp()), 1)
    torch.testing.assert_close(mine.log_prob(place), theirs.log_prob(place))
    torch.testing.assert_close(mine.entropy(), theirs.entropy())


def test_nothing_legal_is_uniform_and_finite() -> None:
    logits = torch.randn(2, 4, requires_grad=True)
    distribution = categorical(logits, torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0]]))
    torch.testing.assert_close(distribution.log_prob(torch.tensor([2, 0])), torch.tensor([-math.log(4), 0.0]))
    distribution.entropy().sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_multi_discrete_obeys_its_tuple_of_masks() -> None:
    action = spaces.MultiDiscrete([3, 2])
    mask = spaces.Tuple([spaces.MultiBinary(3), spaces.MultiBinary(2)])
    space = spaces.Dict({"observation": spaces.Box(0, 1, (2,)), "action_mask": mask})
    observation = {
        "observation": torch.rand(50, 2),
        "action_mask": (torch.tensor([[0, 1, 1]]).expand(50, -1), torch.tensor([[1, 0]]).expand(50, -1)),
    }
    policy = perturbed(space, action)
    decision, _ = policy.act(observation, policy.initial_memory(50), torch.ones(50, dtype=torch.bool))
    assert set(decision.action[:, 0].tolist()) == {1, 2}
    assert set(decision.action[:, 1].tolist()) == {0}


def test_to_environment_adds_starts_scales_and_clips() -> None:
    space = spaces.Dict(
        {
            "d": spaces.Discrete(3, start=5),
            "box": spaces.Box(np.float32([0, -10]), np.float32([4, 10])),
            "free": spaces.Box(-np.inf, np.inf, (1,)),
        }
    )
    action = {"d": np.array([0, 2]), "box": np.float32([[0, 0.5], [-9, 9]]), "free": np.float32([[3.5], [-2]])}
    action = to_environment(space, action)
    assert action["d"].tolist() == [5, 7]
    assert action["box"].tolist() == [[2, 5], [0, 10]]
    assert action["free"].tolist() == [[3.5], [-2]]


def test_the_value_stays_when_its_units_change() -> None:
    policy = perturbed(spaces.Box(-1, 1, (3,)), spaces.Discrete(2))
    observation, first = torch.rand(9, 3), torch.ones(9, dtype=torch.bool)
    before = policy.value(observation, policy.initial_memory(9), first)
    for mean, deviation in ((3.0, 10.0), (-20.0, 0.1)):
        policy.outputs.value_head.set_units(torch.tensor(mean), torch.tensor(deviation))
        torch.testing.assert_close(
            policy.value(observation, policy.initial_memory(9), first), before, atol=1e-4, rtol=0
        )


def test_a_place_that_no_planes_show_is_chosen_by_where_it_is() -> None:
    space, observation = game(64)
    action = Functions({"go": ("to", "with")}, {"to": Place(None, 3, 5), "with": spaces.Discrete(2)})
    space["action_mask"] = spaces.Dict({"to": spaces.MultiBinary(15)})
    legal = torch.rand(64, 15, generator=torch.Generator().manual_seed(0)) < 0.3
    legal[:, 7] = True
    observation["action_mask"] = {"to": legal.long()}
    policy = perturbed(space, action)
    first, memory = torch.ones(64, dtype=torch.bool), policy.initial_memory(64)
    decision, _ = policy.act(observation, memory, first, generator=torch.Generator().manual_seed(0))
    places = decision.action["to"]
    assert legal.gather(1, places[:, None]).all()
    assert len(places.unique()) > 5
    evaluated = policy.evaluate_actions(with_time(observation), with_time(decision.action), memory, first[None])
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, rtol=1e-5, atol=1e-5)
    head = policy.outputs.heads[1]
    keys = head.places()
    assert keys.shape == (15, SMALL.token_width)
    # cells of one row differ by their column alone: what is between them is the same in every row
    rows = keys.view(3, 5, -1)
    torch.testing.assert_close(rows[:, 1:] - rows[:, :-1], (rows[:1, 1:] - rows[:1, :-1]).expand(3, -1, -1))


def test_of_an_arguments_masks_that_of_the_chosen_function_counts() -> None:
    """A row a function: as probable as where the chosen function's row is the mask of all."""
    space, observation = game(64)
    action = Functions(
        {"go": ("to", "with"), "stay": ("with",)}, {"to": Place(None, 3, 5), "with": Pointer("units", 5)}
    )
    generator = torch.Generator().manual_seed(0)
    to, whom = (torch.rand(64, 2, n, generator=generator) < 0.5 for n in (15, 5))
    to[..., 7], whom[..., 0] = True, True
    shapes = {"to": spaces.MultiBinary((2, 15)), "with": spaces.MultiBinary((2, 5))}
    policy = perturbed(spaces.Dict({**space.spaces, "action_mask": spaces.Dict(shapes)}), action)
    rows = observation | {"action_mask": {"to": to.long(), "with": whom.long()}}
    first, memory = torch.ones(64, dtype=torch.bool), policy.initial_memory(64)
    decision, _ = policy.act(rows, memory, first, generator=generator)
    chosen = decision.action["function"]
    assert len(chosen.unique()) == 2
    mine = {name: mask[torch.arange(64), chosen] for name, mask in (("to", to), ("with", whom))}
    goes = chosen == 0
    assert mine["to"][goes].gather(1, decision.action["to"][goes, None]).all()
    there = observation["units"]["mask"].bool()
    some = (mine["with"] & there).any(1)
    assert mine["with"][some].gather(1, decision.action["with"][some, None]).all()
    evaluated = policy.evaluate_actions(with_time(rows), with_time(decision.action), memory, first[None])
    torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, rtol=1e-5, atol=1e-5)
    both = {name: mask[:, None].expand(-1, 2, -1).long() for name, mask in mine.items()}
    alike = observation | {"action_mask": both}
    other = policy.evaluate_actions(with_time(alike), with_time(decision.action), memory, first[None])
    torch.testing.assert_close(evaluated.log_prob, other.log_prob, rtol=1e-5, atol=1e-5)
    assert not [path for path in policy.inputs.paths if path.startswith("action_mask")]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Pointer("troops", 5), "points to 'troops'"),
        (Pointer("units", 9), "9 choices for 5"),
        (Place("units", 4, 4), "no Planes"),
        (Place("minimap", 4, 4), "no Planes"),
        (spaces.Text(4), "Text"),
    ],
)
def test_spaces_that_cannot_be_chosen_from_are_named(action: spaces.Space[Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        PerceiverPolicy(spaces.Dict({"units": UNITS, "screen": SCREEN}), action, SMALL)


def test_a_choice_of_as_many_as_a_table_has_rows_can_point_to_them() -> None:
    table, other = spaces.Box(-1, 1, (4, 2)), spaces.Box(-1, 1, (3, 2))
    seen = spaces.Dict({"table": table, "other": other})
    policy = perturbed(seen, spaces.Discrete(4))
    head = policy.outputs.heads[0]
    assert head.rows == "table"
    assert perturbed(spaces.Dict({"a": table, "b": table}), spaces.Discrete(4)).outputs.heads[0].rows is None
    assert perturbed(seen, spaces.Discrete(5)).outputs.heads[0].rows is None
    tokens = policy.inputs(sample_batch(seen, 2, 0))
    answers = torch.randn(2, 1, 16)
    found = head.distribution(answers, tokens, None).parameters
    rows, asked = tokens.elements["table"], head.ask(answers[:, 0])
    for i in range(2):
        logits = [float(head.logits(answers[i, 0])[n] + rows[i, n] @ asked[i] / 4) for n in range(4)]
        torch.testing.assert_close(found[i], torch.tensor(logits).log_softmax(0), atol=1e-5, rtol=1e-5)
