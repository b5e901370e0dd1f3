"""StarCraft II, or the stand-in's server, as a Gymnasium ``VectorEnv``: several game processes played through PySC2.

Each game is stepped by a thread of its own: they wait for their processes side by side, and a game that hangs keeps the
others waiting for its deadline and its relaunch, no longer, however many hang. PySC2's own work holds Python's lock, so
one such environment keeps about one core busy beside its games; for more, let Ray's workers hold one each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array

from envs.checks import number, switch, whole
from envs.spelling import did_you_mean
from envs.starcraft import installation
from envs.starcraft.client import GameFailure, GameOptions
from envs.starcraft.game import Game, Step, Supervision
from envs.starcraft.interface import Interface
from envs.starcraft.maps import LONGEST_EPISODE, LONGEST_STEP, MAPS, MELEE, interface_of
from envs.starcraft.opponents import RACES, Opponent, check_playable, parse_opponent
from envs.starcraft.process import Stagger
from envs.starcraft.pysc2 import check_version, find_map
from envs.starcraft.supervise import Watchdog
from envs.starcraft.translate import Nest

Observation = dict[str, Any]

MOST_GAMES = 1000


class StarcraftVectorEnv(VectorEnv[Observation, dict[str, npt.NDArray[Any]], npt.NDArray[Any]]):
    """``num_envs`` games of one map, stepped together. Made by :func:`make`.

    Spaces, rewards and ends are those of the stand-in's vector environment. A game ends by truncation at its time limit
    and by termination otherwise. Where there is an opponent, the reward is the outcome, 1, 0 or -1, in the last step,
    and ``info["final_info"]["outcome"]`` repeats it.

    ``info["aborted"]`` [B] marks the games whose process failed in this step: their episode is cut off with the last
    observation that was received as its final one, no reward is made up, and the next episode has begun in a new
    process. ``info["refused"]`` [B] marks actions that were not available.
    """

    def __init__(
        self,
        options: GameOptions,
        game_map: Any,
        num_envs: int,
        limit: int | None,
        supervision: Supervision,
        seed: int | None = None,
    ) -> None:
        self.options, self.interface = options, options.interface
        self.num_envs, self.seed = num_envs, seed
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.render_mode = None
        self.single_observation_space = self.interface.observation_space
        self.single_action_space = self.interface.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observation: Observation = create_empty_array(self.single_observation_space, num_envs)  # type: ignore[assignment]
        self._watchdog = Watchdog(supervision.memory_limit)
        stagger = Stagger(supervision.launch_interval)
        self.games = [Game(i, options, game_map, limit, supervision, self._watchdog, stagger) for i in range(num_envs)]
        self._pool = ThreadPoolExecutor(num_envs, "starcraft")
        self._jobs: list[Future[Any]] = []
        self._begun = False

    @property
    def failures(self) -> Counter[str]:
        """How often games have failed, by class (``client.FAILURES``)."""
        return sum((game.failures for game in self.games), Counter())

    @property
    def aborted(self) -> int:
        """Episodes that a failure cut short."""
        return sum(game.aborted for game in self.games)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start every game anew. A seed s gives game 0 the game's own seed s, and each other game one drawn from it;
        a list gives each game its own. The first time, this launches the processes."""
        self._each(Game.reset, self._seeds(self.seed if self.seed is not None else seed))
        self._begun = True
        for game in self.games:
            _put(self._observation, game.index, game.observation)
        return self._observation, {}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None and self._begun:
            return [None] * self.num_envs
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        if isinstance(seed, (int, np.integer)):
            others = np.random.SeedSequence(int(seed)).generate_state(self.num_envs, np.uint32) >> 1
            return [int(seed) % 2**32, *(int(s) for s in others[1:])]
        if len(seed) != self.num_envs:
            raise ValueError(f"reset: {self.num_envs} games need as many seeds, got {len(seed)}")
        return list(seed)

    def step(
        self, actions: dict[str, npt.NDArray[Any]]
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Carry out one action a game and run ``step_mul`` game loops."""
        each = [{name: values[i] for name, values in actions.items()} for i in range(self.num_envs)]
        steps = self._each(Game.step, each)
        for game in self.games:
            _put(self._observation, game.index, game.observation)
        info: dict[str, Any] = {name: _column(steps, name, bool) for name in ("refused", "aborted")}
        over = np.array([step.final is not None for step in steps])
        if over.any():
            info["final_obs"] = np.array([step.final for step in steps], object)
            names = ("score", "loop") + (("outcome",) if self.options.opponent else ())
            info["final_info"] = {name: _column(steps, name) for name in names} | {f"_{name}": over for name in names}
            info["_final_obs"] = info["_final_info"] = over
        reward = _column(steps, "reward", np.float32)
        return self._observation, reward, _column(steps, "terminated", bool), _column(steps, "truncated", bool), info

    def _each(self, do: Callable[[Game, Any], Any], with_what: Sequence[Any]) -> list[Any]:
        """Do it with all games at once; the first error, if there is one, is raised when all are done.

        An interrupt ends the games: they are in the middle of something, and the program that is to end would wait for
        their threads.
        """
        self._jobs = []
        try:
            for game, what in zip(self.games, with_what, strict=True):
                self._jobs.append(self._pool.submit(do, game, what))
            wait(self._jobs)
        except BaseException:
            self.close()
            raise
        return [job.result() for job in self._jobs]

    def save_state(self) -> dict[str, npt.NDArray[np.uint8]]:
        """Nothing: a game's process cannot be saved, so that a resumed run starts its episodes anew."""
        return {}

    def load_state(self, state: dict[str, npt.NDArray[np.uint8]]) -> Observation:
        """Raises ValueError: there is no state to put back."""
        raise ValueError("a StarCraft II process cannot be saved; reset the environment instead")

    def close_extras(self, **kwargs: Any) -> None:
        """End all processes; what is being asked of them fails."""
        for game in self.games:
            game.stop.set()
        for game, job in zip(self.games, self._jobs, strict=False):  # fewer jobs if the interrupt came that soon
            if not job.done() and game.session is not None:
                game.session.kill(GameFailure("crash", "the environment was closed"))
        wait([self._pool.submit(game.close) for game in self.games])
        self._pool.shutdown()
        self._watchdog.stop()


def _column(steps: list[Step], name: str, dtype: Any = None) -> npt.NDArray[Any]:
    return np.array([getattr(step, name) for step in steps], dtype)


def _put(batch: Any, row: int, one: Nest) -> None:
    for name, value in one.items():
        if isinstance(value, dict):
            _put(batch[name], row, value)
        else:
            batch[name][row] = value


def make(
    map_name: str,
    num_envs: int,
    *,
    interface: Interface | None = None,
    step_mul: int = 8,
    max_loops: int | None = None,
    opponent: str | Opponent | None = None,
    race: str = "terran",
    disable_fog: bool = False,
    realtime: bool = False,
    random_seed: int | None = None,
    version: str | None = None,
    save_replay_episodes: int = 0,
    replay_dir: str | Path | None = None,
    visualize: bool = False,
    **options: Any,
) -> StarcraftVectorEnv:
    """``num_envs`` games of a map through PySC2; no process is started before the first reset.

    ``interface``, or any of its fields: what is seen and done, as in the stand-in. ``step_mul``: game loops a step.
    ``max_loops``: a time limit other than the map's. ``opponent``: the built-in AI, race:difficulty:build; ``race``:
    one's own. ``random_seed``: one for all resets, whatever seed they are given. ``save_replay_episodes``: keep every
    so manieth episode of each game as a replay in ``replay_dir``. ``visualize``: PySC2's window for the first game.

    Supervision (:class:`envs.starcraft.game.Supervision`): ``request_seconds`` and ``launch_seconds``, how long a step
    and a launch may take; ``launch_interval``, seconds between two launches; ``recycle_episodes`` and ``memory_limit``
    (megabytes), after which a process is replaced between two episodes (at twice the memory: at once); ``backoff`` and
    ``longest_backoff``, the wait before a relaunch, doubled at every failure in a row; ``first_attempts`` and
    ``attempts``, failures without a whole episode in between before giving up, of a game that has never run and of one
    that has.

    Raises a ValueError that says what was looked for, where, and what to do, for an installation, a map, a version, an
    opponent or an option that does not exist.
    """
    for name, value, least, most in (
        ("num_envs", num_envs, 1, MOST_GAMES),
        ("step_mul", step_mul, 1, LONGEST_STEP),
        ("max_loops", max_loops, 1, LONGEST_EPISODE),
        ("random_seed", random_seed, 0, 2**32 - 1),
        ("save_replay_episodes", save_replay_episodes, 0, LONGEST_EPISODE),
    ):
        if value is not None:
            whole(name, value, least, most)
    for name, flag in (("disable_fog", disable_fog), ("realtime", realtime), ("visualize", visualize)):
        switch(name, flag)
    _check_names(options)
    rules = {f.name: options.pop(f.name) for f in fields(Supervision) if f.name in options}
    for name, value in rules.items():
        if isinstance(getattr(Supervision, name), float):
            number(name, value, 0.0)
        else:
            whole(name, value, 1, LONGEST_EPISODE)
    here = installation.find()
    if map_name == "BuildMarines" and not here.is_standin:
        rules.setdefault("recycle_episodes", 1)  # its mineral fields do not come back when it is restarted
    if race not in RACES:
        raise ValueError(f"race: no race {race!r}{did_you_mean(race, RACES) or '.'} There are: {', '.join(RACES)}")
    if isinstance(opponent, str):
        opponent = parse_opponent(opponent)
    if here.is_standin:
        check_playable(opponent)
    game_map = find_map(map_name, here, opponent is not None)
    check_version(version, here)
    if save_replay_episodes and replay_dir is None:
        raise ValueError("save_replay_episodes: name the folder for the replays too, replay_dir")
    if visualize and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.name == "nt"):
        raise ValueError("visualize: there is no display here (DISPLAY is not set)")
    face = interface_of(map_name, interface, options)
    what = GameOptions(
        map_name, face, step_mul, max_loops, opponent, RACES[race], disable_fog, realtime, version,
        save_replay_episodes, None if replay_dir is None else Path(replay_dir), visualize,
    )  # fmt: skip
    known = {**MAPS, **MELEE}.get(map_name)
    limit = max_loops or (known.loops if known else None)
    return StarcraftVectorEnv(what, game_map, num_envs, limit, Supervision(**rules), random_seed)


def _check_names(options: dict[str, Any]) -> None:
    own = [name for name, p in signature(make).parameters.items() if p.kind is Parameter.KEYWORD_ONLY]
    known = [*own, *(field.name for kind in (Supervision, Interface) for field in fields(kind))]
    for name in options:
        if name not in known:
            raise ValueError(f"unknown option {name!r}{did_you_mean(name, known) or '.'} There are: {', '.join(known)}")
