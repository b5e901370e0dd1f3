"""What may be chosen: masks as environments give them, read, checked and drawn from.

| part of the action space | its mask |
|---|---|
| `Discrete`, `Pointer`, `Place` | [n]: 1 is legal, 0 is not |
| `MultiDiscrete` | a tuple of such, nested like its shape; or all of them as one array, flat or [*shape, n] |
| `MultiBinary` | its shape: 0 is held at 0, 1 is held at 1, 2 is free, as Gymnasium has it |
| `Pointers` | [n]: 1 may be chosen, 0 may not |
| `Box` | none |
| `PerUnit` | "function" [capacity, functions]: a row of zeros is not ordered; an argument's [n] or [capacity, n] |
| `Dict`, `Functions`, `Tuple` | a dict or tuple of masks; what is None or left out is unrestricted |
| an argument of `Functions`, one of the first or `Pointers` | [n], or [functions, n]: a row for each function |

Arrays of any number type will do, as long as they hold nothing but these numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.observations import Fault
from envs.spaces import ACTION_MASK, Functions, PerUnit, Pointer, Pointers, at, spell


def compact(space: spaces.Space[Any], mask: Any, path: str = "") -> Any:
    """One game's mask as int8 arrays in dicts (of a tuple's positions, too) that hold only what is restricted.

    Returns None where nothing is. A MultiDiscrete's is one flat array. Raises Fault, naming the part, for a mask of
    another structure, shape or type; its numbers are :func:`check`'s.
    """
    if mask is None:
        return None
    if isinstance(space, PerUnit):
        return {name: _numbers(array, where) for name, array, where in _orders(space, mask, (), path)} or None
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = {}
        for key, part, given, where in _parts(space, mask, path):
            rows = _by_function(space, key, given, (), where)
            inner[key] = compact(part, given, where) if rows is None else _numbers(rows, where)
        return {key: part for key, part in inner.items() if part is not None} or None
    return _numbers(_flat(space, mask, (), path), path)


def _numbers(array: np.ndarray, path: str) -> np.ndarray:
    if array.dtype == np.int8:
        return array
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1, 2)).all():
        raise Fault(f"{_name(path)} holds {array.ravel()[:8].tolist()}; expected an array of 0 and 1")
    return array.astype(np.int8)


def space_of(space: spaces.Space[Any], mask: Any) -> spaces.Space[Any]:
    """The space of masks like ``mask``, which :func:`compact` made."""
    if isinstance(space, PerUnit):
        return spaces.Dict({name: spaces.MultiBinary(part.shape) for name, part in mask.items()})
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return spaces.Dict({key: space_of(space[key], part) for key, part in mask.items()})
    if _holds_bits(space):
        return spaces.Box(0, 2, mask.shape, np.int8)
    return spaces.MultiBinary(mask.shape)


def complete(space: spaces.Space[Any], known: spaces.Space[Any], mask: Any, path: str = "") -> Any:
    """A compact mask with all parts of the space ``known``: what is left out is unrestricted.

    Raises Fault for a part that ``known`` has not.
    """
    if isinstance(known, spaces.Dict):
        late = [key for key in mask or () if key not in known.spaces]
        if late:
            raise Fault(
                f"{_name(_join(path, space, late[0]))} is there, but the first reset gave none for this part: give one "
                "from the first reset on, where need be of ones (of twos for a MultiBinary)"
            )
        return {
            key: complete(space[key], part, (mask or {}).get(key), _join(path, space, key))  # type: ignore[index]
            for key, part in known.spaces.items()
        }
    if mask is not None:
        return mask
    return np.full(known.shape or (), 2 if _holds_bits(space) else 1, np.int8)


def check_space(space: spaces.Space[Any], mask: spaces.Space[Any], path: str = "") -> None:
    """Raises Fault where observations of the space ``mask`` are no masks of the action space ``space``."""
    if isinstance(space, PerUnit):
        given = {name: _example(part) for name, part in _opened(mask).items()} if isinstance(mask, spaces.Dict) else 0
        list(_orders(space, given, (), path))
    elif isinstance(space, spaces.Dict | spaces.Tuple):
        for key, part, given, where in _parts(space, _opened(mask), path):
            array = given is not None and not isinstance(given, spaces.Dict | spaces.Tuple)
            if array and _by_function(space, key, _example(given), (), where) is not None:
                continue
            if given is not None:
                check_space(part, given, where)
    elif isinstance(mask, spaces.Dict):
        raise Fault(f"{_name(path)} is a Dict; expected an array for {space}")
    else:
        _flat(space, _example(mask), (), path)


def check(
    space: spaces.Space[Any],
    mask: Any,
    games: int,
    observation: Any = None,
    path: str = "",
    needed: np.ndarray | None = None,
) -> None:
    """Look at the masks [B, ...] of several games, whose ``observation`` may hold units that are pointed to.

    Raises Fault, naming the part, where numbers are others than the module's table has, or nothing is legal. An
    argument's may forbid everything in the games where ``needed`` [B] is false: there no legal function takes it. Of
    one that has a row for each function, those of the legal functions that take it count.
    """
    if mask is None:
        return
    if isinstance(space, PerUnit):  # what is forbidden altogether is not ordered
        for _, array, where in _orders(space, mask, (games,), path):
            wrong = (array != 0) & (array != 1)
            if wrong.any():
                raise Fault(f"{_name(where)} holds {array[wrong][0]}; expected 0 and 1", int(np.nonzero(wrong)[0][0]))
        return
    if isinstance(space, spaces.Dict | spaces.Tuple):
        legal = None
        if isinstance(space, Functions) and isinstance(mask, Mapping) and mask.get("function") is not None:
            legal = np.asarray(mask["function"]) != 0
        for key, part, given, where in _parts(space, mask, path):
            takes = None
            if legal is not None and key != "function":
                assert isinstance(space, Functions)
                takes = legal & space.uses[:, space.arguments.index(key)]
            rows = _by_function(space, key, given, (games,), where)
            if rows is None:
                check(part, given, games, observation, where, None if takes is None else takes.any(1))
                continue
            assert isinstance(space, Functions)
            for f, name in enumerate(space.names):
                used = space.uses[f, space.arguments.index(key)]
                needed_here = np.full(games, used) if takes is None else takes[:, f]
                check(part, rows[:, f], games, observation, f"{where} for {name}", needed_here)
        return
    array = _flat(space, mask, (games,), path)
    top = 2 if _holds_bits(space) else 1
    good = (array == 0) | (array == 1) | (array == top)
    if not good.all():
        game = int(np.nonzero(~good)[0][0])
        numbers = "0 (held at 0), 1 (held at 1) and 2 (free)" if top == 2 else "0 and 1"
        raise Fault(f"{_name(path)} holds {array[~good][0]}; expected {numbers}", game)
    if isinstance(space, spaces.MultiBinary):
        return  # nothing but zeros is what may be chosen
    needed = np.ones(games, bool) if needed is None else needed
    if isinstance(space, Pointer) and (there := _units(space, observation)) is not None:
        needed = needed & (there != 0).any(1)  # where there is nothing to point to, no mask can help
        array = (array != 0) & (there != 0)
    ends = np.cumsum(_counts(space))
    for component, columns in enumerate(np.split(array, ends[:-1], 1)):
        some = columns.any(1) | ~needed
        if not some.all():
            which = f" for component {component}" if len(ends) > 1 else ""
            raise Fault(f"{_name(path)} forbids everything{which}", int(np.argmin(some)))


def for_sampling(space: spaces.Space[Any], mask: Any, observation: Any) -> Any:
    """One game's mask in the form that ``space.sample`` takes, narrowed to the units that the observation holds."""
    if isinstance(space, PerUnit):
        return _orders_for_sampling(space, mask, observation)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = {}
        for key, part, given, where in _parts(space, mask, ""):
            rows = _by_function(space, key, given, (), where)
            if rows is None:
                parts[key] = for_sampling(part, given, observation)
            else:
                parts[key] = np.stack([for_sampling(part, one, observation) for one in rows])
        return parts if isinstance(space, spaces.Dict) else tuple(parts.values())
    if isinstance(space, Pointer | Pointers):
        there = _units(space, observation)
        if there is None or mask is None:
            mask = there if mask is None else mask
        else:
            mask = np.asarray(mask).astype(bool) & there.astype(bool)
    if mask is None:
        return None
    array = _flat(space, mask, (), "").astype(np.int8)
    if not isinstance(space, spaces.MultiDiscrete):
        return array
    return _nested(space.shape, iter(np.split(array, np.cumsum(_counts(space))[:-1])))


def _orders_for_sampling(space: PerUnit, mask: Any, observation: Any) -> Any:
    """Only units that are there are ordered, and pointed to."""
    narrowed = {name: array.astype(np.int8) for name, array, _ in _orders(space, mask or {}, (), "")}
    there = _units(space, observation)
    function = narrowed.get("function", np.ones((space.capacity, len(space.names)), np.int8))
    narrowed["function"] = function if there is None else function * (there != 0)[:, None].astype(np.int8)
    for i, name in enumerate(space.arguments):
        part = space.each[name]
        if isinstance(part, Pointer) and (aims := _units(part, observation)) is not None:
            narrowed[name] = narrowed.get(name, np.ones(part.n, np.int8)) * (aims != 0).astype(np.int8)
            if not narrowed[name].any():  # nobody to point to
                narrowed["function"] = narrowed["function"] * ~space.uses[:, i]
    return narrowed


def _orders(space: PerUnit, mask: Any, lead: tuple[int, ...], path: str) -> Iterator[tuple[str, np.ndarray, str]]:
    """The masks that are given of a unit's function and arguments, by name, and their paths."""
    for name, _, given, where in _parts(space, mask, path):
        if given is None:
            continue
        part = space.each[name]
        if not isinstance(part, spaces.Discrete):
            raise Fault(f"{_name(where)} is there, but a {type(part).__name__} takes none: leave it out, or give None")
        alone = name != "function" and np.ndim(given) == len(lead) + 1
        shape = (int(part.n),) if alone else (space.capacity, int(part.n))
        yield name, _array(given, shape, lead, where), where


def _by_function(space: spaces.Space[Any], key: Any, mask: Any, lead: tuple[int, ...], path: str) -> np.ndarray | None:
    """The mask of an argument of Functions if it has a row for each function, [functions, n] after ``lead``."""
    if not isinstance(space, Functions) or key == "function" or mask is None:
        return None
    part = space[key]
    if not isinstance(part, spaces.Discrete | Pointers) or np.ndim(mask) != len(lead) + 2:
        return None
    n = part.n
    assert not isinstance(n, tuple)
    return _array(mask, (len(space.names), int(n)), lead, path)


def _units(space: Pointer | Pointers | PerUnit, observation: Any) -> np.ndarray | None:
    try:
        return np.asarray(at(observation, space.of)["mask"])
    except (KeyError, IndexError, TypeError, ValueError):
        return None  # nothing says which there are


def _parts(
    space: spaces.Dict | spaces.Tuple, mask: Any, path: str
) -> Iterator[tuple[Any, spaces.Space[Any], Any, str]]:
    """Of each part of an action space: its key, the part, its mask or None, and its path."""
    inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
    keys = list(space.spaces) if isinstance(space, spaces.Dict) else list(range(len(space.spaces)))
    if isinstance(mask, Mapping):
        unknown = [key for key in mask if key not in keys]
        if unknown:
            raise Fault(f"{_name(path)} has the entry {unknown[0]!r}, but the action space has the parts {keys}")
    elif isinstance(space, spaces.Tuple) and isinstance(mask, tuple | list):
        if len(mask) != len(keys):
            raise Fault(f"{_name(path)} is of {len(mask)} parts; the action space has {len(keys)}")
        mask = dict(enumerate(mask))
    elif mask is not None:
        expected = "dict" if isinstance(space, spaces.Dict) else "tuple"
        raise Fault(f"{_name(path)} is a {type(mask).__name__}; expected a {expected} of masks for the parts {keys}")
    for key, part in inner:
        yield key, part, None if mask is None else mask.get(key), _join(path, space, key)


def _flat(space: spaces.Space[Any], mask: Any, lead: tuple[int, ...], path: str) -> np.ndarray:
    """The mask of a part as one array: [n], a MultiBinary's shape, or [sum(nvec)]; after ``lead``, the games."""
    if isinstance(space, spaces.MultiDiscrete):
        return _components(space.nvec, mask, lead, path)
    if not isinstance(space, spaces.Discrete | spaces.MultiBinary):
        raise Fault(f"{_name(path)} is there, but a {type(space).__name__} takes none: leave it out, or give None")
    return _array(mask, (space.shape if isinstance(space, spaces.MultiBinary) else (int(space.n),)), lead, path)


def _components(nvec: np.ndarray, mask: Any, lead: tuple[int, ...], path: str) -> np.ndarray:
    counts = [int(n) for n in nvec.ravel()]
    if isinstance(mask, tuple | list) and not all(np.isscalar(part) for part in mask):
        if len(mask) != len(nvec):
            raise Fault(f"{_name(path)} is of {len(mask)} parts for {len(nvec)} components")
        parts = []
        for i, (n, part) in enumerate(zip(nvec, mask, strict=True)):
            where = f"{path}/{i}" if path else str(i)
            if part is None:
                parts.append(np.ones((*lead, int(np.sum(n, dtype=np.int64))), np.int8))
            elif np.ndim(n):
                parts.append(_components(n, part, lead, where))
            else:
                parts.append(_array(part, (int(n),), lead, where))
        return np.concatenate(parts, -1)
    if len(set(counts)) == 1 and np.shape(mask) == (*lead, *nvec.shape, counts[0]):
        return np.asarray(mask).reshape(*lead, sum(counts))
    return _array(mask, (sum(counts),), lead, path)


def _array(mask: Any, shape: tuple[int, ...], lead: tuple[int, ...], path: str) -> np.ndarray:
    try:
        array = np.asarray(mask)
    except ValueError:
        array = np.empty((), object)
    if array.shape != lead + shape:
        what = f"has the shape {array.shape[len(lead) :]}" if array.shape else f"is {mask!r:.60}"
        raise Fault(f"{_name(path)} {what}; expected {shape}")
    return array


def _counts(space: spaces.Space[Any]) -> list[int]:
    return [int(n) for n in (space.nvec.ravel() if isinstance(space, spaces.MultiDiscrete) else [space.n])]  # type: ignore[attr-defined]


def _holds_bits(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.MultiBinary) and not isinstance(space, Pointers)


def _nested(shape: tuple[int, ...], parts: Iterator[np.ndarray]) -> Any:
    return tuple(_nested(shape[1:], parts) for _ in range(shape[0])) if shape else next(parts)


def _opened(mask: spaces.Space[Any]) -> Any:
    return mask.spaces if isinstance(mask, spaces.Dict | spaces.Tuple) else mask


def _example(mask: spaces.Space[Any]) -> Any:
    if isinstance(mask, spaces.Tuple):
        return tuple(_example(part) for part in mask.spaces)
    return np.broadcast_to(np.int8(1), mask.shape) if mask.shape is not None else mask


def _join(path: str, space: spaces.Space[Any], key: Any) -> str:
    word = spell(key) if isinstance(space, spaces.Dict) else str(key)
    return f"{path}/{word}" if path else word


def _name(path: str) -> str:
    return f"{ACTION_MASK} {path!r}" if path else f"the {ACTION_MASK}"
