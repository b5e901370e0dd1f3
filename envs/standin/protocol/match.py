"""One game in progress: the same kernels as the vector environment's, with a batch of one.

A match of seed ``s`` is game 0 of ``StandinVectorEnv.reset(seed=s)``, and its next episode is that game's next episode.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin import game
from envs.standin.actions import ACTION, MODES
from envs.standin.options import game_seed
from envs.standin.protocol.observation.score import Ledger
from envs.standin.rules import questions
from envs.standin.rules.cards import COMMANDS
from envs.standin.rules.catalog import type_table
from envs.standin.rules.scenario_ids import SCENARIOS
from envs.standin.rules.world import ENEMY, GAME, OWN, PLAYING, UNIT
from envs.standin.scenarios.pace import seat_computer
from envs.starcraft import interface as sc
from envs.starcraft.maps import MiniGame
from envs.starcraft.opponents import Opponent

LONGEST = 2**19
"""Game loops that a melee may take: the engine's own limit. Who wants it shorter stops it (PySC2 after 28800)."""

COLUMNS = {name: 2 + i for i, name in enumerate(sc.ARGUMENTS)}
"""Argument -> its place in an action."""

Sizes = tuple[int, int, int, int]
"""The screen's width and height, and the minimap's, in cells."""

_TAG_SHIFT = 18


def shown_tag(tag: Any) -> int:
    """A unit's tag as clients see it. PySC2 takes small numbers for places in its list of units, so tags are large."""
    return int(tag) << _TAG_SHIFT | 1


class Match:
    """A game of one map, from its first loop to its end.

    ``sizes``, ``other_sizes``: cells that the screen and the minimap are wide and high; a player's clicks are counted
    in them.
    ``computers``: who plays the first and the second player where nobody else does.

    All that is asked and done is from the place of one player, the first if not in :meth:`seen_by` another.
    """

    def __init__(
        self,
        map: MiniGame,
        seed: int,
        sizes: Sizes,
        fog: bool = True,
        computers: tuple[Opponent | None, Opponent | None] = (None, None),
        other_sizes: Sizes | None = None,
    ) -> None:
        self.map, self.seed, self.fog = map, seed, fog
        self._sizes = (sizes, other_sizes or sizes)
        layout = map.layout()
        self.types = type_table()
        self.size = layout.size
        """Cells that the map is wide and high."""
        self.games = np.zeros(1, GAME)
        self.units = np.zeros((1, map.capacity), UNIT)
        self.games["seed"] = game_seed(seed, 0)
        for number, computer in enumerate(computers, 1):
            if computer is not None:
                seat_computer(self.games, number, computer)
        self.ledger = Ledger(self.types) if map.melee else None
        """What the players have made and lost; of a mini-game its own score is kept."""
        self._which = np.arange(1)
        self._places = np.array(layout.places, np.float32)
        self._resources = np.array(layout.resources, np.float32).reshape(-1, 3)
        self._choice = np.zeros((1, ACTION), np.int64)
        self._nobody = np.zeros((1, 0), np.int8)
        self._slots = np.zeros((1, 0), np.int32)
        self._rewards = np.zeros(1, np.float32)
        self.start()

    @property
    def player(self) -> int:
        """The player from whose place everything is seen and done now, 1 or 2."""
        return 1 + int(self.games["turned"][0])

    @property
    def sizes(self) -> Sizes:
        """That player's cells."""
        return self._sizes[self.player - 1]

    @contextmanager
    def seen_by(self, player: int) -> Iterator[None]:
        """See and do everything from that player's place meanwhile."""
        before = self.player
        self.turn_to(player)
        try:
            yield
        finally:
            self.turn_to(before)

    def turn_to(self, player: int) -> None:
        """See and do everything from that player's place from now on."""
        if self.player != player:
            game.turn_table(self.games, self.units)

    def owner(self, player: int) -> int:
        """Whose units are that player's, seen from the place of the one who looks."""
        return OWN if player == self.player else ENEMY

    def start(self) -> None:
        """Begin the episode that ``games["episode"]`` counts."""
        player = self.player
        number = SCENARIOS.index("Melee" if self.map.melee else self.map.name)
        limit = LONGEST if self.map.melee else self.map.loops
        game.reset(self.games, self.units, self.types, self._which, number, limit, self._places, self._resources)
        self.fogged = self.fog and bool(self.games["fog"][0])
        """Is there fog, unless a debug request lifts it?"""
        self.games["fog"] = self.fogged
        if self.ledger is not None:
            self.ledger.begin()
            self.ledger.look(self.units[0])
        self.turn_to(player)

    def restart(self) -> None:
        """Begin the next episode."""
        self.begin_episode(int(self.games["episode"][0]) + 1)

    def begin_episode(self, number: int) -> None:
        """Begin an episode of the seed, counted from 0."""
        self.games["episode"] = number
        self.start()

    def save(self) -> tuple[Any, Any, Ledger | None]:
        """Everything that the further course depends on."""
        with self.seen_by(1):
            return self.games.copy(), self.units.copy(), copy.deepcopy(self.ledger)

    def load(self, state: tuple[Any, Any, Ledger | None]) -> None:
        """Put back what :meth:`save` gave."""
        player = self.player
        self.games[:], self.units[:] = state[:2]
        self.ledger = copy.deepcopy(state[2])
        self.turn_to(player)

    @property
    def playable(self) -> tuple[int, int, int, int]:
        """The cells of the playable rectangle: left, bottom, right, top."""
        left, bottom, right, top = self._places[0].tolist()
        return round(left), round(bottom), round(right), round(top)

    @property
    def enemy_starts(self) -> list[tuple[float, float]]:
        """Where the other player has begun, if there is one."""
        if not self.map.melee:
            return []
        x, y = self._places[3 - int(self.games["corner"][0]), :2].tolist()
        return [(x, y)]

    @property
    def loop(self) -> int:
        """Game loops since the start."""
        return int(self.games["loop"][0])

    @property
    def playing(self) -> bool:
        """Has it not ended yet?"""
        return bool(self.games["status"][0] == PLAYING)

    def choose(self, command: str, mode: str, arguments: Mapping[str, int]) -> int:
        """Carry out a function of the feature style; the ``ActionResult``."""
        self._choice[:] = 0
        self._choice[0, :2] = COMMANDS.index(command), MODES.index(mode)
        for name, value in arguments.items():
            self._choice[0, COLUMNS[name]] = value
        return int(
            game.choose(
                self.games, self.units, self.types, self._choice[0], self._nobody[0], self._slots[0],
                np.array(self.sizes),
            )
        )  # fmt: skip

    def command(
        self, command: str, slots: Iterable[int], queued: bool = False, x: float = 0.0, y: float = 0.0, target: int = -1
    ) -> int:
        """Command the player's units in these slots, aiming at a place, or at the unit in a slot; the result.

        A place beyond the map is the nearest on its edge.
        """
        chosen = np.zeros(self.units.shape[1], np.int64)
        chosen[list(slots)] = 1
        what = COMMANDS.index(command)
        x, y = (min(max(float(value), 0.0), float(most)) for value, most in zip((x, y), self.size, strict=True))
        return int(game.command(self.games, self.units, self.types, what, int(queued), x, y, target, chosen))

    def slot(self, tag: int) -> int:
        """Where the unit with that tag, as clients see it, is kept; -1 if there is none."""
        units = self.units[0]
        if tag != shown_tag(tag >> _TAG_SHIFT):
            return -1
        found = np.flatnonzero((units["kind"] != 0) & (units["tag"] == tag >> _TAG_SHIFT))
        return int(found[0]) if len(found) else -1

    def slots(self, tags: Sequence[int]) -> npt.NDArray[np.int64]:
        """Where the units with those tags are kept, each once; tags that nobody has are passed over."""
        units = self.units[0]
        there = np.flatnonzero(units["kind"] != 0)
        shown = units["tag"][there].astype(np.uint64) << np.uint64(_TAG_SHIFT) | np.uint64(1)
        return there[np.isin(shown, np.fromiter(tags, np.uint64, len(tags)))]

    def sees(self, slot: int) -> bool:
        """Is the unit in that slot in sight, or remembered?"""
        unit = self.units[0, slot]
        if not self.games["fog"][0] or unit["owner"] != ENEMY or unit["known"]:
            return True
        return bool(questions.sees(self.games, self.units, self.types, slot))

    def move_camera(self, x: float, y: float) -> bool:
        """Center the camera there, or as near as it goes; False where it is locked."""
        g = self.games[0]
        if not g["camera_free"]:
            return False
        g["camera_x"] = min(max(x, g["left"]), g["right"])
        g["camera_y"] = min(max(y, g["bottom"]), g["top_y"])
        return True

    def advance(self, loops: int) -> None:
        """Run so many game loops, or to the end of the game."""
        with self.seen_by(1):
            game.run(self.games, self.units, self.types, 0, 1, loops, 1, self._places, self._rewards)
            if self.ledger is not None:
                self.ledger.look(self.units[0])
