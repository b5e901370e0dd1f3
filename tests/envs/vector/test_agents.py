"""Several agents in one world, against a world stepped by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.acting.evaluate import play
from agents.acting.player import PolicyPlayer
from agents.config import Config
from agents.placement.local import Training
from envs import registry
from envs.errors import EnvError
from tests.envs.vector.made import Queue

QUEUE = "tests.envs.vector.made:Queue"


def test_each_agent_is_a_row_and_waits_where_it_is_gone() -> None:
    env = registry.make(QUEUE, 5)  # two worlds of three
    assert env.num_envs == 6
    observation, _ = env.reset(seed=0)
    by_hand = Queue()
    seen, _ = by_hand.reset()
    random = np.random.default_rng(0)
    for _ in range(9):
        actions = random.integers(0, 3, 6)
        for row, agent in enumerate(by_hand.possible_agents * 2):
            alive = agent in seen
            np.testing.assert_array_equal(observation["observation"][row], seen.get(agent, np.zeros(2)))
            assert observation["action_mask"][row].tolist() == ([1, 1, 1] if alive else [1, 0, 0])
        living = {agent: actions[k] for k, agent in enumerate(by_hand.possible_agents) if agent in by_hand.agents}
        shown, rewards, ends, _, _ = by_hand.step(living)
        observation, reward, terminated, truncated, info = env.step(actions)
        assert not truncated.any()
        for k, agent in enumerate(by_hand.possible_agents):
            assert reward[k] == rewards.get(agent, 0.0)
            assert terminated[k] == ends.get(agent, True)
            if terminated[k]:
                assert info["idle"][k] == (agent not in living)
                if agent in shown:
                    np.testing.assert_array_equal(info["final_obs"][k]["observation"], shown[agent])
        seen = {agent: shown[agent] for agent in by_hand.agents}
        if not by_hand.agents:
            seen, _ = by_hand.reset()


def test_one_policy_learns_to_play_all_and_nobodys_steps_count() -> None:
    torch.manual_seed(0)
    ppo = {"unroll": 16, "minibatch": 96, "epochs": 4, "learning_rate": 3e-3}
    policy = {"token_width": 16, "latents": 2, "latent_width": 16, "heads": 2}
    config = Config.model_validate({"env": QUEUE, "num_envs": 24, "total_steps": 8_000, "ppo": ppo, "policy": policy})
    training = Training(config, registry.make(QUEUE, 24), torch.device("cpu"))
    while training.learner.steps < config.total_steps:
        metrics = training.step()
    assert metrics["episode/length"] == pytest.approx(3, abs=0.2)  # 2, 3 and 4 steps, and no waiting
    player = PolicyPlayer(training.policy, device=torch.device("cpu"), greedy=True, seed=0)
    played = play(player, registry.make(QUEUE, 6), 12, seed=0)
    assert sorted(played.lengths) == [2] * 4 + [3] * 4 + [4] * 4
    assert played.returns == [float(n) for n in played.lengths]


def test_agents_that_differ_are_named_with_what_makes_them_alike() -> None:
    with pytest.raises(EnvError, match=r"agent_1 and agent_0 choose in different spaces.*pad_action_space"):
        registry.make(QUEUE, 3, uneven=True)


def test_worlds_are_saved_and_cut_at_a_time_limit() -> None:
    env: Any = registry.make(QUEUE, 3, env_time_limit=3)
    env.reset(seed=0)
    env.step(np.zeros(3, int))
    state = env.save_state()
    ends = [env.step(np.zeros(3, int))[2:4] for _ in range(2)]
    assert ends[1][1].tolist() == [False, True, True]  # the first agent has gone before
    again = env.load_state(state)
    np.testing.assert_array_equal(again["observation"][:, 1], [1, 1, 1])
