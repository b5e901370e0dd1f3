"""What a computer player's numbers are, by their places in a row, and the builds that scale them."""

from __future__ import annotations

import numpy as np

RANDOM_BUILD, RUSH, TIMING, POWER, MACRO = range(1, 6)
MEDIUM, CHEAT_VISION = 3, 8

WORKERS_WANTED, BARRACKS_WANTED, GAP, MARGIN, BEGIN, PEACE, WAVE, ARMY, DEFENDERS, BONUS = range(10)
"""The numbers of a difficulty (:mod:`envs.standin.scenarios.pace`)."""

MORE_WORKERS, MORE_BARRACKS, SOONER, PATIENCE, WAVE_SIZE = range(5)
PLANS = np.array(
    [
        # more workers; more barracks, how soon it builds, how long it waits and for how many, as parts of the pace
        (0, 1.0, 1.0, 1.0, 1.0),
        (0, 1.0, 1.0, 1.0, 1.0),
        (0, 1.0, 0.7, 0.5, 0.6),  # rush
        (0, 1.0, 0.9, 0.8, 0.8),  # timing
        (0, 1.0, 1.0, 1.1, 1.3),  # power
        (2, 1.3, 1.0, 1.4, 1.6),  # macro
    ],
    np.float32,
)
