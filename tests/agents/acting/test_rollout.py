"""The rollout on an environment that counts: every field of a trajectory is known in advance."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting.episodes import EpisodeLog
from agents.acting.rollout import Episode, Rollout, concatenate
from envs.gym import GymVectorEnv
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import SMALL

CPU = torch.device("cpu")


class Counter(gymnasium.Env[np.ndarray, int]):
    """Shows its step; pays the step just reached; ends after ``length`` steps, by termination or by truncation."""

    def __init__(self, length: int, truncates: bool) -> None:
        self.observation_space = spaces.Box(0, 100, (1,), np.float64)
        self.action_space = spaces.Discrete(2)
        self.length, self.truncates = length, truncates

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.steps = 0
        return np.zeros(1), {}

    def step(self, action: int) -> Any:
        self.steps += 1
        end = self.steps == self.length
        return np.full(1, float(self.steps)), float(self.steps), end and not self.truncates, end and self.truncates, {}


class Remembering(PerceiverPolicy):
    """Values are 1000 * what is observed, + 1 a step since the memory was reset: both are then seen in ``value``."""

    def initial_memory(self, batch: int) -> torch.Tensor:
        return torch.zeros(batch, 1)

    def act(self, observation, memory, first, **options):  # type: ignore[no-untyped-def]
        decision, _ = super().act(observation, memory, first, **options)
        decision.value = self.value(observation, memory, first)
        return decision, memory * ~first[:, None] + 1

    def value(self, observation, memory, first):  # type: ignore[no-untyped-def]
        return 1000 * observation[:, 0].float() + (memory * ~first[:, None])[:, 0]


def collect(length: int, truncates: bool, steps: int, times: int) -> Any:
    env = GymVectorEnv(lambda: Counter(length, truncates), 2)
    policy = Remembering(env.single_observation_space, env.single_action_space, SMALL)
    rollout = Rollout(env, policy, steps, seed=0, device=CPU)
    for _ in range(times):
        trajectory, episodes = rollout.collect()
    return trajectory, episodes


def test_every_field_of_a_trajectory() -> None:
    trajectory, episodes = collect(length=3, truncates=False, steps=5, times=1)
    for b in range(2):
        # the last observation, and whether it is a first one, follow the last step
        assert trajectory.observation[:, b, 0].tolist() == [0, 1, 2, 0, 1, 2]
        assert trajectory.first[:, b].tolist() == [True, False, False, True, False, False]
        assert trajectory.reward[:, b].tolist() == [1, 2, 3, 1, 2]
        assert trajectory.end[:, b].tolist() == [False, False, True, False, False]
        assert trajectory.value[:, b].tolist() == [0, 1001, 2002, 0, 1001]
        # nothing follows a termination; the last step is followed by what is observed now
        assert trajectory.next_value[:, b].tolist() == [1001, 2002, 0, 1001, 2002]
    assert [(e.total, e.length) for e in episodes] == [(6, 3), (6, 3)]


def test_a_truncated_episode_is_followed_by_its_own_final_observation() -> None:
    trajectory, _ = collect(length=3, truncates=True, steps=4, times=1)
    # 3000: the final observation, not the next episode's first; + 3: with the memory of its own episode
    assert trajectory.next_value[:, 0].tolist() == [1001, 2002, 3003, 1001]


def test_an_unroll_goes_on_where_the_last_one_stopped() -> None:
    trajectory, episodes = collect(length=6, truncates=True, steps=4, times=2)
    assert trajectory.observation[:, 0, 0].tolist() == [4, 5, 0, 1, 2]
    assert trajectory.first[:, 0].tolist() == [False, False, True, False, False]
    assert trajectory.memory[:, 0].tolist() == [4, 4]
    assert trajectory.value[:, 0].tolist() == [4004, 5005, 0, 1001]
    assert trajectory.next_value[:, 0].tolist() == [5005, 6006, 1001, 2002]
    assert [(e.total, e.length) for e in episodes] == [(21, 6), (21, 6)]


def test_an_end_on_the_last_step_of_an_unroll() -> None:
    for truncates, expected in ((False, 0), (True, 4004)):
        trajectory, _ = collect(length=4, truncates=truncates, steps=4, times=1)
        assert trajectory.next_value[-1, 0] == expected


class Failing(GymVectorEnv):
    """Game 1 fails in its second step, as a game's process may: the step leads nowhere and pays nothing."""

    steps = 0

    def step(self, actions: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(actions)
        self.steps += 1
        if self.steps == 2:
            info["aborted"] = np.array([False, True])
            final = np.full(2, None, object)
            final[1] = np.full(1, 1.0)  # what was last observed
            info["final_obs"], truncated, reward = final, np.array([False, True]), np.array([reward[0], 0.0])
            self._env_obs = [self._env_obs[0], self.envs[1].reset()[0]]
            observation = np.stack(self._env_obs)
        return observation, reward, terminated, truncated, info


def test_an_aborted_episode_is_counted_and_not_returned() -> None:
    env = Failing(lambda: Counter(4, truncates=False), 2)
    policy = Remembering(env.single_observation_space, env.single_action_space, SMALL)
    rollout = Rollout(env, policy, 5, seed=0, device=CPU)
    trajectory, episodes = rollout.collect()
    assert rollout.aborted == 1
    assert [(e.total, e.length) for e in episodes] == [(10.0, 4)]  # game 0's; game 1 is in its third step
    assert trajectory.end[:, 1].tolist() == [False, True, False, False, False]
    assert trajectory.next_value[1, 1] == 1000 + 2  # worth the last valid observation
    assert trajectory.reward[:, 1].tolist() == [1, 0, 1, 2, 3]
    other = Rollout(env, policy, 5, seed=0, device=CPU)
    other.load_state_dict({**rollout.state_dict(), "environments": {}})
    assert other.aborted == 1


def test_another_policys_values_take_the_place_of_the_acting_ones() -> None:
    trajectory, _ = collect(length=3, truncates=True, steps=4, times=1)
    values = torch.tensor([10.0, 11, 12, 13, 14])[:, None].expand(5, 2)
    # but for what followed the truncation: its observation is not kept, its value is
    assert trajectory.next_values(values)[:, 0].tolist() == [11, 12, 3003, 14]
    trajectory, _ = collect(length=3, truncates=False, steps=4, times=1)
    assert trajectory.next_values(values)[:, 0].tolist() == [11, 12, 0, 14]


def test_trajectories_are_split_and_joined_along_their_environments() -> None:
    trajectory, _ = collect(length=3, truncates=True, steps=4, times=2)
    halves = [trajectory.columns(torch.tensor([i])) for i in (0, 1)]
    assert halves[1].reward.shape == (4, 1)
    assert halves[1].observation.shape == (5, 1, 1)
    assert halves[1].memory.shape == halves[1].version[:, None].shape == (1, 1)
    for name, joined in vars(concatenate(halves)).items():
        assert torch.equal(joined, vars(trajectory)[name])
    again = pickle.loads(pickle.dumps(trajectory))
    assert torch.equal(again.next_value, trajectory.next_value)


def test_a_trajectory_tells_which_policy_acted() -> None:
    env = GymVectorEnv(lambda: Counter(3, False), 2)
    policy = Remembering(env.single_observation_space, env.single_action_space, SMALL)
    rollout = Rollout(env, policy, 2, seed=0, device=CPU)
    assert rollout.collect()[0].version.tolist() == [0, 0]
    rollout.version = 7
    assert rollout.collect()[0].version.tolist() == [7, 7]


class EndsBothWays(Counter):
    """Its last step is the goal and the time limit at once."""

    def step(self, action: int) -> Any:
        observation, reward, *_, info = super().step(action)
        end = self.steps == self.length
        return observation, reward, end, end, info


def test_an_episode_both_terminated_and_truncated_is_followed_by_nothing() -> None:
    env = GymVectorEnv(lambda: EndsBothWays(3, False), 2)
    policy = Remembering(env.single_observation_space, env.single_action_space, SMALL)
    trajectory, episodes = Rollout(env, policy, 4, seed=0, device=CPU).collect()
    assert trajectory.next_value[:, 0].tolist() == [1001, 2002, 0, 1001]
    assert [(e.total, e.length) for e in episodes] == [(6, 3), (6, 3)]


def test_two_episodes_in_one_unroll_have_their_own_length_and_return() -> None:
    _, episodes = collect(length=3, truncates=False, steps=7, times=1)
    assert [(e.total, e.length) for e in episodes] == [(6, 3)] * 4


def test_what_is_remembered_of_episodes_survives_a_resume() -> None:
    log = EpisodeLog()
    log.add(Episode(float(i), i, "it") for i in range(250))
    log.aborted = 3
    other = EpisodeLog()
    other.add([Episode(5.0, 5)])
    other.load_state_dict(log.state_dict())
    assert (other.count, other.aborted) == (250, 3)
    assert other.metrics() == log.metrics()
    assert other.metrics()["episode/return"] == 199.5  # the mean of the latest hundred, 150 to 249
    assert other.metrics()["episode/count"] == 250


def test_lengths_and_returns_of_episodes_go_on_after_a_resume() -> None:
    def rollout() -> Rollout:
        env = GymVectorEnv(lambda: Counter(6, False), 2)
        policy = Remembering(env.single_observation_space, env.single_action_space, SMALL)
        return Rollout(env, policy, 4, seed=0, device=CPU)

    first, second = rollout(), rollout()
    first.collect()
    second.load_state_dict(first.state_dict())
    assert [(e.total, e.length) for e in second.collect()[1]] == [(21, 6), (21, 6)]


def test_a_state_whose_environments_do_not_load_starts_episodes_anew() -> None:
    env = GymVectorEnv(lambda: Counter(6, False), 2)
    policy = Remembering(env.single_observation_space, env.single_action_space, SMALL)
    rollout = Rollout(env, policy, 4, seed=0, device=CPU)
    rollout.collect()
    state = rollout.state_dict()
    state["environments"] = {"pickle": np.frombuffer(b"no pickle", np.uint8)}
    fresh = Rollout(GymVectorEnv(lambda: Counter(6, False), 2), policy, 4, seed=0, device=CPU)
    with pytest.warns(UserWarning, match="state does not load .*: their episodes start anew"):
        fresh.load_state_dict(state)
    assert fresh.collect()[0].observation[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
