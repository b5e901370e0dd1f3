"""An evaluation whose games are killed at random ends with the games that it was to play, and the same results."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from agents.acting.evaluate import FRESH_SEED, Evaluation, Played, ScriptedPlayer, play, table
from envs import registry
from envs.spaces import ACTION_MASK

FACE = {"style": "orders", "functions": ["no_op", "Attack_pt"], "max_units": 64, "minimap": 16}
QUICK = {"launch_interval": 0, "backoff": 0.01, "step_mul": 32, "max_loops": 640}


def everybody_attacks(observation: Any) -> Any:
    """All units to one place, another one in each part of the game, so that games differ in what is lost."""
    able = observation[ACTION_MASK]["function"][..., 1] > 0
    place = np.where(observation["player"][:, :1] > 0.01, 200, 55)
    return {"function": able.astype(np.int64), "place": np.where(able, place, 0)}


class Killed:
    """The games, some of whose processes are killed between two steps; remembers what each episode began with, its
    seed, and what was seen at its end."""

    def __init__(self, env: Any, kills: dict[int, int]) -> None:
        self.env, self.kills, self.steps = env, kills, 0
        self.played: list[list[tuple[int, str]]] = [[] for _ in range(env.num_envs)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def step(self, action: Any) -> Any:
        self.steps += 1
        seeds = [game.seed for game in self.env.games]
        if self.steps in self.kills:
            self.env.games[self.kills[self.steps]].session.process.end()
        taken = self.env.step(action)
        _, _, terminated, truncated, info = taken
        for i in np.flatnonzero((terminated | truncated) & ~info["aborted"]):
            last = info["final_obs"][i]
            seen = np.concatenate([last["units"]["features"].ravel(), last["player"].ravel()])
            self.played[i].append((seeds[i], hashlib.sha256(seen.tobytes()).hexdigest()))
        return taken


def evaluate(episodes: int, games: int, kills: dict[int, int]) -> tuple[Evaluation, list[list[tuple[int, str]]]]:
    env = registry.make("sc2/Simple64", games, opponent="terran:hard", **FACE, **QUICK)
    killed = Killed(env, kills)
    try:
        played = play(ScriptedPlayer(everybody_attacks), killed, episodes, FRESH_SEED)  # type: ignore[arg-type]
    finally:
        env.close()
    return Evaluation("sc2/Simple64", "scripted", 0, played, "terran:hard:random"), killed.played


def compare(episodes: int, games: int, kills: dict[int, int]) -> None:
    whole, played = evaluate(episodes, games, {})
    parts, again = evaluate(episodes, games, kills)
    quota = episodes // games
    assert (len(whole.returns), len(parts.returns)) == (episodes, episodes)
    assert [each[:quota] for each in again] == [each[:quota] for each in played]
    assert len({seed for each in played for seed, _ in each[:quota]}) == episodes
    assert (whole.played.aborted, parts.played.aborted) == (0, len(kills))
    without: dict[str, Any] = vars(parts.played) | {"aborted": 0}
    assert str(table([whole])) == str(table([Evaluation(*_head(parts), Played(**without), parts.opponent)]))


def _head(one: Evaluation) -> tuple[str, str, int]:
    return one.label, one.player, one.seed


@pytest.mark.slow
def test_a_killed_game_is_played_again(sc2: Any) -> None:
    compare(4, 2, {7: 1})


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_games_are_played_though_some_are_killed(sc2: Any) -> None:
    random = np.random.default_rng(0)
    steps = random.choice(np.arange(2, 900), 4, replace=False).tolist()
    compare(200, 4, dict(zip(steps, random.integers(0, 4, 4).tolist(), strict=True)))
