"""The melee's player in the orders style, by what it achieves."""

from __future__ import annotations

import pytest

from agents.acting.evaluate import ScriptedPlayer, play
from envs.standin.players.roster import make_player
from envs.standin.vector_env import make


@pytest.mark.parametrize(
    ("opponent", "games"), [("terran:very_easy", 2), pytest.param("terran:medium", 20, marks=pytest.mark.slow)]
)
def test_it_wins(opponent: str, games: int) -> None:
    env = make("Simple64", games, style="orders", opponent=opponent, step_mul=32)
    played = play(ScriptedPlayer(make_player("scripted", "Simple64", env.interface)), env, games, 0)
    assert played.outcomes == [1] * games


def test_it_says_what_it_needs() -> None:
    env = make("Simple64", 1, style="orders", opponent="easy", functions=("no_op", "Attack_pt"))
    with pytest.raises(ValueError, match="Train_Marine_quick"):
        make_player("scripted", "Simple64", env.interface)
