"""Loads all kernels, or compiles them where that has not been done yet, so that no game has to wait for it."""

from __future__ import annotations

import numpy as np

from envs.standin import game
from envs.standin.protocol.match import Match
from envs.standin.rules import questions
from envs.standin.rules.cards import BUILD_QUEUE, COMMANDS
from envs.standin.rules.catalog import KINDS
from envs.standin.rules.world import NEUTRAL
from envs.standin.vector_env import make
from envs.starcraft.maps import interface_for, mini_game


def load_kernels() -> None:
    """Call each kernel once."""
    for style in ("feature", "orders"):
        interface = interface_for("MoveToBeacon", style=style)
        env = make("MoveToBeacon", 1, interface=interface)
        env.reset(seed=0)
        spaces = interface.action_space
        env.step({name: np.zeros((1, *(space.shape or ())), np.int64) for name, space in spaces.items()})
    match = Match(mini_game("MoveToBeacon"), seed=0, sizes=(64, 64, 64, 64))
    match.choose("no_op", "ui", {})
    match.command("Stop", [0])
    state = match.games, match.units, match.types
    game.create(*state, 0, NEUTRAL, 0.0, 0.0)
    questions.abilities_of(*state, 0, False, np.zeros(len(COMMANDS), np.int8))
    questions.placement(*state, BUILD_QUEUE, 0.0, 0.0, False)
    questions.sees(*state, 0)
    game.research(match.games, match.units, KINDS)
    game.turn_table(match.games, match.units)
    questions.path_length(*state, 30.0, 30.0, 31.0, 31.0)
