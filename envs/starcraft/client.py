"""A :class:`Session` is one game process and PySC2's own ``SC2Env`` playing in it.

What PySC2 leaves open is closed here: its processes are ours (:mod:`envs.starcraft.process`), so that they can be
ended; so is its connection, for another program may be at the other end of it; ports are returned; a game that has
exited is noticed at once. Whatever goes wrong is a :class:`GameFailure` with a class and a cause in one line.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envs.errors import EnvError
from envs.starcraft.interface import Interface
from envs.starcraft.opponents import BUILDS, DIFFICULTIES, RACES, Opponent
from envs.starcraft.process import GameProcess
from envs.starcraft.pysc2 import Pysc2, interface_format, load

SOCKET_SECONDS = 600
"""PySC2's own timeout: ours come first."""
SUCCESS = 1
CONNECT_EVERY = 0.1
"""Seconds between two attempts to connect to a game that is starting."""


class GameFailure(Exception):
    """A game that cannot be played on; ``kind`` is one of :data:`FAILURES`."""

    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(f"{kind}: {cause}")
        self.kind, self.cause = kind, cause


FAILURES: Mapping[str, str] = {
    "launch": "the game did not start, or ended before it listened",
    "ports": "no free port was left",
    "refused": "the game, or another program at its port, refused the connection",
    "hang": "no answer within the deadline",
    "crash": "the game's process ended",
    "garbled": "an answer that cannot be read or makes no sense",
    "stuck": "the game did not advance",
    "error": "the game reported an error",
    "memory": "the game held more memory than it may",
}
"""The classes of failures."""


@dataclass(frozen=True)
class GameOptions:
    """What is played and how; :func:`envs.starcraft.vector_env.make` says what each option means."""

    map_name: str
    interface: Interface
    step_mul: int = 8
    max_loops: int | None = None
    opponent: Opponent | None = None
    race: int = 1
    disable_fog: bool = False
    realtime: bool = False
    version: str | None = None
    save_replay_episodes: int = 0
    replay_dir: Path | None = None
    visualize: bool = False


Call = tuple[int, list[list[int]]]
"""One of PySC2's functions and its arguments."""


@dataclass(frozen=True)
class Moment:
    """What PySC2 says of one step: its own observation, the game's message that it was made of, and the course."""

    observation: Mapping[str, Any]
    response: Any
    reward: float
    last: bool
    results: tuple[int, ...] = ()
    """What the game made of each action before it (``ActionResult`` of ``error.proto``)."""

    @property
    def refused(self) -> bool:
        """Whether the game refused an action."""
        return len(self.response.action_errors) > 0 or any(result != SUCCESS for result in self.results)

    @property
    def loop(self) -> int:
        """The game loop."""
        return int(self.response.observation.game_loop)

    @property
    def result(self) -> int | None:
        """1 won, -1 lost, 0 neither; None if the game has not ended."""
        me = self.response.observation.player_common.player_id
        for player in self.response.player_result:
            if player.player_id == me:
                return {1: 1, 2: -1}.get(player.result, 0)  # Victory, Defeat (sc2api.proto)
        return None


class Session:
    """One game process with PySC2 playing in it: launch it, reset it for each episode, step it, end it.

    Every method raises GameFailure, and nothing else, when the game or what it says is not in order; the session is
    then of no more use. :meth:`kill` may be called from another thread: what the game is being asked then fails.
    """

    def __init__(self, options: GameOptions, game_map: Any, index: int) -> None:
        self.options, self.map, self.index = options, game_map, index
        self.process: GameProcess | None = None
        self.connection: Any = None
        self.env: Any = None
        self.killed: GameFailure | None = None
        self.new_seed: int | None = None
        self.results: tuple[int, ...] = ()
        self.episodes = 0

    def launch(self, seed: int) -> None:
        """Start the process, connect to it, and create and join a game."""
        options, pysc2 = self.options, load()
        env = pysc2.sc2_env
        players = [env.Agent(env.Race(options.race), f"perceiver-rl {self.index}")]
        if options.opponent is not None:
            players.append(env.Bot(*_bot(pysc2, options.opponent)))
        self._ask(
            "launch",
            lambda: _supervised(pysc2)[0](
                self,
                map_name=self.map,
                players=players,
                agent_interface_format=interface_format(options.interface),
                step_mul=options.step_mul,
                game_steps_per_episode=options.max_loops,
                disable_fog=options.disable_fog,
                realtime=options.realtime,
                random_seed=seed,
                version=options.version,
                ensure_available_actions=False,
                save_replay_episodes=options.save_replay_episodes,
                replay_dir=options.replay_dir and str(options.replay_dir.absolute()),
                replay_prefix=f"{options.map_name}_{self.index}",
                visualize=options.visualize and self.index == 0,
            ),
        )

    def reset(self, seed: int | None = None) -> Moment:
        """Start an episode: the next one, or with a seed the first one of that."""
        self.new_seed = seed if self.episodes else None
        moment = self._moment("reset", lambda: self.env.reset())
        self.episodes += 1
        return moment

    def step(self, calls: Sequence[Call], loops: int) -> Moment:
        """Call PySC2's functions, each a number and its arguments, and run ``loops`` game loops."""
        made = [load().actions.FunctionCall(function, arguments) for function, arguments in calls]
        return self._moment("step", lambda: self.env.step([made], step_mul=loops))

    def abilities(self, tags: list[int]) -> list[set[int]]:
        """The abilities that each of these units could use now."""
        query = importlib.import_module("s2clientprotocol.query_pb2")
        request = query.RequestQuery(abilities=[query.RequestQueryAvailableAbilities(unit_tag=tag) for tag in tags])
        response = self._ask("query", lambda: self.env._controllers[0].query(request))
        found = {one.unit_tag: {a.ability_id for a in one.abilities} for one in response.abilities}
        return [found.get(tag, set()) for tag in tags]

    @property
    def map_size(self) -> tuple[int, int]:
        """World units that the map is wide and high."""
        size = self.env.game_info[0].start_raw.map_size
        return size.x, size.y

    @property
    def playable(self) -> tuple[float, float, float, float]:
        """The rectangle where units can be, in world units: left, bottom, right, top."""
        area = self.env.game_info[0].start_raw.playable_area
        return area.p0.x, area.p0.y, area.p1.x, area.p1.y

    @property
    def in_game(self) -> bool:
        """Whether the game still takes questions: it does not once it has ended."""
        return bool(self.env._controllers[0].status == load().protocol.Status.in_game)

    def kill(self, failure: GameFailure | None = None) -> None:
        """End the process and its group at once; what is being asked of it fails with ``failure``."""
        self.killed = self.killed or failure or GameFailure("crash", "ended by us")
        if self.process is not None:
            self.process.end()
        self.hang_up()

    def hang_up(self) -> None:
        """Shut the connection: the process may be gone and somebody else answer in its place, or never answer."""
        line = self.connection and self.connection.sock
        if line is not None:
            with contextlib.suppress(OSError):  # it is shut already
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ask the game to quit, end what is left of it, and give back its port and its folder."""
        env, self.env = self.env, None
        if env is None:
            self.kill()
            return
        if env._controllers and not self.killed:
            with contextlib.suppress(Exception):  # it may be in any state: the process is ended below all the same
                env._controllers[0].quit()
        for process in env._sc2_procs or ():
            process.close(patience=0.0 if self.killed else 2.0)
        if self.connection is not None:
            self.connection.shutdown()
        env._controllers, env._sc2_procs, env._ports = None, None, None
        with contextlib.suppress(Exception):
            env.close()

    def _moment(self, what: str, call: Callable[[], Any]) -> Moment:
        self.results = ()
        (step,) = self._ask(what, call)
        observation = step.observation
        response = observation["_response_observation"]()
        last = step.step_type == 2  # StepType.LAST
        return Moment(observation, response, float(step.reward), last, self.results)

    def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            if "ResponseCreateGame" in str(error) and not self.killed:
                raise EnvError(f"sc2/{self.options.map_name}: the game refuses it: {_first_line(error)}") from error
            raise self._failure(what, error) from error

    def _failure(self, what: str, error: Exception) -> GameFailure:
        if self.killed is not None:
            late = self.killed.kind == "hang" and not self._connected
            return GameFailure("launch", self.killed.cause) if late else self.killed
        text = f"{type(error).__name__} during {what}: {_first_line(error)}".removesuffix(": ")
        if self.process is not None:
            with contextlib.suppress(Exception):  # a game that crashes closes its connection a moment before it ends
                self.process.wait(0.5)
            if ended := self.process.how_it_ended():
                words = self.process.last_words()
                kind = "launch" if what == "launch" and not self._connected else "crash"
                return GameFailure(kind, f"{ended} during {what}" + (f", saying {words!r}" if words else ""))
        return GameFailure(_kind(error), text)

    @property
    def _connected(self) -> bool:
        return self.env is not None and bool(getattr(self.env, "_controllers", None))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:200]


def _kind(error: Exception) -> str:
    """The class of failure that an exception of PySC2's, of the websocket's or of protobuf's stands for."""
    pysc2, text = load(), str(error)
    websocket = importlib.import_module("websocket")
    if type(error).__name__ == "NoFreePortFoundError":
        return "ports"
    if isinstance(error, pysc2.protocol.ConnectionError):
        if "timed out" in text:
            return "hang"
        return "garbled" if "different id" in text else "crash"
    if isinstance(error, pysc2.remote_controller.ConnectError | websocket.WebSocketException | OSError):
        return "garbled" if isinstance(error, websocket.WebSocketProtocolException) else "refused"
    if isinstance(error, pysc2.remote_controller.RequestError):
        return "error"
    if isinstance(error, pysc2.protocol.ProtocolError):
        return "garbled" if "empty response" in text or "incomplete response" in text else "error"
    return "stuck" if "didn't advance" in text else "garbled"


def _bot(pysc2: Pysc2, opponent: Opponent) -> tuple[Any, Any, Any]:
    env = pysc2.sc2_env
    return (
        env.Race(RACES[opponent.race]),
        env.Difficulty(DIFFICULTIES[opponent.difficulty]),
        env.BotBuild(BUILDS[opponent.build]),
    )


@lru_cache(maxsize=1)
def _supervised(pysc2: Pysc2) -> tuple[type, type, type]:
    """PySC2's environment, process and controller, with the process in our hands."""

    class Process(pysc2.sc_process.StarcraftProcess):  # type: ignore[name-defined]
        def __init__(self, *args: Any, session: Session, **options: Any) -> None:
            self.session = session
            super().__init__(*args, **options)

        def _launch(self, run_config: Any, args: list[str]) -> GameProcess:
            if self.session.killed:
                raise self.session.killed
            self.session.process = GameProcess(args, run_config.cwd, run_config.env)
            return self.session.process

        @property
        def running(self) -> bool:
            return self._proc is not None and self._proc.poll() is None

        def close(self, patience: float = 0.0) -> None:
            if (process := getattr(self, "_proc", None)) is not None:
                process.end(patience)
                process.output.close()
            if port := getattr(self, "_port", None):
                importlib.import_module("portpicker").return_port(port)
            if folder := getattr(self, "_tmp_dir", None):
                shutil.rmtree(folder, ignore_errors=True)
            self._proc = self._port = self._tmp_dir = None

    class Controller(pysc2.remote_controller.RemoteController):  # type: ignore[name-defined]
        def _connect(self, host: str, port: int, proc: Any, timeout_seconds: int) -> Any:
            websocket, session = importlib.import_module("websocket"), proc.session
            self.session = session
            while True:
                try:
                    session.connection = websocket.WebSocket()
                    session.connection.settimeout(timeout_seconds)
                    session.connection.connect(f"ws://{host}:{port}/sc2api")
                    return session.connection
                except ConnectionRefusedError:
                    pass  # it does not listen yet
                except websocket.WebSocketBadStatusException as error:
                    if error.status_code != 404:  # 404: it listens, but has not set up the API yet
                        raise
                if not proc.running:
                    raise ConnectionError("the game ended before it listened")
                time.sleep(CONNECT_EVERY)

        def actions(self, request: Any) -> Any:
            response = super().actions(request)
            self.session.results = tuple(getattr(response, "result", ()))
            return response

    class Env(pysc2.sc2_env.SC2Env):  # type: ignore[name-defined]
        def __init__(self, session: Session, **options: Any) -> None:
            self.session = session
            self._controllers: Any = None
            self._sc2_procs: Any = None
            super().__init__(**options)

        def _launch_game(self) -> None:
            self.session.env = self
            self._ports: list[int] = []
            run = self._run_config
            program = Path(run.data_dir) / f"Versions/Base{run.version.build_version:05d}" / run._exec_name
            process = Process(run, exec_path=str(program), version=run.version, connect=False, session=self.session)
            self._sc2_procs = [process]
            self._controllers = [Controller(process.host, process.port, process, timeout_seconds=SOCKET_SECONDS)]

        def _restart(self) -> None:
            if self.session.new_seed is None:
                super()._restart()
            else:
                self._random_seed = self.session.new_seed
                self._create_join()

    return Env, Process, Controller
