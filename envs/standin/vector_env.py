"""Many games of the stand-in in one Gymnasium ``VectorEnv``, with no protocol in between.

A game's course depends on its seed and on the actions made in it, on nothing else: not on the number of games, its
place among them, or the number of threads.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array

from envs.observations import row
from envs.spaces import ACTION_MASK
from envs.standin import game
from envs.standin.actions import A_MINIMAP, A_WORLD, ACTION
from envs.standin.commands import Commands
from envs.standin.options import check_for_learning, check_games, check_melee, game_seed
from envs.standin.orders import AIM, AIMS, ORDER, PLACE, TARGET, TARGETS, WHAT
from envs.standin.rules.catalog import type_table
from envs.standin.rules.scenario_ids import SCENARIOS
from envs.standin.rules.world import GAME, LOST, PLAYING, TIME_UP, UNIT, WON
from envs.standin.scenarios.head_start import furnish
from envs.standin.scenarios.pace import seat_computer
from envs.standin.scenarios.shaping import potential, worths
from envs.standin.show.columns import Columns
from envs.standin.show.masks import Masks
from envs.starcraft import interface as sc
from envs.starcraft.functions import Ground
from envs.starcraft.maps import interface_for, mini_game
from envs.starcraft.opponents import Opponent, parse_opponent

Observation = dict[str, Any]
Stepped = tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]


class StandinVectorEnv(VectorEnv[Observation, dict[str, npt.NDArray[Any]], npt.NDArray[Any]]):
    """``num_envs`` games of one map, stepped together. Made by :func:`make`.

    Observations and actions are those of ``interface``, games first. The arrays of an observation are the environment's
    own and are overwritten by the next step: copy what you keep. A function that is not available does nothing, and
    ``info["refused"]`` is 1 for that game. A game that ends starts anew in the same step: ``info["final_obs"]`` and
    ``info["final_info"]`` then hold its last observation, score and game loop, as in Gymnasium's own vector
    environments. The time limit truncates; the loss of all units, where that ends the game, or victory or defeat in a
    melee terminates. In a melee, victory is a reward of 1 and defeat of -1, which ``final_info["outcome"]`` repeats;
    ``shaping`` adds rewards on the way.
    """

    def __init__(
        self,
        scenario: str,
        num_envs: int,
        interface: sc.Interface,
        step_mul: int = 8,
        max_loops: int | None = None,
        threads: int = 1,
        render_mode: Literal["rgb_array"] | None = None,
        render_games: int | None = None,
        opponent: str | None = None,
        players: int | None = None,
        shaping: float = 0.0,
        head_start: float = 0.0,
    ) -> None:
        check_games(num_envs, step_mul, threads, max_loops, render_games)
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        self.map = mini_game(scenario)
        check_melee(self.map, num_envs, opponent, players)
        check_for_learning(self.map, shaping, head_start)
        self.opponent = parse_opponent(opponent) if opponent is not None else Opponent()
        self.scenario, self.interface = scenario, interface
        self.num_envs, self.step_mul, self.threads = num_envs, step_mul, min(threads, num_envs)
        self.players, self.shaping, self.head_start = players or 1, shaping, head_start
        self.max_loops = max_loops or self.map.loops
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": ["rgb_array"]}
        self.metadata["render_fps"] = 22.4 / step_mul
        self.render_mode = render_mode
        self.render_games = num_envs if render_games is None else min(render_games, num_envs)
        self.single_observation_space = interface.observation_space
        self.single_action_space = interface.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._allocate()

    def _allocate(self) -> None:
        n, face = self.num_envs, self.interface
        self._types = type_table()
        self._worths = worths(self._types)
        count = n // self.players
        self.games = np.zeros(count, GAME)
        if self.map.melee and self.players == 1:
            seat_computer(self.games, 2, self.opponent)
        self._seats: dict[int, Opponent | None] = {}
        self.units = np.zeros((count, self.map.capacity), UNIT)
        self.slots = np.full((n, face.max_units), -1, np.int32)
        layout = self.map.layout()
        self._places = np.array(layout.places, np.float32)
        self._resources = np.array(layout.resources, np.float32).reshape(-1, 3)
        explored = (0, 0)
        shown = {"visibility_map", "last_seen"} & {*face.screen_planes, *face.minimap_planes}
        if self.map.fog and (shown or (self.shaping and not self.map.melee)):
            explored = layout.size[::-1]
        self.explored = np.zeros((n, *explored), np.int32)
        self._all = np.arange(n)
        self._resting = np.zeros(count, bool)
        self._clicks: dict[int, list[tuple[float, float]]] = {}
        self._told: dict[int, list[tuple[int, tuple[float, float]]]] = {}
        self._rows = np.zeros((n, ACTION), np.int64)
        self._rewards, self._refused = np.zeros(n, np.float32), np.zeros(n, np.int8)
        self._no_tags, self._slot = np.zeros((n, face.max_units), np.int8), np.arange(face.max_units)
        self._sizes = np.array([*face.screen_size, *(face.world_size if face.style == "raw" else face.minimap_size)])
        functions = [face.function_table[name] for name in face.functions]
        self._can = Commands(face, self.map.fog)
        self._commands = self._can.asked
        self._ordering = face.style == "orders"
        if self._ordering:
            self._aims = np.array([0 if f.mode == "ui" else AIMS.index(f.mode) for f in functions])
            self._cells = np.array(face.minimap_size)
            self._orders = np.zeros((n, face.max_units, ORDER), np.int64)
        else:
            taken = self.single_action_space.arguments  # type: ignore[attr-defined]
            self._argument_columns = {name: 2 + list(sc.ARGUMENTS).index(name) for name in taken}
        columns = [list(sc.UNIT_FEATURES).index(c) for c in face.unit_features] if face.max_units else []
        self._columns = Columns(face, self._types)
        screen, minimap, numbers = (
            [list(table).index(name) for name in names]
            for table, names in (
                (sc.SCREEN_PLANES, face.screen_planes),
                (sc.MINIMAP_PLANES, face.minimap_planes),
                (sc.NUMBERS, face.numbers),
            )
        )
        units = {
            "features": np.zeros((n, face.max_units, len(columns)), np.float32),
            "mask": np.zeros((n, face.max_units), np.int8),
        }
        screen_planes = np.zeros((n, *face.screen_size[::-1], len(screen)), np.int16)
        map_planes = np.zeros((n, *face.minimap_size[::-1], len(minimap)), np.int16)
        values = np.zeros((n, len(numbers)), np.float32)
        function_mask = np.zeros((n, len(functions)), np.int8)
        own_mask, target_mask = (np.zeros((n, face.max_units), np.int8) for _ in range(2))
        self._show = (
            self._columns.kinds, np.array(columns, np.int64), units["features"], units["mask"], self.slots,
            np.array(screen, np.int64), screen_planes,
            np.array(minimap, np.int64), map_planes,
            np.array(numbers, np.int64), values,
            self._commands, function_mask, own_mask, target_mask,
        )  # fmt: skip
        masks = {"function": function_mask}
        left, bottom, right, top = (round(float(side)) for side in self._places[0])  # as the game tells it
        wide, high = self.map.layout().size
        self._masks = Masks(face, Ground(high, max(wide, high), (left, bottom, right, top)), self._commands, n)
        if face.style == "raw":
            masks |= {"unit_tags": own_mask, "target_unit_tag": target_mask}
        observation: Observation = {ACTION_MASK: masks | self._masks.parts}
        parts = {"units": units, "screen": screen_planes, "minimap": map_planes, "player": values}
        observation |= {name: part for name, part in parts.items() if name in face.observation_space.spaces}
        spaces = {name: part for name, part in face.observation_space.items() if name in ("upgrades", "effects")}
        self._observation = observation | {name: create_empty_array(part, n) for name, part in spaces.items()}

    def _observe(self, which: npt.NDArray[np.int64]) -> None:
        whole = self.interface.whole_map
        state, players = (self.games, self.units, self._types), self.players
        self._split(
            game.observe,
            lambda lo, hi: (*state, which[players * lo : players * hi], players, whole, self.explored, *self._show),
        )(len(which) // players)
        self._columns.finish(*state[:2], self.slots, which, players, self._observation)
        self._can.hide(self._observation[ACTION_MASK]["function"])

        self._masks.fill(
            self._split, lambda lo, hi: (*state, players * lo, players * hi, players, self.slots), len(self.games)
        )

    def _split(self, kernel: Any, arguments: Any) -> Any:
        """Call a kernel for all of n games at once, or for a share of them on each thread."""

        def call(n: int) -> None:
            if self._pool is None or n < self.threads:
                kernel(*arguments(0, n))
                return
            edges = [n * i // self.threads for i in range(self.threads + 1)]
            jobs = [self._pool.submit(kernel, *arguments(a, b)) for a, b in itertools.pairwise(edges)]
            for job in jobs:
                job.result()

        return call

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start every game anew. Game i of seed s is game i of seed s in a batch of any size; a list seeds each game
        by itself, wherever it stands (of two players the first one's counts). Without a seed the games go on to their
        next episode (and, the first time, to a random one). ``options={"stagger": True}``: the time limit of this
        episode alone is spread evenly over the games, the map's own being the last one's."""
        if seed is None:
            if not self.games["seed"].any():
                self.games["seed"] = np.random.default_rng().integers(1, 2**63, len(self.games))
            else:
                self.games["episode"] += 1
        elif isinstance(seed, (int, np.integer)):
            self.games["seed"] = [game_seed(int(seed), i) for i in range(len(self.games))]
            self.games["episode"] = 0
        else:
            if len(seed) != self.num_envs:
                raise ValueError(f"reset: {self.num_envs} games need as many seeds, got {len(seed)}")
            for i, s in enumerate(seed[:: self.players]):
                if s is None:
                    self.games["episode"][i] += 1
                else:
                    self.games["seed"][i], self.games["episode"][i] = game_seed(int(s), 0), 0
        self._resting[:] = False
        self._start(np.arange(len(self.games)))
        if (options or {}).get("stagger"):
            self.games["limit"] = self.max_loops * (1 + np.arange(len(self.games))) // len(self.games)
        self._observe(self._all)
        return self._observation, {}

    def seat(self, index: int, opponent: Opponent | None) -> None:
        """From its next episode on, let a computer play the second side of a game of two; None: its row does."""
        self._seats[index] = opponent

    def rest(self, rows: npt.NDArray[np.bool_]) -> None:
        """Until the next reset nothing happens any more in games whose rows [B] are all named: nobody looks at them."""
        self._resting[:] = rows.reshape(-1, self.players).all(1)

    def _start(self, which: npt.NDArray[np.int64]) -> None:
        for k in which.tolist() if self._seats else ():
            seat_computer(self.games[k : k + 1], 2, self._seats.get(k))
        number = SCENARIOS.index("Melee" if self.map.melee else self.scenario)
        game.reset(self.games, self.units, self._types, which, number, self.max_loops, self._places, self._resources)
        if self.head_start:
            furnish(self.scenario, self.head_start, self.games, self.units, self._types, which)

    def step(self, actions: dict[str, npt.NDArray[Any]]) -> Stepped:
        """Carry out one action a game and run ``step_mul`` game loops."""
        self._clicks, self._told = {}, {}
        if self._resting.any():
            self.games["status"][self._resting] = TIME_UP
            told = np.where(self._resting.repeat(self.players), 0, np.asarray(actions["function"]).T).T
            actions = {**actions, "function": told}
        if self._ordering:
            self._give_orders(actions)
        else:
            self._choose(actions)
        state = self.games, self.units, self._types
        before = self._potential()
        if not self.interface.max_delay:
            self._split(
                game.run,
                lambda lo, hi: (*state, lo, hi, self.step_mul, self.players, self._places, self._rewards),
            )(len(self.games))
        else:  # each game to its own next decision: of two players, the one who wants it sooner
            delays = 1 + np.asarray(actions["delay"]).reshape(-1, self.players).min(1)
            for k, loops in enumerate(delays.tolist()):
                game.run(*state, k, k + 1, loops, self.players, self._places, self._rewards)
        return self._after_step(before)

    def _potential(self) -> Any:
        """What ``shaping`` rewards the change of, [B]."""
        if not self.shaping:
            return 0.0
        seen = self.explored, self._places[0]
        return self.shaping * potential(self.map, self.players, self.units, self._worths, *seen)

    def _choose(self, actions: dict[str, npt.NDArray[Any]]) -> None:
        function = np.asarray(actions["function"])
        rows, face = self._rows, self.interface
        raw = face.style == "raw"
        rows[:, 0], rows[:, 1] = self._can.what[function], self._can.modes[function]
        tags = self._no_tags
        for name, column in self._argument_columns.items():
            if name == "unit_tags":
                given = actions[name][:, None] == self._slot if face.one_unit else actions[name]
                tags = np.ascontiguousarray(given, np.int8)
            else:
                rows[:, column] = actions[name]
        if "world" in self._argument_columns:
            rows[:, A_WORLD] = rows[:, A_MINIMAP] = face.world_cells(actions)
        self._split(
            game.choose_all,
            lambda lo, hi: (
                self.games, self.units, self._types, lo, hi, self.players, rows, tags, self.slots, self._sizes, raw,
                self._refused,
            ),
        )(len(self.games))  # fmt: skip
        self._refused |= ~self._can.known[function]

    def _give_orders(self, actions: dict[str, npt.NDArray[Any]]) -> None:
        orders, function = self._orders, np.asarray(actions["function"])
        orders[..., WHAT], orders[..., AIM] = self._commands[function], self._aims[function]
        orders[..., TARGET:] = 0
        for name, taken in zip(self.interface.orders.arguments, self.interface.orders.uses.T, strict=True):
            column = TARGET if name in TARGETS else PLACE
            np.copyto(orders[..., column], actions[name], where=taken[function])
        self._split(
            game.order_all,
            lambda lo, hi: (
                self.games, self.units, self._types, lo, hi, self.players, orders, self.slots, self._cells,
                self._refused,
            ),
        )(len(self.games))  # fmt: skip

    def _after_step(self, before: Any) -> Stepped:
        self.games["status"][self._resting] = PLAYING
        status = np.repeat(self.games["status"], self.players)
        terminated = (status != PLAYING) & (status != TIME_UP)
        truncated = status == TIME_UP
        info: dict[str, Any] = {"refused": self._refused.copy()}
        ended = np.flatnonzero(status != PLAYING)
        self._observe(self._all if not self._resting.any() else np.flatnonzero(~self._resting.repeat(self.players)))
        if self.shaping:
            self._rewards += self._potential() - before
        if len(ended):
            self._end(ended, info)
        return self._observation, self._rewards.copy(), terminated, truncated, info

    def _end(self, ended: npt.NDArray[np.int64], info: dict[str, Any]) -> None:
        over = np.zeros(self.num_envs, bool)
        over[ended] = True
        final_obs = np.full(self.num_envs, None, object)
        for i in ended:
            final_obs[i] = copy.deepcopy(row(self._observation, i))
        both = [("score", "other_score"), ("loop", "loop")]
        last = {
            f[0]: np.where(over, np.column_stack([self.games[n] for n in f[: self.players]]).ravel(), 0) for f in both
        }
        if self.map.melee:
            outcome = (self.games["status"] == WON).astype(int) - (self.games["status"] == LOST)
            last["outcome"] = np.where(over, np.column_stack([outcome, -outcome][: self.players]).ravel(), 0)
        info["final_obs"], info["_final_obs"] = final_obs, over
        info["final_info"], info["_final_info"] = {**last, **{f"_{name}": over for name in last}}, over
        which = ended[:: self.players] // self.players
        self.games["episode"][which] += 1
        self._start(which)
        self._observe(ended)

    def render(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """A frame [height, width, 3] of each game, or of the first ``render_games``."""
        from envs.standin.show.render import frame

        drawn = []
        for i in range(self.render_games):
            told = self._told.get(i, []) if self._ordering else None
            drawn.append(frame(*self._seen(i), self._types, self.scenario, self._clicks.get(i, ()), told))
        return tuple(drawn)

    def _seen(self, i: int) -> tuple[Any, npt.NDArray[Any]]:
        """The game and the units of row i, from its player's place."""
        k = i // self.players
        games, units = self.games[k : k + 1], self.units[k : k + 1]
        if i % self.players:
            games, units = games.copy(), units.copy()
            game.turn_table(games, units)
        return games[0], units[0]

    def mark(self, actions: dict[str, npt.NDArray[Any]]) -> None:
        """Let the frames until the next step show where these actions, one a game, point to."""
        from envs.standin.show.marks import orders_of, pointed_to

        face, rows = self.interface, range(self.render_games)
        if self._ordering:
            self._told = {i: orders_of(face, *self._seen(i), self.slots[i], actions, i) for i in rows}
        else:
            self._clicks = {i: pointed_to(face, *self._seen(i), self.slots[i], actions, i) for i in rows}

    def save_state(self) -> dict[str, npt.NDArray[np.uint8]]:
        """Everything that the games' further course depends on, as plain bytes."""
        return {name: _bytes(getattr(self, name)).copy() for name in ("games", "units", "explored")}

    def load_state(self, state: dict[str, npt.NDArray[np.uint8]]) -> Observation:
        """Put back what :meth:`save_state` gave, and say what is observed then."""
        for name, saved in state.items():
            mine = _bytes(getattr(self, name))
            if mine.shape != saved.shape:
                raise ValueError(
                    f"the saved state is not of {self.num_envs} games of {self.scenario}: "
                    f"{name} has the shape {saved.shape}, expected {mine.shape}"
                )
            mine[...] = saved
        self._observe(self._all)
        return self._observation

    def close_extras(self, **kwargs: Any) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return array.view(np.uint8).reshape(array.shape[0], -1)


def make(
    scenario: str,
    num_envs: int,
    *,
    interface: sc.Interface | None = None,
    step_mul: int = 8,
    max_loops: int | None = None,
    threads: int = 1,
    render_mode: Literal["rgb_array"] | None = None,
    render_games: int | None = None,
    opponent: str | None = None,
    players: int | None = None,
    shaping: float = 0.0,
    head_start: float = 0.0,
    **options: Any,
) -> StandinVectorEnv:
    """``num_envs`` games of the map ``scenario``.

    ``step_mul``: game loops a step. ``max_loops``: a time limit other than the map's. ``threads``: how many to share
    the games among. ``render_games``: how many games :meth:`StandinVectorEnv.render` draws (all). ``opponent``: on a
    melee map, the computer player as ``race:difficulty:build`` (``random:easy:random``). ``players``: 2 for both sides
    of each game, whose rows are then 2 k and 2 k + 1. ``shaping``: what a change counts beside the score, on a melee
    map in who holds how much, on another with fog in how much has been seen, in an economy in what is built
    (:mod:`envs.standin.scenarios.shaping`). ``head_start``: the share of games, of economies and melees, that begin
    with something built (:mod:`~envs.standin.scenarios.head_start`). ``interface``: what is seen and done; left out,
    the one that suits the map, with any of its fields replaced by ``options``.
    Raises a ValueError that names the option for a map, an option or a value that does not exist.
    """
    if interface is not None and options:
        raise ValueError(f"give either an interface or its options, not both: {', '.join(options)}")
    if interface is None:
        interface = interface_for(scenario, **options)
    return StandinVectorEnv(
        scenario, num_envs, interface, step_mul, max_loops, threads, render_mode, render_games, opponent, players,
        shaping, head_start,
    )  # fmt: skip
