"""Parameter trees as files: numpy archives, and pickles of plain arrays read without running anything.

A pickle is a program that names what it wants called. This reader calls nothing and imports nothing: whatever is named
becomes an inert record, and the arrays and mappings among the records are made here, from the bytes found.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tree = dict[str, NDArray[Any]]
"""Arrays by their full name, levels joined by "/": `perceiver_encoder/~/cross_attention/layer_norm/scale`."""


def read_tree(source: Any) -> Tree:
    """A parameter tree, flat: from an `.npz` file, a pickle (any other file), or mappings nested as deep as they like.

    Of what keeps parameters under `params`, beside other things, only those are taken, and, under `state`, what batch
    norm remembers. Raises ValueError for a file or a value that is no such tree.
    """
    if isinstance(source, str | Path):
        source = _read_file(Path(source))
    if not isinstance(source, Mapping):
        what = source.name if isinstance(source, _Record) else type(source).__name__
        raise ValueError(f"expected a parameter tree, or the path of one, got {what}")
    if "params" in source:
        parts = [source.get("state") or {}, source["params"]]
    elif any(str(name).startswith("params/") for name in source):
        tops = ("state/", "params/")
        parts = [{n.removeprefix(top): v for n, v in source.items() if n.startswith(top)} for top in tops]
    else:
        parts = [source]
    tree: Tree = {}
    for part in parts:
        _flatten(part, "", tree)
    if not tree:
        raise ValueError("the parameter tree is empty")
    return tree


def write_tree(tree: Tree, path: str | Path) -> None:
    """The tree as an `.npz` archive that `read_tree` and `numpy.load` read."""
    with Path(path).open("wb") as file:
        np.savez(file, **{f"params/{name}": value for name, value in tree.items()})  # type: ignore[arg-type]


def _read_file(path: Path) -> Any:
    data = path.read_bytes()
    if data[:2] == b"PK":
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    try:
        return _resolve(_Reader(io.BytesIO(data)).load())
    except (pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is neither a numpy archive nor a pickle of plain arrays: {error}") from error


def _flatten(value: Any, name: str, tree: Tree) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten(inner, f"{name}/{key}" if name else str(key), tree)
    elif hasattr(value, "__array__") or isinstance(value, int | float):
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS:
            raise ValueError(f"{name}: expected an array of numbers, got {array.dtype}")
        tree[name] = array
    elif value is not None:
        what = value.name if isinstance(value, _Record) else type(value).__name__
        raise ValueError(f"{name or 'the file'}: expected an array or a mapping, got {what}")


_KINDS = "fiub"  # floats, whole numbers, booleans


class _Record:
    """What a pickle asked to be made: of which name, of what. It accepts whatever is done to it, and does nothing."""

    name = ""

    def __new__(cls, *args: Any, **_: Any) -> _Record:
        self = super().__new__(cls)
        self.args, self.state, self.items = args, None, {}
        return self

    args: tuple[Any, ...]
    state: Any
    items: dict[Any, Any]

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """A part of a list: of no use here."""

    def extend(self, values: Any) -> None:
        """Parts of a list: of no use here."""

    def __call__(self, *args: Any, **_: Any) -> _Record:
        return _Record(*args)


_MEANINGS = {
    "collections.OrderedDict": "mapping",
    "haiku._src.data_structures.FlatMapping": "mapping",
    "haiku._src.data_structures.FlatMap": "mapping",
    "haiku._src.data_structures.frozendict": "mapping",
    "numpy.core.multiarray._reconstruct": "array",
    "numpy._core.multiarray._reconstruct": "array",
    "numpy.core.numeric._frombuffer": "buffer",
    "numpy._core.numeric._frombuffer": "buffer",
    "numpy.core.multiarray.scalar": "scalar",
    "numpy._core.multiarray.scalar": "scalar",
    "numpy.dtype": "dtype",
    "_codecs.encode": "bytes",
    "jax._src.device_array.reconstruct_device_array": "device array",
    "jax._src.array._reconstruct_array": "device array",
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        return type("_Named", (_Record,), {"name": _MEANINGS.get(full, full)})

    def persistent_load(self, pid: Any) -> Any:
        return _Record()


def _resolve(value: Any) -> Any:
    """Records -> what they stand for, as far as that is arrays and mappings of them."""
    if isinstance(value, Mapping):
        return {_resolve(key): _resolve(inner) for key, inner in value.items()}
    if not isinstance(value, _Record):
        return value
    if value.name == "mapping":
        return _resolve(dict(value.args[0] if value.args else {}) | value.items)
    if value.name == "bytes" and value.args[1:] in (("latin1",), ("latin-1",)):
        return str(value.args[0]).encode("latin-1")
    if value.name == "scalar":
        kind, data = value.args
        return np.frombuffer(_resolve(data), _dtype(kind))[0]
    if value.name == "buffer":
        data, kind, shape, order = value.args
        return _array(bytes(_resolve(data)), kind, shape, order == "F")
    if value.name == "array" and value.state is not None:
        _, shape, kind, fortran, data = value.state
        return _array(_resolve(data), kind, shape, fortran)
    if value.name == "device array":
        made = value.args[0](*value.args[1])
        made.state = value.args[2]
        return _resolve(made)
    return value


def _dtype(record: Any) -> np.dtype[Any]:
    text = record.args[0] if isinstance(record, _Record) and record.name == "dtype" else None
    if not isinstance(text, str) or len(text) > 3 or text.lstrip("<>=|")[:1] not in _KINDS:
        raise pickle.UnpicklingError(f"it holds an array of {text!r}: expected numbers")
    kind = np.dtype(text)
    return kind.newbyteorder(">") if record.state and record.state[1] == ">" else kind


def _array(data: Any, kind: Any, shape: Any, fortran: Any) -> NDArray[Any]:
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError("it holds an array of objects: expected numbers")
    return np.frombuffer(data, _dtype(kind)).reshape(shape, order="F" if fortran else "C")
