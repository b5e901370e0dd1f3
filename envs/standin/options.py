"""The options of the stand-in's games, checked before anything is made; and what a seed means."""

from __future__ import annotations

import numpy as np

from envs.checks import number, whole
from envs.standin.scenarios.shaping import ECONOMIES
from envs.starcraft.maps import CLIFFS, LONGEST_EPISODE, LONGEST_STEP, MELEE, MiniGame
from envs.starcraft.opponents import check_playable

MOST_GAMES, MOST_THREADS = 1_000_000, 1024


def check_games(num_envs: int, step_mul: int, threads: int, max_loops: int | None, render_games: int | None) -> None:
    """Raise a ValueError that names the option for a number of games, loops or threads that cannot be."""
    whole("num_envs", num_envs, 1, MOST_GAMES)
    whole("step_mul", step_mul, 1, LONGEST_STEP)
    whole("threads", threads, 1, MOST_THREADS)
    if max_loops is not None:
        whole("max_loops", max_loops, 1, LONGEST_EPISODE)
    if render_games is not None:
        whole("render_games", render_games, 0, MOST_GAMES)


def check_for_learning(this: MiniGame, shaping: float, head_start: float) -> None:
    """Raise a ValueError that names the option for rewards or beginnings that a map does not have."""
    number("shaping", shaping, 0.0)
    if shaping and not (this.melee or this.fog or this.name in ECONOMIES):
        raise ValueError(f"shaping: {this.name} rewards what leads to its score already")
    number("head_start", head_start, 0.0, 1.0)
    if head_start and not (this.name in ECONOMIES or (this.melee and this.name != CLIFFS)):
        there = ", ".join((*ECONOMIES, "the plain melees"))
        raise ValueError(f"head_start: {this.name} has no such beginnings; {there} have")


def check_melee(this: MiniGame, num_envs: int, opponent: str | None, players: int | None) -> None:
    """Raise a ValueError that names the option of a melee that does not fit: the map, another option, or a number."""
    melees = ", ".join(MELEE)
    if opponent is not None and not this.melee:
        raise ValueError(f"opponent: {this.name} has no computer player, only melee maps have: {melees}")
    check_playable(opponent)
    if players is None:
        return
    whole("players", players, 1, 2)
    if players == 2:
        if not this.melee:
            raise ValueError(f"players: {this.name} is for one; melee maps are {melees}")
        if opponent is not None:
            raise ValueError("players: two play against each other; leave opponent out, or play alone against it")
        if num_envs % 2:
            raise ValueError(f"players: two of them need an even number of environments, got {num_envs}")


def game_seed(seed: int, index: int) -> int:
    """A number for the game ``index`` of a seed; never 0, which stands for "not seeded yet"."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]) | 1
