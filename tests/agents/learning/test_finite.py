"""What is not finite reaches no statistic, no policy and no checkpoint, and what is said of it is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting.rollout import Rollout, Trajectory
from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.learning.gradient import check_finite, descend
from agents.learning.learner import Learner
from agents.placement.local import train
from agents.runs import checkpoint
from envs.errors import EnvFailure
from envs.gym import GymVectorEnv
from envs.spaces import Feature, Units
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.agents.placement.test_resume import Recorder
from tests.policies import SMALL

CPU = torch.device("cpu")


class OneBad(gymnasium.Env[Any, Any]):
    """An observation or a reward that is not finite in the 61st step, which is in a run's last update."""

    observation_space = spaces.Dict({"a/b": spaces.Box(-np.inf, np.inf, (2,), np.float64)})
    action_space = spaces.Discrete(2)

    def __init__(self, bad: str, what: str) -> None:
        self.bad, self.what, self.steps = float(bad), what, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return {"a/b": self.np_random.normal(size=2)}, {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        now = self.steps == 61
        shown = {"a/b": np.array([self.bad if now and self.what == "observation" else 0.0, 1.0])}
        return shown, self.bad if now and self.what == "reward" else 1.0, False, self.steps % 10 == 0, {}


@pytest.mark.parametrize("bad", ["inf", "nan", "1e300"])
@pytest.mark.parametrize(("what", "said"), [("observation", "observation 'a~1b' holds"), ("reward", "the reward is")])
def test_a_run_stops_before_what_is_not_finite_is_learned_or_saved(
    bad: str, what: str, said: str, tmp_path: Path
) -> None:
    config = Config(
        env=f"{__name__}:OneBad",
        env_options={"bad": bad, "what": what},
        num_envs=2,
        total_steps=8 * 2 * 8,
        checkpoint_interval=16,
        threads=1,
        policy=SMALL,
        ppo=PPOConfig(unroll=8, minibatch=16, epochs=1),
    )
    recorder = Recorder()
    with pytest.raises(EnvFailure, match=f"OneBad, game 1 of 2, episode 7, step 1: {said}"):
        train(config, tmp_path, recorder, resume=False)  # type: ignore[arg-type]
    assert len(recorder.metrics) == 7
    state = checkpoint.load(checkpoint.latest(tmp_path))
    assert state["learner"]["steps"] == 7 * 16
    assert all(tensor.isfinite().all() for tensor in state["learner"]["policy"].values())


class Numbers(gymnasium.Env[Any, Any]):
    """Numbers and units, of which one is never there."""

    observation_space = spaces.Dict({"x": spaces.Box(-np.inf, np.inf, (1,)), "units": Units(2, [Feature("n")])})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        units = {"features": np.array([[1.0], [np.nan]], np.float32), "mask": np.array([1, 0], np.int8)}
        return {"x": np.zeros(1, np.float32), "units": units}, {}

    def step(self, action: Any) -> Any:
        return self.reset()[0], 1.0, False, False, {}


def spoilt(part: str) -> tuple[Learner, Trajectory]:
    env = GymVectorEnv(Numbers, 3)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, SMALL)
    learner = Learner(policy, Config(ppo=PPOConfig(unroll=4)), device=CPU)
    trajectory, _ = Rollout(env, policy, 4, seed=0, device=CPU).collect()
    if part == "reward":
        trajectory.reward[2, 1] = np.nan
    elif part == "x":
        trajectory.observation["x"][2, 1] = np.inf
    elif part == "units":
        trajectory.observation["units"]["features"][2, 1, 0] = np.nan
    return learner, trajectory


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("reward", r"the reward is not finite \(nan in step 2 of the unroll, game 2\)"),
        ("x", r"observation 'x' is not finite \(inf in step 2"),
        ("units", "observation 'units' is not finite"),
    ],
)
def test_an_update_is_refused_that_would_learn_from_what_is_not_finite(part: str, said: str) -> None:
    learner, trajectory = spoilt(part)
    before = {name: tensor.clone() for name, tensor in learner.policy.state_dict().items()}
    with pytest.raises(UserError, match=said):
        learner.update(trajectory)
    torch.testing.assert_close(learner.policy.state_dict(), before, atol=0, rtol=0)
    assert learner.version == learner.steps == 0


def test_units_that_are_not_there_spoil_nothing() -> None:
    learner, trajectory = spoilt("")
    learner.update(trajectory)
    assert all(tensor.isfinite().all() for tensor in learner.policy.state_dict().values())


def test_a_gradient_that_is_not_finite_is_no_step() -> None:
    layer = torch.nn.Linear(1, 1)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    loss = (layer(torch.zeros(1, 1)) * 0).sqrt().sum() * layer.weight.sum()  # finite; its gradient is 0 * inf
    assert loss.isfinite()
    with pytest.raises(UserError, match="learner/gradient_norm is nan"):
        descend(layer, optimizer, {"loss/total": loss}, 1.0)
    assert torch.equal(layer.weight, before)


def test_what_is_said_of_a_loss_that_is_not_finite_is_true() -> None:
    with pytest.raises(UserError, match="loss/value is nan") as refused:
        check_finite({"loss/policy": 1.0, "loss/value": float("nan")})
    said = str(refused.value)
    assert "resume" not in said  # which takes no other learning rate
    assert "checkpoint" not in said  # of which there may be none
    assert "start a new run with a lower learning_rate" in said
