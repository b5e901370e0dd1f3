"""Faults that were planted are found, each by its own words, and a sound environment is left in peace."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import pytest

from agents.commands import cli
from envs.single.diagnosis import examine
from envs.single.entry import single
from tests.envs import faulty

PLANTED = {
    "WrongShape": r"observation 'at' has the shape \(1,\); its space has \(2,\)",
    "MissingKey": "the observation has no entry 'turn'",
    "BeyondItsBounds": r"observation 'at' holds [\d.]+, which is above its space's bound 99",
    "NoChoice": "observation 'turn' holds 2, but its space is Discrete",
    "NotANumber": r"observation 'at' holds nan at \[\d\], which is not finite",
    "EndlessReward": "the reward is inf, which is not finite",
    "ConstantNumber": r"observation 'at' has never changed at \[1\]",
    "ConstantPart": "observation 'turn' has never changed: leave it out, or --read turn=ignore",
    "HugeRewards": r"the largest reward is 1e\+07: scale",
    "TinyRewards": "the largest reward is 1e-08: scale",
    "AnotherStream": "two games with one seed and the same actions differ",
    "SharedBuffer": r"step\(\) writes into the arrays of the observation",
    "NothingIsLegal": "the action_mask forbids everything",
    "MaskOfAnotherShape": r"the action_mask has the shape \(4,\); expected \(3,\)",
    "MaskThatNeverChanges": "the action_mask has been the same in",
    "Slow": r"a step takes \d+ ms: --env-processes",
    "Endless": "no episode has ended in 2,000 steps, and it has no time limit: --env-time-limit",
    "IgnoresActions": "nothing depends on the action",
    "FourValues": r"step\(\) returned a tuple of 4",
    "Raises": "step 5: ZeroDivisionError",
    "TakesNoSeed": "at its reset: TypeError.*seed",
    "CannotBeChosen": "the action space is a Sequence, which is not supported",
}


def diagnosed(name: str, **options: Any) -> list[str]:
    try:
        return examine(single(f"tests.envs.faulty:{name}", {}), name, **options).wrong
    except (gymnasium.error.Error, ValueError, RuntimeError) as error:
        return [str(error)]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    steps = {"Slow": 5, "Endless": 2000}.get(name, 150)
    wrong = diagnosed(name, steps=steps)
    assert any(re.search(PLANTED[name], text, re.DOTALL) for text in wrong), wrong
    assert len(wrong) == 1, wrong


def test_every_fault_there_is_has_words() -> None:
    classes = {name for name, kind in vars(faulty).items() if isinstance(kind, type) and issubclass(kind, faulty.Sound)}
    assert classes - {"Sound"} == set(PLANTED)


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Taxi-v4", "Blackjack-v1", "Acrobot-v1"]
)
def test_nothing_is_said_of_sound_ones(name: str) -> None:
    assert examine(single(name, {}), name, steps=300).wrong == []


def test_the_command_says_it_and_how_the_environment_is_read(capsys: Any) -> None:
    assert cli.run(["check", "tests.envs.faulty:Sound", "--steps", "200"]) == 0
    said = capsys.readouterr().out
    for words in (
        "played 200 steps",
        "nothing is wrong with it",
        "observation 'at': 2 numbers, 1 token",
        "observation 'turn': one of 2, 1 token",
        "2 tokens, ",
        "steps a second with 8 games",
    ):
        assert words in said, words
    assert cli.run(["check", "tests.envs.faulty:ConstantPart", "--steps", "200"]) == 2
    out = capsys.readouterr()
    assert "wrong: observation 'turn' has never changed" in out.out
    assert "1 thing to mend" in out.err
