"""Invariances of the whole policy, and sequences against single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces

from envs.spaces import Units
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.inputs import BoxScale, Inputs
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import FUNCTIONS, SMALL, UNITS, game, perturbed, sample_batch, with_time

RECALLING = SMALL.model_copy(update={"memory": "latents"})


def evaluate_actions(policy: PerceiverPolicy, observation: Any, action: Any) -> torch.Tensor:
    batch = len(action["function"])
    first = torch.ones(1, batch, dtype=torch.bool)
    evaluated = policy.evaluate_actions(with_time(observation), with_time(action), policy.initial_memory(batch), first)
    return torch.stack((evaluated.log_prob[0], evaluated.entropy[0], evaluated.value[0]))


def decide(policy: PerceiverPolicy, observation: Any, batch: int) -> Any:
    first = torch.ones(batch, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    return policy.act(observation, policy.initial_memory(batch), first, generator=generator)[0].action


def test_what_is_in_empty_rows_changes_nothing() -> None:
    space, observation = game(16)
    policy = perturbed(space, FUNCTIONS)
    action = decide(policy, observation, 16)
    before = evaluate_actions(policy, observation, action)
    empty = observation["units"]["mask"] == 0
    observation["units"]["features"][empty] = torch.tensor([1e6, -1e9, float("nan")])
    torch.testing.assert_close(evaluate_actions(policy, observation, action), before, atol=1e-5, rtol=1e-5)


def test_the_order_of_units_changes_nothing_but_the_pointers() -> None:
    space, observation = game(16)
    # the mask of pointers is also seen, as a vector: only a mask that is the same for all rows may be reordered unseen
    observation["action_mask"]["unit"][:] = 1
    policy = perturbed(space, FUNCTIONS)
    action = decide(policy, observation, 16)
    before = evaluate_actions(policy, observation, action)
    order = torch.tensor([3, 0, 4, 1, 2])  # row i now holds what was in row order[i]
    observation["units"] = {name: part[:, order] for name, part in observation["units"].items()}
    moved = {**action, "unit": torch.argsort(order)[action["unit"]], "several": action["several"][:, order]}
    # a selection goes through the rows in their order: its probability is that of another way to come about
    others = action["function"] != FUNCTIONS.names.index("group")
    after = evaluate_actions(policy, observation, moved)
    torch.testing.assert_close(after[:, others], before[:, others], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after[2], before[2], atol=1e-5, rtol=1e-5)  # the value
    assert 0 < others.sum() < len(others)


def test_where_the_empty_rows_are_changes_nothing_of_a_selection() -> None:
    space, observation = game(16)
    for part in (observation["units"]["mask"], observation["action_mask"]["unit"]):
        part[:] = torch.tensor([1, 1, 0, 1, 0])
    space["action_mask"].spaces.pop("unit")  # else it is also seen, as a vector
    observation["action_mask"].pop("unit")
    policy = perturbed(space, FUNCTIONS)
    action = decide(policy, observation, 16)
    before = evaluate_actions(policy, observation, action)
    assert (action["several"].sum(1) > 1).any()
    order = torch.tensor([2, 0, 4, 1, 3])  # row i now holds what was in row order[i]
    observation["units"] = {name: part[:, order] for name, part in observation["units"].items()}
    moved = {**action, "unit": torch.argsort(order)[action["unit"]], "several": action["several"][:, order]}
    used = action["function"] == FUNCTIONS.names.index("select")
    moved["unit"] = torch.where(used, moved["unit"], 0)
    torch.testing.assert_close(evaluate_actions(policy, observation, moved), before, atol=1e-5, rtol=1e-5)


def test_one_by_one_equals_one_batch() -> None:
    space, observation = game(8)
    policy = perturbed(space, FUNCTIONS)
    action = decide(policy, observation, 8)
    whole = evaluate_actions(policy, observation, action)
    for i in range(8):
        one = optree.tree_map(lambda x: x[i : i + 1], (observation, action))  # noqa: B023
        torch.testing.assert_close(evaluate_actions(policy, *one)[:, 0], whole[:, i], atol=1e-5, rtol=1e-5)


def test_a_set_with_no_units_is_finite() -> None:
    policy = perturbed(UNITS, spaces.Discrete(3))
    observation = sample_batch(UNITS, 4, 0)
    observation["mask"][:] = 0
    evaluated = policy.evaluate_actions(
        with_time(observation),
        torch.zeros(1, 4, dtype=torch.long),
        policy.initial_memory(4),
        torch.ones(1, 4, dtype=torch.bool),
    )
    evaluated.log_prob.sum().backward()
    gradients = [p.grad for p in policy.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("cross_attends", [1, 2])
def test_a_sequence_equals_its_steps(cross_attends: int) -> None:
    """With memory: one judgement of T steps agrees with acting step by step, resets in the middle included."""
    space, _ = game(1)
    config = RECALLING.model_copy(update={"cross_attends": cross_attends})
    policy = perturbed(space, FUNCTIONS, config)
    steps, batch = 7, 4
    observations = [game(batch, seed)[1] for seed in range(steps)]
    first = torch.rand(steps, batch, generator=torch.Generator().manual_seed(0)) < 0.3
    first[0] = True
    memory = policy.initial_memory(batch)
    generator = torch.Generator().manual_seed(2)
    decisions = []
    for t in range(steps):
        decision, memory = policy.act(observations[t], memory, first[t], generator=generator)
        decisions.append(decision)
    stack = lambda nests: optree.tree_map(lambda *x: torch.stack(x), *nests)  # noqa: E731
    actions = stack([d.action for d in decisions])
    evaluated = policy.evaluate_actions(stack(observations), actions, policy.initial_memory(batch), first)
    torch.testing.assert_close(evaluated.log_prob, torch.stack([d.log_prob for d in decisions]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(evaluated.value, torch.stack([d.value for d in decisions]), atol=1e-5, rtol=1e-5)


def test_memory_is_forgotten_at_an_episodes_start_and_only_there() -> None:
    space = spaces.Box(-1, 1, (3,))
    policy = perturbed(space, spaces.Discrete(2), RECALLING)
    now, here = torch.rand(1, 3), torch.tensor([False])
    histories = [policy.memory.initial(1), torch.randn(1, 3, 16)]
    kept = [policy.value(now, memory, here) for memory in histories]
    reset = [policy.value(now, memory, ~here) for memory in histories]
    assert abs(kept[0] - kept[1]) > 1e-3
    assert reset[0] == reset[1]


def test_memory_moves_from_where_it_was() -> None:
    space = spaces.Box(-1, 1, (3,))
    policy = perturbed(space, spaces.Discrete(2), RECALLING)
    before, now = torch.randn(2, 3, 16), torch.rand(2, 3)
    _, after = policy.act(now, before, torch.tensor([False, True]))
    known = before * torch.tensor([1.0, 0.0])[:, None, None]
    latents = policy.encoder(policy.inputs(now).tokens, latents=policy.memory.start(policy.encoder.latents(1), known))
    torch.testing.assert_close(after, policy.memory(known, latents), atol=1e-5, rtol=1e-5)


def test_latents_are_trained_through_the_whole_sequence() -> None:
    space = spaces.Box(-1, 1, (2,))
    policy = perturbed(space, spaces.Discrete(2), RECALLING)
    observation = torch.rand(5, 1, 2, requires_grad=True)
    first = torch.zeros(5, 1, dtype=torch.bool)
    evaluated = policy.evaluate_actions(
        observation, torch.zeros(5, 1, dtype=torch.long), policy.initial_memory(1), first
    )
    evaluated.value[-1].sum().backward()
    assert (observation.grad.abs().sum((1, 2)) > 0).all()


def test_box_scale_agrees_with_numpy() -> None:
    scale = BoxScale(spaces.Box(-np.inf, np.inf, (3,)))
    values = torch.as_tensor(np.random.default_rng(0).normal([5, -1, 100], [2, 0.1, 30], (1000, 3)))
    for part in values.split([10, 490, 500]):
        scale.learn(part)
    mean, deviation = values.numpy().mean(0), values.numpy().std(0)
    expected = ((values.numpy() - mean) / deviation).clip(-10, 10)
    np.testing.assert_allclose(scale(values).numpy(), expected, atol=1e-4)


def test_pictures_are_scaled_by_their_bounds_until_some_were_seen() -> None:
    scale = BoxScale(spaces.Box(0, 255, (2, 2, 3), np.uint8), over=(0, 1))
    image = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 2, 2, 3)
    assert scale(image)[0].unique().tolist() == [-1]
    assert scale(image)[1].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("space", "tokens"),
    [
        (spaces.Box(-1, 1, (4,)), 1),
        (spaces.Box(0, 255, (84, 84, 3), np.uint8), 8 * 8),
        (spaces.Box(0, 255, (3, 64, 64), np.uint8), 8 * 8),
        (spaces.Box(0, 255, (4, 84, 84, 3), np.uint8), 8 * 8),
        (spaces.Box(0, 255, (8, 84, 84), np.uint8), 8 * 8),
        (spaces.Box(0, 1, (36, 36), np.float32), 8 * 8),
        (spaces.Box(0, 10, (7, 7, 3), np.uint8), 49),
        (spaces.Box(-1, 16, (6, 3), np.float32), 6),
        (spaces.Box(-np.inf, np.inf, (20, 30), np.float32), 20),
        (spaces.Discrete(5), 1),
        (spaces.MultiDiscrete([3, 4]), 2),
        (spaces.MultiBinary(6), 1),
        (spaces.Dict({"a": spaces.Discrete(3, start=2), "b": spaces.Tuple([spaces.MultiBinary(2)])}), 2),
    ],
)
def test_any_space_becomes_tokens(space: spaces.Space[Any], tokens: int) -> None:
    inputs = Inputs(space, 8, bands=2)
    assert inputs(sample_batch(space, 3, 0)).tokens.shape == (3, tokens, 8)


def test_patches_merge_a_maps_cells() -> None:
    space, observation = game(2)
    inputs = Inputs(space["screen"], 8, bands=2, patch=2)
    found = inputs(observation["screen"])
    assert found.tokens.shape == (2, 4, 8)
    assert found.elements[""].shape == (2, 16, 8)
    # the first token is made of the cells of rows 0, 1 and columns 0, 1 (and of what their neighborhoods show)
    changed = observation["screen"].clone()
    changed[:, 3, 3] = 1 - changed[:, 3, 3].clamp(max=1)
    moved = (inputs(changed).tokens - found.tokens).abs().sum((0, 2)) > 0
    assert moved.tolist() == [False, False, False, True]


def test_an_unsupported_observation_is_named() -> None:
    with pytest.raises(ValueError, match="observation 'a/0': Text is not supported"):
        Inputs(spaces.Dict({"a": spaces.Tuple([spaces.Text(3)])}), 8)


def test_units_of_any_capacity_are_read_alike() -> None:
    few, many = UNITS, Units(12, UNITS.columns)
    policy = perturbed(few, spaces.Discrete(3))
    larger = PerceiverPolicy(many, spaces.Discrete(3), PolicyConfig(**policy.config.model_dump()))
    larger.load_state_dict(policy.state_dict())
    small = sample_batch(few, 6, 0)
    padded = {
        "features": torch.nn.functional.pad(small["features"], (0, 0, 0, 7), value=3.0),
        "mask": torch.nn.functional.pad(small["mask"], (0, 7)),
    }
    first = torch.ones(6, dtype=torch.bool)
    torch.testing.assert_close(
        larger.value(padded, larger.initial_memory(6), first), policy.value(small, policy.initial_memory(6), first)
    )


def test_by_lecun_the_encoder_keeps_a_signals_variance() -> None:
    """Variance 1 / inputs and no biases; what is outside the encoder begins as it does without."""
    space = spaces.Box(-1, 1, (64,))
    drawn = []
    for initialization in ("torch", "lecun"):
        torch.manual_seed(0)
        config = PolicyConfig(token_width=64, latent_width=128, initialization=initialization)
        drawn.append(PerceiverPolicy(space, spaces.Discrete(2), config))
    plain, scaled = drawn
    layers = [layer for layer in scaled.encoder.modules() if isinstance(layer, torch.nn.Linear)]
    assert len(layers) == 9
    for layer in layers:
        assert float(layer.weight.detach().var() * layer.in_features) == pytest.approx(1, abs=0.06)
        assert not layer.bias.any()
    torch.testing.assert_close(scaled.inputs.state_dict(), plain.inputs.state_dict())
