"""One step of each memory, number by number; and sequences, against steps one by one."""

import math
from typing import Any

import pytest
import torch
from gymnasium import spaces

from perceiver_policy.core.attention import attention_maps
from perceiver_policy.policy.memory import LatentMemory, LSTMMemory, WindowMemory
from tests.policies import SMALL, game, perturbed


def test_a_step_is_the_gated_units() -> None:
    """Cho et al. 2014, arXiv 1406.1078, equation 7: h = z h_before + (1 - z) candidate; z is what the gate leaves."""
    torch.manual_seed(0)
    memory = LatentMemory(2, 3)
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter += torch.randn_like(parameter)
    before, latents = torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    after = memory(before, latents).detach()
    weight, bias = memory.write.weight.tolist(), memory.write.bias.tolist()
    for n in range(2):
        for d in range(3):

            def row(i: int, n: int = n) -> float:
                return sum(w * float(x) for w, x in zip(weight[i], latents[0, n], strict=True)) + bias[i]

            candidate, gate = math.tanh(row(d)), 1 / (1 + math.exp(-row(3 + d)))
            expected = (1 - gate) * float(before[0, n, d]) + gate * candidate
            assert abs(float(after[0, n, d]) - expected) < 1e-5
    start = memory.start(torch.ones(1, 2, 3), before)
    torch.testing.assert_close(start, 1 + before @ memory.read.weight.T)


def test_a_fresh_memory_holds_on_to_most_of_what_it_knows() -> None:
    """Its gate starts at sigmoid(-1) = .27, and its candidates around 0, whatever the latents are like."""
    torch.manual_seed(0)
    memory = LatentMemory(2, 64)
    after = memory(torch.full((1, 2, 64), 5.0), torch.zeros(1, 2, 64))
    torch.testing.assert_close(after, torch.full_like(after, 5 * (1 - 0.2689)), atol=0.25, rtol=0)
    assert memory.initial(4).shape == (4, 2, 64)
    assert not memory.initial(4).any()


def test_a_step_of_the_lstm_is_torchs_own() -> None:
    torch.manual_seed(0)
    memory, latents = LSTMMemory(5), torch.randn(7, 3, 4, 5)
    whole = torch.nn.LSTM(5, 5)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(whole, f"{name}_l0").data = getattr(memory.cell, name).data
    state = memory.initial(3)
    outputs = []
    for t in range(7):
        state = memory(state, latents[t])
        outputs.append(state[:, 0])
    torch.testing.assert_close(torch.stack(outputs), whole(latents.mean(2))[0])
    torch.testing.assert_close(
        memory.start(torch.ones(1, 4, 5), state), 1 + (state[:, :1] @ memory.read.weight.T) + torch.zeros(3, 4, 5)
    )


MEMORIES = [
    {"memory": "latents"},
    {"memory": "lstm"},
    {"memory": "window", "window": 3},
    {"memory": "window", "window": 3, "cross_attends": 2},
]


@pytest.mark.parametrize("options", MEMORIES, ids=lambda options: "-".join(map(str, options.values())))
def test_a_sequence_is_its_steps_one_by_one(options: Any) -> None:
    """With episodes that begin on the way, and units that come and go."""
    steps, batch = 9, 4
    space, flat = game(steps * batch)
    space = spaces.Dict({key: part for key, part in space.items() if key != "action_mask"})
    flat = {key: part for key, part in flat.items() if key != "action_mask"}
    policy = perturbed(space, spaces.Discrete(3), SMALL.model_copy(update=options))
    first = torch.rand(steps, batch, generator=torch.Generator().manual_seed(0)) < 0.25

    def at(t: int, nest: Any) -> Any:
        if isinstance(nest, dict):
            return {key: at(t, part) for key, part in nest.items()}
        return nest.unflatten(0, (steps, batch))[t]

    # what was carried into the sequence comes from steps before it
    memory = policy.initial_memory(batch)
    for t in (5, 6):
        _, memory = policy.act(at(t, flat), memory, torch.zeros(batch, dtype=torch.bool))
    start, values, actions, log_probs = memory, [], [], []
    for t in range(steps):
        values.append(policy.value(at(t, flat), memory, first[t]))
        decision, memory = policy.act(at(t, flat), memory, first[t], generator=torch.Generator().manual_seed(t))
        actions.append(decision.action)
        log_probs.append(decision.log_prob)

    def sequence(nest: Any) -> Any:
        if isinstance(nest, dict):
            return {key: sequence(part) for key, part in nest.items()}
        return nest.unflatten(0, (steps, batch))

    found = policy.evaluate_actions(sequence(flat), torch.stack(actions), start, first)
    torch.testing.assert_close(found.value, torch.stack(values), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.log_prob, torch.stack(log_probs), atol=1e-5, rtol=1e-5)


def test_a_window_holds_so_many_observations_and_no_more() -> None:
    policy = perturbed(
        spaces.Box(-1, 1, (2,)), spaces.Discrete(3), SMALL.model_copy(update={"memory": "window", "window": 3})
    )
    torch.manual_seed(1)
    seen, more = torch.randn(5, 1, 2), torch.tensor([False])

    def value_after(changed: int) -> float:
        memory = policy.initial_memory(1)
        for t in range(4):
            observation = seen[t] + (10.0 if t == changed else 0.0)
            _, memory = policy.act(observation, memory, more)
        return float(policy.value(seen[4], memory, more))

    plain = value_after(-1)
    assert [abs(value_after(t) - plain) > 1e-4 for t in range(4)] == [False, False, True, True]


def test_of_a_window_that_is_read_twice_the_present_is_read_alone_first() -> None:
    options = {"memory": "window", "window": 3, "cross_attends": 2, "cross_heads": 2}
    policy = perturbed(spaces.Box(-1, 1, (2,)), spaces.Discrete(3), SMALL.model_copy(update=options))
    memory, more = policy.initial_memory(1), torch.tensor([False])
    for t in range(3):
        _, memory = policy.act(torch.full((1, 2), t / 3), memory, more)
    read = attention_maps(policy, torch.zeros(1, 2), memory=memory, first=more)
    ages = [read[f"encoder.cross.{i}.attention"].sum((0, 1, 2)) for i in (0, 1)]
    assert ages[0][:-1].tolist() == [0, 0]
    assert ages[0][-1] > 0
    assert (ages[1] > 0.01).all()


def test_ages_begin_nearly_alike_but_for_the_presents() -> None:
    torch.manual_seed(0)
    ages = WindowMemory(12, 1, 64).age.detach()
    assert torch.cdist(ages[:-1], ages[:-1]).max() < 0.25
    assert torch.cdist(ages[:-1], ages[-1:]).min() > 0.7
