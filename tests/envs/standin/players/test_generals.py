"""The melee's player in the orders style, by what it achieves."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from agents.acting.evaluate import ScriptedPlayer, play
from envs.spaces import ACTION_MASK
from envs.standin.players.roster import make_player
from envs.standin.players.sight import KINDS
from envs.standin.vector_env import make


@pytest.mark.parametrize(
    ("opponent", "games"), [("terran:very_easy", 2), pytest.param("terran:medium", 20, marks=pytest.mark.slow)]
)
def test_it_wins(opponent: str, games: int) -> None:
    env = make("Simple64", games, style="orders", opponent=opponent, step_mul=32)
    played = play(ScriptedPlayer(make_player("scripted", "Simple64", env.interface)), env, games, 0)
    assert played.outcomes == [1] * games


def test_its_workers_answer_a_rush_of_all_workers() -> None:
    games = 6
    env = make("Simple64", 2 * games, style="orders", players=2, step_mul=32, max_units=96)
    face, play = env.interface, make_player("scripted", "Simple64", env.interface)
    width, height = face.minimap_size
    observation, _ = env.reset(seed=7)
    homes: dict[int, tuple[float, float]] = {}
    won: dict[int, float] = {}
    for _ in range(400):
        action, seen = play(observation), observation["units"]
        kind, own, x, y = (
            seen["features"][..., face.unit_features.index(name)] for name in ("unit_type", "alliance", "x", "y")
        )
        mine = (seen["mask"] > 0) & (own == 1)
        for row in range(0, 2 * games, 2):
            for center in np.flatnonzero(mine[row] & (kind[row] == KINDS["CommandCenter"])):
                homes[row] = float(x[row, center]), float(y[row, center])
            column, line = int((1 - homes[row][0]) * width), int((1 - homes[row][1]) * height)
            action["function"][row] = np.where(
                mine[row] & (kind[row] == KINDS["SCV"]), face.functions.index("Attack_pt"), 0
            )
            action["place"][row] = line * width + column
        observation, reward, over, *_ = env.step(action)
        won |= {row: float(reward[row]) for row in np.flatnonzero(over)[::2].tolist() if row not in won}
        if len(won) == games:
            break
    assert set(won.values()) == {-1.0}


def test_it_says_what_it_needs() -> None:
    env = make("Simple64", 1, style="orders", opponent="easy", functions=("no_op", "Attack_pt"))
    with pytest.raises(ValueError, match="Train_Marine_quick"):
        make_player("scripted", "Simple64", env.interface)


def test_who_builds_does_not_depend_on_who_else_could() -> None:
    env = make("Simple64", 1, style="orders", opponent="easy", step_mul=32)
    play, build = make_player("scripted", "Simple64", env.interface), env.interface.functions.index("Build_Barracks_pt")
    observation, _ = env.reset(seed=0)
    compared = 0
    for _ in range(60):
        action = play(observation)
        told = np.flatnonzero(action["function"][0] == build)
        assert observation[ACTION_MASK]["site"][0][action["site"][0, told]].all()
        for hidden in told if len(told) > 1 else ():
            less = copy.deepcopy(observation)
            less["units"]["mask"][0, hidden] = 0
            again, others = play(less), np.setdiff1d(told, hidden)
            np.testing.assert_array_equal(again["function"][0, others], build)
            np.testing.assert_array_equal(again["site"][0, others], action["site"][0, others])
            compared += 1
        observation, *_ = env.step(action)
    assert compared
