"""What keeps a policy from settling too early (entropy), or from leaving a reference (divergence)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.config import Learning
from agents.errors import UserError
from agents.extensions import LOSSES
from agents.runs import checkpoint
from agents.runs.experiment import read_run_config
from envs.spaces import describe
from envs.spelling import did_you_mean
from perceiver_policy.policy.outputs import ActionEvaluation
from perceiver_policy.policy.policy import PerceiverPolicy, make_policy

NO_PARAMETERS = ("precision", "noise_correlation")
"""Options of a policy that may be others than those that its parameters were learned with."""
LONE_HEAD = "action"
"""The path, in options, of the head of an action space that is no Dict and no Tuple."""


def regularize(
    evaluated: ActionEvaluation,
    drawn: Tensor,
    known: ActionEvaluation | None,
    config: Learning,
    mean: Callable[[Tensor], Tensor],
    own: tuple[PerceiverPolicy, Any, Any] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """What is added to the loss, and the terms to report.

    Minus each head's entropy times its coefficient; and, where a reference's evaluation is ``known``,
    KL(reference || policy), head by head given what was chosen before it, as AlphaStar's (Vinyals et al. 2019); and
    the terms of a person's own, which are told of ``own``: the policy, the observations and the actions [T, B, ...].

    Where entropy has no weight, it is only reported: minus the mean of the log-probabilities that the actions were
    ``drawn`` with [T, B], an unbiased estimate where this policy drew them.
    """
    needed = needs_entropy(config)
    terms = {"loss/entropy": mean(evaluated.entropy if needed else -drawn)}
    loss = torch.zeros_like(terms["loss/entropy"])
    for path, entropy in evaluated.entropies.items() if needed else ():
        term = mean(entropy)
        loss = loss - config.entropy_coefficients.get(path or LONE_HEAD, config.entropy_coefficient) * term
        if len(evaluated.entropies) > 1:
            terms[f"entropy/{path}"] = term
    if known is not None:
        terms["learner/reference_kl"] = mean(evaluated.divergence(known))
        loss = loss + config.reference_coefficient * terms["learner/reference_kl"]
    for name, weight in config.losses.items():
        assert own is not None
        terms[f"loss/{name}"] = mean(LOSSES.find(name)(*own, evaluated))
        loss = loss + weight * terms[f"loss/{name}"]
    return loss, terms


def needs_entropy(config: Learning) -> bool:
    """Whether entropy is part of the loss, or may be of a person's own: to know it may cost as much as all else."""
    return bool(config.losses) or any((config.entropy_coefficient, *config.entropy_coefficients.values()))


@torch.no_grad()
def evaluate_by(
    reference: PerceiverPolicy | None, observation: Any, action: Any, first: Tensor
) -> ActionEvaluation | None:
    """What the reference says to sequences [T, B, ...]; it remembers nothing from before them."""
    if reference is None:
        return None
    return reference.evaluate_actions(observation, action, reference.initial_memory(first.shape[1]), first)


def load_reference(run_dir: Path | None, policy: PerceiverPolicy, device: torch.device) -> PerceiverPolicy | None:
    """The newest policy of a run, frozen, for the same spaces as ``policy``. Raises UserError where there is none."""
    if run_dir is None:
        return None
    observed, chosen = policy.observation_space, policy.action_space
    described = {"observation_space": describe(observed), "action_space": describe(chosen)}
    checkpoint.newest(run_dir, lambda path: checkpoint.check_spaces(path, described))
    config = read_run_config(run_dir).policy
    if config.memory != "none":
        raise UserError(
            f"reference {run_dir}: its policy has memory, of which trajectories keep nothing; use one without memory"
        )
    reference = make_policy(observed, chosen, config)
    checkpoint.newest(run_dir, lambda path: reference.load_state_dict(checkpoint.load_policy(path)))
    return reference.to(device).requires_grad_(False)


def start_from(run_dir: Path, policy: PerceiverPolicy) -> None:
    """Give ``policy`` the newest parameters of a run. Raises UserError where there are none, or of another network."""
    path = checkpoint.latest(run_dir)
    observed, chosen = policy.observation_space, policy.action_space
    checkpoint.check_spaces(path, {"observation_space": describe(observed), "action_space": describe(chosen)})
    known = read_run_config(run_dir).policy
    for name in type(known).model_fields:
        its, mine = getattr(known, name), getattr(policy.config, name)
        if its != mine and name not in NO_PARAMETERS:
            raise UserError(
                f"init {run_dir}: its network is another one: policy.{name} is {its!r} there and {mine!r} here; give "
                "the options under policy: of its config.yaml"
            )
    try:
        policy.load_state_dict(checkpoint.load_policy(path))
    except RuntimeError as error:
        raise UserError(f"init {run_dir}: its parameters are of another version's network ({error})") from error


def check_entropy_coefficients(config: Learning, policy: PerceiverPolicy) -> None:
    """Raises UserError for an entropy coefficient of a head that the policy does not have."""
    paths = [leaf.path or LONE_HEAD for leaf in policy.outputs.leaves]
    for path in config.entropy_coefficients:
        if path not in paths:
            raise UserError(
                f"entropy_coefficients: this policy has no head {path!r}{did_you_mean(path, paths)}; "
                f"there are: {', '.join(paths)}"
            )
