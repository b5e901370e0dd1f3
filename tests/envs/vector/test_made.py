"""Wrappers, limits, metrics, masks, processes and vectors, as an experiment names them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import optree
import pytest

from envs import registry
from envs.errors import EnvError, EnvFailure

WALK = "tests.envs.vector.made:Walk"


def copied(nest: Any) -> Any:
    return optree.tree_map(np.copy, nest)


def go(env: Any, steps: int) -> None:
    for _ in range(steps):
        env.step(np.ones(env.num_envs, int))


def test_wrappers_go_around_by_name_the_last_one_outermost() -> None:
    wrappers = ["FlattenObservation", {"FrameStackObservation": {"stack_size": 3}}]
    env = registry.make("CartPole-v1", 2, env_wrappers=wrappers, env_time_limit=7)
    by_hand = gymnasium.wrappers.FlattenObservation(gymnasium.make("CartPole-v1", max_episode_steps=7))
    expected = gymnasium.wrappers.FrameStackObservation(by_hand, stack_size=3)
    observation, _ = env.reset(seed=[3, 4])
    np.testing.assert_array_equal(observation[0], expected.reset(seed=3)[0])
    for step in range(1, 8):
        observation, _, _, truncated, info = env.step(np.array([step % 2, step % 2]))
        shown = expected.step(step % 2)[0]
        assert truncated[0] == (step == 7)
    np.testing.assert_array_equal(info["final_obs"][0], shown)


@pytest.mark.parametrize(
    ("wrappers", "words"),
    [
        (["FrameStackObservations"], "did you mean 'FrameStackObservation'"),
        ([{"FrameStackObservation": {"stack": 3}}], "FrameStackObservation.*stack"),
        ([{"A": {}, "B": {}}], "expected a name"),
        (["tests.envs.vector.made:Nothing"], "env_wrappers"),
        (["tests.nowhere:Nothing"], "cannot import"),
    ],
)
def test_wrappers_that_there_are_none_of_are_refused(wrappers: Any, words: str) -> None:
    with pytest.raises(EnvError, match=words):
        registry.make("CartPole-v1", 1, env_wrappers=wrappers)


def test_what_is_gymnasiums_is_refused_for_a_mini_game() -> None:
    with pytest.raises(EnvError, match=r"env_time_limit is for Gymnasium's environments"):
        registry.make("sim/MoveToBeacon", 1, env_time_limit=3)


def test_a_time_limit_of_a_class_of_ones_own() -> None:
    env = registry.make(WALK, 1, env_time_limit=4)
    env.reset(seed=0)
    ends = [env.step(np.array([step % 2]))[3][0] for step in range(8)]
    assert ends == [False, False, False, True] * 2


def test_metrics_are_the_numbers_at_an_episodes_end() -> None:
    env = registry.make(WALK, 3, env_metrics=["is_success", "score/far"])
    observation, _ = env.reset(seed=1)
    start = copied(observation)["at"][:, 0]
    for _ in range(9):
        _, _, terminated, _, info = env.step(np.ones(3, int))
        if terminated.any():
            assert info["final_info"]["is_success"][terminated].tolist() == [1] * terminated.sum()
            assert np.isnan(info["final_info"]["is_success"][~terminated]).all()
            assert (info["final_info"]["score/far"][terminated] == 5 - start[terminated]).all()
            break
    env = registry.make(WALK, 1, env_metrics=["success"])
    env.reset(seed=1)
    with pytest.raises(EnvFailure, match="no number 'success' where the episode ends; it has is_success, score/far"):
        go(env, 9)


def test_action_masks_are_obeyed_in_sb3_contribs_forms() -> None:
    env = registry.make(WALK, 1)
    observation, _ = env.reset(seed=0)
    while observation["at"][0, 0] > -4:
        assert observation["action_mask"].tolist() == [[1, 1]]
        observation, *_ = env.step(np.zeros(1, int))
    assert observation["action_mask"].tolist() == [[0, 1]]
    bits, _ = registry.make("tests.envs.vector.made:Bits", 1).reset(seed=0)
    assert bits["action_mask"].tolist() == [[0, 1, 2]]


def test_processes_do_what_one_does() -> None:
    plain = registry.make(WALK, 4, env_metrics=["is_success"])
    shared = registry.make(WALK, 4, env_metrics=["is_success"], env_processes=2)
    random = np.random.default_rng(0)

    def follow(steps: int) -> Any:
        ends = 0
        for _ in range(steps):
            actions = random.integers(0, 2, 4)
            ours, theirs = plain.step(actions), shared.step(actions)
            for a, b in zip(ours[:4], theirs[:4], strict=True):
                optree.tree_map(np.testing.assert_array_equal, a, b)
            ended = ours[2] | ours[3]
            ends += ended.sum()
            for i in np.flatnonzero(ended):
                optree.tree_map(np.testing.assert_array_equal, ours[4]["final_obs"][i], theirs[4]["final_obs"][i])
                assert ours[4]["final_info"]["is_success"][i] == theirs[4]["final_info"]["is_success"][i]
        return ends

    try:
        optree.tree_map(np.testing.assert_array_equal, plain.reset(seed=5)[0], shared.reset(seed=5)[0])
        assert follow(60) > 4
        before = plain.save_state(), shared.save_state()  # type: ignore[attr-defined]
        follow(10)
        plain.load_state(before[0])  # type: ignore[attr-defined]
        shared.load_state(before[1])  # type: ignore[attr-defined]
        follow(10)
        mask = np.array([False, True, True, False])
        some = [env.reset(options={"reset_mask": mask})[0] for env in (plain, shared)]
        optree.tree_map(np.testing.assert_array_equal, *some)
    finally:
        shared.close()


@pytest.mark.parametrize(
    ("fails_at", "words"),
    [
        (3, r"game [12] of 2, episode \d+, step \d: OSError: the line is broken"),
        (-3, "a process of its games has ended"),
    ],
)
def test_what_fails_in_a_process_is_named(fails_at: int, words: str) -> None:
    env = registry.make(WALK, 2, env_processes=2, fails_at=fails_at)
    try:
        env.reset(seed=0)
        with pytest.raises(EnvFailure, match=words):
            go(env, 4)
    finally:
        env.close()


@pytest.mark.parametrize("mode", ["SameStep", "Disabled", "NextStep"])
def test_a_native_vector_of_games_ends_and_begins_as_all_others_do(mode: str) -> None:
    env = registry.make("tests.envs.vector.made:Countdowns", 3, mode=mode)
    observation, _ = env.reset(seed=0)
    assert observation.ravel().tolist() == [0, 0, 0]
    ends: list[list[int]] = [[], [], []]
    seen = []
    for step in range(1, 13):
        observation, reward, terminated, truncated, info = env.step(np.zeros(3, int))
        assert not truncated.any()
        for i in np.flatnonzero(terminated):
            ends[i].append(step)
            assert info["final_obs"][i].tolist() == [i + 2]
            assert info["_final_obs"][i]
        seen.append(observation[0, 0])
        if mode != "NextStep":
            assert reward.tolist() == [1] * 3
    longer = mode == "NextStep"  # a step that only resets
    assert ends == [list(range(n, 13, n + longer)) for n in (2, 3, 4)]
    assert seen[:4] == ([1, 0, 1, 0] if not longer else [1, 2, 0, 1])


def test_ids_that_a_package_registers_are_suggested() -> None:
    for name, module in (
        ("MiniGrid-Empty-5x5-v0", "minigrid"),
        ("ALE/Pong-v5", "ale_py"),
        ("highway-v0", "highway_env"),
    ):
        with pytest.raises(EnvError, match=f"{module}:{name}"):
            registry.check(name)
