"""Replays: a game's seed and what was done in it, from which it is played again.

The content is our own (StarCraft II's replays need StarCraft II): a first line that says so, then compressed JSON. The
stand-in game is deterministic, so the actions and the loops they fell in are all there is to keep.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field, fields
from typing import Any

from s2clientprotocol import sc2api_pb2 as sc_pb

MAGIC = b"perceiver-rl stand-in replay, version 1\n"


class NotAReplay(ValueError):
    """Bytes that are no replay of the stand-in game."""


@dataclass
class Replay:
    """One game: how it was set up, and what was done in which loop."""

    setup: sc_pb.RequestCreateGame
    race: int
    seed: int
    episode: int
    sizes: tuple[int, int, int, int]
    """The cells that its clicks were counted in."""
    events: list[tuple[int, str, bytes]] = field(default_factory=list)
    """(game loop, kind of request, the message's bytes): what was done, in order."""
    loops: int = 0
    results: list[tuple[int, int]] = field(default_factory=list)
    """(player, result), if the game came to its end."""

    def encode(self) -> bytes:
        """The replay's bytes."""
        data = {part.name: getattr(self, part.name) for part in fields(self)}
        data["setup"] = _text(self.setup.SerializeToString())
        data["events"] = [(loop, kind, _text(message)) for loop, kind, message in self.events]
        return MAGIC + zlib.compress(json.dumps(data).encode())

    @staticmethod
    def decode(data: bytes) -> Replay:
        """Read a replay's bytes, or raise :class:`NotAReplay`."""
        if not data.startswith(MAGIC):
            what = "StarCraft II's own replays need StarCraft II" if data.startswith(b"MPQ") else "it is something else"
            raise NotAReplay(f"not a replay of the stand-in game: {what}")
        try:
            told = json.loads(zlib.decompress(data[len(MAGIC) :]))
            setup = sc_pb.RequestCreateGame.FromString(base64.b64decode(told.pop("setup")))
            events = [(loop, kind, base64.b64decode(message)) for loop, kind, message in told.pop("events")]
            sizes = tuple(told.pop("sizes"))
            return Replay(setup=setup, events=events, sizes=sizes, **told)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise NotAReplay(f"a damaged replay of the stand-in game ({error})") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def rescaled(action: sc_pb.Action, old: tuple[int, ...], new: tuple[int, ...]) -> sc_pb.Action:
    """The same action, with its clicks counted in other cells: what someone sees who watches at another resolution."""
    shown = sc_pb.Action()
    shown.CopyFrom(action)
    if old == new or not action.HasField("action_feature_layer"):
        return shown
    layer = shown.action_feature_layer
    screen, minimap = (old[:2], new[:2]), (old[2:], new[2:])
    if layer.HasField("unit_command"):
        if layer.unit_command.HasField("target_screen_coord"):
            _move(layer.unit_command.target_screen_coord, *screen)
        if layer.unit_command.HasField("target_minimap_coord"):
            _move(layer.unit_command.target_minimap_coord, *minimap)
    elif layer.HasField("camera_move"):
        _move(layer.camera_move.center_minimap, *minimap)
    elif layer.HasField("unit_selection_point"):
        _move(layer.unit_selection_point.selection_screen_coord, *screen)
    elif layer.HasField("unit_selection_rect"):
        for box in layer.unit_selection_rect.selection_screen_coord:
            _move(box.p0, *screen)
            _move(box.p1, *screen)
    return shown


def _move(point: Any, old: tuple[int, ...], new: tuple[int, ...]) -> None:
    point.x, point.y = point.x * new[0] // old[0], point.y * new[1] // old[1]
