"""Any legal pair of spaces, with masks, through the whole chain: act, learn, save, go on, evaluate."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings

from agents.acting.evaluate import RandomPlayer, play
from agents.acting.player import PolicyPlayer
from agents.config import Config
from agents.placement.local import Training
from agents.runs import checkpoint
from envs.gym import GymVectorEnv
from tests.agents.any_space import Anything, worlds
from tests.policies import SMALL

CPU = torch.device("cpu")
EXAMPLES = int(os.environ.get("ANY_SPACE_EXAMPLES", "15"))


def environments(world: Any, games: int = 2) -> GymVectorEnv:
    observed, chosen, seed, masks = world
    number = iter(range(10**6))

    # which parts are masked follows from the seed: every game has the same spaces, and other values
    def make() -> Anything:
        env = Anything(observed, chosen, seed, masks)
        env.random = type(env.random)(type(env.random.bit_generator)([seed, next(number)]))
        return env

    return GymVectorEnv(make, games)


def chain(world: Any) -> None:
    Anything.wrong.clear()
    options = {"memory": "latents" if world[2] % 2 else "none"}
    options |= {"deviation": "state" if world[2] % 3 else "independent", "bounds": "squash" if world[2] % 5 else "clip"}
    policy = SMALL.model_copy(update=options)
    config = Config.model_validate({"ppo": {"unroll": 12, "minibatch": 12, "epochs": 1}, "policy": policy})
    torch.manual_seed(0)
    training = Training(config, environments(world), CPU)
    for _ in range(2):
        training.step()
    with tempfile.TemporaryDirectory() as folder:
        training.save(Path(folder))
        resumed = Training(config, environments(world), CPU)
        resumed.load_state_dict(checkpoint.load(checkpoint.latest(Path(folder))))
    ours, theirs = training.step(), resumed.step()
    assert {k: v for k, v in ours.items() if "time" not in k} == {k: v for k, v in theirs.items() if "time" not in k}
    env = environments(world)
    for greedy in (True, False):
        play(PolicyPlayer(resumed.policy, device=CPU, greedy=greedy, seed=0), env, 2, 0)
    play(RandomPlayer(env.single_action_space, 0), env, 3, 1)
    for name, tensor in resumed.policy.state_dict().items():
        assert tensor.isfinite().all(), name
    assert Anything.wrong == []


def examples(count: int) -> Any:
    # a chain takes a tenth of a second: a smaller example than the one found would take minutes to find
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    quiet = list(HealthCheck)
    return settings(max_examples=count, deadline=None, phases=phases, suppress_health_check=quiet, print_blob=True)


@examples(EXAMPLES)
@given(worlds())
def test_any_spaces_are_learned_from_and_their_masks_obeyed(world: Any) -> None:
    chain(world)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@examples(500)
@given(worlds())
def test_five_hundred_of_them(world: Any) -> None:
    chain(world)
