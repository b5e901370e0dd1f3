"""A loss term: keep the logits of a Discrete action small, so that no action's probability dies.

perceiver-rl train --env CartPole-v1 --extensions examples/extend/loss.py --ppo.losses small_logits 0.001
"""

import perceiver_rl


@perceiver_rl.register("loss", "small_logits")
def small_logits(policy, observation, action, evaluated):
    """A number for each step, [T, B]; it is weighted, averaged and added to the loss, and recorded by its name.

    ``evaluated`` holds log-probabilities, entropies and values of the ``action`` [T, B, ...], with gradients.
    """
    return -evaluated.log_prob.clamp(max=0) / policy.action_space.n
