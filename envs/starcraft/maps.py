"""The mini-games: what each map is, its limit, and the interface that suits it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from envs.starcraft.interface import Interface, InterfaceError


class UnknownMap(ValueError):
    """A map that is not among those known."""


@dataclass(frozen=True)
class MiniGame:
    """One mini-game map.

    ``loops``: the map script's time limit, in game loops. ``region``: the playable rectangle (left, bottom, right,
    top), in world units. ``capacity``: units that the stand-in has room for. ``interface``: the options of
    :class:`Interface` that suit the map where they differ from its defaults.
    """

    name: str
    loops: int
    region: tuple[float, float, float, float]
    capacity: int
    interface: Mapping[str, Any] = field(default_factory=dict)


MAPS: Mapping[str, MiniGame] = {m.name: m for m in (MiniGame("MoveToBeacon", 1920, (22, 20, 44, 36), 2),)}


def mini_game(name: str) -> MiniGame:
    """The map of that name, or :class:`UnknownMap` naming the nearest one."""
    if name not in MAPS:
        near = difflib.get_close_matches(name, MAPS, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(MAPS)}"
        raise UnknownMap(f"unknown mini-game {name!r}; {hint}")
    return MAPS[name]


def interface_for(name: str, **options: Any) -> Interface:
    """The interface that suits the map ``name``, with single options replaced."""
    names = [f.name for f in fields(Interface)]
    for option in options:
        if option not in names:
            near = difflib.get_close_matches(option, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
            raise InterfaceError(f"unknown interface option {option!r}; {hint}")
    return Interface(**{**mini_game(name).interface, **options})
