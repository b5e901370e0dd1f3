"""One supervised game on a session that is made up: seeds, ends, and when a process is replaced."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pysc2_evolved")

from envs.spaces import ACTION_MASK
from envs.starcraft import game, supervise
from envs.starcraft.client import GameFailure, GameOptions, Moment
from envs.starcraft.interface import Interface
from envs.starcraft.opponents import Opponent
from envs.starcraft.process import Stagger
from envs.starcraft.supervise import Watchdog

STEP = 8


class Session:
    """A game that ends at a loop, with a result or none; what it was asked is in ``asked``."""

    made: list[Session]
    end, result = 24, None
    map_size, playable, in_game = (64, 64), (0, 0, 64, 64), True

    def __init__(self, options, game_map, index):
        self.process = SimpleNamespace(memory=lambda: 1.0, poll=lambda: None)
        self.episodes, self.loop, self.asked = 0, 0, []
        type(self).made.append(self)

    def launch(self, seed):
        self.asked.append(("launch", seed))

    def reset(self, seed=None):
        self.asked.append(("reset", seed))
        self.episodes, self.loop = self.episodes + 1, 0
        return self._moment()

    def step(self, calls, loops):
        self.loop += loops
        return self._moment()

    def close(self):
        self.asked.append(("close", None))

    def kill(self, failure):
        self.killed = failure

    def hang_up(self):
        pass

    def _moment(self):
        last = self.loop >= self.end
        players = [SimpleNamespace(player_id=1, result=self.result)] if last and self.result else []
        told = SimpleNamespace(
            game_loop=self.loop, player_common=SimpleNamespace(player_id=1), score=SimpleNamespace(score=self.loop)
        )
        response = SimpleNamespace(observation=told, player_result=players, action_errors=[])
        return Moment({}, response, float(last), last)


class Translator:
    def __init__(self, *args):
        pass

    def observe(self, moment, abilities):
        return {ACTION_MASK: {"function": np.ones(1, np.int8)}, "loop": np.array(moment.loop)}

    def calls(self, action, mask):
        return [(0, [])], False


@pytest.fixture
def start(monkeypatch):
    watchdogs = []

    def begin(limit=None, opponent=None, end=24, result=None, **rules):
        kind = type("Made", (Session,), {"made": [], "end": end, "result": result})
        monkeypatch.setattr(game, "Session", kind)
        monkeypatch.setattr(game, "Translator", Translator)
        watchdogs.append(Watchdog(1000.0))
        options = GameOptions("Simple64", Interface(), STEP, None, opponent)
        one = game.Game(0, options, None, limit, game.Supervision(**rules), watchdogs[-1], Stagger(0.0))
        one.reset(5)
        return one, kind.made

    yield begin
    for watchdog in watchdogs:
        watchdog.stop()


def episode(one):
    """The step that ends the episode."""
    while True:
        step = one.step({"function": 0})
        if step.final is not None:
            return step


def test_every_game_against_an_opponent_has_a_seed_of_its_own(start):
    one, made = start(opponent=Opponent())
    for _ in range(4):
        episode(one)
    (session,) = made
    seeds = [seed for what, seed in session.asked if what == "reset"]
    assert session.asked[0] == ("launch", 5)
    assert seeds[0] is None, "the first is played with what it was launched with"
    assert None not in seeds[1:]
    assert len(set(seeds[1:])) == 4


def test_without_an_opponent_the_game_goes_on_by_itself(start):
    one, made = start()
    for _ in range(3):
        episode(one)
    assert [seed for what, seed in made[0].asked if what == "reset"] == [None] * 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_process_plays_its_share_and_no_episode_more(start, count):
    one, made = start(recycle_episodes=count)
    for played in range(1, 7):
        episode(one)
        assert len(made) == 1 + played // count
        assert [m.episodes for m in made[:-1]] == [count] * (len(made) - 1)
        assert [m.asked[-1][0] for m in made[:-1]] == ["close"] * (len(made) - 1)


@pytest.mark.parametrize(
    ("end", "limit", "result", "terminated"),
    [
        (24, 24, None, False),  # PySC2 stops at its limit, and nobody has won
        (24, 24, 1, False),  # the game itself ends at the time limit, with a result
        (16, 24, 1, True),
        (16, 24, 2, True),
        (16, None, 1, True),
        (16, None, None, False),
    ],
)
def test_a_result_at_the_time_limit_is_a_truncation(start, end, limit, result, terminated):
    one, _ = start(limit=limit, end=end, result=result)
    step = episode(one)
    assert (step.terminated, step.truncated) == (terminated, not terminated)
    assert step.loop == end
    assert step.final["loop"] == end
    assert one.observation["loop"] == 0, "the next one has begun"


@pytest.mark.parametrize(("held", "killed"), [(0.9, False), (1.5, False), (1.99, False), (2.01, True)])
def test_a_game_is_ended_at_twice_its_memory_and_no_sooner(monkeypatch, held, killed):
    monkeypatch.setattr(supervise, "WEIGH_EVERY", 0.0)
    monkeypatch.setattr(supervise, "LOOK_EVERY", 0.01)
    weighed = []

    class Grown:
        killed = None

        def __init__(self):
            self.process = SimpleNamespace(memory=lambda: weighed.append(1) or held * 1000.0, poll=lambda: None)

        def kill(self, failure):
            self.killed = failure

    one, watchdog = Grown(), Watchdog(1000.0)
    try:
        with watchdog.watch(one, 60.0, "step"):
            deadline = time.monotonic() + 30
            while len(weighed) < 5 and time.monotonic() < deadline:
                time.sleep(0.01)
    finally:
        watchdog.stop()
    assert len(weighed) >= 5
    assert (one.killed is not None) == killed
    if killed:
        assert isinstance(one.killed, GameFailure)
        assert str(one.killed) == "memory: 2010 MB, twice the limit of 1000"
