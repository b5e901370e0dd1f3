"""All that is learned, and all that learning needs, behind one state_dict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import optree
import torch

from agents.acting.rollout import Trajectory
from agents.config import Config
from agents.errors import UserError
from agents.extensions import ALGORITHMS
from agents.graphs import Graphs, Record
from agents.learning import gradient
from agents.learning.finite import check_data
from agents.learning.regularization import check_entropy_coefficients, load_reference, start_from
from agents.learning.returns import ReturnScale
from perceiver_policy.policy.policy import PerceiverPolicy


class Learner:
    """Parameters, optimizer, schedule, counters, normalizers and random state.

    Where torch.distributed is initialized, this is one of several learners, each with a part of every batch: see
    `gradient`. Their states are equal before and after every update.
    """

    def __init__(
        self, policy: PerceiverPolicy, config: Config, *, device: torch.device, record: Record | None = None
    ) -> None:
        """``policy`` is on ``device``. Raises UserError for a reference that cannot be had."""
        self.policy, self.device = policy, device
        self.algorithm, self.total_steps = config.algorithm, config.total_steps
        self._given: Any = config.learning
        self.options: Any = self._given  # of the algorithm's own type, as its schedules have it now
        check_entropy_coefficients(self.options, policy)
        if config.init is not None:
            start_from(config.init, policy)
        self.optimizer = self._make_optimizer()
        self.returns = ReturnScale()
        self.generator = torch.Generator().manual_seed(config.seed)
        self.graphs = Graphs(device, record=record)
        self.reference = load_reference(self.options.reference, policy, device)
        self.steps = 0
        self.version = 0
        """Updates made: what rollouts stamp their trajectories with."""
        gradient.broadcast(policy)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        options, parameters = self.options, self.policy.parameters()
        if options.optimizer == "rmsprop":
            return torch.optim.RMSprop(parameters, lr=options.learning_rate, alpha=0.99, eps=options.epsilon)
        rate, recorded = options.learning_rate, self.device.type == "cuda"
        if recorded:  # a graph reads the rate from where it was when it was recorded
            rate = torch.tensor(rate, device=self.device)
        return torch.optim.Adam(parameters, lr=rate, eps=options.epsilon, fused=True, capturable=recorded)

    def update(self, trajectory: Trajectory) -> dict[str, float]:
        """Learn from one trajectory; returns what was measured.

        Raises UserError, before anything has changed, where the trajectory holds what is not finite.
        """
        rate = self.learning_rate()
        self._set_rate(rate)
        lag = (self.version - trajectory.version).float()
        observation = self.policy.trim(trajectory.observation, exactly=self.device.type == "cpu")
        trajectory = replace(trajectory, observation=observation).to(self.device)
        check_data(trajectory, self.policy.observation_space)
        if self.options.reference_schedule == "linear":
            weight = self._given.reference_coefficient * max(0.0, 1 - self.steps / self.total_steps)
            self.options = self._given.model_copy(update={"reference_coefficient": weight})
        metrics = ALGORITHMS.find(self.algorithm).update(self, trajectory)
        # only now, so that the log-probabilities in the update meant what they meant at collection
        observed = optree.tree_map(lambda x: x[:-1].flatten(0, 1), trajectory.observation)
        self.policy.inputs.learn_scales(observed, gradient.total)
        self.steps += int(gradient.total(torch.tensor(trajectory.steps, device=self.device)))
        self.version += 1
        return metrics | {
            "learner/learning_rate": rate,
            "learner/lag": float(lag.mean()),
            "learner/lag_max": float(lag.max()),
        }

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def learning_rate(self) -> float:
        """The optimizer's step size now."""
        left = 1.0 if self.options.schedule == "constant" else max(0.0, 1 - self.steps / self.total_steps)
        return self.options.learning_rate * left

    def state_dict(self) -> dict[str, Any]:
        """The whole state: a learner that loads it goes on exactly like this one."""
        optimizer = self.optimizer.state_dict()
        for group in optimizer["param_groups"]:
            group["lr"] = float(group["lr"])
        return {
            "policy": self.policy.state_dict(),
            "optimizer": optimizer,
            "returns": self.returns.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
            "version": self.version,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the learner did. Raises UserError for a state of a policy that had fewer weights."""
        counts = [len(group["params"]) for group in state["optimizer"]["param_groups"]]
        if counts != [len(group["params"]) for group in self.optimizer.param_groups]:
            raise UserError(
                f"the optimizer knows {sum(counts)} of the policy's {len(list(self.policy.parameters()))} weights: the "
                "run was begun by an older version; go on from its policy in a run of its own, with train --init"
            )
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:  # options are this learner's own; its rate is set at every update
            group["eps"] = self.options.epsilon
            if self.options.optimizer == "adam":  # the state may be of another kind of device
                recorded = group["capturable"] = self.device.type == "cuda"
                group["lr"] = torch.tensor(group["lr"], device=self.device) if recorded else group["lr"]
        self.returns.load_state_dict(state["returns"])
        self.generator.set_state(state["generator"])
        self.steps, self.version = state["steps"], state["version"]
