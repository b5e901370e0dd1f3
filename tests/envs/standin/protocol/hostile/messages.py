"""Requests that no client should send: well-formed ones with hostile values among plausible ones, and broken bytes."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from s2clientprotocol import common_pb2, debug_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.replay import MAGIC
from envs.starcraft.maps import MAPS

INTEGERS = (
    0, 1, -1, 2, 3, 7, 8, 10, 16, 33, 63, 64, 400, 511, 512, 513, 4096, 2**16, 2**31 - 1, -(2**31), 2**31, 2**32 - 1,
    2**53, 2**63 - 1, -(2**63), 2**64 - 1,
)  # fmt: skip
FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    24.0,
    1e-45,
    1e6,
    -1e6,
    1e30,
    -1e30,
    3.4e38,
    -3.4e38,
    *map(float, ("nan", "inf", "-inf")),
)
NO_UTF8, BROKEN = "\x01\x02no\x02\x01", b"\xff\xfe\xed\xa0\x80\xc0"
"""A text that becomes bytes that are no UTF-8 once the message is serialised."""
TEXTS = (
    "", "x", "\0x", "a" * 5000, "é€😀", NO_UTF8, "../../../etc/passwd", "~nobody-here/x", "/dev/zero", "/dev/stdin",
    "/", "{}%s%n", "mini_games/MoveToBeacon.SC2Map", "Melee/Simple64.SC2Map", "(2)Simple64.SC2Map",
)  # fmt: skip
ABILITIES = (
    1,
    4,
    16,
    17,
    18,
    23,
    295,
    296,
    318,
    319,
    320,
    321,
    524,
    560,
    195,
    203,
    304,
    306,
    314,
    3659,
    3665,
    3674,
    3794,
)
TYPES = (48, 45, 18, 19, 20, 21, 105, 9, 110, 341, 342, 317, 1680)
COUNTS = (0, 1, 1, 1, 2, 2, 3, 20)
ENDS = ("quit", "debug.debug.test_process")
"""What ends or stops the process because it says so, and so is not sent."""


class Hostile:
    """An endless source of messages. ``tags`` may be set to those of units that are there."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tags: Sequence[int] = ()
        self._requests = [f for f in sc_pb.Request.DESCRIPTOR.oneofs_by_name["request"].fields if f.name not in ENDS]
        # Where there is more to go wrong, more is sent.
        deep = {"action": 8, "debug": 5, "query": 4, "create_game": 2, "join_game": 2, "start_replay": 2, "step": 3}
        self._weights = [deep.get(field.name, 1) for field in self._requests]

    def message(self) -> bytes:
        """One message."""
        r = self.random
        request = sc_pb.Request()
        if r.random() < 0.5:
            request.id = r.choice((0, 1, 2**32 - 1))
        for field in r.choices(self._requests, self._weights, k=1 if r.random() < 0.97 else 2):
            self._fill(getattr(request, field.name), field.name)
        if request.HasField("observation") and r.random() < 0.7:
            request.observation.ClearField("game_loop")
        data = request.SerializeToString().replace(NO_UTF8.encode(), BROKEN)
        return self._spoilt(data) if r.random() < 0.3 else data

    def _fill(self, message: Any, place: str) -> None:
        message.SetInParent()
        r = self.random
        chosen = {one.name: r.choice(one.fields).name for one in message.DESCRIPTOR.oneofs}
        for field in message.DESCRIPTOR.fields:
            name = f"{place}.{field.name}"
            alone = field.containing_oneof is not None
            if name in ENDS or (alone and chosen[field.containing_oneof.name] != field.name):
                continue
            if field.name == "realtime" or (not alone and r.random() < 0.25):
                continue  # in real time an observation may wait for a minute
            if field.enum_type is not None and r.random() < 0.1:
                message.MergeFromString(bytes((*_varint(field.number << 3), *_varint(r.choice((0, 99, 2**31 - 1))))))
                continue  # a number that the enumeration does not have
            there = getattr(message, field.name)
            repeated = hasattr(there, "extend")
            if field.message_type is not None:
                for _ in range(self._count() if repeated else 1):
                    self._fill(there.add() if repeated else there, name)
            elif repeated:
                there.extend(self._value(field) for _ in range(self._count()))
            else:
                setattr(message, field.name, self._value(field))

    def _count(self) -> int:
        return 3000 if self.random.random() < 0.001 else self.random.choice(COUNTS)

    def _value(self, field: Any) -> Any:
        r = self.random
        plausible = r.random() < 0.6
        if field.enum_type is not None:
            return r.choice(field.enum_type.values).number
        if field.type == field.TYPE_BOOL:
            return r.random() < 0.5
        if field.type == field.TYPE_STRING:
            return r.choice(TEXTS)
        if field.type == field.TYPE_BYTES:
            return self._replay() if r.random() < 0.7 else r.randbytes(r.choice((0, 1, 40, 3000)))
        if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
            return r.uniform(0, 64) if plausible else r.choice(FLOATS)
        if plausible:
            known: Sequence[int] = ()
            if "tag" in field.name:
                known = self.tags
            elif field.name == "ability_id":
                known = ABILITIES
            elif field.name == "unit_type":
                known = TYPES
            if known:
                return r.choice(known)
            if field.name in ("x", "y"):
                return r.randrange(84)
        unsigned = field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
        bits = 32 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 64
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return r.choice([number for number in INTEGERS if low <= number <= high])

    def _replay(self) -> bytes:
        """A replay with something in it that should not be there."""
        r = self.random
        setup = sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path=f"{r.choice(list(MAPS))}.SC2Map"))
        events = []
        for loop in range(0, 40, 8):
            action = sc_pb.Action()
            self._fill(action, "action.actions")
            command = debug_pb2.DebugCommand()
            self._fill(command, "debug.debug")
            events.append((loop, *r.choice((("action", _text(action)), ("debug", _text(command))))))
        told: dict[str, Any] = {
            "setup": _text(setup), "race": 1, "seed": 3, "episode": 0,
            "sizes": [64, 64, 64, 64], "events": events, "loops": 100, "results": [[1, 1]],
        }  # fmt: skip
        if r.random() < 0.7:
            told[r.choice(list(told))] = r.choice(
                (*INTEGERS, *FLOATS, None, "x", [], [[]], {}, [2**40] * 4, [[0, "x", "x"]])
            )
        return MAGIC + zlib.compress(json.dumps(told).encode())

    def _spoilt(self, data: bytes) -> bytes:
        """The bytes with some of them changed, gone, or twice there; what would end the process is left as it was."""
        r = self.random
        changed = bytearray(data)
        for _ in range(r.choice((1, 1, 2, 5))):
            at = r.randrange(len(changed) + 1)
            match r.randrange(4):
                case 0:
                    changed[at : at + 1] = r.randbytes(1)
                case 1:
                    del changed[at : at + r.choice((1, 4, len(changed)))]
                case 2:
                    changed[at:at] = r.randbytes(r.choice((1, 2, 9)))
                case _:
                    changed += changed[at : at + 20]
        return data if _stops(bytes(changed)) else bytes(changed)


def _varint(value: int) -> list[int]:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return [*digits, value]


def _text(message: Any) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _stops(data: bytes) -> bool:
    try:
        request = sc_pb.Request.FromString(data)
    except DecodeError:  # the server refuses it, and stops nothing
        return False
    tests = any(command.HasField("test_process") for command in request.debug.debug)
    return request.HasField("quit") or tests or request.create_game.realtime or request.start_replay.realtime


def enter(ask: Callable[[sc_pb.Request], sc_pb.Response], seed: int) -> None:
    """Begin a game by the rules: of another map, or with other options, each time."""
    r = random.Random(seed)
    game = sc_pb.RequestCreateGame(random_seed=seed, disable_fog=r.random() < 0.2)
    name = r.choice([*MAPS, "Simple64"])
    game.local_map.map_path = f"{name}.SC2Map"
    game.player_setup.add(type=sc_pb.Participant)
    if name == "Simple64":
        game.player_setup.add(type=sc_pb.Computer, race=common_pb2.Terran, difficulty=r.choice((1, 7, 10)))
    options = sc_pb.InterfaceOptions(raw=True, score=True)
    if r.random() < 0.6:
        layer = options.feature_layer
        layer.resolution.x, layer.resolution.y = r.choice(((16, 16), (64, 32), (84, 84)))
        layer.minimap_resolution.x, layer.minimap_resolution.y = 16, 16
    for request in (
        sc_pb.Request(create_game=game),
        sc_pb.Request(join_game=sc_pb.RequestJoinGame(race=common_pb2.Terran, options=options)),
    ):
        assert not ask(request).error
