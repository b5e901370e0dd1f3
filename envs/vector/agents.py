"""Several agents in one world (PettingZoo's parallel environments): one policy plays all, each a row of the batch.

Agents that act in the same way share what they learn; what tells them apart must be in what they observe.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array, iterate

from envs import masks
from envs.errors import EnvFailure
from envs.guard import own_trace, said
from envs.gym import check_space
from envs.observations import LARGEST, Checker, Fault, read, row
from envs.spaces import ACTION_MASK, nearest_to_zero


class AgentsVectorEnv(VectorEnv[Any, Any, Any]):
    """Worlds side by side, as many as it takes for ``num_envs`` agents at least; rows are the first world's agents,
    then the next one's.

    An agent's episode is its life. Where it is gone before its world ends, its row waits: it observes zeros, ``info
    ["idle"]`` says so, and of numbers that are chosen from only one is legal, so that nothing is learned from it. Of
    observations that are a Dict with an ``action_mask``, or masks in the agents' info, the policy's choice is made.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        num_envs: int,
        name: str,
        options: Mapping[str, Any],
        time_limit: int | None = None,
    ) -> None:
        """``make`` returns a world when it is called with ``options``. Raises ValueError where agents differ."""
        first = make(**options)
        self.name, self.agents, self.time_limit = name, list(first.possible_agents), time_limit
        self.players = len(self.agents)
        seen, chosen = ([ask(agent) for agent in self.agents] for ask in (first.observation_space, first.action_space))
        for what, kinds in (("observe", seen), ("choose", chosen)):
            for agent, kind in zip(self.agents, kinds, strict=True):
                if kind != kinds[0]:
                    raise ValueError(
                        f"{agent} and {self.agents[0]} {what} in different spaces, where one policy must play all: "
                        "make them alike (SuperSuit's pad_observations_v0 and pad_action_space_v0)"
                    )
        check_space(seen[0], "the observation space")
        check_space(chosen[0], "the action space")
        count = -(-num_envs // len(self.agents))
        self.worlds = [first, *(make(**options) for _ in range(count - 1))]
        self.num_envs = count * len(self.agents)
        self.render_mode = getattr(first, "render_mode", None)
        self.metadata = {**getattr(first, "metadata", {}), "autoreset_mode": AutoresetMode.SAME_STEP}
        self.seen, self.single_action_space = seen[0], chosen[0]
        self._shows_mask = isinstance(self.seen, spaces.Dict) and ACTION_MASK in self.seen.spaces
        self._mask = None if self._shows_mask else _all_of(chosen[0])
        self.single_observation_space = self.seen
        if self._mask is not None:
            mask_space = masks.space_of(chosen[0], self._mask)
            self.single_observation_space = spaces.Dict({"observation": self.seen, ACTION_MASK: mask_space})
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._out: Any = create_empty_array(self.single_observation_space, self.num_envs)
        self._check = Checker(self.single_observation_space)
        self._steps = [0] * count
        self._alive: list[list[str]] = [[] for _ in self.worlds]
        self._blank = nearest_to_zero(self.seen)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin every world anew."""
        seeds: Any = [None] * len(self.worlds)
        if isinstance(seed, int):
            seeds = np.random.SeedSequence(seed).generate_state(len(self.worlds)).tolist()
        elif seed is not None:
            seeds = list(seed)[:: len(self.agents)]
        self._rows = [one for i, s in enumerate(seeds) for one in self._begin(i, s)]
        return self._read(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every world."""
        games, each = self.num_envs, len(self.agents)
        reward, idle = np.zeros(games), np.zeros(games, bool)
        terminated, truncated = np.zeros(games, bool), np.zeros(games, bool)
        final = np.full(games, None, object)
        chosen = list(iterate(self.action_space, actions))
        for i, world in enumerate(self.worlds):
            self._steps[i] += 1
            given = {agent: chosen[i * each + self.agents.index(agent)] for agent in self._alive[i]}
            seen, rewards, ends, cuts, infos = self._asked(i, world.step, given)
            out_of_time = self.time_limit is not None and self._steps[i] >= self.time_limit
            for k, agent in enumerate(self.agents):
                at = i * each + k
                if agent not in self._alive[i]:
                    idle[at] = terminated[at] = True
                    final[at] = self._fitted(i, self._shown(self._blank, {}, alive=False))
                    continue
                reward[at] = rewards[agent]
                terminated[at], truncated[at] = ends[agent], cuts[agent] or out_of_time
                shown = self._shown(seen.get(agent, self._blank), infos.get(agent, {}))
                if terminated[at] or truncated[at]:
                    final[at] = self._fitted(i, shown)
                    shown = self._shown(self._blank, {}, alive=False)
                self._rows[at] = shown
            self._alive[i] = [agent for agent in world.agents if not (ends.get(agent) or cuts.get(agent))]
            if not self._alive[i] or out_of_time:
                self._rows[i * each : (i + 1) * each] = self._begin(i, None)
        if not (np.abs(reward) <= LARGEST).all():
            raise EnvFailure(f"{self.name}: a reward is not finite, or larger than a float32 can hold")
        ended = terminated | truncated
        told = {"final_obs": final, "_final_obs": ended, "idle": idle} if ended.any() else {}
        return self._read(), reward, terminated, truncated, told

    def _begin(self, i: int, seed: int | None) -> list[Any]:
        self._steps[i] = 0
        seen, infos = self._asked(i, self.worlds[i].reset, seed=seed)
        self._alive[i] = list(self.worlds[i].agents)
        return [
            self._shown(seen[agent], infos.get(agent, {}))
            if agent in seen
            else self._shown(self._blank, {}, alive=False)
            for agent in self.agents
        ]

    def _asked(self, i: int, ask: Callable[..., Any], *given: Any, **more: Any) -> Any:
        where = f"{self.name}, world {i + 1} of {len(self.worlds)}, step {self._steps[i]}"
        try:
            return ask(*given, **more)
        except (Exception, SystemExit) as error:
            raise EnvFailure(f"{where}: {said(error)}\n{own_trace(error)}") from None

    def _shown(self, observation: Any, info: Mapping[str, Any], *, alive: bool = True) -> Any:
        """What a row shows, with its mask: of who is gone, the first of everything."""
        if not alive and self._shows_mask:
            return {**observation, ACTION_MASK: np.eye(1, self.seen[ACTION_MASK].shape[0], dtype=np.int8)[0]}
        if self._mask is None:
            return observation
        mask = masks.compact(self.single_action_space, info.get(ACTION_MASK))
        mask = self._mask if mask is None else mask
        return {"observation": observation, ACTION_MASK: mask if alive else _first_of(self.single_action_space)}

    def _fitted(self, i: int, shown: Any) -> Any:
        space = self.single_observation_space
        try:
            return row(read(space, [shown], create_empty_array(space, 1)), 0)
        except Fault as fault:
            raise EnvFailure(f"{self.name}, world {i + 1}: {fault}") from None

    def _read(self) -> Any:
        try:
            self._out = read(self.single_observation_space, self._rows, self._out)
            self._check(self._out)
        except Fault as fault:
            agent = self.agents[fault.game % len(self.agents)]
            world = fault.game // len(self.agents) + 1
            raise EnvFailure(f"{self.name}, world {world} of {len(self.worlds)}, {agent}: {fault}") from None
        return self._out

    def render(self) -> tuple[Any, ...]:
        """The first world's picture."""
        return (self.worlds[0].render(),)

    def save_state(self) -> dict[str, np.ndarray]:
        """See `envs.gym.GymVectorEnv.save_state`."""
        try:
            state = pickle.dumps((self.worlds, self._rows, self._alive, self._steps))
        except Exception as error:
            warnings.warn(
                f"{self.name} cannot be saved ({type(error).__name__}: {error}): a resumed run will start its episodes "
                "anew",
                stacklevel=2,
            )
            return {}
        return {"pickle": np.frombuffer(state, np.uint8).copy()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> Any:
        """See `envs.gym.GymVectorEnv.load_state`."""
        if "pickle" not in state:
            raise ValueError("this environment's state was not saved; reset it instead")
        saved = pickle.loads(np.asarray(state["pickle"], np.uint8).tobytes())
        if len(saved[0]) != len(self.worlds):
            raise ValueError(f"the saved state is of {len(saved[0])} worlds, here are {len(self.worlds)}")
        self.worlds, self._rows, self._alive, self._steps = saved
        return self._read()

    def close_extras(self, **kwargs: Any) -> None:
        """Close every world."""
        for world in self.worlds:
            world.close()


def _all_of(space: spaces.Space[Any]) -> Any:
    """The mask that leaves everything free; None where nothing can be masked."""
    if isinstance(space, spaces.Discrete):
        return np.ones(int(space.n), np.int8)
    if isinstance(space, spaces.MultiDiscrete):
        return np.ones(int(space.nvec.sum(dtype=np.int64)), np.int8)
    return np.full(space.shape, 2, np.int8) if isinstance(space, spaces.MultiBinary) else None


def _first_of(space: Any) -> np.ndarray:
    """The mask that leaves one choice."""
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, np.int8)
    counts = [space.n] if isinstance(space, spaces.Discrete) else space.nvec.ravel().tolist()
    return np.concatenate([np.eye(1, int(n), dtype=np.int8)[0] for n in counts])
