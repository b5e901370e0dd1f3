"""An environment that misbehaves is named, with its step and its own trace; what it draws from is seeded."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from envs import registry
from envs.errors import EnvFailure

HERE = "tests.agents.misbehaving:"
STEP_40 = r"game 1 of 2, episode 6, step 5: "  # the 40th step of episodes of 7


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", STEP_40 + "OSError: the game has gone away\n"),
        ("Exits", STEP_40 + r"called sys.exit\(3\)\n"),
        ("FourValues", STEP_40 + r"step\(\) returned a tuple of 4; expected observation, reward, terminated"),
        ("Nothing", STEP_40 + r"step\(\) returned None; expected"),
        ("WrongShape", STEP_40 + r"the observation has the shape \(3,\); its space has \(2,\)"),
        ("WrongType", STEP_40 + r"the observation is a str, which is no number"),
        ("RewardNone", STEP_40 + "reward is None; expected a number"),
        ("EndsNone", STEP_40 + "terminated is a str; expected true or false"),
        ("InfoNone", STEP_40 + "step.. returned a tuple of 5; expected"),
        ("RaisesInReset", "game 1 of 2, episode 4, at its reset: KeyError: 'level'"),
        (
            "ResetGivesObservationOnly",
            r"game 1 of 2, episode 4, at its reset: reset\(\) returned a ndarray; expected an",
        ),
        ("RaisesInConstructor", "the environment cannot be made: RuntimeError: no such ROM"),
    ],
)
def test_what_an_environment_does_wrong_is_named(name: str, said: str) -> None:
    with pytest.raises(EnvFailure, match=said) as caught:
        play(HERE + name)
    assert str(caught.value).startswith(HERE + name)


def play(name: str) -> None:
    env = registry.make(name, 2)
    env.reset(seed=0)
    for _ in range(100):
        env.step(np.zeros(2, int))


def test_the_trace_is_the_environments_own() -> None:
    env = registry.make(HERE + "RaisesAtOnce", 1)
    env.reset(seed=0)
    with pytest.raises(EnvFailure) as caught:
        env.step(np.zeros(1, int))
    frames = [line.strip() for line in str(caught.value).splitlines() if line.strip().startswith("File ")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["step", "misbehave", "deeper"]
    assert all("misbehaving.py" in frame for frame in frames)


def test_an_environment_that_cannot_be_closed_is_only_told_of(caplog: pytest.LogCaptureFixture) -> None:
    env = registry.make(HERE + "CloseRaises", 2)
    env.close()
    assert caplog.text.count("CloseRaises could not be closed: RuntimeError: cannot close") == 2


class Numbers(gymnasium.Env):
    """Numbers in every form that Python and numpy have."""

    observation_space = action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.answers = iter([(1, True, 0), (np.float32(1), np.bool_(True), False), (np.ones(1), np.ones(1, bool), 0)])
        return 0, {}

    def step(self, action):
        return 0, *next(self.answers), {}


def test_numbers_come_in_many_forms() -> None:
    env = registry.make("tests.envs.test_guard:Numbers", 1)
    for _ in range(3):
        env.reset(seed=0)
        _, reward, terminated, truncated, _ = env.step(np.zeros(1, int))
        assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([1.0], [True], [False])


def test_environments_of_one_class_draw_apart() -> None:
    env = registry.make(HERE + "Global", 2)
    env.reset(seed=3)
    drawn = [[float(single.unwrapped.action_space.sample()[0]) for _ in range(3)] for single in env.envs]
    env.reset(seed=3)
    again = [[float(single.unwrapped.action_space.sample()[0]) for _ in range(3)] for single in reversed(env.envs)]
    assert drawn == again[::-1]
    assert drawn[0] != drawn[1]


def test_who_samples_actions_takes_nothing_from_the_environment() -> None:
    env = registry.make(HERE + "Global", 1)
    env.reset(seed=3)
    expected = env.envs[0].unwrapped.action_space.sample()
    env.reset(seed=3)
    env.single_action_space.sample()
    assert env.envs[0].unwrapped.action_space.sample() == expected
