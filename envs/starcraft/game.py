"""One supervised game: episode after episode, whatever happens to its process."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from envs.errors import EnvError
from envs.spaces import ACTION_MASK
from envs.starcraft.client import GameFailure, GameOptions, Moment, Session
from envs.starcraft.process import Stagger
from envs.starcraft.pysc2 import load
from envs.starcraft.supervise import Watchdog
from envs.starcraft.translate import Nest, Translator

log = logging.getLogger("envs.starcraft")
T = TypeVar("T")


class GameGaveUp(EnvError):
    """A game that fails again and again; the message says how."""


class Closing(Exception):
    """The environment is being closed."""


@dataclass(frozen=True)
class Supervision:
    """When a game is ended and started anew; :func:`envs.starcraft.vector_env.make` says what each means."""

    request_seconds: float = 30.0
    launch_seconds: float = 120.0
    launch_interval: float = 0.5
    recycle_episodes: int = 100
    memory_limit: float = 2000.0
    backoff: float = 0.5
    longest_backoff: float = 60.0
    first_attempts: int = 3
    attempts: int = 10


@dataclass(frozen=True)
class Step:
    """What one step of a game came to. ``final`` is the last observation of the episode that it ended."""

    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    refused: bool = False
    aborted: bool = False
    final: Nest | None = None
    score: float = 0.0
    loop: int = 0
    outcome: int = 0


class Game:
    """One game, number ``index`` of its environment.

    ``observation`` is what is seen now. ``aborted`` counts episodes that a failure cut short, ``failures`` failures by
    class, ``launches`` processes. Failures are in a row until an episode is whole.
    """

    def __init__(
        self,
        index: int,
        options: GameOptions,
        game_map: Any,
        limit: int | None,
        supervision: Supervision,
        watchdog: Watchdog,
        stagger: Stagger,
    ) -> None:
        self.index, self.options, self.map, self.limit = index, options, game_map, limit
        self.supervision, self.watchdog, self.stagger = supervision, watchdog, stagger
        self.session: Session | None = None
        self.translator: Translator
        self.observation: Nest
        self.moment: Moment
        self.seeds = np.random.SeedSequence(0)
        self.seed: int | None = None
        """What a melee's episode began with."""
        self.again = False
        """Whether it is that of an episode that was aborted."""
        self.stop = threading.Event()
        self.failures: Counter[str] = Counter()
        self.aborted = self.launches = self.failures_in_a_row = 0

    def reset(self, seed: int | None) -> None:
        """Start an episode: the first one of ``seed``, or without one the next."""
        if seed is None:
            self._begin()
            return
        self.seeds = np.random.SeedSequence([seed, self.index])
        self._begin(seed)

    def step(self, action: Mapping[str, Any]) -> Step:
        """Carry out an action. A game that ends, or fails, has begun its next episode when this returns."""
        calls, told_wrong = self.translator.calls(action, self.observation[ACTION_MASK]["function"])
        loops = self.options.interface.loops(action, self.options.step_mul)
        if self.options.max_loops is not None:
            loops = min(loops, self.options.max_loops - self.moment.loop)
        try:
            moment = self._ask("step", lambda session: session.step(calls, loops))
            observation = self._observe(moment)
        except GameFailure as failure:
            return self._abort(failure)
        self.moment, self.observation = moment, observation
        message = moment.response
        refused = told_wrong or moment.refused
        if not moment.last:
            return Step(moment.reward, refused=refused)
        self.again = False
        self.failures_in_a_row = 0  # not before: a game that never ends an episode teaches nothing
        in_time = moment.result is not None and (self.limit is None or moment.loop < self.limit)
        ended = Step(
            moment.reward, terminated=in_time, truncated=not in_time, refused=refused, final=observation,
            score=float(message.observation.score.score), loop=moment.loop, outcome=moment.result or 0,
        )  # fmt: skip
        self._recycle()
        self._begin()
        return ended

    def close(self) -> None:
        """End the process."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def _abort(self, failure: GameFailure) -> Step:
        """The episode cannot go on. It is worth what was last seen of it; no reward is made up for it."""
        self.aborted += 1
        lost = Step(
            truncated=True, aborted=True, final=self.observation, loop=self.moment.loop,
            score=float(self.moment.response.observation.score.score),
        )  # fmt: skip
        self._mourn(failure, f"episode aborted at loop {lost.loop}")
        # the same game once more, so that an evaluation's games are those it was to have; if it was the game, the next
        self.again = not self.again
        self._begin(self.seed if self.again else None)
        return lost

    def _begin(self, seed: int | None = None) -> None:
        """Start an episode, in a new process if there is none or the one there is fails."""
        while True:
            try:
                fresh, melee = self.session is None, self.options.opponent is not None
                if seed is None and (fresh or melee):  # PySC2 creates each melee anew, always from one seed
                    seed = self._next_seed()
                self.seed = seed if melee else None
                if fresh:
                    self._launch(seed or 0)
                later = None if fresh else seed
                self.moment = self._ask("reset", lambda session: session.reset(later))  # noqa: B023 called at once
                self.observation = self._observe(self.moment)
                return
            except GameFailure as failure:
                self._mourn(failure, "no episode was under way")

    def _launch(self, seed: int) -> None:
        self.session = Session(self.options, self.map, self.index)
        self.stagger.wait()
        self._ask("launch", lambda session: session.launch(seed))
        self.launches += 1
        self.translator = Translator(self.options.interface, load(), *self.session.map_size, self.session.playable)

    def _recycle(self) -> None:
        """Let the process go if it has played its share, or has grown too large."""
        session, rules = self.session, self.supervision
        if session is None or session.process is None:
            return
        held = session.process.memory()
        if session.episodes >= rules.recycle_episodes or held > rules.memory_limit:
            log.info("game %d: a new process after %d episodes, %.0f MB", self.index, session.episodes, held)
            self.close()

    def _observe(self, moment: Moment) -> Nest:
        """What is seen. Whatever makes that impossible is the game's failure: it must not end the other games' run."""
        session = self.session
        assert session is not None
        asks = self.options.interface.whole_map and session.in_game
        try:
            return self.translator.observe(
                moment, (lambda tags: self._ask("query", lambda s: s.abilities(tags))) if asks else None
            )
        except (GameFailure, Closing):
            raise
        except Exception as error:
            cause = f"{type(error).__name__} in what was observed: {error}"
            raise GameFailure("garbled", cause) from error

    def _ask(self, what: str, call: Callable[[Session], T]) -> T:
        session = self.session
        assert session is not None
        if self.stop.is_set():
            raise Closing
        starts = what == "launch" or (what == "reset" and self.options.opponent is not None)
        seconds = self.supervision.launch_seconds if starts else self.supervision.request_seconds
        with self.watchdog.watch(session, seconds, what):
            return call(session)

    def _mourn(self, failure: GameFailure, effect: str) -> None:
        """Tell what happened, end the process, and wait before the next one: twice as long each time in a row."""
        if self.session is not None:
            self.session.kill(failure)  # nothing more is asked of a game that has failed, not even to quit
        self.close()
        if self.stop.is_set():
            raise Closing
        rules = self.supervision
        self.failures[failure.kind] += 1
        self.failures_in_a_row += 1
        attempts = rules.attempts if self.launches else rules.first_attempts
        told = f"sc2/{self.options.map_name}, game {self.index}: {failure}"
        if self.failures_in_a_row >= attempts:
            raise GameGaveUp(f"{told}; gave up after {self.failures_in_a_row} failures in a row") from failure
        pause = min(rules.backoff * 2 ** (self.failures_in_a_row - 1), rules.longest_backoff)
        log.warning("%s; %s; relaunching in %g s", told, effect, pause)
        if self.stop.wait(pause):
            raise Closing

    def _next_seed(self) -> int:
        (child,) = self.seeds.spawn(1)
        return int(child.generate_state(1, np.uint32)[0] >> 1)
