"""Spaces as plain data: a policy can then be made from a checkpoint alone, without its environment.

A space is a dict with its class under ``space`` and what its constructor takes; classes are those of Gymnasium and of
`envs.spaces`. No number is lost: what JSON cannot say is written as text (``inf``), and long arrays are compressed.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.arrays import Alternatives, Characters, Elements, Linked
from envs.spaces import Choice, Feature, Functions, Numbers, PerUnit, Place, Planes, Pointer, Pointers, Units

LISTED = 16
"""Numbers of an array that are written one by one; more are compressed."""


def to_data(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as plain values. Raises ValueError for a space, or a key of a Dict, of another kind."""
    name = type(space).__name__
    if type(space) not in _KINDS:
        raise ValueError(f"{type(space).__module__}.{name} is no space that can be written down as data")
    return {"space": name, **_fields(space)}


def _fields(space: Any) -> dict[str, Any]:
    if isinstance(space, Units):
        return {"capacity": space.capacity, "features": _features(space.columns)}
    if isinstance(space, Planes):
        planes = _features(space.planes)
        return {"height": space.height, "width": space.width, "planes": planes, "dtype": str(space.dtype)}
    if isinstance(space, Numbers):
        return {"features": _features(space.columns)}
    if isinstance(space, Pointer):
        return {"of": space.of, "capacity": int(space.n)}
    if isinstance(space, Pointers):
        return {"of": space.of, "capacity": space.shape[0]}
    if isinstance(space, Place):
        units = {} if space.units is None else {"units": space.units}
        return {"of": space.of, "height": space.height, "width": space.width, **units}
    if isinstance(space, Choice):
        return {"names": list(space.names)}
    if isinstance(space, PerUnit):
        return {"of": space.of, "capacity": space.capacity, **_fields(space.each)}
    if isinstance(space, Functions):
        functions = {name: list(taken) for name, taken in space.functions.items()}
        return {"functions": functions, "arguments": {name: to_data(space[name]) for name in space.arguments}}
    if isinstance(space, Characters):
        return {"length": space.shape[0], "charset": space.charset}
    if isinstance(space, Elements):
        return {"capacity": space.capacity, "element": to_data(space.element)}
    if isinstance(space, Linked):
        edge = to_data(space.edge) if space.edge is not None else None
        sizes = {"capacity": space.capacity, "edge_capacity": space.edge_capacity}
        return {**sizes, "node": to_data(space.node), "edge": edge}
    if isinstance(space, Alternatives):
        return {"parts": [to_data(part) for part in space.alternatives]}
    if isinstance(space, spaces.Dict):
        return {"parts": [[_key(key), to_data(part)] for key, part in space.items()]}
    if isinstance(space, spaces.Tuple):
        return {"parts": [to_data(part) for part in space]}
    if isinstance(space, spaces.Discrete):
        return {"n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"nvec": space.nvec.tolist(), "start": space.start.tolist(), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiBinary):
        return {"n": list(space.shape) if isinstance(space.n, tuple) else space.shape[0]}
    low, high = _array(space.low), _array(space.high)
    return {"shape": list(space.shape), "dtype": str(space.dtype), "low": low, "high": high}


def from_data(data: Mapping[str, Any]) -> spaces.Space[Any]:
    """The reverse of :func:`to_data`. Raises ValueError for what is no such data."""
    try:
        return _made(data)
    except (KeyError, TypeError, IndexError, AttributeError, zlib.error) as error:
        raise ValueError(f"no space is described by it ({type(error).__name__}: {error})") from error


def _made(data: Mapping[str, Any]) -> spaces.Space[Any]:
    match data["space"]:
        case "Units":
            return Units(data["capacity"], _columns(data["features"]))
        case "Planes":
            return Planes(data["height"], data["width"], _columns(data["planes"]), np.dtype(data["dtype"]).type)
        case "Numbers":
            return Numbers(_columns(data["features"]))
        case "Pointer":
            return Pointer(data["of"], data["capacity"])
        case "Pointers":
            return Pointers(data["of"], data["capacity"])
        case "Place":
            return Place(data["of"], data["height"], data["width"], data.get("units"))
        case "Choice":
            return Choice(data["names"])
        case "PerUnit":
            arguments = {name: _made(part) for name, part in data["arguments"].items()}
            return PerUnit(data["of"], data["capacity"], data["functions"], arguments)
        case "Functions":
            return Functions(data["functions"], {name: _made(part) for name, part in data["arguments"].items()})
        case "Characters":
            return Characters(data["length"], data["charset"])
        case "Elements":
            return Elements(data["capacity"], _made(data["element"]))
        case "Linked":
            edge = _made(data["edge"]) if data["edge"] else None
            return Linked(data["capacity"], _made(data["node"]), data["edge_capacity"], edge)
        case "Alternatives":
            return Alternatives(_made(part) for part in data["parts"])
        case "Dict":
            return spaces.Dict([(key, _made(part)) for key, part in data["parts"]])
        case "Tuple":
            return spaces.Tuple([_made(part) for part in data["parts"]])
        case "Discrete":
            return spaces.Discrete(data["n"], start=data["start"], dtype=np.dtype(data["dtype"]).type)
        case "MultiDiscrete":
            return spaces.MultiDiscrete(data["nvec"], np.dtype(data["dtype"]).type, start=data["start"])
        case "MultiBinary":
            return spaces.MultiBinary(data["n"])
        case "Box":
            shape, dtype = tuple(data["shape"]), np.dtype(data["dtype"])
            low, high = (_bounds(data[name], shape, dtype) for name in ("low", "high"))
            return spaces.Box(low, high, dtype=dtype.type)
    raise ValueError(f"{data['space']!r} is no kind of space that this version knows")


_KINDS = {
    *(Characters, Elements, Linked, Alternatives),
    *(Units, Planes, Numbers, Pointer, Pointers, Place, Choice, PerUnit, Functions),
    *(spaces.Dict, spaces.Tuple, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box),
}


def _features(features: tuple[Feature, ...]) -> list[list[Any]]:
    return [[f.name, f.kind, f.scale] for f in features]


def _columns(features: list[list[Any]]) -> list[Feature]:
    return [Feature(*feature) for feature in features]


def _key(key: object) -> str | int:
    if isinstance(key, str) or type(key) is int:
        return key
    raise ValueError(f"a Dict's key is {key!r}; only text and whole numbers can be written down as data")


def _array(array: np.ndarray) -> Any:
    values = array.ravel()
    if not len(values):
        return []
    if (values == values[0]).all():
        return _number(values[0])
    if len(values) <= LISTED:
        return [_number(value) for value in values]
    return {"zlib": base64.b64encode(zlib.compress(values.astype(values.dtype.newbyteorder("<")).tobytes())).decode()}


def _number(value: Any) -> float | int | str:
    plain: float | int = value.item()
    return plain if np.isfinite(plain) else str(plain)


def _bounds(data: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    if isinstance(data, Mapping):
        values = np.frombuffer(zlib.decompress(base64.b64decode(data["zlib"])), dtype.newbyteorder("<"))
        return values.astype(dtype).reshape(shape)
    if isinstance(data, list):
        kind = type(dtype.type(0).item())  # of float32 and of int64 alike: nothing is lost on the way
        return np.array([kind(value) for value in data], dtype).reshape(shape)
    return np.full(shape, type(dtype.type(0).item())(data), dtype)
