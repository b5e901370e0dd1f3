"""Several learners, each with a part of the batch, make one learner's update of the whole batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optree
import pytest
import torch
from torch import distributed, multiprocessing

from agents.acting.rollout import Rollout, Trajectory
from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.learning import gradient, ppo
from agents.learning.gradient import descend, minibatches
from agents.learning.learner import Learner
from envs import registry
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import FUNCTIONS, SMALL, game, perturbed

CPU = torch.device("cpu")
POLE, PICK = "CartPole-v1", "tests.agents.probes:PickTheMarked"
PARTS = ((0, 1), (2, 3, 4, 5))
SETTINGS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    # minibatches that are drawn from all columns, of steps and of unrolls, and one minibatch of all
    (POLE, "ppo", {"minibatch": 16, "epochs": 2, "target_kl": 0.01}, "none"),
    (PICK, "ppo", {"minibatch": 24, "epochs": 2}, "latents"),
    (PICK, "impala", {"minibatch": 16, "epochs": 2}, "none"),  # an unroll of two columns: a learner may have none of it
    (POLE, "impala", {"minibatch": 999, "optimizer": "rmsprop", "upgo_coefficient": 0.5}, "latents"),
    (POLE, "appo", {"minibatch": 16, "epochs": 2}, "none"),
)


def make(env_id: str, algorithm: str, options: dict[str, Any], memory: str, seed: int = 0) -> tuple[Any, Learner]:
    torch.manual_seed(seed)
    env = registry.make(env_id, 6)
    policy = SMALL.model_copy(update={"memory": memory})
    common = {"unroll": 8, "learning_rate": 3e-3, **options}
    config = Config.model_validate({"algorithm": algorithm, algorithm: common, "policy": policy})
    return env, Learner(
        PerceiverPolicy(env.single_observation_space, env.single_action_space, policy), config, device=CPU
    )


def trajectories(env: Any, learner: Learner) -> list[Trajectory]:
    """Two unrolls by one policy: the second is off-policy by the time it is learned from."""
    rollout = Rollout(env, learner.policy, 8, seed=0, device=CPU)
    return [rollout.collect()[0].columns(torch.arange(6)) for _ in range(2)]


def learn(learner: Learner, data: list[Trajectory]) -> dict[str, Any]:
    metrics = [learner.update(trajectory) for trajectory in data]
    state = learner.state_dict()
    shown = {"metrics": metrics, "steps": state["steps"], "policy": state["policy"], "returns": state["returns"]}
    return shown | {"optimizer": state["optimizer"]["state"]}


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = []
    for setting in torch.load(f"{folder}/data.pt", weights_only=False):
        env_id, algorithm, options, memory, data = setting
        _, learner = make(env_id, algorithm, options, memory, seed=rank)  # the first learner's parameters are taken
        found.append(learn(learner, [trajectory.columns(torch.tensor(PARTS[rank])) for trajectory in data]))
    env, learner = make(*SETTINGS[0])
    (spoilt, _) = trajectories(env, learner)
    if rank:
        spoilt.reward[0] = float("nan")
    try:
        learner.update(spoilt)
    except UserError as error:
        found.append({"refused": str(error)})
    torch.save(found, f"{folder}/found-{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any], list[Any]]:
    """What one learner of all makes, and each of two learners of its part, by setting."""
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("learners")
    settings, alone = [], []
    for env_id, algorithm, options, memory in SETTINGS:
        env, learner = make(env_id, algorithm, options, memory)
        data = trajectories(env, learner)
        settings.append((env_id, algorithm, options, memory, data))
        alone.append(learn(learner, data))
    torch.save(settings, folder / "data.pt")
    multiprocessing.spawn(one_of_two, (str(folder),), nprocs=2)  # type: ignore[attr-defined,no-untyped-call]
    first, second = (torch.load(folder / f"found-{rank}.pt", weights_only=False) for rank in (0, 1))
    return alone, first, second


@pytest.mark.parametrize("which", range(len(SETTINGS)))
def test_two_learners_of_parts_are_one_of_the_whole(runs: Any, which: int) -> None:
    alone, first, second = (run[which] for run in runs)
    assert first["steps"] == second["steps"] == alone["steps"] == 96
    for part in ("policy", "returns", "optimizer"):
        torch.testing.assert_close(first[part], second[part], atol=0, rtol=0)
        ours = {key: first[part][key] for key in alone[part]}  # but for the optimizer's zeros for what nothing uses
        torch.testing.assert_close(ours, alone[part], atol=1e-5, rtol=1e-5)
    for mine, whole in zip(first["metrics"], alone["metrics"], strict=True):
        assert mine == pytest.approx(whole, abs=1e-4, rel=1e-3)


def test_a_loss_that_is_not_finite_stops_every_learner(runs: Any) -> None:
    for found, where in zip(runs[1:], ("at another learner", "nan in step 0 of the unroll, game 1"), strict=True):
        assert f"the reward is not finite ({where}): training cannot go on" in found[-1]["refused"]


@pytest.mark.parametrize(("whole", "size"), [(False, 24), (True, 6)])
def test_minibatches_cover_everything_once(whole: bool, size: int) -> None:
    seen: list[int] = []
    for rows, steps in minibatches((4, 6), 8, torch.Generator().manual_seed(0), whole=whole):
        assert steps == 8 == len(rows) * (4 if whole else 1)
        seen += rows.tolist()
    assert sorted(seen) == list(range(size))
    assert seen != list(range(size))


def test_a_step_is_down_the_gradient_scaled_to_its_largest_norm() -> None:
    for largest, factor in ((0.5, 0.1), (50.0, 1.0)):
        layer = torch.nn.Linear(2, 1, bias=False)
        torch.nn.init.constant_(layer.weight, 1.0)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        loss = layer(torch.tensor([3.0, 4.0])).sum()  # whose gradient's norm is 5
        for _ in range(2):  # gradients do not add up over steps
            values = descend(layer, optimizer, {"loss/total": loss, "other": loss.detach() * 2}, largest)
            loss = layer(torch.tensor([3.0, 4.0])).sum()
        assert layer.weight.tolist() == [pytest.approx([1 - 2 * 0.1 * 3 * factor, 1 - 2 * 0.1 * 4 * factor])]
        assert values["learner/gradient_norm"] == pytest.approx(5)
        assert values["other"] == pytest.approx(2 * values["loss/total"])


def test_a_minibatch_in_parts_by_length_has_the_gradient_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    space, observation = game(40)
    observation["units"]["mask"] = (torch.arange(5) < torch.randint(1, 6, (40, 1))).to(torch.int8)
    policy = perturbed(space, FUNCTIONS)
    memory, first = policy.initial_memory(40), torch.ones(40, dtype=torch.bool)
    action = policy.act(observation, memory, first, generator=torch.Generator().manual_seed(0))[0].action
    batch: Any = {"observation": observation, "action": action, "first": first}
    batch |= {name: torch.randn(40) for name in ("log_prob", "value", "advantage", "target")}
    lengths = policy.trim.lengths(observation)

    def gradients(size: int) -> list[torch.Tensor]:
        monkeypatch.setattr(gradient, "PART", size)
        found = gradient.parts(torch.randperm(40), lengths)
        assert len(found) == -(-40 // size)
        chosen: list[Any] = [optree.tree_map(lambda x: x[rows][None], batch) for rows in found]  # noqa: B023
        units = [int(part["observation"]["units"]["mask"].sum(-1).max()) for part in chosen]
        assert units == sorted(units)
        terms = (ppo.loss_terms(policy, part, memory[:0], PPOConfig(), 40) for part in chosen)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
        measured = descend(policy, optimizer, terms, 1e9)
        return [*measured.values(), *(p.grad for p in policy.parameters() if p.grad is not None)]

    for parted, whole in zip(gradients(7), gradients(40), strict=True):
        torch.testing.assert_close(parted, whole, atol=1e-5, rtol=1e-5)
