"""A small game's spaces, observations and policies, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import torch
from gymnasium import spaces

from envs.spaces import Feature, Functions, Place, Planes, Pointer, Pointers, Units
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy

UNITS = Units(5, [Feature("type", "category", 3), Feature("x", "position"), Feature("hp", "log")])
SCREEN = Planes(4, 4, [Feature("owner", "category", 3), Feature("hp", "scalar", 10)], np.uint8)
FUNCTIONS = Functions(
    {"no_op": (), "select": ("unit",), "move": ("queued", "screen"), "group": ("several", "queued")},
    {
        "queued": spaces.Discrete(2),
        "unit": Pointer("units", 5),
        "screen": Place("screen", 4, 4),
        "several": Pointers("units", 5),
    },
)
SMALL = PolicyConfig(token_width=16, latents=3, latent_width=16, heads=2)


def as_tensors(nest: Any) -> Any:
    return optree.tree_map(torch.as_tensor, nest)


def sample_batch(space: spaces.Space[Any], batch: int, seed: int) -> Any:
    space.seed(seed)
    return as_tensors(optree.tree_map(lambda *x: np.stack(x), *(space.sample() for _ in range(batch))))


def perturbed(
    observation: spaces.Space[Any], action: spaces.Space[Any], config: PolicyConfig = SMALL, seed: int = 0
) -> PerceiverPolicy:
    """A policy whose weights are not the careful small ones of a fresh one, so that nothing hides behind zeros."""
    torch.manual_seed(seed)
    policy = PerceiverPolicy(observation, action, config)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    return policy


def game(batch: int, seed: int = 0) -> tuple[spaces.Dict, Any]:
    """An observation space with units, a map and masks, and a batch of observations whose masks are legal."""
    space = spaces.Dict(
        {
            "units": UNITS,
            "screen": SCREEN,
            "number": spaces.Box(-1, 1, (2,)),
            "action_mask": spaces.Dict({"function": spaces.MultiBinary(4), "unit": spaces.MultiBinary(5)}),
        }
    )
    observation = sample_batch(space, batch, seed)
    observation["units"]["mask"][:, 0] = 1
    observation["action_mask"]["function"][:, 0] = 1
    observation["action_mask"]["unit"][:, 0] = 1
    return space, observation


def with_time(nest: Any) -> Any:
    """One step [B, ...] as a sequence [1, B, ...]."""
    return optree.tree_map(lambda x: x[None], nest)
