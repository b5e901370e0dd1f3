"""What environments return, read through their space: by the vector environment, whoever plays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import EnvFailure
from envs.gym import GymVectorEnv, check_space
from envs.spaces import Feature, Units

PAIR = spaces.Box(-1, 1, (2,), np.float32)
FREE = spaces.Box(-np.inf, np.inf, (2,), np.float64)
LIST = [0.25, 0.5]


class Shows(gymnasium.Env[Any, Any]):
    """Shows what ``show`` makes of the number of steps so far; truncated (or terminated) after three."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Space[Any], show: Any, reward: Any = lambda t: 1.0, terminates: bool = False):
        self.observation_space, self.show, self.reward, self.terminates = space, show, reward, terminates

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return self.show(0), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        end = self.steps == 3
        return self.show(self.steps), self.reward(self.steps), end and self.terminates, end and not self.terminates, {}


def played(*arguments: Any, steps: int = 4, **options: Any) -> list[Any]:
    """What two games return at each step: observation, reward, terminated, truncated, info."""
    env = GymVectorEnv(lambda: Shows(*arguments, **options), 2)
    env.reset(seed=0)
    return [env.step(np.zeros(2, int)) for _ in range(steps)]


@pytest.mark.parametrize(
    ("space", "shown", "expected"),
    [
        (PAIR, LIST, np.float32(LIST)),
        (spaces.Tuple((PAIR, spaces.Discrete(3))), [LIST, 2], (np.float32(LIST), 2)),
        (spaces.Dict({"a": PAIR}), {"a": LIST, "note": "more"}, {"a": np.float32(LIST)}),
        (spaces.Dict({"a": spaces.Tuple((PAIR,))}), {"a": [LIST]}, {"a": (np.float32(LIST),)}),
        (spaces.Box(0, 255, (2,), np.uint8), [1, 255], np.uint8([1, 255])),
        (spaces.MultiDiscrete([3, 4], dtype=np.uint8), np.array([2, 3]), np.uint8([2, 3])),
        (PAIR, np.float64(LIST), np.float32(LIST)),
        (spaces.Box(-1, 1, (), np.float32), 0.5, np.float32(0.5)),
    ],
)
def test_a_final_observation_is_read_as_every_other_one(space: Any, shown: Any, expected: Any) -> None:
    observation, *_, info = played(space, lambda t: shown, steps=3)[-1]
    final = info["final_obs"][1]
    assert space.contains(final)
    flat = lambda nest: [np.asarray(x).tolist() for x in _leaves(nest)]  # noqa: E731
    assert flat(final) == flat(expected) == [part[1] for part in flat(observation)]


def _leaves(nest: Any) -> list[Any]:
    if isinstance(nest, dict | tuple):
        return [leaf for part in (nest.values() if isinstance(nest, dict) else nest) for leaf in _leaves(part)]
    return [nest]


def late(wrong: Any, right: Any, at: int = 2) -> Any:
    return lambda t: wrong if t == at else right


NESTED = spaces.Dict({"x": spaces.Dict({"a/b": PAIR}), "n": spaces.Discrete(3, start=1)})


@pytest.mark.parametrize(
    ("space", "wrong", "right", "said"),
    [
        (PAIR, [0.0] * 3, LIST, r"the observation has the shape \(3,\); its space has \(2,\)"),
        (PAIR, "no", LIST, "the observation is a str"),
        (NESTED, {"x": {"a/b": LIST}}, {"x": {"a/b": LIST}, "n": 1}, "has no entry 'n'"),
        (NESTED, {"x": {"a/b": 1.0}, "n": 1}, {"x": {"a/b": LIST}, "n": 1}, r"observation 'x/a~1b' has the shape \(\)"),
        (NESTED, {"x": {"a/b": LIST}, "n": 0}, {"x": {"a/b": LIST}, "n": 1}, r"observation 'n' holds 0, but its space"),
        (spaces.Discrete(3), 1.5, 1, "float64 that cannot be told as int64"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(space: Any, wrong: Any, right: Any, said: str) -> None:
    where = r"Shows, game 1 of 2, episode 1, step 2: .*"
    with pytest.raises(EnvFailure, match=where + said):
        played(space, late(wrong, right))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 1e300])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_observation_that_is_not_finite_is_named_where_it_enters(bad: float, at: int) -> None:
    space = spaces.Dict({"near": PAIR, "far/off": FREE})
    show = lambda t: {"near": LIST, "far/off": [0.0, bad if t == at else 1.0]}  # noqa: E731
    place = "at its reset" if at == 0 else f"step {at}"
    with pytest.raises(EnvFailure, match=rf"game 1 of 2, episode 1, {place}: observation 'far~1off' holds .* at \[1\]"):
        played(space, show)


def test_a_float32_overflow_is_named_too() -> None:
    with pytest.raises(EnvFailure, match="step 2: the observation holds inf"):
        played(spaces.Box(-np.inf, np.inf, (2,)), late(np.array([0, 1e300]), LIST))


@pytest.mark.parametrize("bad", [np.inf, np.nan, -1e300])
def test_a_reward_that_is_not_finite_is_named_where_it_enters(bad: float) -> None:
    with pytest.raises(EnvFailure, match="Shows, game 1 of 2, episode 1, step 2: the reward is"):
        played(PAIR, lambda t: LIST, lambda t: bad if t == 2 else 0.0)


def test_what_means_nothing_may_be_anything() -> None:
    units = Units(3, [Feature("x")])
    shown = {"features": np.float32([[1], [np.nan], [2]]), "mask": np.int8([1, 0, 1])}
    assert played(units, lambda t: shown)[-1][0]["mask"][0].tolist() == [1, 0, 1]
    # Gymnasium's Ant ends because its state is not finite: nothing follows, so nobody reads what it shows
    steps = played(FREE, late([np.nan, 0.0], LIST, at=3), terminates=True)
    assert steps[2][2].all()
    assert np.isnan(steps[2][4]["final_obs"][0][0])


def test_games_of_other_spaces_are_refused_in_words() -> None:
    number = iter(range(2, 9))
    with pytest.raises(ValueError, match="its games differ in their spaces"):
        GymVectorEnv(lambda: Shows(spaces.Discrete(next(number)), lambda t: 0), 2)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Text(5), "the space is a Text.*MultiDiscrete of their numbers"),
        (spaces.Dict({"a": spaces.Sequence(spaces.Discrete(3))}), r"\['a'\] is a Sequence.*envs\.spaces\.PerUnit"),
        (spaces.Graph(PAIR, None), r"Graph.*envs\.spaces\.Pointer"),
        (spaces.Tuple([spaces.OneOf([PAIR, PAIR])]), r"\[0\] is a OneOf.*give all of them as one OneOf"),
        (spaces.Dict({"a": spaces.Tuple(())}), r"\['a'\] is an empty Tuple"),
        (spaces.Dict({}), "the space is an empty Dict"),
        (spaces.Box(0, 1, (2, 0)), "without elements"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_what_would_serve(space: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_space(space, "the space")
