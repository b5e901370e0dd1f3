"""How well a player plays: whole, fresh episodes, and how sure their mean is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorEnv
from rich.text import Text

from agents.runs.folder import write_whole
from envs.masks import for_sampling
from envs.observations import row
from envs.spaces import ACTION_MASK

CONFIDENCE = 0.95
INTERVAL = "Student's t"
OUTCOMES = {"win": 1, "draw": 0, "loss": -1}
# Far from the seeds that people train with: an evaluation's episodes are fresh.
FRESH_SEED = 1_000_000
LARGEST_VECTOR = 64
MAX_STEPS = 27_000  # half an hour of an Atari game, at which most results on those are cut
LONG = 5_000  # steps of one episode after which there is a word


class Player(Protocol):
    """Whoever plays ``B`` games at once."""

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """Choose an action for each game.

        ``observation`` is a nest of arrays [B, ...]; ``first`` [B] marks the games whose episode has just begun, where
        memory of an earlier one must be forgotten. Returns a nest like the batched action space's samples.
        """
        ...


class RandomPlayer:
    """Plays what ``action_space`` samples, within the masks of the observation and among the units that it holds."""

    def __init__(self, action_space: spaces.Space[Any], seed: int) -> None:
        self.action_space = action_space
        self.action_space.seed(seed)

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """See :class:`Player`."""
        masks = observation.get(ACTION_MASK) if isinstance(observation, Mapping) else None
        return _stack([self._choose(row(masks, game), row(observation, game)) for game in range(len(first))])

    def _choose(self, mask: Any, observation: Any) -> Any:
        return self.action_space.sample(for_sampling(self.action_space, mask, observation))


class ScriptedPlayer:
    """Plays what ``choose`` makes of the observations; it needs no memory."""

    def __init__(self, choose: Callable[[Any], Any]) -> None:
        self.choose = choose

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """See :class:`Player`."""
        return self.choose(observation)


def _stack(actions: list[Any]) -> Any:
    if isinstance(actions[0], Mapping):
        return {key: _stack([action[key] for action in actions]) for key in actions[0]}
    if isinstance(actions[0], tuple):
        return tuple(_stack(list(parts)) for parts in zip(*actions, strict=True))
    return np.stack(actions)


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
class Share:
    """How often something happened: ``low`` to ``high`` is the 95 % confidence interval of its rate, by Wilson."""

    rate: float
    low: float
    high: float

    @staticmethod
    def of(count: int, among: int) -> Share:
        """``count`` times ``among`` so many, at least one."""
        from scipy.stats import binomtest

        interval = binomtest(count, among).proportion_ci(CONFIDENCE, method="wilson")
        return Share(count / among, float(interval.low), float(interval.high))


@dataclass
class Played:
    """Episodes as :func:`play` counts them: those that ended or were cut, and how many a failing game has ended."""

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    outcomes: list[int] = field(default_factory=list)
    """1 won, 0 drawn, -1 lost; empty where there is no opponent."""
    aborted: int = 0
    cut: int = 0
    """Those of ``returns`` and ``lengths`` whose episode had not ended after so many steps as were allowed."""
    metrics: dict[str, list[float]] = field(default_factory=dict)
    """What the environment was asked to tell of each episode that ended (`env_metrics`), where it told it."""


@dataclass(frozen=True)
class Evaluation:
    """The episodes that one player played on one environment."""

    label: str
    """The environment, and whether it is the stand-in game."""
    player: str
    """Who played: random, scripted, or a run and how it chose."""
    seed: int
    played: Played
    opponent: str = ""
    """Whom it played against, if anybody."""
    games: int = 0
    """Games side by side, which decide with the seed what each episode begins with; 0: not known."""

    @property
    def returns(self) -> list[float]:
        """The return of each episode."""
        return self.played.returns

    @property
    def lengths(self) -> list[int]:
        """The steps of each episode."""
        return self.played.lengths

    def counts(self) -> dict[str, int]:
        """Episodes won, drawn and lost."""
        return {name: self.played.outcomes.count(outcome) for name, outcome in OUTCOMES.items()}

    def __str__(self) -> str:
        """The table that :func:`table` makes."""
        return table([self]).plain

    @property
    def mean(self) -> float:
        """Of the returns."""
        return float(np.mean(self.returns))

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON (what is not known is null)."""
        return {
            "environment": self.label,
            "player": self.player,
            "seed": self.seed,
            "games": self.games,
            "episodes": len(self.returns),
            "confidence_interval": f"{CONFIDENCE:.0%} of the mean, {INTERVAL}",
            "return": _known(asdict(Spread.of(self.returns))),
            "length": _known(asdict(Spread.of([float(n) for n in self.lengths]))),
            "returns": self.returns,
            "lengths": self.lengths,
            "aborted": self.played.aborted,
            "cut": self.played.cut,
            **({"metrics": self._metrics()} if self.played.metrics else {}),
            **self._versus(),
        }

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> Evaluation:
        """What :meth:`as_dict` has told of; outcomes come back in another order."""
        outcomes = [value for name, value in OUTCOMES.items() for _ in range(int(told.get(name, 0)))]
        played = Played(
            list(told["returns"]), list(told["lengths"]), outcomes, int(told["aborted"]), int(told.get("cut", 0))
        )
        known = told.get("opponent", ""), told.get("games", 0)
        return Evaluation(told["environment"], told["player"], told["seed"], played, *known)

    def is_like(self, other: Evaluation) -> bool:
        """Is it of the same player, games and number of episodes?"""
        mine, theirs = ((one.label, one.player, one.seed, one.opponent, len(one.returns)) for one in (self, other))
        return mine == theirs

    def _metrics(self) -> dict[str, Any]:
        return {name: _known(asdict(Spread.of(told))) for name, told in self.played.metrics.items() if told}

    def _versus(self) -> dict[str, Any]:
        if not self.played.outcomes:
            return {}
        counts, among = self.counts(), len(self.played.outcomes)
        rate = {"confidence_interval": f"{CONFIDENCE:.0%}, Wilson", **asdict(Share.of(counts["win"], among))}
        return {"opponent": self.opponent, **counts, "win_rate": rate}


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
    max_steps: int = MAX_STEPS,
    note: Callable[[str], None] = lambda text: None,
) -> Played:
    """Play ``episodes`` whole episodes from a reset with ``seed``; they are told game by game.

    Every game plays a number of episodes that is fixed beforehand. Were the first ``episodes`` to end counted instead,
    short episodes would be over-represented: a game that is in a long one ends fewer of them. An episode that a failing
    game cuts short (``info["aborted"]``) is counted as such, and another one is played in its place.

    An episode that has not ended after ``max_steps`` is cut, and counted with its return so far. Of games that cannot
    be reset one by one, those in which that happened play no more.
    """
    games = env.num_envs
    quota = np.full(games, episodes // games)
    quota[: episodes % games] += 1
    played = [Played() for _ in range(games)]
    score, steps = np.zeros(games), np.zeros(games, int)
    first = np.ones(games, bool)
    told = False
    metrics: Sequence[str] = getattr(env, "metrics", ())
    rest = getattr(getattr(env, "unwrapped", env), "rest", None)
    observation, _ = env.reset(seed=seed)
    while any(len(one.returns) < wanted for one, wanted in zip(played, quota, strict=True)):
        observation, reward, terminated, truncated, info = env.step(player.act(observation, first))
        score += reward
        steps += 1
        first = np.asarray(terminated) | np.asarray(truncated)
        aborted = info.get("aborted", np.zeros(games, bool))
        idle = info.get("idle", np.zeros(games, bool))
        outcome = info.get("final_info", {}).get("outcome")
        for game in np.flatnonzero(first):
            if len(played[game].returns) == quota[game] or idle[game]:
                continue
            if aborted[game]:
                played[game].aborted += 1
                continue
            played[game].returns.append(float(score[game]))
            played[game].lengths.append(int(steps[game]))
            if outcome is not None:
                played[game].outcomes.append(int(outcome[game]))
            for name in metrics:
                if math.isfinite(value := float(info["final_info"][name][game])):
                    played[game].metrics.setdefault(name, []).append(value)
            on_episode()
        score[first], steps[first] = 0.0, 0
        missing = np.array([len(one.returns) for one in played]) < quota
        if rest is not None and first.any():
            rest(~missing)
        if not told and (steps[missing] >= LONG).any():
            told = True
            note(f"note: an episode has not ended in {LONG:,} steps; one is cut after {max_steps:,} (max-steps)")
        cut = missing & (steps >= max_steps)
        if cut.any():
            for game in np.flatnonzero(cut):
                played[game].returns.append(float(score[game]))
                played[game].lengths.append(int(steps[game]))
                played[game].cut += 1
                on_episode()
            score[cut], steps[cut] = 0.0, 0
            first = first | cut
            if isinstance(env, SyncVectorEnv) or getattr(env, "resets_single_games", False):
                observation, _ = env.reset(options={"reset_mask": cut})
            else:
                quota[cut] = [len(played[game].returns) for game in np.flatnonzero(cut)]
    return Played(
        [value for one in played for value in one.returns],
        [value for one in played for value in one.lengths],
        [value for one in played for value in one.outcomes],
        sum(one.aborted for one in played),
        sum(one.cut for one in played),
        {name: [value for one in played for value in one.metrics.get(name, ())] for name in metrics},
    )


def table(evaluations: list[Evaluation]) -> Text:
    """The evaluations of one player as a person reads them: each a line that names it, and below it its numbers.

    Names are long; on lines of their own they leave the numbers the 80 columns of a narrow terminal.
    """
    versus = any(one.played.outcomes for one in evaluations)
    some = any(one.played.aborted for one in evaluations)
    cut = any(one.played.cut for one in evaluations)
    headings = ["win", "draw", "loss"] if versus else ["mean", "sd", "min", "max", f"{CONFIDENCE:.0%} CI"]
    headings = [
        "episodes",
        *headings,
        *(["aborted"] if versus or some else []),
        *(["win rate"] if versus else []),
        *(["cut"] if cut else []),
    ]
    rows = [[*headings, "length"]]
    for one in evaluations:
        aborted = [str(one.played.aborted)] if versus or some else []
        numbers = [*_outcome_columns(one, aborted)] if versus else [*_return_columns(one), *aborted]
        numbers += [str(one.played.cut)] if cut else []
        rows.append([str(len(one.returns)), *numbers, _short(float(np.mean(one.lengths)))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *lines = ("  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in rows)
    text = Text.assemble(
        (f"{'Games' if versus else 'Returns'} of {evaluations[0].player}\n", "italic"), (f"{head}\n", "bold")
    )
    for one, line in zip(evaluations, lines, strict=True):
        text.append(one.label + (f" against {one.opponent}" if one.opponent else "") + f"\n{line}\n")
        for name, told in one.played.metrics.items():
            if told:
                s = Spread.of(told)
                text.append(f"{name}: {_short(s.mean)} ({_short(s.low)} to {_short(s.high)})\n")
    if versus and len(evaluations) > 1:
        text.append(_overall(evaluations) + "\n")
    caption = (
        f"win rate: with its {CONFIDENCE:.0%} confidence interval, by Wilson; aborted games are in no other column"
        if versus
        else f"CI: {CONFIDENCE:.0%} confidence interval of the mean, {INTERVAL}"
    )
    if cut:
        caption += "\ncut: episodes that had not ended after the steps allowed; each counts with its return until there"
    return text.append(caption, "dim italic")


def _overall(evaluations: list[Evaluation]) -> str:
    """All games against opponents in one line; a draw is half a win."""
    outcomes = [outcome for one in evaluations for outcome in one.played.outcomes]
    won = Share.of(outcomes.count(1), len(outcomes))
    points = (outcomes.count(1) + outcomes.count(0) / 2) / len(outcomes)
    return (
        f"all {len(outcomes)} games: {won.rate:.0%} won ({won.low:.0%} to {won.high:.0%}), "
        f"{points:.0%} of the points, a draw being half a point; Elo {elo_above(points):+.0f} above the field"
    )


def elo_above(points: float) -> float:
    """How much stronger somebody is, in Elo points, who wins this part of the points; at most 800 either way."""
    return 400 * math.log10(min(max(points, 0.01), 0.99) / (1 - min(max(points, 0.01), 0.99)))


def _outcome_columns(one: Evaluation, aborted: list[str]) -> list[str]:
    counts = one.counts()
    if not one.played.outcomes:
        return ["-", "-", "-", *aborted, "-"]
    share = Share.of(counts["win"], len(one.played.outcomes))
    return [*map(str, counts.values()), *aborted, f"{share.rate:.0%} ({share.low:.0%} to {share.high:.0%})"]


def _return_columns(one: Evaluation) -> list[str]:
    s = Spread.of(one.returns)
    known = "-" if math.isnan(s.low) else f"{_short(s.low)} to {_short(s.high)}"
    return [*(_short(x) for x in (s.mean, s.sd, s.min, s.max)), known]


def _short(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.{2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0}f}"


def as_json(evaluations: list[Evaluation]) -> str:
    """The evaluations as one JSON list."""
    return json.dumps([one.as_dict() for one in evaluations], indent=1) + "\n"


def read_json(path: Path) -> list[Evaluation]:
    """The evaluations that :func:`write_json` has written; none if there is no file. Raises ValueError for another."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        return [Evaluation.from_dict(told) for told in json.loads(text)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no evaluations ({error})") from error


COLUMNS = (
    "environment", "opponent", "player", "seed", "episodes", "win", "draw", "loss", "aborted", "cut", "win_rate",
    "win_rate_low", "win_rate_high", "return_mean", "return_low", "return_high", "length_mean",
)  # fmt: skip


def as_csv(evaluations: list[Evaluation]) -> str:
    """The evaluations as a table, a line each; what is not known is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for one in evaluations:
        told = one.as_dict()
        rate, returns = told.get("win_rate", {}), told["return"]
        row = {**told, "length_mean": told["length"]["mean"], "win_rate": rate.get("rate")}
        row |= {f"win_rate_{name}": rate.get(name) for name in ("low", "high")}
        row |= {f"return_{name}": returns[name] for name in ("mean", "low", "high")}
        writer.writerow(row)
    return file.getvalue()


def write_json(evaluations: list[Evaluation], path: Path) -> None:
    """Write :func:`as_json` to a file whole or not at all, to a device or a pipe straight. Raises OSError."""
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        with path.open("a", encoding="utf-8") as file:
            file.write(as_json(evaluations))
    else:
        write_whole(path.resolve(), as_json(evaluations))  # a link stays one
