"""Replays: a game's seed and what was done in it, from which it is played again.

The content is our own (StarCraft II's replays need StarCraft II): a first line that says so, then compressed JSON. The
stand-in game is deterministic, so the actions and the loops they fell in are all there is to keep.

A replay may come from anywhere: what is read is held to the limits that a request is held to, before any of it is done.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError, Message
from s2clientprotocol import common_pb2, debug_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.checks import Refused, check

MOST_EVENTS = 200_000
"""Actions and debug commands that a replay holds."""
LARGEST = 32 * 2**20
"""Bytes of a replay before it is compressed."""
LARGEST_PACKED = 16 * 2**20
"""Bytes of a replay as it is kept in a file."""

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
    other: tuple[int, tuple[int, int, int, int]] | None = None
    """The second player's race and cells, if there is one who is no computer."""
    events: list[tuple[int, str, bytes]] = field(default_factory=list)
    """(game loop, kind of request, the message's bytes): what was done, in order."""
    loops: int = 0
    results: list[tuple[int, int]] = field(default_factory=list)
    """(player, result), if the game came to its end."""
    size: int = 0
    """Bytes that the events take, about."""

    @property
    def full(self) -> bool:
        """Has more been done than a replay holds? Then it is of no use."""
        return len(self.events) >= MOST_EVENTS or self.size >= LARGEST // 2

    def add(self, loop: int, kind: str, message: bytes) -> None:
        """Keep what is done in a loop, as long as there is room."""
        if not self.full:
            self.events.append((loop, kind, message))
            self.size += _room(message)

    def cut(self, count: int) -> None:
        """Keep the first events alone: the game has been taken back."""
        for _, _, message in self.events[count:]:
            self.size -= _room(message)
        del self.events[count:]

    def encode(self) -> bytes:
        """The replay's bytes."""
        data = {
            "setup": _text(self.setup.SerializeToString()),
            "race": self.race,
            "seed": self.seed,
            "episode": self.episode,
            "sizes": self.sizes,
            "other": self.other,
            "events": [(loop, kind, _text(message)) for loop, kind, message in self.events],
            "loops": self.loops,
            "results": self.results,
        }
        return MAGIC + zlib.compress(json.dumps(data).encode())

    @staticmethod
    def decode(data: bytes) -> Replay:
        """Read a replay's bytes, or raise :class:`NotAReplay`."""
        if not data.startswith(MAGIC):
            what = "StarCraft II's own replays need StarCraft II" if data.startswith(b"MPQ") else "it is something else"
            raise NotAReplay(f"not a replay of the stand-in game: {what}")
        try:
            return _read(json.loads(_inflate(data[len(MAGIC) :])))
        except (ValueError, LookupError, TypeError, RecursionError, zlib.error, DecodeError, Refused) as error:
            raise NotAReplay(f"a damaged replay of the stand-in game ({error})") from error


def _inflate(data: bytes) -> bytes:
    """What was compressed, as long as it is no more than a replay has."""
    packed = zlib.decompressobj()
    text = packed.decompress(data, LARGEST)
    if packed.unconsumed_tail or not packed.eof:
        raise ValueError(f"it has no end within {LARGEST} bytes")
    if text.count(b"[") + text.count(b"{") > MOST_EVENTS + 100 or text.count(b",") > 3 * MOST_EVENTS + 1000:
        raise ValueError(f"it holds more than {MOST_EVENTS} events")  # before JSON makes objects of them
    return text


def _read(told: Any) -> Replay:
    """The replay that JSON tells of. Raises all that :meth:`Replay.decode` takes for damage."""
    setup = _message(sc_pb.RequestCreateGame, told["setup"])
    loops = _number(told["loops"], 0, 2**31)
    events, before = [], 0
    for loop, kind, message in told["events"]:
        before = _number(loop, before, 2**31)
        read = _message(KINDS[kind], message)
        if kind.startswith("debug") and read.HasField("test_process"):
            raise ValueError("it would stop this process")
        events.append((before, kind, read.SerializeToString()))
    return Replay(
        setup=setup,
        race=_race(told["race"]),
        seed=_number(told["seed"], 0, 2**32),
        episode=_number(told["episode"], 0, 2**31),
        sizes=_sizes(told["sizes"]),
        other=(_race(other[0]), _sizes(other[1])) if (other := told.get("other")) is not None else None,
        events=events,
        loops=loops,
        results=[
            (_number(player, 1, 16), _number(result, 1, max(sc_pb.Result.values())))
            for player, result in told["results"]
        ],
    )


KINDS: dict[str, type[Message]] = {
    f"{kind}{player}": message
    for kind, message in (("action", sc_pb.Action), ("debug", debug_pb2.DebugCommand))
    for player in ("", "2")
}
"""What an event can be: the first player's, or the second's."""


def _message(kind: type[Message], text: str) -> Any:
    read = kind.FromString(base64.b64decode(text))
    check(read)
    return read


def _number(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} where a number from {least} to {most} was expected")
    return value


def _race(value: Any) -> int:
    return _number(value, 0, max(common_pb2.Race.values()))


def _sizes(told: Any) -> tuple[int, int, int, int]:
    width, height, map_width, map_height = (_number(side, 1, 512) for side in told)
    return width, height, map_width, map_height


def _room(message: bytes) -> int:
    """Bytes that an event takes, about."""
    return 4 * len(message) // 3 + 32


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


def as_layers(action: sc_pb.Action, old: tuple[int, ...], new: tuple[int, ...]) -> sc_pb.Action:
    """A click on a rendered image as one on feature layers, which have cells of their own."""
    shown = sc_pb.Action()
    shown.action_feature_layer.CopyFrom(action.action_render)
    return rescaled(shown, old, new)


def _move(point: Any, old: tuple[int, ...], new: tuple[int, ...]) -> None:
    x, y = (min(max(value, 0), most - 1) for value, most in zip((point.x, point.y), old, strict=True))
    point.x, point.y = x * new[0] // old[0], y * new[1] // old[1]
