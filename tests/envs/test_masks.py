"""Masks are obeyed or refused: their forms, their faults, and where these are said to be."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting.evaluate import RandomPlayer, play
from agents.acting.player import PolicyPlayer
from agents.acting.rollout import Rollout
from envs.errors import EnvFailure
from envs.gym import GymVectorEnv
from envs.spaces import Feature, Functions, Pointer, Pointers, Units
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import SMALL

BOX = spaces.Box(-1, 1, (2,), np.float32)
UNITS = Units(4, [Feature("x")])
CPU = torch.device("cpu")


def bits(*values: int) -> np.ndarray:
    return np.array(values, np.int8)


class Masked(gymnasium.Env[Any, Any]):
    """Gives ``mask(t)`` in its info after t steps (-1: none), and keeps each action; truncated after three steps."""

    observation_space: Any = spaces.Dict({"units": UNITS, "x": BOX})

    def __init__(self, action_space: spaces.Space[Any], mask: Any) -> None:
        self.action_space, self.mask, self.chosen, self.resets = action_space, mask, [], 0

    def show(self) -> Any:
        mask = self.mask(self.steps)
        shown = {"units": {"features": np.zeros((4, 1), np.float32), "mask": bits(1, 0, 1, 0)}, "x": np.zeros(2)}
        return shown, {} if mask is None else {"action_mask": mask}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return self.show()

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self.chosen.append(action)
        self.steps += 1
        return self.show()[0], 1.0, False, self.steps == 3, self.show()[1]


class Shown(Masked):
    """The same with the mask in its observation, of the space ``mask_space``."""

    def __init__(self, action_space: spaces.Space[Any], mask: Any, mask_space: spaces.Space[Any]) -> None:
        super().__init__(action_space, mask)
        self.observation_space = spaces.Dict({"x": BOX, "action_mask": mask_space})

    def show(self) -> Any:
        mask = self.mask(self.steps)
        return {"x": np.zeros(2, np.float32)} | ({} if mask is None else {"action_mask": mask}), {}


def choices(make: Any, who: str, steps: int = 20) -> list[Any]:
    """What is chosen in two games by a random player, by a new policy as it learns, or by its best guesses."""
    env = GymVectorEnv(make, 2)
    torch.manual_seed(0)
    if who == "random":
        play(RandomPlayer(env.single_action_space, 0), env, 2 * steps // 3, 0)
    else:
        policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, SMALL)
        if who == "learning":
            Rollout(env, policy, steps, seed=0, device=CPU).collect()
        else:
            play(PolicyPlayer(policy, device=CPU, greedy=True, seed=0), env, 2 * steps // 3, 0)
    return [action for one in env.envs for action in one.unwrapped.chosen]


WHO = pytest.mark.parametrize("who", ["random", "learning", "greedy"])
KINDS = spaces.Dict({"k": spaces.Discrete(3), "x": BOX, "b": spaces.MultiBinary(2)})


@WHO
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_bits_are_held_at_0_held_at_1_or_free(who: str, shape: tuple[int, ...]) -> None:
    space, mask = spaces.MultiBinary(shape), bits(0, 1, 2).reshape(shape)
    for make in (
        lambda: Masked(space, lambda t: mask),
        lambda: Shown(space, lambda t: mask, spaces.Box(0, 2, shape, np.int8)),
        lambda: Masked(spaces.Dict({"b": space}), lambda t: {"b": mask}),
    ):
        actions = [np.ravel(a["b"] if isinstance(a, dict) else a).tolist() for a in choices(make, who)]
        assert {tuple(a[:2]) for a in actions} == {(0, 1)}
        assert who == "greedy" or {a[2] for a in actions} == {0, 1}


@WHO
@pytest.mark.parametrize(
    ("space", "mask", "legal"),
    [
        # a Box takes no mask: None, as Gymnasium's sample wants it, or left out
        (KINDS, {"k": bits(0, 1, 0), "x": None, "b": None}, lambda a: a["k"] == 1),
        (KINDS, {"k": bits(0, 1, 0)}, lambda a: a["k"] == 1),
        (spaces.Tuple((spaces.Discrete(3), BOX)), (bits(0, 1, 0), None), lambda a: a[0] == 1),
        (spaces.Dict({0: spaces.Discrete(2), "a/b": spaces.Discrete(2)}), {0: bits(0, 1)}, lambda a: a[0] == 1),
        # a MultiDiscrete's: nested like its shape, flat, stacked
        (spaces.MultiDiscrete([2, 3]), (bits(0, 1), bits(1, 0, 0)), lambda a: a.tolist() == [1, 0]),
        (spaces.MultiDiscrete([2, 3]), bits(0, 1, 1, 0, 0), lambda a: a.tolist() == [1, 0]),
        (spaces.MultiDiscrete([2, 3]), (None, bits(1, 0, 0)), lambda a: a[1] == 0),
        (spaces.MultiDiscrete([2, 2]), np.array([[0, 1], [1, 0]]), lambda a: a.tolist() == [1, 0]),
        (
            spaces.MultiDiscrete([[1, 2], [2, 1]]),
            ((bits(1), bits(0, 1)), (bits(1, 0), bits(1))),
            lambda a: a.tolist() == [[0, 1], [0, 0]],
        ),
        # other types that say the same
        (spaces.Discrete(3), np.array([0.0, 0.0, 1.0]), lambda a: a == 2),
        (spaces.Discrete(3), [False, False, True], lambda a: a == 2),
        (spaces.Discrete(3, start=5), bits(0, 0, 1), lambda a: a == 7),
    ],
)
def test_every_form_is_obeyed(who: str, space: Any, mask: Any, legal: Any) -> None:
    actions = choices(lambda: Masked(space, lambda t: mask), who)
    assert len(actions) >= 24
    assert all(legal(action) for action in actions)


@WHO
def test_random_play_and_policies_choose_units_that_are_there(who: str) -> None:
    call = Functions(
        {"hit": ("whom",), "all": ("these",)}, {"whom": Pointer("units", 4), "these": Pointers("units", 4)}
    )
    for mask, allowed in ((None, {0, 2}), ({"whom": bits(0, 1, 1, 1), "these": bits(1, 1, 1, 1)}, {0, 2})):
        for action in choices(lambda: Masked(call, lambda t: mask), who):  # noqa: B023
            if action["function"] == 0:
                assert action["whom"] in (allowed if mask is None else {2})
            assert set(np.flatnonzero(action["these"])) <= allowed


@WHO
def test_an_arguments_mask_may_have_a_row_for_each_function(who: str) -> None:
    """Whom depends on what is done, for a number, a unit and several units; units that are not there are left out."""
    call = Functions(
        {"wait": (), "hit": ("whom", "how"), "heal": ("whom", "how"), "all": ("these",)},
        {"whom": Pointer("units", 4), "how": spaces.Discrete(3), "these": Pointers("units", 4)},
    )
    whom = np.stack((bits(0, 0, 0, 0), bits(1, 1, 0, 0), bits(0, 0, 1, 1), bits(1, 1, 1, 1)))
    how = np.array([[False] * 3, [True, True, False], [False, False, True], [True] * 3])
    these = np.stack((bits(1, 1, 1, 1),) * 3 + (bits(1, 1, 0, 1),))
    mask = {"whom": whom, "how": how, "these": these}
    actions = choices(lambda: Masked(call, lambda t: mask), who, 60)
    assert who == "greedy" or {int(action["function"]) for action in actions} == {0, 1, 2, 3}
    for action in actions:
        if action["function"] in (1, 2):
            assert action["whom"] == (0, 2)[action["function"] - 1]
            assert how[action["function"], action["how"]]
        assert set(np.flatnonzero(action["these"])) <= {0}


@WHO
def test_what_a_later_mask_leaves_out_is_free(who: str) -> None:
    mask = after(1, {"k": None}, {"k": bits(0, 1, 0), "b": bits(0, 1)})
    actions = choices(lambda: Masked(KINDS, mask), who, 21)
    begun, later = actions[::3], [action for i, action in enumerate(actions) if i % 3]
    assert {(int(action["k"]), *action["b"].tolist()) for action in begun} == {(1, 0, 1)}
    assert who == "greedy" or len({(int(action["k"]), *action["b"].tolist()) for action in later}) > 4


def after(t: int, late: Any, first: Any) -> Any:
    return lambda steps: late if steps >= t else first


FREE = bits(1, 1, 1)
HIT = Functions({"wait": (), "hit": ("whom",)}, {"whom": spaces.Discrete(3)})


@pytest.mark.parametrize(
    ("space", "mask", "said"),
    [
        (
            spaces.Discrete(3),
            after(2, bits(1, 1), FREE),
            r"step 2: the action_mask has the shape \(2,\); expected \(3,\)",
        ),
        (spaces.Discrete(3), after(2, bits(0, 0, 0), FREE), "step 2: the action_mask forbids everything"),
        (spaces.Discrete(3), after(2, np.array([0.5, 1, 1]), FREE), "step 2: the action_mask holds"),
        (spaces.Discrete(3), after(2, bits(2, 1, 1), FREE), "step 2: the action_mask holds 2; expected 0 and 1"),
        (spaces.Discrete(3), after(1, FREE, None), "step 1: info has an 'action_mask', but the first reset gave none"),
        (spaces.Discrete(3), after(1, None, FREE), "step 1: info has no 'action_mask', which the first reset gave"),
        (KINDS, after(1, {"k": FREE, "b": bits(2, 2)}, {"k": FREE}), "step 1: action_mask 'b' is there, but the first"),
        (KINDS, after(1, {"k": FREE, "q": FREE}, {"k": FREE}), "step 1: the action_mask has the entry 'q'"),
        (
            KINDS,
            after(1, {"k": FREE, "x": FREE}, {"k": FREE}),
            "step 1: action_mask 'x' is there, but a Box takes none",
        ),
        (spaces.MultiDiscrete([2, 2]), after(1, bits(1, 1, 0, 0), bits(1, 1, 1, 1)), "everything for component 1"),
        (spaces.MultiBinary(2), after(1, bits(3, 0), bits(2, 2)), r"holds 3; expected 0 \(held at 0\), 1"),
        (Pointer("units", 4), after(1, bits(0, 1, 0, 1), bits(1, 1, 1, 1)), "the action_mask forbids everything"),
        (
            HIT,
            after(1, {"whom": np.zeros((2, 3))}, {"whom": np.ones((2, 3))}),
            "action_mask 'whom for hit' forbids everything",
        ),
        (
            HIT,
            after(1, {"whom": np.ones((3, 3))}, {"whom": np.ones((2, 3))}),
            r"'whom' has the shape \(3, 3\); expected \(2, 3\)",
        ),
        (HIT, after(1, {"whom": np.full((2, 3), 2)}, {"whom": np.ones((2, 3))}), "'whom for wait' holds 2"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_with_its_place(space: Any, mask: Any, said: str) -> None:
    env = GymVectorEnv(lambda: Masked(space, mask), 2)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, SMALL)
    with pytest.raises(EnvFailure, match=f"Masked, game 1 of 2, episode 1, .*{said}"):
        Rollout(env, policy, 3, seed=0, device=CPU).collect()


@pytest.mark.parametrize("seen", [True, False])
def test_a_mask_may_be_missing_at_an_episodes_end(seen: bool) -> None:
    space, mask = spaces.Discrete(3), lambda t: None if t == 3 else bits(0, 1, 0)
    make = (lambda: Shown(space, mask, spaces.MultiBinary(3))) if seen else (lambda: Masked(space, mask))
    assert set(choices(make, "learning")) == {1}


def test_an_argument_that_no_legal_function_takes_may_have_nothing_legal() -> None:
    space = Functions({"wait": (), "hit": ("whom",)}, {"whom": spaces.Discrete(3)})
    mask = {"function": bits(1, 0), "whom": bits(0, 0, 0)}
    assert {action["function"] for action in choices(lambda: Masked(space, lambda t: mask), "learning")} == {0}
    mask = {"function": bits(1, 1), "whom": bits(0, 0, 0)}
    with pytest.raises(EnvFailure, match="action_mask 'whom' forbids everything"):
        choices(lambda: Masked(space, lambda t: mask), "learning")


@pytest.mark.parametrize(
    ("action", "mask", "said"),
    [
        (spaces.Discrete(3), spaces.MultiBinary(4), r"the action_mask has the shape \(4,\); expected \(3,\)"),
        (spaces.Discrete(3), spaces.Dict({"a": spaces.MultiBinary(3)}), "the action_mask is a Dict"),
        (KINDS, spaces.Dict({"k": spaces.MultiBinary(2)}), r"action_mask 'k' has the shape \(2,\)"),
        (KINDS, spaces.Dict({"x": spaces.MultiBinary(2)}), "action_mask 'x' is there, but a Box takes none"),
        (KINDS, spaces.MultiBinary(3), "expected a dict of masks"),
    ],
)
def test_a_space_of_masks_that_is_not_the_actions_is_refused_before_the_first_step(
    action: Any, mask: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        GymVectorEnv(lambda: Shown(action, lambda t: mask.sample(), mask), 2)
