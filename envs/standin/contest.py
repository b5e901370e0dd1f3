"""Two computer players against each other: who wins how many games."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from envs.standin import game
from envs.standin.options import game_seed
from envs.standin.rules.catalog import type_table
from envs.standin.rules.scenario_ids import SCENARIOS
from envs.standin.rules.world import GAME, LOST, PLAYING, UNIT, WON
from envs.standin.scenarios.pace import seat_computer
from envs.starcraft.maps import mini_game
from envs.starcraft.opponents import Opponent

_STRIDE = 2_000


def contest(
    one: Opponent, other: Opponent, games: int, seed: int = 0, map_name: str = "Simple64"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Play ``games`` whole games of ``one`` against ``other``: the first one's outcomes (1, 0, -1), and the loops."""
    map = mini_game(map_name)
    state, units, types = np.zeros(games, GAME), np.zeros((games, map.capacity), UNIT), type_table()
    for number, player in enumerate((one, other), 1):
        seat_computer(state, number, player)
    state["seed"] = [game_seed(seed, i) for i in range(games)]
    layout = map.layout()
    places, resources = np.array(layout.places, np.float32), np.array(layout.resources, np.float32)
    number = SCENARIOS.index("Melee")
    game.reset(state, units, types, np.arange(games), number, map.loops, places, resources)
    rewards = np.zeros(games, np.float32)
    while (state["status"] == PLAYING).any():
        game.run(state, units, types, 0, games, _STRIDE, 1, places, rewards)
    outcome = (state["status"] == WON).astype(np.int64) - (state["status"] == LOST)
    return outcome, state["loop"].astype(np.int64)
