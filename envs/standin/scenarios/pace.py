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
        (14, 2, 64, 2, 300, 6000, 8, 30, 1.0, 0),  # medium
        (15, 3, 48, 3, 280, 5500, 12, 45, 1.0, 0),
        (16, 4, 36, 4, 260, 5000, 15, 60, 1.0, 0),  # hard
        (17, 5, 27, 5, 250, 4600, 18, 80, 1.0, 0),
        (19, 6, 18, 6, 240, 4300, 22, 100, 1.0, 0),  # very hard
        (22, 8, 8, 6, 230, 4000, 26, 120, 1.0, 0),  # and all that cheat
        (22, 11, 0, 8, 220, 3600, 28, 120, 1.0, 0.6),
        (22, 15, 0, 10, 210, 3200, 30, 120, 1.0, 1.5),
    ],
    np.float32,
)


def seat_computer(games: Any, number: int, opponent: Opponent) -> None:
    """Let a computer play player 1 or 2 in games (records of :data:`envs.standin.rules.world.GAME`) that begin."""
    prefix = "" if number == 1 else "other_"
    games[f"{prefix}difficulty"] = DIFFICULTIES[opponent.difficulty]
    games[f"{prefix}build"] = BUILDS[opponent.build]
    games[f"{prefix}pace"] = PACE[DIFFICULTIES[opponent.difficulty]]
