"""Orders that weigh how near others are: against a slow loop, wherever on the map, in whatever order."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from gymnasium import spaces

from envs.spaces import ACTION_MASK, Feature, PerUnit, Pointer, Units
from perceiver_policy.policy import per_unit
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.inputs.nearness import STEPS, Surroundings, nearness
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.perceiver_policy.policy.test_per_unit import act, evaluate

N = 6
UNITS = Units(N, [Feature("x", "position", 64.0), Feature("kind"), Feature("y", "position", 64.0)])
ORDERS = PerUnit("units", N, {"keep": (), "attack": ("unit",)}, {"unit": Pointer("units", N)})
MASK = spaces.Dict({"function": spaces.MultiBinary((N, 2)), "unit": spaces.MultiBinary(N)})
SPACE = spaces.Dict({"units": UNITS, ACTION_MASK: MASK})


def make() -> PerceiverPolicy:
    torch.manual_seed(0)
    policy = PerceiverPolicy(SPACE, ORDERS, PolicyConfig(latents=3, distances=True))
    surroundings = [part for part in policy.inputs.modules() if isinstance(part, Surroundings)]
    assert surroundings
    for parameter in [p for part in (policy.outputs, *surroundings) for p in part.parameters()]:  # far from 0
        torch.nn.init.normal_(parameter, std=0.3)
    return policy


def observe(batch: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    there = torch.rand(batch, N, generator=generator) < 0.8
    there[:, 0] = True
    features = torch.rand(batch, N, 3, generator=generator) * torch.tensor([64.0, 1.0, 64.0])
    function = there[..., None].expand(-1, -1, 2)
    return {
        "units": {"features": features, "mask": there.to(torch.int8)},
        ACTION_MASK: {"function": function.to(torch.int8), "unit": there.to(torch.int8)},
    }


def test_bumps_about_distances() -> None:
    places = torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(1))
    places[0, 1] = places[0, 0]
    found = nearness(places)
    assert found.shape == (2, 4, 4, STEPS)
    for b, i, j, k in ((0, 0, 1, 0), (0, 2, 3, 5), (1, 0, 3, 8), (1, 2, 0, 13)):
        apart = max(math.dist(places[b, i].tolist(), places[b, j].tolist()), 2**-9)
        wanted = math.exp(-((2 * math.log2(apart * 128) - k) ** 2))
        assert found[b, i, j, k].item() == pytest.approx(wanted, abs=1e-4)


def test_who_is_not_there_is_not_around() -> None:
    """As if there were fewer, and not a unit like any other at the map's corner."""
    torch.manual_seed(0)
    around, tokens, places = Surroundings(8), torch.randn(2, 4, 8), torch.rand(2, 4, 2)
    torch.nn.init.normal_(around.write.weight)
    there, rows = torch.tensor([[True, True, False, True]] * 2), [0, 1, 3]
    found = around(tokens, there, nearness(places))[:, rows]
    alone = around(tokens[:, rows], there[:, rows], nearness(places[:, rows]))
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
    assert found.abs().max() > 0.1


@pytest.mark.parametrize("by_units", [True, False])
def test_acting_and_evaluating_agree(by_units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_units:  # as on a GPU
        monkeypatch.setattr(per_unit, "_few", lambda units: None)
    policy, observation = make(), observe(64)
    decision = act(policy, observation)
    for entropy in (True, False):
        evaluated = evaluate(policy, observation, decision.action, entropy=entropy)
        torch.testing.assert_close(evaluated.log_prob[0], decision.log_prob, atol=1e-5, rtol=1e-5)


def test_units_permuted_orders_permuted_and_who_is_not_there_changes_nothing() -> None:
    policy, observation = make(), observe(32)
    action = act(policy, observation).action
    before = evaluate(policy, observation, action)
    observation["units"]["features"][observation["units"]["mask"] == 0] = float("nan")
    order = torch.tensor([2, 0, 3, 1, 5, 4])
    moved = {
        "units": {k: v[:, order] for k, v in observation["units"].items()},
        ACTION_MASK: {k: v[:, order] for k, v in observation[ACTION_MASK].items()},
    }
    other = {k: v[:, order] for k, v in action.items()}
    other["unit"] = torch.where(other["function"] == 1, torch.argsort(order)[other["unit"]], 0)
    after = evaluate(policy, moved, other)
    torch.testing.assert_close(after.log_prob, before.log_prob, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.entropy, before.entropy, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter_and_are_finite() -> None:
    policy, observation = make(), observe(64)
    evaluated = evaluate(policy, observation, act(policy, observation).action)
    (evaluated.log_prob.sum() + evaluated.entropy.sum() + evaluated.value.sum()).backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None or name.startswith("outputs.heads.0.embedding"), name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@pytest.mark.slow
def test_the_nearest_is_found_soon() -> None:
    shares = {}
    for distances in (True, False):
        torch.manual_seed(0)
        policy = PerceiverPolicy(
            SPACE, ORDERS, PolicyConfig(latents=2, token_width=16, latent_width=16, distances=distances)
        )
        optimizer = torch.optim.Adam(policy.parameters(), 5e-3)
        for turn in range(121):
            observation = observe(256, turn)
            places = observation["units"]["features"][..., ::2]
            apart = torch.cdist(places, places) + 1e3 * torch.eye(N)
            apart = apart + 1e3 * (observation["units"]["mask"] == 0)[:, None]
            there = observation["units"]["mask"].bool() & (apart.amin(-1) < 1e3)
            action = {"function": there.long(), "unit": torch.where(there, apart.argmin(-1), 0)}
            if turn == 120:
                first = torch.ones(256, dtype=torch.bool)
                chosen = policy.act(observation, policy.initial_memory(256), first, greedy=True)[0].action
                shares[distances] = (chosen["unit"] == action["unit"])[there].float().mean().item()
                break
            optimizer.zero_grad()
            (-evaluate(policy, observation, action, entropy=False).log_prob.mean()).backward()
            optimizer.step()
    assert shares[True] > 0.9 > shares[False] + 0.1, shares


@pytest.mark.parametrize("shape", [(3, 0, 2), (0, 4, 2), (700, 12, 2), (2, 80, 2)])
def test_in_cache_or_at_once_the_numbers_are_the_same(shape: tuple[int, ...]) -> None:
    places = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    at_once = nearness(places.clone().requires_grad_())
    assert torch.equal(nearness(places), at_once)
    assert at_once.requires_grad
