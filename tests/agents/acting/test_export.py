"""Policies as programs: what ONNX Runtime and torch.export make of them is what the player here does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces

from agents.acting.export import ABOUT, Program, export
from agents.acting.player import PolicyPlayer
from agents.errors import UserError
from envs import registry
from envs.spaces import Feature, PerUnit, Place, Pointer, Units
from examples.play_onnx import OnnxAgent
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import FUNCTIONS, SMALL, UNITS, game, perturbed, sample_batch

CPU = torch.device("cpu")
RECURRENT = SMALL.model_copy(update={"memory": "latents"})
ORDERS = PerUnit(
    "units",
    5,
    {"stop": (), "go": ("screen", "pace"), "hit": ("unit",)},
    {"screen": Place(None, 4, 4), "unit": Pointer("units", 5), "pace": spaces.Box(-1, 1, (2,))},
)
BOXES = spaces.Dict(
    {
        "torque": spaces.Box(np.float32([-2, 0]), np.float32([2, np.inf])),
        "gear": spaces.Box(-1, 2, (2,), np.int8),
        "rounded": spaces.Box(-1000, 1000, (2,), np.int16),
        "wide": spaces.Box(-1e30, 1e30, (1,), np.float64),
        "pick": spaces.Tuple([spaces.Discrete(3, start=-1), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)]),
    }
)


def player(policy: PerceiverPolicy) -> PolicyPlayer:
    return PolicyPlayer(policy, device=CPU, greedy=True, seed=0)


def agrees(agent: Any, policy: PerceiverPolicy, batches: list[Any], firsts: list[np.ndarray]) -> int:
    """How many observations were acted on alike by a program and by the player, memory carried by each."""
    known, count = player(policy), 0
    for observation, first in zip(batches, firsts, strict=True):
        observation = optree.tree_map(np.asarray, observation)
        expected, action = known.act(observation, first), agent.act(observation, first)
        assert optree.tree_structure(action) == optree.tree_structure(expected)
        for mine, theirs in zip(optree.tree_leaves(action), optree.tree_leaves(expected), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
        count += len(first)
    return count


def as_agent(policy: PerceiverPolicy) -> Any:
    """A program that torch runs, with ONNX Runtime's calling convention."""
    program = Program(policy, greedy=True)

    class Session:
        def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            inputs = [torch.from_numpy(np.ascontiguousarray(feed[name])) for name in program.examples]
            return [output.numpy() for output in program(*inputs)]

    inputs = {
        name: {"shape": ["batch", *example.shape[1:]], "dtype": str(example.dtype).removeprefix("torch.")}
        for name, example in program.examples.items()
    }
    return OnnxAgent(session=Session(), about={"inputs": inputs, "outputs": program.outputs})


def batches_of(space: spaces.Space[Any], sizes: list[int]) -> list[Any]:
    return [sample_batch(space, size, seed) for seed, size in enumerate(sizes)]


CASES: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "numbers": (spaces.Box(-np.inf, np.inf, (4,)), spaces.Discrete(2)),
    "every kind of Box": (
        spaces.Dict({"x": spaces.Box(0, 255, (8, 8, 3), np.uint8), "f": spaces.Box(-5, 5, (2,), np.float64)}),
        BOXES,
    ),
    "functions, pointers, places": (game(1)[0], FUNCTIONS),
    "orders": (
        spaces.Dict(
            {
                "units": UNITS,
                "action_mask": spaces.Dict({"function": spaces.MultiBinary((5, 3)), "unit": spaces.MultiBinary(5)}),
            }
        ),
        ORDERS,
    ),
    "clicks": (
        spaces.Dict({"units": Units(5, [Feature("x", "position"), Feature("y", "position"), Feature("hp")])}),
        Place(None, 4, 6, units="units"),
    ),
}


@pytest.mark.parametrize("memory", ["none", "latents"])
@pytest.mark.parametrize("case", CASES)
def test_a_program_does_what_the_player_does(case: str, memory: str) -> None:
    observation, action = CASES[case]
    policy = perturbed(observation, action, SMALL.model_copy(update={"memory": memory, "scatter": True}))
    batches = batches_of(observation, [6] * 5)
    rng = np.random.default_rng(0)
    firsts = [np.ones(6, bool), *(rng.random(6) < 0.3 for _ in range(4))]
    assert agrees(as_agent(policy), policy, batches, firsts) == 30


def test_what_is_no_format_is_refused(tmp_path: Path) -> None:
    policy = perturbed(*CASES["numbers"])
    with pytest.raises(UserError, match=r"\.onnx or \.pt2"):
        export(policy, tmp_path / "policy.pb", greedy=True, about={})


# ---- through files


def onnx(policy: PerceiverPolicy, folder: Path, *, greedy: bool = True) -> OnnxAgent:
    export(policy, folder / "policy.onnx", greedy=greedy, about={"environment": "test", "step": 3})
    return OnnxAgent(folder / "policy.onnx")


@pytest.mark.slow
def test_onnx_agrees_on_a_thousand_observations_of_cartpole(tmp_path: Path) -> None:
    env = registry.make("CartPole-v1", 8)
    wide = np.random.default_rng(0).normal(0, 1, (256, 4)).astype(np.float32)
    policies = (perturbed(env.single_observation_space, env.single_action_space, seed=seed) for seed in range(50))
    policy = next(p for p in policies if set(player(p).act(wide, np.ones(256, bool)).tolist()) == {0, 1})
    agent, known = onnx(policy, tmp_path), player(policy)
    np.testing.assert_array_equal(agent.act(wide, np.zeros(256, bool)), player(policy).act(wide, np.zeros(256, bool)))
    assert agent.about["environment"] == "test"
    assert agent.about["inputs"] == {"observation": {"shape": ["batch", 4], "dtype": "float32"}}
    observation, _ = env.reset(seed=0)
    for _ in range(125):
        action = agent.act(observation, np.zeros(8, bool))
        np.testing.assert_array_equal(action, known.act(observation, np.zeros(8, bool)))
        observation, *_ = env.step(env.action_space.sample())
    one = gymnasium.make("CartPole-v1").reset(seed=0)[0]
    assert agent.act_single(one, True) in (0, 1)
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("style", ["feature", "raw", "orders"])
def test_onnx_agrees_on_a_thousand_observations_of_a_mini_game(style: str, tmp_path: Path) -> None:
    env = registry.make("sim/MoveToBeacon", 20, style=style)
    policy = perturbed(env.single_observation_space, env.single_action_space)
    agent = onnx(policy, tmp_path)
    observations, firsts = [env.reset(seed=0)[0]], [np.ones(20, bool)]
    known = player(policy)
    while len(observations) < 50:
        observation, _, terminated, truncated, _ = env.step(known.act(observations[-1], firsts[-1]))
        observations.append(optree.tree_map(np.copy, observation))
        firsts.append(terminated | truncated)
    assert agrees(agent, policy, observations, firsts) == 1000
    env.close()


@pytest.mark.slow
def test_onnx_agrees_on_a_thousand_observations_with_memory(tmp_path: Path) -> None:
    observation, action = CASES["functions, pointers, places"]
    policy = perturbed(observation, action, RECURRENT)
    rng = np.random.default_rng(0)
    firsts = [np.ones(20, bool), *(rng.random(20) < 0.1 for _ in range(49))]
    assert agrees(onnx(policy, tmp_path), policy, batches_of(observation, [20] * 50), firsts) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("case", ["every kind of Box", "orders"])
def test_onnx_agrees_on_other_spaces_and_any_batch(case: str, tmp_path: Path) -> None:
    observation, action = CASES[case]
    policy = perturbed(observation, action)
    sizes = [1, 2, 7, 64]
    firsts = [np.ones(size, bool) for size in sizes]
    assert agrees(onnx(policy, tmp_path), policy, batches_of(observation, sizes), firsts) == sum(sizes)


@pytest.mark.slow
def test_onnx_draws_as_the_policy_does(tmp_path: Path) -> None:
    observation = spaces.Box(0, 1, (3,))
    action = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.MultiBinary(2), "c": spaces.Box(-1, 1, (1,))})
    policy = perturbed(observation, action)
    seen = np.tile(np.float32([0.2, 0.5, 0.9]), (20_000, 1))
    drawn = onnx(policy, tmp_path, greedy=False).act(seen, np.ones(20_000, bool))
    ours = PolicyPlayer(policy, device=CPU, greedy=False, seed=1).act(seen, np.ones(20_000, bool))
    for value in range(3):
        share, expected = np.mean(drawn["a"] == value), np.mean(ours["a"] == value)
        assert abs(share - expected) < 4 * np.sqrt(0.5 / 20_000)
    np.testing.assert_allclose(drawn["b"].mean(0), ours["b"].mean(0), atol=4 * np.sqrt(0.5 / 20_000))
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(drawn["c"], quantiles), np.quantile(ours["c"], quantiles), atol=0.04)


@pytest.mark.slow
def test_torch_export_agrees(tmp_path: Path) -> None:
    observation, action = CASES["functions, pointers, places"]
    policy = perturbed(observation, action, RECURRENT)
    export(policy, tmp_path / "policy.pt2", greedy=True, about={"step": 3})
    extra = {ABOUT: ""}
    program = torch.export.load(tmp_path / "policy.pt2", extra_files=extra).module()
    about = json.loads(extra[ABOUT])

    class Session:
        def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [output.numpy() for output in program(*(torch.from_numpy(feed[name]) for name in about["inputs"]))]

    sizes = [1, 2, 7]
    firsts = [np.ones(size, bool) for size in sizes]
    agent = OnnxAgent(session=Session(), about=about)
    for batch, first in zip(batches_of(observation, sizes), firsts, strict=True):
        agrees(agent, policy, [batch], [first])
        agent.memory = None
