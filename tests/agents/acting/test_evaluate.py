import io
import json
import math
import os
import stat

import gymnasium
import numpy as np
import pytest
import scipy.stats
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agents.acting import evaluate
from agents.acting.evaluate import (
    Evaluation,
    Played,
    RandomPlayer,
    ScriptedPlayer,
    Share,
    Spread,
    games_for,
    play,
    table,
    write_json,
)
from agents.commands.cli import run
from envs import registry
from envs.gym import GymVectorEnv
from envs.spaces import Functions, Pointer


class Lengths(gymnasium.Env):
    """Episodes of 1 or of 9 steps, as likely; a point a step. Shows how many steps are behind."""

    observation_space = spaces.Discrete(10)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.choice([1, 9]))
        self.past = 0
        return 0, {}

    def step(self, action):
        self.left -= 1
        self.past += 1
        return self.past, 1.0, self.left == 0, False, {}


class Watchful:
    """Plays anything and remembers what it was told."""

    def __init__(self):
        self.told = []

    def act(self, observation, first):
        self.told.append((observation.copy(), first.copy()))
        return np.zeros(len(first), int)


def test_games_whose_episodes_are_over_stand_still(monkeypatch):
    found, loops = [], []
    for rests in (True, False):
        env = registry.make("sim/DefeatRoaches", 6, style="orders")
        if not rests:
            monkeypatch.setattr(type(env.unwrapped), "rest", lambda self, rows: None)
        scripted = ScriptedPlayer(registry.scripted("sim/DefeatRoaches", "scripted", env))
        found.append(play(scripted, env, 9, 0))
        loops.append(env.unwrapped.games["loop"].tolist())
    assert found[0] == found[1]
    assert len(set(found[0].lengths)) > 1
    assert not any(loops[0])
    assert any(loops[1])


def test_short_episodes_are_not_over_represented():
    # Eight games, two episodes each: were the first 16 ends counted, a mean of about 4 would come out instead of 5.
    means = []
    for seed in range(60):
        played = play(Watchful(), GymVectorEnv(Lengths, 8), 16, seed)
        returns, lengths = played.returns, played.lengths
        assert len(returns) == 16
        assert returns == lengths
        means.append(np.mean(returns))
    sure = 4 * 4 / math.sqrt(60 * 16)  # four standard errors; the standard deviation of 1 or 9 is 4
    assert abs(np.mean(means) - 5) < sure


def test_every_game_plays_its_share_and_the_player_is_told_of_beginnings():
    player, ended = Watchful(), []
    returns = play(player, GymVectorEnv(Lengths, 3), 7, 0, lambda: ended.append(1)).returns
    assert len(returns) == len(ended) == 7
    for observation, first in player.told:
        np.testing.assert_array_equal(first, observation == 0)


@given(st.integers(1, 500), st.integers(1, 80))
def test_games_are_at_most_so_many_and_share_evenly(episodes, most):
    games = games_for(episodes, most)
    assert 1 <= games <= min(most, episodes)
    assert math.ceil(episodes / games) == math.ceil(episodes / most)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30).filter(lambda values: np.std(values) > 1e-3))
def test_the_interval_is_scipys(values):
    spread = Spread.of(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, np.mean(values), scipy.stats.sem(values))
    assert spread.low == pytest.approx(low, rel=1e-6, abs=1e-6)
    assert spread.high == pytest.approx(high, rel=1e-6, abs=1e-6)
    assert spread.sd == pytest.approx(np.std(values, ddof=1))
    assert (spread.min, spread.max) == (min(values), max(values))


def test_one_episode_says_nothing_of_the_spread(tmp_path):
    one = Evaluation("CartPole-v1", "random", 0, Played([3.0], [3]))
    write_json([one], tmp_path / "it.json")
    (read,) = json.loads((tmp_path / "it.json").read_text())
    assert read["return"] == {"mean": 3.0, "sd": None, "min": 3.0, "max": 3.0, "low": None, "high": None}
    assert read["returns"] == [3.0]
    assert shown([one])[2:4] == ["CartPole-v1", "       1  3.00   -  3.00  3.00       -    3.00"]


def test_random_play_keeps_to_each_games_mask():
    space = spaces.Dict(
        {
            "pick": spaces.Discrete(4, start=2),
            "pair": spaces.Tuple([spaces.MultiDiscrete([3, 2]), spaces.Box(-1, 1, (2,), np.float32)]),
            "call": Functions({"wait": [], "hit": ["whom"]}, {"whom": Pointer("units", 3)}),
        }
    )
    masks = {
        "pick": np.array([[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]),
        "pair": ((np.eye(3, dtype=int), np.array([[1, 0], [0, 1], [1, 0]])), None),
        "call": {"function": np.array([[0, 1], [1, 0], [0, 1]]), "whom": np.array([[0, 0, 1]] * 3)},
    }
    action = RandomPlayer(space, seed=0).act({"action_mask": masks}, np.ones(3, bool))
    assert batch_space(space, 3).contains(action)
    assert action["pick"].tolist() == [3, 5, 2]
    assert action["pair"][0].tolist() == [[0, 0], [1, 1], [2, 0]]
    assert action["call"]["function"].tolist() == [1, 0, 1]
    assert action["call"]["whom"].tolist() == [2, 0, 2]


def test_random_play_is_the_same_for_a_seed_and_free_without_masks():
    players = [RandomPlayer(spaces.Discrete(1000), seed) for seed in (1, 1, 2)]
    actions = [player.act(np.zeros(50), np.zeros(50, bool)).tolist() for player in players]
    assert actions[0] == actions[1] != actions[2]
    assert len(set(actions[0])) > 25


class Duels:
    """Games of five steps, two side by side, which pay 1 and 2 a step. Game 0 wins, draws, and so on; game 1 loses.

    Game 1's first one is cut short after three steps: it has no outcome, whatever is told as such.
    """

    num_envs = 2

    def reset(self, *, seed=None, options=None):
        self.steps, self.count = np.zeros(2, int), 0
        return self.steps, {}

    def step(self, actions):
        self.steps, self.count = self.steps + 1, self.count + 1
        aborted = np.array([False, self.count == 3])
        terminated = self.steps == 5
        info = {"aborted": aborted}
        if (terminated | aborted).any():
            info["final_info"] = {"outcome": np.where(aborted, 7, [self.count // 5 % 2, -1])}
        self.steps = np.where(terminated | aborted, 0, self.steps)
        return self.steps, np.array([1.0, 2.0]), terminated, aborted, info


def test_wins_draws_losses_and_aborted_games_are_counted_apart(tmp_path):
    ended = []
    played = play(Watchful(), Duels(), 5, 0, lambda: ended.append(1))
    assert played.outcomes == [1, 0, 1, -1, -1]  # game 0's three, game 1's two: an aborted one is played again
    assert played.aborted == 1
    assert played.returns == [5.0] * 3 + [10.0] * 2
    assert played.lengths == [5] * 5
    assert len(ended) == 5
    one = Evaluation("sc2/Simple64 (stand-in game through PySC2)", "random", 0, played, "zerg:hard:rush")
    write_json([one], tmp_path / "it.json")
    (read,) = json.loads((tmp_path / "it.json").read_text())
    assert {name: read[name] for name in ("opponent", "win", "draw", "loss", "aborted", "episodes")} == {
        "opponent": "zerg:hard:rush", "win": 2, "draw": 1, "loss": 2, "aborted": 1, "episodes": 5,
    }  # fmt: skip
    assert read["win_rate"]["rate"] == 0.4
    assert shown([one])[1:4] == [
        "episodes  win  draw  loss  aborted          win rate  length",
        "sc2/Simple64 (stand-in game through PySC2) against zerg:hard:rush",
        "       5    2     1     2        1  40% (12% to 77%)    5.00",
    ]


def shown(evaluations):
    """The lines of the table on a narrow terminal."""
    console = Console(width=80, file=io.StringIO())
    console.print(table(evaluations))
    return console.file.getvalue().splitlines()


def test_long_names_and_large_numbers_fit_into_80_columns():
    names = ["sc2/DefeatZerglingsAndBanelings (stand-in game through PySC2)", "my_package.environments.walks:LongWalk"]
    played = [Played([-1234.0, -6543.0], [2000, 1000]), Played([0.5, 0.25], [3, 4], aborted=2)]
    ones = [Evaluation(name, "random", 0, one) for name, one in zip(names, played, strict=True)]
    lines = shown(ones)
    # t(0.975) of one degree of freedom is 12.706
    assert [lines[2], lines[4]] == names
    assert len(lines) == 7
    assert lines[3].split() == ["2", "-3888", "3754", "-6543", "-1234", "-37617", "to", "29840", "0", "1500"]
    assert lines[5].split() == ["2", "0.38", "0.18", "0.25", "0.50", "-1.21", "to", "1.96", "2", "3.50"]


@given(st.integers(0, 50), st.integers(1, 50))
def test_the_interval_of_a_rate_is_wilsons(count, more):
    among, z = count + more, scipy.stats.norm.ppf(0.975)
    p = count / among
    # Wilson (1927), as in any textbook
    middle = (p + z**2 / (2 * among)) / (1 + z**2 / among)
    half = z / (1 + z**2 / among) * math.sqrt(p * (1 - p) / among + z**2 / (4 * among**2))
    share = Share.of(count, among)
    assert share.low == pytest.approx(middle - half, abs=1e-9)
    assert share.high == pytest.approx(middle + half, abs=1e-9)


def test_every_game_is_looked_up_before_the_first_is_played(monkeypatch, capsys):
    played = []
    monkeypatch.setattr("agents.acting.evaluate.play", lambda *args, **options: played.append(1))
    assert run(["evaluate", "--policy", "random", "--env", "CartPole-v1", "sim/MoveToBeacn", "--episodes", "1"]) == 2
    assert "sim/MoveToBeacon" in capsys.readouterr().err
    assert not played


def test_an_episode_that_is_cut_is_told_apart_and_the_next_one_begins_afresh():
    # Lengths of 1 or 9 under a bound of 4: the nines are cut, with their return so far
    player, notes = Watchful(), []
    played = play(player, GymVectorEnv(Lengths, 3), 30, 0, max_steps=4, note=notes.append)
    assert played.returns == played.lengths
    assert set(played.lengths) == {1, 4}
    assert played.cut == played.lengths.count(4)
    assert len(played.lengths) == 30
    for observation, first in player.told:  # memory is told, and the game is at its beginning
        assert (observation[first] == 0).all()
        assert (observation[~first] > 0).all()
    assert notes == []  # nothing was long


def test_a_game_that_cannot_be_reset_alone_plays_no_more_once_it_is_cut(monkeypatch):
    monkeypatch.setattr(evaluate, "SyncVectorEnv", type("Another", (), {}))
    monkeypatch.setattr(evaluate, "LONG", 3)
    notes = []
    env = GymVectorEnv(Lengths, 3)
    env.resets_single_games = False
    played = play(Watchful(), env, 30, 0, max_steps=4, note=notes.append)
    assert played.cut == 3  # each game comes to a nine among its ten
    assert len(played.lengths) < 30
    assert notes == ["note: an episode has not ended in 3 steps; one is cut after 4 (max-steps)"]


def test_cut_episodes_have_a_column():
    told = table([Evaluation("it", "who", 0, Played([1.0, 4.0], [1, 4], cut=1))]).plain
    assert told.splitlines()[1].split()[-2:] == ["cut", "length"]
    assert told.splitlines()[3].split()[-2] == "1"
    assert "cut: episodes that had not ended" in told
    assert "cut" not in table([Evaluation("it", "who", 0, Played([1.0], [1]))]).plain


def test_results_go_where_they_were_asked_to(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    random = ["evaluate", "--policy", "random", "--env", "CartPole-v1", "--episodes", "2"]
    for name in ("-", "/dev/stdout"):
        assert run([*random, "--json", name]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)[0]["episodes"] == 2
        assert "95% CI" in said.err
    assert list(tmp_path.iterdir()) == []
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert run([*random, "--json", "pipe"]) == 0
    assert json.loads(os.read(reader, 1 << 16))[0]["episodes"] == 2
    os.close(reader)
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert run([*random, "--json", "/dev/null"]) == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    assert run([*random, "--json", "link.json"]) == 0
    assert json.loads((tmp_path / "real.json").read_text())
    assert (tmp_path / "link.json").is_symlink()
    capsys.readouterr()
    (tmp_path / "folder").mkdir()
    assert run([*random, "--episodes", "1000000", "--json", "folder"]) == 2  # before anything is played
    assert "--json folder: is a folder" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "folder", "link.json", "real.json"}
