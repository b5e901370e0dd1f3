"""What every request must be, whatever it asks for: not too large, of finite numbers, of text that is text.

Handlers see only requests that have passed, so none of them need think of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError, Message
from s2clientprotocol import sc2api_pb2 as sc_pb

LARGEST_REQUEST = 2**20
"""Bytes that a request may have besides the map or the replay that it carries."""
MOST_PARTS = 100_000
"""Messages that a request may be made of."""
MOST_ASKED = 5_000
"""Actions, questions or debug commands that a request may hold."""
LONGEST_TEXT = 4096
"""Characters of one text: what a file system takes for a path."""

Carried = Mapping[int, "Carried"]


class Refused(Exception):
    """A request that cannot be served now, or at all."""


def _carried(*paths: str) -> Carried:
    """Field numbers that lead to what the paths name."""
    tree: dict[int, Any] = {}
    for path in paths:
        here, message = tree, sc_pb.Request.DESCRIPTOR
        for name in path.split("."):
            field = message.fields_by_name[name]
            here, message = here.setdefault(field.number, {}), field.message_type
    return tree


CARRIED = _carried(
    "create_game.local_map.map_data",
    "save_map.map_data",
    "start_replay.replay_data",
    "start_replay.map_data",
    "replay_info.replay_data",
)
"""The fields that hold a whole file."""


def parse(data: bytes) -> sc_pb.Request:
    """The request that the bytes are. Raises Refused, and DecodeError for what is none.

    A message of two bytes takes a hundred in memory: what is too large is not even read.
    """
    if len(data) > LARGEST_REQUEST and (size := _weigh(memoryview(data), CARRIED)) > LARGEST_REQUEST:
        raise Refused(
            f"the request is too large: at least {size} bytes besides the file it carries, at most {LARGEST_REQUEST}"
        )
    request = sc_pb.Request()
    request.ParseFromString(data)
    request.DiscardUnknownFields()
    return request


def _weigh(data: memoryview, carried: Carried) -> int:
    """Bytes besides those carried, or more than the limit as soon as there are more."""
    at, weight = 0, 0
    while at < len(data) and weight <= LARGEST_REQUEST:
        start = at
        tag, at = _varint(data, at)
        if tag & 7 == 2:
            size, at = _varint(data, at)
            weight += at - start
            inside = carried.get(tag >> 3)
            if inside is None:
                weight += size
            elif inside:
                weight += _weigh(data[at : at + size], inside)
            at += size
        elif tag & 7 == 0:
            _, at = _varint(data, at)
            weight += at - start
        elif tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
            weight += at - start
        else:
            raise DecodeError("no field of the API is a group")
    return weight


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends (protobuf.dev/programming-guides/encoding)."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise DecodeError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DecodeError("a number is too long")


def check(request: Message) -> None:
    """Raises Refused for a request with a number that is not finite, text that is none, or too many parts."""
    parts = 0
    waiting: list[tuple[Message, str]] = [(request, "")]
    while waiting:
        message, place = waiting.pop()
        for field, value in message.ListFields():
            name = f"{place}{field.name}"
            if field.message_type is not None:
                if field.message_type.name == "DebugDraw":
                    continue  # nobody reads it, and some bots draw thousands of boxes in each step
                inner = [value] if isinstance(value, Message) else value
                parts += len(inner)
                if parts > MOST_PARTS:
                    raise Refused(f"the request has too many parts: more than {MOST_PARTS} with {name}")
                waiting += [(one, f"{name}.") for one in inner]
            elif field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
                _finite(name, value)
            elif field.type == field.TYPE_STRING:
                _text(name, value)


def _finite(name: str, value: Any) -> None:
    for number in [value] if isinstance(value, float) else value:
        if not math.isfinite(number):
            raise Refused(f"{name} is {number}: a finite number was expected")


def _text(name: str, value: Any) -> None:
    for text in [value] if isinstance(value, str | bytes) else value:
        if isinstance(text, bytes):  # so protobuf hands out text that is not UTF-8
            raise Refused(f"{name} is no UTF-8: {text[:40]!r}")
        if len(text) > LONGEST_TEXT:
            raise Refused(f"{name} has {len(text)} characters, at most {LONGEST_TEXT}")


def at_most(what: str, count: int) -> None:
    """Raises Refused where a request holds more of something than can be answered in a few seconds."""
    if count > MOST_ASKED:
        raise Refused(f"{count} {what} in one request, at most {MOST_ASKED}")
