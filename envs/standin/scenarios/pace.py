"""How well a computer player plays: a row of numbers for each of the API's difficulties."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.starcraft.opponents import BUILDS, DIFFICULTIES, Opponent

PACE = np.array(
    [
        # workers and barracks it goes for; loops from one decision to the next; supply left when it builds a depot;
        # loop of its first building; loop before which no wave leaves; marines of the first wave; the largest wave;
        # part of its workers that it calls to defend; minerals that it is given, as a part of what its workers earn
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (12, 1, 700, 1, 3000, 9000, 4, 8, 0.0, 0),  # very easy
        (12, 1, 300, 1, 1600, 7500, 6, 14, 0.3, 0),
        (15, 3, 80, 2, 240, 6000, 12, 30, 1.0, 0),  # medium
        (16, 3, 60, 3, 230, 5500, 15, 45, 1.0, 0),
        (17, 4, 44, 4, 220, 5000, 18, 60, 1.0, 0),  # hard
        (18, 4, 32, 5, 210, 4600, 22, 80, 1.0, 0),
        (20, 5, 20, 6, 200, 4300, 26, 100, 1.0, 0),  # very hard
        (22, 7, 4, 7, 190, 4000, 30, 120, 1.0, 0),  # and all that cheat
        (23, 11, 0, 8, 200, 3600, 30, 120, 1.0, 0.6),
        (23, 15, 0, 10, 200, 3200, 30, 120, 1.0, 1.5),
    ],
    np.float32,
)


def seat_computer(games: Any, number: int, opponent: Opponent | None) -> None:
    """Let a computer play player 1 or 2 in games (records of :data:`envs.standin.rules.world.GAME`) that begin; None:
    nobody does."""
    prefix = "" if number == 1 else "other_"
    if opponent is None:
        games[f"{prefix}difficulty"] = 0
        return
    games[f"{prefix}difficulty"] = DIFFICULTIES[opponent.difficulty]
    games[f"{prefix}build"] = BUILDS[opponent.build]
    games[f"{prefix}pace"] = PACE[DIFFICULTIES[opponent.difficulty]]
