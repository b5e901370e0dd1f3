"""Feature layers as they go over the wire.

A layer's bytes are the same from message to message but for its pixels. The rest is worked out once, and the layers are
put behind the message that protobuf has made: a reader merges what it finds twice. Pixels: row by row from the top;
a bit each (highest first), a byte, or four bytes with the lowest first (``s2clientprotocol/spatial.proto``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import sc2api_pb2 as sc_pb
from s2clientprotocol import spatial_pb2

from envs.starcraft import interface as sc

BUFFS = (0, 271, 274)
"""The buff of a worker that carries nothing, minerals or vespene (from a refinery on a geyser)."""

_INTS = {"unit_type", "unit_hit_points", "unit_energy", "unit_shields", "buffs"}
_BITS = {
    "creep", "power", "selected", "hallucinations", "cloaked", "blip", "active", "buildable", "pathable", "placeholder",
    "camera", "alerts",
}  # fmt: skip
CHEATS = {"unit_type"}
"""Layers of the minimap that are sent only to those who ask for them."""

UNITS = (
    "player_id", "player_relative", "unit_type", "selected", "unit_hit_points", "unit_hit_points_ratio",
    "unit_density", "unit_density_aa", "buffs", "active", "build_progress",
)  # fmt: skip
"""Layers that change when a unit does."""
GROUND = ("height_map", "visibility_map", "pathable", "buildable", "camera")
"""Layers that change when the camera moves or the obstacles do."""


def bits(name: str) -> int:
    """How many bits a pixel of the layer has."""
    return 32 if name in _INTS else (1 if name in _BITS else 8)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def nest(path: tuple[int, ...], size: int) -> bytes:
    """What comes before ``size`` bytes that lie in a field of a field of ... a message, outermost number first."""
    head = b""
    for number in reversed(path):
        head = _varint(number << 3 | 2) + _varint(size + len(head)) + head
    return head


def _number(message: Any, name: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[name].number)


class Layers:
    """The layers of one surface, screen or minimap; ``size``: pixels that it is wide and high.

    ``planes``: the planes of the interface that this surface has, in the order in which kernels number them.
    """

    def __init__(
        self, surface: str, size: tuple[int, int], planes: list[str], api_ids: npt.NDArray[np.int32], cheats: bool
    ) -> None:
        message = spatial_pb2.FeatureLayers if surface == "renders" else spatial_pb2.FeatureLayersMinimap
        self.size = size
        self._tables = {"unit_type": api_ids, "buffs": np.array(BUFFS, np.int32)}
        self._path = (
            _number(sc_pb.Response, "observation"),
            _number(sc_pb.ResponseObservation, "observation"),
            _number(sc_pb.Observation, "feature_layer_data"),
            _number(spatial_pb2.ObservationFeatureLayer, surface),
        )
        self._numbers = {name: _number(message, name) for name in message.DESCRIPTOR.fields_by_name}
        if surface == "minimap_renders" and not cheats:
            for name in CHEATS:
                del self._numbers[name]
        self.of_units = [name for name in planes if name in UNITS and name in self._numbers]
        self.of_ground = [name for name in planes if name in GROUND and name in self._numbers]
        shown = {*self.of_units, *self.of_ground}
        self.blank = b"".join(
            self._head(name) + bytes(self._bytes(name)) for name in self._numbers if name not in shown
        )
        """The layers that show nothing here, whole."""
        self._heads = {name: self._head(name) for name in shown}
        self._pack = {name: self._packer(name) for name in shown}

    def _bytes(self, name: str) -> int:
        return (self.size[0] * self.size[1] * bits(name) + 7) // 8

    def _head(self, name: str) -> bytes:
        image = b"\x08" + _varint(bits(name))
        sides = b"\x08" + _varint(self.size[0]) + b"\x10" + _varint(self.size[1])
        image += b"\x12" + _varint(len(sides)) + sides
        size = self._bytes(name)
        image += b"\x1a" + _varint(size)
        return nest((*self._path, self._numbers[name]), len(image) + size) + image

    def _packer(self, name: str) -> Callable[[npt.NDArray[np.int16]], bytes]:
        if name in self._tables:
            table = self._tables[name]
            return lambda plane: table.take(plane).tobytes()
        if bits(name) == 1:
            return lambda plane: np.packbits(plane.astype(bool)).tobytes()
        kind = np.uint8 if bits(name) == 8 else np.int32
        return lambda plane: plane.astype(kind, order="C").tobytes()

    def encode(self, names: list[str], planes: npt.NDArray[np.int16]) -> list[bytes]:
        """Layers with the pixels of ``planes`` [height, width, len(names)]."""
        out = []
        for i, name in enumerate(names):
            out += [self._heads[name], self._pack[name](planes[:, :, i])]
        return out


SCREEN, MINIMAP = list(sc.SCREEN_PLANES), list(sc.MINIMAP_PLANES)
