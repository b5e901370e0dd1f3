"""Games for two, seen from one side: who sits on the other is the environment's business, not the learner's.

The games' own rows are 2 k and 2 k + 1, the two players of game k. A row here is a place that the learner plays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import optree
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array

from agents.acting.evaluate import Player
from agents.acting.rollout import as_tensor
from agents.errors import UserError
from agents.opponents.league import SELF, League
from envs.starcraft.opponents import parse_opponent
from perceiver_policy.policy.outputs import to_environment

Rows = npt.NDArray[np.int64]


class OneSide(VectorEnv[Any, Any, Any], ABC):
    """The rows ``mine`` of ``env``, whose other rows are played by :meth:`others`, which a subclass writes."""

    def __init__(self, env: VectorEnv[Any, Any, Any], name: str, mine: Rows) -> None:
        self.env, self.name, self.mine = env, name, mine
        self.num_envs = len(mine)
        self.single_observation_space = env.single_observation_space
        self.single_action_space = env.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = {**env.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = env.render_mode
        self._actions: Any = create_empty_array(env.single_action_space, env.num_envs)
        self._seen: Any = None
        self._first = np.ones(env.num_envs, bool)
        self._totals = np.zeros(env.num_envs)

    @abstractmethod
    def others(self) -> None:
        """Choose for the rows that are not mine, by :meth:`put`, from ``_seen`` and ``_first``."""

    def ended(self, game: int, outcome: int) -> None:
        """Game ``game`` is over: 1 won by its first row, 0 drawn, -1 lost. The next one has begun."""

    def put(self, rows: Rows, actions: Any) -> None:
        """These rows' actions are these."""
        optree.tree_map_(lambda all_, some: all_.__setitem__(rows, some), self._actions, actions)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin every game anew."""
        self._seen, _ = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self._first[:], self._totals[:] = True, 0.0
        return self._rows(self._seen), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every game: mine by ``actions``, the others' by whoever plays them."""
        self.put(self.mine, actions)
        self.others()
        self._seen, reward, terminated, truncated, info = self.env.step(self._actions)
        self._first = np.asarray(terminated) | np.asarray(truncated)
        self._totals += reward
        over = self._first.reshape(-1, 2).all(1)
        if over.any():
            outcome = info.get("final_info", {}).get("outcome")
            if outcome is None:
                outcome = np.sign(self._totals - self._totals.reshape(-1, 2)[:, ::-1].ravel())
            info = {**info, "final_info": {**info.get("final_info", {}), "outcome": np.asarray(outcome)}}
            aborted = info.get("aborted", np.zeros(self.env.num_envs, bool))
            for game in np.flatnonzero(over & ~aborted[::2]):
                self.ended(int(game), int(outcome[2 * game]))
            self._totals.reshape(-1, 2)[over] = 0.0
        mine, told = self.mine, self._rows(info)
        return self._rows(self._seen), reward[mine], terminated[mine], truncated[mine], told

    def _rows(self, nest: Any) -> Any:
        return optree.tree_map(lambda x: x[self.mine], nest)

    def render(self) -> Any:
        """The frames of the games of my rows."""
        frames = self.env.render()
        return frames and tuple(frames[i] for i in self.mine if i < len(frames))

    def save_state(self) -> dict[str, Any]:
        """What the games' further course depends on; nothing where they cannot be saved."""
        games = self.env.save_state()  # type: ignore[attr-defined]
        return {"games": games, "first": self._first.copy(), "totals": self._totals.copy()} if games else {}

    def load_state(self, state: dict[str, Any]) -> Any:
        """The reverse of :meth:`save_state`."""
        self._seen = self.env.load_state(state["games"])  # type: ignore[attr-defined]
        self._first, self._totals = state["first"].copy(), state["totals"].copy()
        return self._rows(self._seen)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the games."""
        self.env.close()


def check_two(env: VectorEnv[Any, Any, Any], name: str) -> None:
    """Raise UserError where the games are not for two."""
    players = getattr(env, "players", 1)
    if players != 2:
        raise UserError(
            f"{name} is for {players}, opponents need a game for two: sim/Simple64 and the other melee maps, or an "
            "environment of PettingZoo's (package.module:parallel_env) with two agents"
        )


class AgainstLeague(OneSide):
    """Games of the learner against a :class:`~agents.opponents.league.League`.

    In the first games, a part of them all, it plays both sides; in each of the others its place is one row, and the
    opponent of the next game is drawn whenever one has ended.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], name: str, league: League) -> None:
        """Raises UserError for games that are not for two, and for computers where they have none."""
        check_two(env, name)
        if league.computers and not hasattr(env, "seat"):
            raise UserError(f"opponents: {name} has no computer players such as {league.computers[0]}, melee maps have")
        names, games = league.config.opponents, env.num_envs // 2
        share = league.options.self_share if len(names) > 1 else 1.0
        alone = round(share * games) if SELF in names else 0
        if (len(names) > 1 and alone == games) or (SELF in names and alone == 0):
            raise UserError(f"opponents: {games} games are too few for self and others; num_envs should be larger")
        self.versus = np.arange(alone, games)
        # a computer's place is the second; where there is none, sides take turns, for games whose sides differ
        self.side = np.zeros(games, np.int64) if league.computers else np.arange(games) % 2
        versus = 2 * self.versus + self.side[self.versus]
        super().__init__(env, name, np.concatenate([np.arange(2 * alone), versus]))
        self.league = league
        self.playing = [""] * games
        self.next = [""] * games
        self.memory: Any = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin every game anew, each against an opponent drawn for it."""
        self._draw()
        self.playing = list(self.next)
        observed = super().reset(seed=seed, options=options)
        self.memory = None
        self._draw()
        return observed

    def _draw(self) -> None:
        """Who will play the games after those that are played now."""
        if len(self.versus) == 0:
            return
        for game, name in zip(self.versus.tolist(), self.league.draw(len(self.versus)), strict=True):
            self.next[game] = name
            if self.league.computers:
                self._tell(game)

    def _tell(self, game: int) -> None:
        computer = self.next[game] if self.next[game] in self.league.computers else None
        self.env.seat(game, computer and parse_opponent(computer))  # type: ignore[attr-defined]

    def others(self) -> None:
        """The past policies that are at a table choose, each for all of its games at once."""
        at: dict[str, list[int]] = {}
        for game in self.versus.tolist():
            if self.playing[game] not in self.league.computers:
                at.setdefault(self.playing[game], []).append(2 * game + 1 - int(self.side[game]))
        for name, where in at.items():
            rows, policy = np.array(where), self.league.policy(name)
            if self.memory is None:
                self.memory = policy.initial_memory(self.env.num_envs).to(self.league.device)
            seen: Any = optree.tree_map(lambda x: as_tensor(x[rows]).to(self.league.device), self._seen)  # noqa: B023
            first = torch.as_tensor(self._first[rows], device=self.league.device)
            index = torch.as_tensor(rows, device=self.league.device)
            decision, memory = policy.act(seen, self.memory[index], first, generator=self.league.generator)
            self.memory[index] = memory
            self.put(rows, to_environment(self.single_action_space, optree.tree_map(_numpy, decision.action)))

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """See :meth:`OneSide.step`; when games have ended, others are drawn for the next ones."""
        self._any = False
        taken = super().step(actions)
        if self._any:
            self._draw()
        return taken

    def ended(self, game: int, outcome: int) -> None:
        """The result counts, and the next opponent has sat down."""
        if game < self.versus.min(initial=len(self.playing)):
            return
        self.league.add(self.playing[game], outcome * (1 - 2 * int(self.side[game])))
        self.playing[game] = self.next[game]
        self._any = True

    def save_state(self) -> dict[str, Any]:
        """See :meth:`OneSide.save_state`."""
        games = super().save_state()
        memory = {} if self.memory is None else {"memory": self.memory.clone()}
        return games and {**games, "playing": list(self.playing), "next": list(self.next), **memory}

    def load_state(self, state: dict[str, Any]) -> Any:
        """The reverse of :meth:`save_state`."""
        self.playing, self.next, self.memory = list(state["playing"]), list(state["next"]), state.get("memory")
        for game in self.versus.tolist() if self.league.computers else ():
            self._tell(game)
        return super().load_state(state)


def _numpy(x: torch.Tensor) -> npt.NDArray[Any]:
    return x.cpu().numpy()


class AgainstPlayer(OneSide):
    """Games whose second rows are all played by one ``player``: what evaluation uses."""

    def __init__(self, env: VectorEnv[Any, Any, Any], name: str, player: Player) -> None:
        """Raises UserError for games that are not for two."""
        check_two(env, name)
        super().__init__(env, name, np.arange(0, env.num_envs, 2))
        self.player, self.theirs = player, np.arange(1, env.num_envs, 2)

    def others(self) -> None:
        """The player chooses."""
        seen = optree.tree_map(lambda x: x[self.theirs], self._seen)
        self.put(self.theirs, self.player.act(seen, self._first[self.theirs]))
