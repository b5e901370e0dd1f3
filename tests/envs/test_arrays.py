"""What is no array, as arrays: against what was put in, and by what a policy can tell apart."""

from __future__ import annotations

import logging
from typing import Any

import gymnasium
import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces

from envs.arrays import Characters, Elements, as_arrays, as_choices, chosen, to_arrays
from envs.errors import EnvFailure
from envs.gym import GymVectorEnv
from envs.observations import Fault
from envs.spaces import Feature, Units
from perceiver_policy.policy.inputs import Inputs


class Shows(gymnasium.Env[Any, Any]):
    """Shows one value after the other, and keeps what was chosen."""

    def __init__(self, space: Any, values: Any, action: Any = None, mask: Any = None) -> None:
        self.observation_space, self.action_space = space, action or spaces.Discrete(2)
        self.values, self.mask, self.seen = values, mask, []

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.at = 0
        return self.values[0], {} if self.mask is None else {"action_mask": self.mask}

    def step(self, action: Any) -> Any:
        self.at, value = self.at + 1, self.values[(self.at + 1) % len(self.values)]
        self.seen.append(action)
        return value, 0.0, False, False, {} if self.mask is None else {"action_mask": self.mask}


def tokens_of(space: Any, *values: Any) -> list[torch.Tensor]:
    """The valid tokens of each value, by one and the same reader."""
    torch.manual_seed(0)
    known = as_arrays(space)
    inputs = Inputs(known, 16)
    found = []
    for value in values:
        arrays = optree.tree_map(lambda x: torch.as_tensor(np.asarray(x))[None], to_arrays(space, known, value, ""))
        tokens = inputs(arrays)
        valid = tokens.tokens[0] if tokens.mask is None else tokens.tokens[0][tokens.mask[0]]
        found.append(valid if inputs.always is None else valid[:-1])  # there even where nothing is
    return found


def test_characters_are_those_of_the_text() -> None:
    space = spaces.Text(5, min_length=0, charset="abc")
    known = as_arrays(space)
    assert isinstance(known, Characters)
    codes = [to_arrays(space, known, text, "").tolist() for text in ("", "cab", "a?c", "abcabc")]
    letters = {letter: space.character_index(letter) + 2 for letter in "abc"}
    a, b, c = (int(letters[letter]) for letter in "abc")
    assert codes == [[0] * 5, [c, a, b, 0, 0], [a, 1, c, 0, 0], [a, b, c, a, b]]
    with pytest.raises(Fault, match="'say' is a int; expected a text"):
        to_arrays(space, known, 3, "say")


def test_a_mission_is_read_to_its_longest() -> None:
    class MissionSpace(spaces.Space[str]):  # as MiniGrid's
        def __init__(self) -> None:
            self.ordered_placeholders = [["red", "yellow"], ["key", "ball"]]
            self.mission_func = lambda color, kind: f"get the {color} {kind}"
            super().__init__(dtype=str)

    assert as_arrays(MissionSpace()).shape == (len("get the yellow ball"),)


@pytest.mark.parametrize("stack", [False, True])
def test_a_sequence_is_its_elements_in_order(stack: bool) -> None:
    space = spaces.Sequence(spaces.Box(-1, 1, (2,)), stack=stack)
    rows = np.float32([[0.5, 1], [-1, 0], [0, 0.25]])
    value = rows if stack else tuple(rows)
    known = as_arrays(space)
    assert isinstance(known, Elements)
    arrays = to_arrays(space, known, value, "")
    np.testing.assert_array_equal(arrays["elements"][:3], rows)
    assert (arrays["mask"].tolist(), arrays["elements"][3:].any()) == ([1] * 3 + [0] * 61, False)
    forward, back, twice = tokens_of(space, value, value[::-1], value[:2])
    assert len(forward) == len(back) == 3
    torch.testing.assert_close(forward[:2], twice)  # what is beyond the end changes nothing
    assert not torch.allclose(forward, back)


def test_what_is_beyond_the_capacity_is_left_out_and_told_once(caplog: Any) -> None:
    space = spaces.Sequence(spaces.Discrete(9, start=3))
    space.capacity = 2
    env = GymVectorEnv(lambda: Shows(space, [(5, 6, 7)]), 1)
    with caplog.at_level(logging.WARNING, "envs"):
        observation, _ = env.reset(seed=0)
        env.step(np.zeros(1, int))
    assert observation["elements"].tolist() == [[5, 6]]
    assert sum("the observation holds 3, of which the first 2 are read" in line for line in caplog.messages) == 1


def test_an_edge_is_known_by_the_nodes_at_its_ends() -> None:
    space = spaces.Graph(spaces.Box(-1, 1, (2,)), spaces.Discrete(3))
    nodes = np.float32([[0, 1], [1, 0], [0.5, 0.5]])

    def graph(*edges: tuple[int, int, int]) -> Any:
        carried, links = np.array([e[0] for e in edges], int), np.array([e[1:] for e in edges], int)
        return spaces.GraphInstance(nodes, carried, links.reshape(-1, 2))

    bare, one, other, reverse = tokens_of(space, graph(), graph((1, 0, 2)), graph((2, 0, 2)), graph((1, 2, 0)))
    assert [len(x) for x in (bare, one, other, reverse)] == [3, 4, 4, 4]
    torch.testing.assert_close(one[:3], bare)
    for different in (other, reverse):
        torch.testing.assert_close(different[:3], bare)
        assert not torch.allclose(different[3], one[3])
    with pytest.raises(Fault, match=r"'g' has a link \[0, 3\], but 3 nodes"):
        to_arrays(space, as_arrays(space), graph((0, 0, 3)), "g")
    with pytest.raises(Fault, match="'g' has 1 edges, but 2 edge_links"):
        to_arrays(space, as_arrays(space), graph((0, 0, 1), (0, 1, 2))._replace(edges=np.array([1])), "g")


def test_only_the_alternative_that_is_there_is_read() -> None:
    space = spaces.OneOf([spaces.Discrete(3), spaces.Dict({"p": spaces.Box(0, 1, (2,)), "q": spaces.Text(4)})])
    first, again, second = tokens_of(space, (0, 2), (0, 1), (1, {"p": np.float32([0.5, 1]), "q": "abc"}))
    assert (len(first), len(second)) == (2, 1 + 1 + 3)
    torch.testing.assert_close(first[0], again[0])
    assert not torch.allclose(first[1], again[1])
    for wrong in ((2, 0), 7, (0,)):
        with pytest.raises(Fault, match="expected a number below 2 and a value"):
            to_arrays(space, as_arrays(space), wrong, "")


ONE_OF = spaces.OneOf(
    [spaces.Discrete(3, start=5), spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.Dict({"b": spaces.MultiBinary(2)})])]
)


def test_a_one_of_is_chosen_as_a_function_with_its_arguments() -> None:
    known = as_choices(ONE_OF)
    known.seed(0)
    seen = set()
    for _ in range(40):
        drawn = known.sample()
        action = chosen(ONE_OF, known, drawn)
        assert ONE_OF.contains(action), action
        seen.add(action[0])
        inner = {"0": action[1]} if action[0] == 0 else {"1/0": action[1][0], "1/1/b": action[1][1]["b"]}
        for name, value in inner.items():
            np.testing.assert_array_equal(value, drawn[name])
    assert seen == {0, 1}


def test_the_mask_of_a_one_of_is_obeyed_in_gymnasiums_form() -> None:
    mask = (np.int8([0, 1, 0]), (None, {"b": np.int8([1, 2])}))
    env = GymVectorEnv(lambda: Shows(spaces.Discrete(2), [0], ONE_OF, mask), 1)
    observation, _ = env.reset(seed=0)
    assert observation["action_mask"]["0"].tolist() == [[0, 1, 0]]
    assert observation["action_mask"]["1/1/b"].tolist() == [[1, 2]]


def test_what_cannot_be_chosen_is_refused_by_name_with_what_serves() -> None:
    for space, words in (
        (spaces.Text(3), r"'say'\] is a Text.*MultiDiscrete"),
        (spaces.Sequence(spaces.Discrete(2)), r"'say'\] is a Sequence.*PerUnit"),
        (spaces.Graph(spaces.Discrete(2), None), r"'say'\] is a Graph.*Pointer"),
    ):
        with pytest.raises(ValueError, match=words):
            GymVectorEnv(lambda space=space: Shows(spaces.Discrete(2), [0], spaces.Dict({"say": space})), 1)


def test_a_value_of_another_kind_names_game_step_and_part() -> None:
    space = spaces.Dict({"say": spaces.Text(4), "n": spaces.Discrete(2)})
    env = GymVectorEnv(lambda: Shows(space, [{"say": "a", "n": 0}, {"say": None, "n": 0}]), 2)
    env.reset(seed=0)
    with pytest.raises(EnvFailure, match="Shows, game 1 of 2, episode 1, step 1: observation 'say' is a NoneType"):
        env.step(np.zeros(2, int))


def test_rows_without_a_unit_mean_nothing_within_a_sequence_either() -> None:
    """Against zeros put in by hand."""
    units = Units(2, [Feature("a")])
    space = spaces.Sequence(units)
    known = as_arrays(space)
    shown = {"features": np.array([[1.5], [np.nan]], np.float32), "mask": np.array([1, 0], np.int8)}
    read = to_arrays(space, known, (shown,), "")
    features = read["elements"]["features"]
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[0], [[1.5], [0.0]])
