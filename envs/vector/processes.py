"""Games stepped in processes of their own, their observations in shared memory: for environments that are slow."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.errors import EnvFailure
from envs.gym import GymVectorEnv
from envs.observations import row


class Share(gymnasium.Env[Any, Any]):
    """The games of one process as one environment, all of whose answers are its observation: so they need no pipe."""

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], games: int, name: str, first: int, of: int,
                 metrics: tuple[str, ...]) -> None:  # fmt: skip
        self.games = GymVectorEnv(make, games, name, metrics, first=first, of=of)
        self.metrics = metrics
        one, numbers = self.games.observation_space, spaces.Box(-np.inf, np.inf, (games,), np.float64)
        flags = spaces.MultiBinary(games)
        self.observation_space = spaces.Dict(
            {"shown": one, "final": one, "reward": numbers, "terminated": flags, "truncated": flags,
             "metrics": spaces.Box(-np.inf, np.inf, (games, len(metrics)), np.float64)}
        )  # fmt: skip
        self.action_space = self.games.action_space
        self.answer: dict[str, Any] = {}
        self.given: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin as ``given`` says, which was set before: Gymnasium tells every process the same options."""
        given = dict(self.given)
        if "state" in given:
            shown = self.games.load_state(given["state"])
        else:
            shown, _ = self.games.reset(seed=given.pop("seeds", None), options=given)
        nothing = np.zeros(self.games.num_envs, np.int8)
        self.answer = {
            "shown": shown, "final": shown, "reward": nothing.astype(np.float64), "terminated": nothing,
            "truncated": nothing, "metrics": np.full((self.games.num_envs, len(self.metrics)), np.nan),
        }  # fmt: skip
        return self.answer, {}

    def step(self, action: Any) -> Any:
        """One step of all games."""
        shown, reward, terminated, truncated, info = self.games.step(action)
        answer = {**self.answer, "shown": shown, "reward": reward, "terminated": terminated, "truncated": truncated}
        if "final_obs" in info:
            finals = info["final_obs"]
            answer["final"] = _stack([row(shown, i) if final is None else final for i, final in enumerate(finals)])
            for i, name in enumerate(self.metrics):
                answer["metrics"][:, i] = info["final_info"][name]
        return answer, 0.0, False, False, {}

    def save(self) -> Any:
        """See `GymVectorEnv.save_state`."""
        return self.games.save_state()

    def close(self) -> None:
        """Close the games."""
        self.games.close()


class ProcessVectorEnv(VectorEnv[Any, Any, Any]):
    """What `envs.gym.GymVectorEnv` is, with the games shared among ``processes``.

    What a process raises is raised here; one that dies is an EnvFailure, and ends the run. Raises ValueError where
    the games cannot be shared equally.
    """

    resets_single_games = True

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], num_envs: int, processes: int, name: str = "",
                 metrics: tuple[str, ...] = ()) -> None:  # fmt: skip
        processes = min(processes, num_envs)
        if num_envs % processes:
            raise ValueError(f"{num_envs} games cannot be shared equally by {processes} processes")
        self.num_envs, self.metrics, self.name = num_envs, metrics, name
        each, self.died = num_envs // processes, False
        bare = GymVectorEnv(make, 1, name, metrics)  # what it is, without a process: its spaces, its rate
        self.given = bare.given
        self.single_observation_space, self.single_action_space = (
            bare.single_observation_space,
            bare.single_action_space,
        )
        self.metadata = {**bare.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = bare.render_mode
        bare.close()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        # a fork would copy torch's threads in whatever state they are
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.shares = AsyncVectorEnv(
            [_Maker(make, each, name, i * each, num_envs, metrics) for i in range(processes)],
            context=method,
            copy=False,
        )

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None) -> Any:
        """See `GymVectorEnv.reset`; one game's stream is the same whatever the number of processes."""
        if isinstance(seed, int):
            seed = np.random.SeedSequence(seed).generate_state(self.num_envs).tolist()
        count = len(self.shares.env_fns)
        options = dict(options or {})
        which = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, bool)), bool).reshape(count, -1)
        options.pop("stagger", None)
        each: Any = [None] * self.num_envs if seed is None else seed
        seeds = np.array(each, object).reshape(count, -1)
        given = [
            {**options, "seeds": None if seed is None else one.tolist(), "reset_mask": mask}
            for one, mask in zip(seeds, which, strict=True)
        ]
        return self._told(lambda: self._reset_each(given))["shown"], {}

    def _reset_each(self, given: list[dict[str, Any]]) -> Any:
        self.shares.set_attr("given", given)
        return self.shares.reset()

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every game."""
        count = len(self.shares.env_fns)
        parts = _map(lambda x: x.reshape(count, -1, *x.shape[1:]), actions)
        told = self._told(lambda: self.shares.step(parts))
        terminated, truncated = told["terminated"].astype(bool), told["truncated"].astype(bool)
        ended = terminated | truncated
        infos: dict[str, Any] = {}
        if ended.any():
            final = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                final[i] = _map(np.copy, row(told["final"], int(i)))
            infos = {"final_obs": final, "_final_obs": ended}
            if self.metrics:
                infos["final_info"] = {name: told["metrics"][:, i].copy() for i, name in enumerate(self.metrics)}
        return told["shown"], told["reward"].copy(), terminated, truncated, infos

    def _told(self, ask: Callable[[], Any]) -> Any:
        try:
            answer = ask()[0]
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self.died = True
            raise EnvFailure(f"{self.name}: a process of its games has ended ({type(error).__name__})") from None
        return _map(lambda x: x.reshape(self.num_envs, *x.shape[2:]), answer)

    def render(self) -> tuple[Any, ...] | None:
        """The frames of all games."""
        return tuple(frame for frames in self.shares.call("render") for frame in frames or ())

    def save_state(self) -> dict[str, Any]:
        """See `GymVectorEnv.save_state`."""
        states = self.shares.call("save")
        return {str(i): state for i, state in enumerate(states)} if all(states) else {}

    def load_state(self, state: dict[str, Any]) -> Any:
        """See `GymVectorEnv.load_state`."""
        if len(state) != len(self.shares.env_fns):
            raise ValueError(f"the saved state is of {len(state)} processes, here are {len(self.shares.env_fns)}")
        self.shares.set_attr("given", [{"state": state[str(i)]} for i in range(len(state))])
        return self._told(self.shares.reset)["shown"]

    def close_extras(self, **kwargs: Any) -> None:
        """End the processes."""
        if not self.died:
            self.shares.close(timeout=5)
            return
        self.shares.closed = True  # Gymnasium would wait for an answer of the one that has ended
        for process in self.shares.processes:
            process.terminate()


class _Maker:
    """Makes a share in its process."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self) -> Share:
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever began them: it ends them, too
        return Share(*self.arguments)


def _map(change: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, dict):
        return {key: _map(change, part) for key, part in nest.items()}
    return tuple(_map(change, part) for part in nest) if isinstance(nest, tuple) else change(nest)


def _stack(nests: list[Any]) -> Any:
    if isinstance(nests[0], dict):
        return {key: _stack([nest[key] for nest in nests]) for key in nests[0]}
    if isinstance(nests[0], tuple):
        return tuple(_stack(list(parts)) for parts in zip(*nests, strict=True))
    return np.stack(nests)
