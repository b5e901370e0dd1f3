"""Playing: looking, acting, letting time pass; in a replay, watching."""

from __future__ import annotations

from typing import Any

from s2clientprotocol import error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import debugging
from envs.standin.protocol.checks import Refused, at_most
from envs.standin.protocol.session import Session
from envs.standin.protocol.shared.table import MOST_LOOPS, Table
from envs.standin.protocol.version import LOOPS_A_SECOND

LONGEST_WAIT = 60
"""Seconds that an observation waits for its game loop in real time."""


def observation(session: Session, asked: sc_pb.RequestObservation, told: sc_pb.ResponseObservation) -> bytes:
    """What the player sees now; in real time: once the game has come to the loop that is asked for."""
    if session.realtime and asked.game_loop > session.match.loop + LONGEST_WAIT * LOOPS_A_SECOND:
        raise Refused(
            f"observation: game_loop {asked.game_loop} is not due for {LONGEST_WAIT} s, it is {session.match.loop} now"
        )
    while session.realtime and session.playing and session.match.loop < asked.game_loop:
        assert session.table is not None
        session.table.wait(0.5 / LOOPS_A_SECOND)
        session.catch_up()
    told.actions.extend(session.executed)
    told.action_errors.extend(session.action_errors)
    session.executed.clear()
    session.action_errors.clear()
    images = session.observer.observe(told, asked.disable_fog)
    if session.status == sc_pb.ended and not told.player_result:
        # A replay of a game that was left before its end.
        told.player_result.add(player_id=1, result=sc_pb.Undecided)
    if told.player_result and not session.knows_result:
        session.knows_result = True
        if session.table is not None:
            session.table.lock.notify_all()
    return images


def action(session: Session, asked: sc_pb.RequestAction, told: sc_pb.ResponseAction) -> None:
    """Give orders."""
    if session.observing:
        raise Refused("action: an observer gives no orders")
    at_most("actions", len(asked.actions))
    for one in asked.actions:
        if not one.ListFields():  # PySC2 sends an empty one for "no operation"
            told.result.append(error_pb2.Success)
            continue
        plain = session.plain(one)
        session.record("action", plain)
        shown = one if plain is not one else None
        told.result.append(error_pb2.ActionResult.ValueType(session.act(plain, shown)))


def step(session: Session, asked: sc_pb.RequestStep, told: sc_pb.ResponseStep) -> None:
    """Let time pass."""
    if session.realtime:
        raise Refused("step: the game runs in real time by itself")
    count = asked.count if asked.HasField("count") else 1
    if count > MOST_LOOPS:
        raise Refused(f"step: count is {count}, at most {MOST_LOOPS} game loops in one request")
    session.step(count)
    told.simulation_loop = session.match.loop


def obs_action(session: Session, asked: Any, told: Any) -> None:
    """An observer's actions: the API deprecates them, and the stand-in's replays show one player's own view."""
    raise Refused("obs_action: deprecated; a replay shows what its player saw")


def quick_save(session: Session, asked: Any, told: Any) -> None:
    """Remember the game as it is."""
    table = _alone(session, "quick_save")
    table.saved = table.match.save(), len(table.recording.events)


def quick_load(session: Session, asked: Any, told: Any) -> None:
    """Go back to where the game was remembered."""
    table = _alone(session, "quick_load")
    if table.saved is None:
        raise Refused("quick_load: nothing has been saved in this game")
    state, events = table.saved
    table.match.load(state)
    table.recording.cut(events)
    session.executed.clear()
    session.action_errors.clear()
    session.status = sc_pb.in_game


def _alone(session: Session, what: str) -> Table:
    assert session.table is not None
    if session.recording.other is not None:
        raise Refused(f"{what}: two play this game, and neither can take it back")
    return session.table


def debug(session: Session, asked: Any, told: Any) -> None:
    """Carry out each command in turn. What was done before one that is not served stays done."""
    commands = [command for command in asked.debug if not command.HasField("draw")]
    at_most("debug commands", len(commands))
    for command in commands:
        if not command.HasField("test_process"):
            session.record("debug", command)
        debugging.carry_out(session.match, command)
