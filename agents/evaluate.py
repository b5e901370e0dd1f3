"""How well a player plays: whole, fresh episodes, and how sure their mean is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from rich.table import Table

from envs.spaces import ACTION_MASK

CONFIDENCE = 0.95
INTERVAL = "Student's t"
# Far from the seeds that people train with: an evaluation's episodes are fresh.
FRESH_SEED = 1_000_000
LARGEST_VECTOR = 64


class Player(Protocol):
    """Whoever plays ``B`` games at once."""

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """Choose an action for each game.

        ``observation`` is a nest of arrays [B, ...]; ``first`` [B] marks the games whose episode has just begun, where
        memory of an earlier one must be forgotten. Returns a nest like the batched action space's samples.
        """
        ...


class RandomPlayer:
    """Plays what ``action_space`` samples, within the masks of the observation."""

    def __init__(self, action_space: spaces.Space[Any], seed: int) -> None:
        self.action_space = action_space
        self.action_space.seed(seed)

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """See :class:`Player`."""
        masks = observation.get(ACTION_MASK) if isinstance(observation, Mapping) else None
        return _stack([self.action_space.sample(_row(masks, game)) for game in range(len(first))])


class ScriptedPlayer:
    """Plays what ``choose`` makes of the observations; it needs no memory."""

    def __init__(self, choose: Callable[[Any], Any]) -> None:
        self.choose = choose

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """See :class:`Player`."""
        return self.choose(observation)


def _row(nest: Any, game: int) -> Any:
    if nest is None:
        return None
    if isinstance(nest, Mapping):
        return {key: _row(part, game) for key, part in nest.items()}
    if isinstance(nest, tuple):
        return tuple(_row(part, game) for part in nest)
    return np.asarray(nest[game], np.int8)  # the type that Gymnasium wants of a mask


def _stack(choices: list[Any]) -> Any:
    if isinstance(choices[0], Mapping):
        return {key: _stack([choice[key] for choice in choices]) for key in choices[0]}
    if isinstance(choices[0], tuple):
        return tuple(_stack(list(parts)) for parts in zip(*choices, strict=True))
    return np.stack(choices)


@dataclass(frozen=True)
class Spread:
    """A sample of numbers in a few: ``low`` to ``high`` is the 95 % confidence interval of the mean, by Student's t."""

    mean: float
    sd: float
    min: float
    max: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        """Summarize at least one value; with one alone nothing is known of the spread (NaN)."""
        from scipy.special import stdtrit

        array = np.asarray(values, np.float64)
        sd = float(array.std(ddof=1)) if len(array) > 1 else math.nan
        half = float(stdtrit(len(array) - 1, (1 + CONFIDENCE) / 2)) * sd / math.sqrt(len(array))
        mean = float(array.mean())
        return Spread(mean, sd, float(array.min()), float(array.max()), mean - half, mean + half)


@dataclass(frozen=True)
class Evaluation:
    """The episodes that one player played on one environment."""

    label: str
    """The environment, and whether it is the stand-in game."""
    player: str
    """Who played: random, scripted, or a run and how it chose."""
    seed: int
    returns: list[float]
    lengths: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON (what is not known is null)."""
        return {
            "environment": self.label,
            "player": self.player,
            "seed": self.seed,
            "episodes": len(self.returns),
            "confidence_interval": f"{CONFIDENCE:.0%} of the mean, {INTERVAL}",
            "return": _known(asdict(Spread.of(self.returns))),
            "length": _known(asdict(Spread.of([float(n) for n in self.lengths]))),
            "returns": self.returns,
            "lengths": self.lengths,
        }


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def games_for(episodes: int, most: int = LARGEST_VECTOR) -> int:
    """How many games to play side by side so that each plays equally many episodes, or nearly."""
    return math.ceil(episodes / math.ceil(episodes / most))


def play(
    player: Player,
    env: VectorEnv[Any, Any, Any],
    episodes: int,
    seed: int,
    on_episode: Callable[[], None] = lambda: None,
) -> tuple[list[float], list[int]]:
    """Play ``episodes`` whole episodes from a reset with ``seed``; return their returns and lengths, game by game.

    Every game plays a number of episodes that is fixed beforehand. Were the first ``episodes`` to end counted instead,
    short episodes would be over-represented: a game that is in a long one ends fewer of them.
    """
    games = env.num_envs
    quota = np.full(games, episodes // games)
    quota[: episodes % games] += 1
    returns: list[list[float]] = [[] for _ in range(games)]
    lengths: list[list[int]] = [[] for _ in range(games)]
    score, steps = np.zeros(games), np.zeros(games, int)
    first = np.ones(games, bool)
    observation, _ = env.reset(seed=seed)
    while any(len(done) < wanted for done, wanted in zip(returns, quota, strict=True)):
        observation, reward, terminated, truncated, _ = env.step(player.act(observation, first))
        score += reward
        steps += 1
        first = np.asarray(terminated) | np.asarray(truncated)
        for game in np.flatnonzero(first):
            if len(returns[game]) < quota[game]:
                returns[game].append(float(score[game]))
                lengths[game].append(int(steps[game]))
                on_episode()
        score[first], steps[first] = 0.0, 0
    return list(chain(*returns)), list(chain(*lengths))


def table(evaluations: list[Evaluation]) -> Table:
    """The evaluations of one player as a person reads them, one row an environment."""
    result = Table(title=f"Returns of {evaluations[0].player}", box=None, padding=(0, 2, 0, 0), title_justify="left")
    result.add_column("environment", overflow="fold")
    for heading in ("episodes", "mean", "sd", "min", "max", f"{CONFIDENCE:.0%} CI", "length"):
        result.add_column(heading, justify="right", no_wrap=True)
    for one in evaluations:
        s = Spread.of(one.returns)
        numbers = [_short(x) for x in (s.mean, s.sd, s.min, s.max)]
        interval = f"{_short(s.low)} to {_short(s.high)}"
        label = one.label.replace(" (", "\n(")
        result.add_row(label, str(len(one.returns)), *numbers, interval, _short(float(np.mean(one.lengths))))
    result.caption = f"CI: {CONFIDENCE:.0%} confidence interval of the mean, {INTERVAL}"
    result.caption_justify = "left"
    return result


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def write_json(evaluations: list[Evaluation], path: Path) -> None:
    """Write the evaluations as one JSON list, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps([one.as_dict() for one in evaluations], indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
