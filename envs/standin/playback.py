"""A replay of the stand-in game as pictures: it is played again, and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.errors import EnvError
from envs.standin.protocol.checks import Refused
from envs.standin.protocol.replay import NotAReplay, Replay
from envs.standin.protocol.requests.replays import start_replay
from envs.standin.protocol.session import Session
from envs.standin.protocol.version import LOOPS_A_SECOND
from envs.standin.show.render import frame

LOOPS_A_FRAME = 8
RATE = LOOPS_A_SECOND / LOOPS_A_FRAME
"""Frames a second at the game's own speed."""


def read_replay(file: Path) -> Replay:
    """The replay in a file. Raises EnvError for a file that holds none, or cannot be read."""
    try:
        return Replay.decode(file.read_bytes())
    except NotAReplay as error:
        raise EnvError(f"{file}: {error}") from error
    except OSError as error:
        raise EnvError(f"{file}: cannot be read ({error})") from error


def frames(replay: Replay) -> Iterator[npt.NDArray[np.uint8]]:
    """A frame [height, width, 3] for every eight game loops, from the first loop to the last that was recorded."""
    session = Session()
    asked = sc_pb.RequestStartReplay(replay_data=replay.encode(), options=sc_pb.InterfaceOptions(raw=True))
    told = sc_pb.ResponseStartReplay()
    try:
        start_replay(session, asked, told)
    except Refused as error:
        raise EnvError(f"the replay cannot be shown: {error}") from error
    if told.HasField("error"):
        raise EnvError(f"the replay cannot be shown: {told.error_details}")
    match = session.match
    while True:
        yield frame(match.games[0], match.units[0], match.types, f"{match.map.name}, replay")
        if not session.playing:
            return
        with session.seated():
            session.step(LOOPS_A_FRAME)
