"""A loss term: keep the logits of a Discrete action small, so that no action's probability dies.

perceiver-rl train --env CartPole-v1 --extensions examples/extend/loss.py --ppo.losses small_logits 0.001
"""

from typing import Any

from gymnasium.spaces import Discrete
from torch import Tensor

import perceiver_rl
from perceiver_policy.policy.outputs import ActionEvaluation
from perceiver_policy.policy.policy import PerceiverPolicy


@perceiver_rl.register("loss", "small_logits")
def small_logits(policy: PerceiverPolicy, observation: Any, action: Any, evaluated: ActionEvaluation) -> Tensor:
    """A number for each step, [T, B]; it is weighted, averaged and added to the loss, and recorded by its name.

    ``evaluated`` holds log-probabilities, entropies and values of the ``action`` [T, B, ...], with gradients.
    """
    actions = policy.action_space
    if not isinstance(actions, Discrete):
        raise ValueError(f"small_logits is for a Discrete action, got {actions}")
    return -evaluated.log_prob.clamp(max=0) / int(actions.n)
