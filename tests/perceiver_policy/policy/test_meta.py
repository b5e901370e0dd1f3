"""A policy built on the meta device, then given memory and weights, is the policy whose weights they are."""

from __future__ import annotations

import pytest
import torch

from perceiver_policy.policy.policy import PerceiverPolicy
from tests.perceiver_policy.policy.test_policy import evaluate_actions
from tests.policies import FUNCTIONS, SMALL, game, perturbed, sample_batch


@pytest.mark.parametrize("way", ["to_empty", "assign"])
def test_what_is_not_saved_is_computed_again(way: str) -> None:
    space, observation = game(3)
    policy = perturbed(space, FUNCTIONS)
    with torch.device("meta"):
        built = PerceiverPolicy(space, FUNCTIONS, SMALL)
    drawn = torch.random.get_rng_state()
    if way == "to_empty":
        built = built.to_empty(device="cpu")
    built.load_state_dict(policy.state_dict(), assign=way == "assign")
    assert torch.equal(torch.random.get_rng_state(), drawn)
    wanted = dict(policy.named_buffers())
    assert len(wanted) > 5
    for name, buffer in built.named_buffers():
        torch.testing.assert_close(buffer, wanted[name], msg=name)
    action = sample_batch(FUNCTIONS, 3, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            evaluate_actions(built, observation, action), evaluate_actions(policy, observation, action)
        )
