"""A space of one's own: an angle, seen as its sine and cosine, and chosen by a von Mises distribution.

perceiver-rl train --config examples/extend/space.yaml
"""

import math
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

import perceiver_rl
from perceiver_policy.policy.distributions import Distribution
from perceiver_policy.policy.heads import Head
from perceiver_policy.policy.inputs import Tokens


class Angle(spaces.Box):
    """[-pi, pi), whose ends meet. A subclass of Box, Discrete, MultiDiscrete or MultiBinary: Gymnasium can stack it."""

    def __init__(self) -> None:
        """One angle."""
        super().__init__(-np.pi, np.pi, (1,), np.float32)


@perceiver_rl.register("embedder", Angle)
class SeeAngle(nn.Module):
    """Values [B, 1] -> tokens [B, n, width] and their mask [B, n], or None."""

    words, most = "an angle by its sine and cosine", 1

    def __init__(self, space: Angle, width: int) -> None:
        """Tokens of this width."""
        super().__init__()
        self.project = nn.Linear(2, width)

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        """One token."""
        return self.project(torch.stack((value.sin(), value.cos()), -1)), None


@perceiver_rl.register("head", Angle)
class ChooseAngle(Head):
    """The latents' answer to its query -> a distribution. Of a Box an action is in units of its bounds: pi is 1."""

    def __init__(self, space: Angle, width: int) -> None:
        """One query."""
        super().__init__(1, width)
        self.direction, self.concentration = nn.Linear(width, 2), nn.Parameter(torch.zeros(1))
        self.embedding = nn.Linear(2, width)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        """Of answers [B, 1, width]."""
        y, x = self.direction(answers[:, 0]).float().chunk(2, -1)
        strength = self.concentration.exp().expand_as(x)
        around = torch.distributions.VonMises(torch.atan2(y, x), strength)
        scale = torch.special.i0(strength).log()
        pull = torch.special.i1e(strength) / torch.special.i0e(strength)
        # of the angle in radians; in units of pi it is smaller by the logarithm of pi
        entropy = math.log(2 * math.pi) + scale - strength * pull

        def divergence(other: Distribution) -> Tensor:
            mean, its_strength, its_scale, its_pull = other.parameters
            near = (mean - around.loc).cos()
            return (scale - its_scale + its_pull * (its_strength - strength * near)).sum(-1)

        return Distribution(
            log_prob=lambda action: (around.log_prob(action * math.pi) + math.log(math.pi)).sum(-1),
            entropy=lambda: (entropy - math.log(math.pi)).sum(-1),
            sample=lambda generator: around.sample() / math.pi,
            best=lambda: around.loc / math.pi,
            parameters=(around.loc, strength, scale, pull),
            divergence=divergence,
        )

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        """What later choices are told of this one."""
        angle = action * math.pi
        return self.embedding(torch.cat((angle.sin(), angle.cos()), -1))


class Opposite(gymnasium.Env[npt.NDArray[Any], npt.NDArray[Any]]):
    """See an angle, point the other way: the reward is 1 there, -1 at the angle itself."""

    observation_space = action_space = Angle()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """An angle at random."""
        super().reset(seed=seed)
        self.angle = self.np_random.uniform(-np.pi, np.pi, 1).astype(np.float32)
        return self.angle, {}

    def step(self, action: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], float, bool, bool, dict[str, Any]]:
        """One step an episode."""
        return self.angle, float(-np.cos(action - self.angle)[0]), True, False, {}
