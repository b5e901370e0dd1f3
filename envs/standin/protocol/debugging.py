"""Debug requests: units made and unmade, cheats, an early end. They take effect at once, and show after the next step.

What the stand-in has no notion of is refused by name; drawing is ignored, since there is no screen to draw on.
"""

from __future__ import annotations

import os
import signal
import time

import numpy as np
from s2clientprotocol import debug_pb2

from envs.standin import game
from envs.standin.protocol.checks import Refused
from envs.standin.protocol.match import Match
from envs.standin.rules.catalog import KINDS, ROWS
from envs.standin.rules.world import FAST, FOOD, FREE, GOD, LOST, NEUTRAL, TECH, WON

NOBODY = (0, 16)
"""Numbers of players that are none."""

GIFT = 5000
"""Minerals or vespene that a cheat gives."""
HIGHEST = 10**9
"""What a debug request can bring score or stocks to: the messages that tell of them have 32 bits."""
LONGEST_DELAY = 60.0
"""Seconds that a test of the process can be put off."""

CHEATS: dict[int, int] = {
    debug_pb2.free: FREE,
    debug_pb2.food: FOOD,
    debug_pb2.tech_tree: TECH,
    debug_pb2.fast_build: FAST,
    debug_pb2.god: GOD,
}
GIFTS: dict[int, tuple[str, ...]] = {
    debug_pb2.all_resources: ("minerals", "vespene"),
    debug_pb2.minerals: ("minerals",),
    debug_pb2.gas: ("vespene",),
}
NOTHING_TO_DO = (debug_pb2.cooldown,)
"""The stand-in has no abilities that must cool down."""


def carry_out(match: Match, command: debug_pb2.DebugCommand) -> None:
    """Do what one command says. Raises Refused."""
    g = match.games[0]
    match command.WhichOneof("command"):
        case "game_state":
            cheat(match, command.game_state)
        case "create_unit":
            create_units(match, command.create_unit)
        case "kill_unit":
            killed = match.slots(command.kill_unit.tag)
            match.units["hp"][0, killed] = 0.0
            g["dying"] |= len(killed) > 0
        case "unit_value":
            value = command.unit_value
            if value.unit_value == debug_pb2.DebugSetUnitValue.Energy:
                set_energy(match, value.unit_tag, value.value)
                return
            if value.unit_value != debug_pb2.DebugSetUnitValue.Life:
                name = debug_pb2.DebugSetUnitValue.UnitValue.Name(value.unit_value)
                raise Refused(f"debug: unit_value: no unit of the stand-in has {name.lower()}")
            set_life(match, value.unit_tag, value.value)
        case "score":
            g["score"] = min(max(command.score.score, -HIGHEST), HIGHEST)
        case "end_game":
            surrender = command.end_game.end_result == debug_pb2.DebugEndGame.Surrender
            g["status"] = LOST if surrender else WON
        case "test_process":
            test_process(command.test_process)


def cheat(match: Match, state: int) -> None:
    """Turn a cheat on, or off if it is on; resources are given each time."""
    g = match.games[0]
    if state in CHEATS:
        g["cheats"] ^= CHEATS[state]
    elif state in GIFTS:
        for stock in GIFTS[state]:
            g[stock] = min(int(g[stock]) + GIFT, HIGHEST)
    elif state == debug_pb2.upgrade:
        for row in range(KINDS, ROWS):
            game.research(match.games, match.units, row)
    elif state == debug_pb2.show_map:
        # A map without fog, or a game that is played without it, is shown already.
        g["fog"] = match.fogged and not g["fog"]
    elif state not in NOTHING_TO_DO:
        raise Refused(f"debug: game_state: the stand-in game does not know {debug_pb2.DebugGameState.Name(state)}")


def create_units(match: Match, asked: debug_pb2.DebugCreateUnit) -> None:
    """So many units of a type around a place, as near to it as the ground allows."""
    kinds = np.flatnonzero(match.types["api_id"][:KINDS] == asked.unit_type)
    if asked.unit_type == 0 or len(kinds) == 0:
        raise Refused(f"debug: create_unit: the stand-in game has no units of type {asked.unit_type}")
    if asked.owner not in (*NOBODY, 1, 2):
        raise Refused(f"debug: create_unit: there is no player {asked.owner}")
    left, bottom, right, top = match.playable
    x, y = min(max(asked.pos.x, left), right), min(max(asked.pos.y, bottom), top)
    owner = NEUTRAL if asked.owner in NOBODY else match.owner(asked.owner)
    for _ in range(asked.quantity if asked.HasField("quantity") else 1):
        slot = game.create(match.games, match.units, match.types, int(kinds[0]), owner, x, y)
        if slot < 0:
            raise Refused(f"debug: create_unit: {match.map.name} has room for {match.units.shape[1]} units")


def set_life(match: Match, tag: int, life: float) -> None:
    """Set a unit's hit points; without any it dies in the next loop. A tag that nobody has is ignored."""
    slot = match.slot(tag)
    if slot < 0:
        return
    u = match.units[0, slot]
    most = float(match.types["hp"][u["kind"]])
    match.units["hp"][0, slot] = min(max(life, 0.0), most)
    if life <= 0:
        match.games["dying"] = 1


def set_energy(match: Match, tag: int, energy: float) -> None:
    """Set a unit's energy, at most what its kind has."""
    slot = match.slot(tag)
    if slot >= 0:
        most = float(match.types["energy"][match.units[0, slot]["kind"]])
        match.units["energy"][0, slot] = min(max(energy, 0.0), most)
        match.units["energy_at"][0, slot] = match.loop


def test_process(asked: debug_pb2.DebugTestProcess) -> None:
    """What the API offers to test a client with: hang, crash, or exit."""
    time.sleep(min(max(asked.delay_ms, 0) / 1000, LONGEST_DELAY))
    match asked.test:
        case debug_pb2.DebugTestProcess.hang:
            while True:
                time.sleep(3600)
        case debug_pb2.DebugTestProcess.crash:
            os.kill(os.getpid(), signal.SIGABRT)
        case debug_pb2.DebugTestProcess.exit:
            raise SystemExit(0)
