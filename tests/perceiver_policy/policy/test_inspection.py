"""What the library's instruments say of a policy."""

from __future__ import annotations

import optree
import pytest
import torch
from gymnasium import spaces

from perceiver_policy.core.attention import attention_maps
from perceiver_policy.core.cost import cost
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import FUNCTIONS, SMALL, UNITS, game, perturbed, sample_batch

CASES = {
    "functions": (None, FUNCTIONS),
    "box": (spaces.Box(-1, 1, (3,)), spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.MultiBinary(3)})),
    "units": (UNITS, spaces.Tuple((spaces.Discrete(3, start=1), spaces.MultiDiscrete([2, 3])))),
}


@pytest.mark.parametrize("memory", ["none", "latents"])
@pytest.mark.parametrize("case", list(CASES))
def test_attention_maps_of_a_policy(case: str, memory: str) -> None:
    space, action = CASES[case]
    space, observation = game(4) if space is None else (space, sample_batch(space, 4, 0))
    policy = perturbed(space, action, SMALL.model_copy(update={"memory": memory}))
    maps = attention_maps(policy, observation)
    tokens = policy.inputs(observation)
    read, asked = maps["encoder.cross.0.attention"], maps["outputs.decoder.cross.attention"]
    assert read.shape == (4, 1, SMALL.latents, tokens.tokens.shape[1])
    assert asked.shape[0] == 4
    assert asked.shape[-1] == SMALL.latents
    torch.testing.assert_close(asked.sum(-1), torch.ones(asked.shape[:-1]))
    if tokens.mask is not None:
        assert float(read.masked_fill(tokens.mask[:, None, None], 0).abs().max()) == 0.0
    arrays = optree.tree_map(lambda x: x.numpy(), observation)
    torch.testing.assert_close(attention_maps(policy, arrays), maps)


@pytest.mark.parametrize("case", list(CASES))
def test_cost_of_a_policy(case: str) -> None:
    space, action = CASES[case]
    space, observation = game(4) if space is None else (space, sample_batch(space, 4, 0))
    policy = PerceiverPolicy(space, action, SMALL)
    found = cost(policy, observation)
    assert found.parameters == sum(p.numel() for p in policy.parameters())
    # Every product that a batch goes through: at least two operations a weight of the latent layers and latent.
    layers = sum(p.numel() for p in policy.encoder.blocks.parameters() if p.dim() == 2)
    assert found.forward > 2 * layers * SMALL.latents * 4
    assert found.backward > found.forward
    eight = optree.tree_map(lambda x: torch.cat((x, x)), observation)
    assert 1.8 * found.forward < cost(policy, eight).forward < 2 * found.forward


def test_a_pass_is_what_the_learner_makes() -> None:
    space, observation = game(4)
    policy = perturbed(space, FUNCTIONS)
    first, memory = torch.ones(4, dtype=torch.bool), policy.initial_memory(4)
    decision, _ = policy.act(observation, memory, first, greedy=True)
    log_prob, _, value = policy(observation, decision.action)
    torch.testing.assert_close(log_prob, decision.log_prob)
    torch.testing.assert_close(value, policy.value(observation, memory, first))
