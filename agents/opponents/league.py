"""Who the learner plays against next: itself, its past, computers; and what came of it.

Past policies are the run folder ``RUN/pool``, a checkpoint each: whatever plays a run plays them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.config import Config
from agents.opponents.payoff import Rating, WinRates, ratings
from agents.runs import checkpoint, experiment, folder
from perceiver_policy.policy.policy import PerceiverPolicy, make_policy

SELF, POOL = "self", "pool"
WON_DRAWN_LOST = (1, 0, -1)


class League:
    """The opponents of one run.

    The learner is another player after each snapshot, and its results are counted anew: ``results`` holds what it won,
    drew and lost by (``learner since STEP``, opponent). Of past policies one at a time is at the table, so that a step
    costs one more pass of a network, not one for each: it is drawn again after as many games as there are seats.
    """

    def __init__(self, config: Config, run_dir: Path, spaces: dict[str, str], device: torch.device) -> None:
        """``spaces`` is what `envs.spaces.describe_spaces` says of the games."""
        self.config, self.options, self.run_dir, self.device = config, config.self_play, run_dir, device
        self.spaces = spaces
        self.computers = config.computers
        self.past: list[str] = []
        """The pool, oldest first: ``step-N``."""
        self._loaded: dict[str, PerceiverPolicy] = {}
        self._like: PerceiverPolicy | None = None
        self.rates = WinRates()
        self.results: dict[tuple[str, str], list[float]] = {}
        self.learner = _learner(0)
        """What the learner is called now."""
        self.seated, self.played = "", 0
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self._random = np.random.Generator(np.random.PCG64(config.seed))

    def begin(self, policy: PerceiverPolicy) -> None:
        """The learner is about to play its first game; a pool begins with what it is now."""
        self.snapshot(policy, 0, write=not self._path(_name(0)).exists())  # it does where a run goes on

    def due(self, before: int, after: int) -> bool:
        """Whether a snapshot is to be made, now that ``before`` steps have become ``after``."""
        return after // self.options.snapshot_interval > before // self.options.snapshot_interval

    def snapshot(self, policy: PerceiverPolicy, step: int, *, write: bool = True) -> None:
        """The learner's policy of now is one of the past; where the pool is full, one that is close to others goes."""
        self.learner = _learner(step)
        if POOL not in self.config.opponents:
            return
        self.past.append(_name(step))
        self._like = policy
        if write:
            self._write(policy, step)
        if len(self.past) > self.options.pool_size:
            steps = [_step(name) for name in self.past]
            inner = range(1, len(steps) - 1)
            del self.past[min(inner, key=lambda i: steps[i + 1] - steps[i - 1], default=0)]
        self._seat()

    def policy(self, name: str) -> PerceiverPolicy:
        """A past policy; one that has left the pool may still be in a game. Raises UserError where its file is
        damaged."""
        if name not in self._loaded:
            assert self._like is not None
            path = self._path(name)
            checkpoint.check(path)
            seen, chosen = self._like.observation_space, self._like.action_space
            with torch.random.fork_rng(devices=[]):  # its first parameters are of no account
                policy = make_policy(seen, chosen, self.config.policy)
            policy.load_state_dict(checkpoint.load_policy(path))
            self._loaded[name] = policy.to(self.device).requires_grad_(False).eval()
            if len(self._loaded) > 2 * self.options.pool_size:
                del self._loaded[next(one for one in self._loaded if one not in (*self.past, name))]
        return self._loaded[name]

    def _path(self, name: str) -> Path:
        return self.run_dir / folder.POOL / folder.CHECKPOINTS / f"step-{_step(name):012d}"

    def _write(self, policy: PerceiverPolicy, step: int) -> None:
        pool = self.run_dir / folder.POOL
        pool.mkdir(parents=True, exist_ok=True)
        experiment.write_config(self.config, pool / "config.yaml")
        seen, chosen = policy.observation_space, policy.action_space
        checkpoint.save(
            pool,
            step,
            {"learner": {"policy": policy.state_dict()}},
            spaces=self.spaces,
            space_data=checkpoint.data_of(seen, chosen),
            keep=10**9,
            options=experiment.plain(self.config),
        )

    def _seat(self) -> None:
        weights = self.rates.weights(self.past, self.options.priority)
        self.seated = str(self._random.choice(self.past, p=weights))
        self.played = 0

    def draw(self, seats: int) -> list[str]:
        """An opponent for each of the seats: a past policy's name, or a computer's."""
        names = [*self.past, *self.computers]
        if self.past and self.played >= seats:
            self._seat()
        weights = self.rates.weights(names, self.options.priority)
        chosen = self._random.choice(len(names), seats, p=weights)
        return [self.seated if i < len(self.past) else names[i] for i in chosen]

    def add(self, opponent: str, outcome: int) -> None:
        """A game has ended: 1 won by the learner, 0 drawn, -1 lost."""
        self.rates.add(opponent, outcome)
        self.played += opponent not in self.computers
        self.results.setdefault((self.learner, opponent), [0.0, 0.0, 0.0])[WON_DRAWN_LOST.index(outcome)] += 1

    def update(self, policy: PerceiverPolicy, before: int, after: int) -> dict[str, float]:
        """The learner has learned: what is known now; with a snapshot, which leaves the payoffs on disk, its rating."""
        found = self.metrics()
        if self.due(before, after):
            found |= self.rating_metrics()
            self.write_results()
            self.snapshot(policy, after)
        return found

    def metrics(self) -> dict[str, float]:
        """Win rates against each computer, and the mean over all opponents that have been met."""
        known = {name: self.rates.rate(name) for name in (*self.past, *self.computers) if name in self.rates.games}
        found = {f"opponents/win_rate/{name}": rate for name, rate in known.items() if name in self.computers}
        if known:
            found["opponents/win_rate"] = float(np.mean(list(known.values())))
        return found

    def ratings(self) -> dict[str, Rating]:
        """Elo of all who have played; the first learner has 0."""
        return ratings(self.results, next(iter(self.results))[0]) if self.results else {}

    def rating_metrics(self) -> dict[str, float]:
        """The learner's rating of now."""
        now = self.ratings().get(self.learner)
        if now is None:
            return {}
        return {"opponents/elo": now.elo, "opponents/elo_low": now.low, "opponents/elo_high": now.high}

    def write_results(self) -> None:
        """Leave payoffs and ratings in the run's folder, for people and programs."""
        rows = [
            {"player": one, "opponent": other, **dict(zip(("won", "drawn", "lost"), n, strict=True))}
            for (one, other), n in self.results.items()
        ]
        told = {"payoff": rows, "elo": {name: vars(rating) for name, rating in self.ratings().items()}}
        folder.write_whole(self.run_dir / folder.PAYOFFS, json.dumps(told, indent=1) + "\n")

    def state_dict(self) -> dict[str, Any]:
        """Everything that who plays next depends on; policies are named, their parameters are in the pool."""
        return {
            "past": list(self.past),
            "rates": self.rates.state_dict(),
            "results": [[one, other, *n] for (one, other), n in self.results.items()],
            "learner": self.learner,
            "seated": self.seated,
            "played": self.played,
            "generator": self.generator.get_state(),
            "random": json.dumps(self._random.bit_generator.state),
        }

    def load_state_dict(self, state: dict[str, Any], like: PerceiverPolicy) -> None:
        """The reverse of :meth:`state_dict`. Raises UserError for a past policy that is gone or damaged."""
        self.past, self._loaded, self._like = list(state["past"]), {}, like
        for name in self.past:
            self.policy(name)
        self.rates.load_state_dict(state["rates"])
        self.results = {(one, other): list(n) for one, other, *n in state["results"]}
        self.learner, self.seated, self.played = state["learner"], state["seated"], state["played"]
        self.generator.set_state(state["generator"])
        self._random.bit_generator.state = json.loads(state["random"])


def payoff_table(league: League) -> list[tuple[str, str]]:
    """A row an opponent: games won, drawn and lost against it in all, and its rating."""
    totals: dict[str, np.ndarray] = {}
    for (_, other), n in league.results.items():
        totals[other] = totals.get(other, np.zeros(3)) + n
    elo = league.ratings()
    rows = [
        (name, f"{won:,.0f} won, {drawn:,.0f} drawn, {lost:,.0f} lost; Elo {elo[name]}")
        for name, (won, drawn, lost) in totals.items()
    ]
    now = elo.get(league.learner)
    return [*rows, *([("the learner, now", f"Elo {now}")] if now else [])]


def _name(step: int) -> str:
    return f"step-{step}"


def _step(name: str) -> int:
    return int(name.removeprefix("step-"))


def _learner(step: int) -> str:
    return f"learner since {step:,}"
