"""Scores of the hand-written players, which calibrate the game: ranges from published results and arithmetic."""

import numpy as np
import optree
import pytest

from envs.standin.players.roster import PLAYERS, interface_for_player, make_player
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS, interface_for


def scores(name, scenario, games, seed=0, face=None, **options):
    """Each game's score in its first episode."""
    face = face or interface_for_player(name, scenario)
    env = make(scenario, games, interface=face, **options)
    observation, _ = env.reset(seed=seed)
    play, total, final = make_player(name, scenario, face), np.zeros(games), np.full(games, np.nan)
    while np.isnan(final).any():
        observation, reward, terminated, truncated, _ = env.step(play(observation))
        total += reward
        first = (terminated | truncated) & np.isnan(final)
        final[first] = total[first]
    return final


def test_greedy_and_ideal_play_of_move_to_beacon():
    # A Monte Carlo of the rules: 26.54, sd 1.88, deciding every 8 loops; 28.0 deciding at once. Best human 28.
    greedy = scores("scripted", "MoveToBeacon", 1000)
    assert 26.0 <= greedy.mean() <= 27.0
    assert 1.6 <= greedy.std() <= 2.2
    ideal = scores("scripted", "MoveToBeacon", 300, step_mul=1)
    assert 27.5 <= ideal.mean() <= 28.9


@pytest.mark.parametrize(
    ("scenario", "low", "high"),
    [  # around the published random policy: 1, 17, 1, 23, 4, 12, below 1
        ("MoveToBeacon", 0.4, 1.6),
        ("CollectMineralShards", 12, 20),
        ("DefeatRoaches", -4, 4),
        ("DefeatZerglingsAndBanelings", 15, 30),
        ("FindAndDefeatZerglings", 2, 8),
        ("CollectMineralsAndGas", 0, 80),
    ],
)
def test_random_play(scenario, low, high):
    assert low <= scores("random", scenario, 60).mean() <= high


@pytest.mark.parametrize(
    ("name", "scenario", "games", "low", "high"),
    [
        ("scripted", "CollectMineralShards", 100, 94, 108),
        ("strong", "CollectMineralShards", 8, 145, 190),
        ("scripted", "DefeatRoaches", 200, 60, 105),
        ("scripted", "DefeatZerglingsAndBanelings", 100, 25, 220),
        ("strong", "DefeatZerglingsAndBanelings", 60, 130, 400),
        ("scripted", "FindAndDefeatZerglings", 30, 40, 52),
        ("strong", "FindAndDefeatZerglings", 30, 47.5, 55),
        # Published hand-written players of the same plans on StarCraft II: 4802 and 4840, 127 and 133.
        ("scripted", "CollectMineralsAndGas", 2, 4700, 5045),
        ("strong", "CollectMineralsAndGas", 2, 6500, 7566),
        ("scripted", "BuildMarines", 1, 122, 139),
        ("strong", "BuildMarines", 1, 136, 150),
    ],
)
def test_scripted_play(name, scenario, games, low, high):
    assert low <= scores(name, scenario, games).mean() <= high


@pytest.mark.parametrize(
    ("scenario", "games", "low"),
    [  # what the strong players by clicks score: 26.5, 160, 68, 191, 49, 6,900, 144
        ("MoveToBeacon", 100, 25.5),
        ("CollectMineralShards", 8, 170),
        ("DefeatRoaches", 60, 140),
        ("DefeatZerglingsAndBanelings", 32, 600),
        ("FindAndDefeatZerglings", 16, 48),
        ("CollectMineralsAndGas", 1, 7000),
        ("BuildMarines", 1, 136),
    ],
)
def test_each_maps_own_orders_suffice_to_play_as_well_as_by_clicks(scenario, games, low):
    assert scores("strong", scenario, games, face=interface_for(scenario, style="orders")).mean() >= low


def test_plans_that_take_turns_do_not_keep_marines_where_they_are():
    face = interface_for("CollectMineralShards", style="orders")
    games, here = 16, 15  # where marines stood still from the second step on
    env = make("CollectMineralShards", games, interface=face)
    play = make_player("strong", "CollectMineralShards", face)
    observation, _ = env.reset(seed=2000)
    total = 0
    for _ in range(60):
        orders = play(optree.tree_map(lambda x: x[here:], observation))
        observation, reward, *_ = env.step(optree.tree_map(lambda x: np.repeat(x, games, 0), orders))
        total += int(reward[here])
    assert total > 30


@pytest.mark.parametrize("scenario", MAPS)
def test_every_player_plays_every_map(scenario):
    for name in PLAYERS:
        face = interface_for_player(name, scenario)
        env = make(scenario, 2, interface=face)
        observation, _ = env.reset(seed=0)
        play = make_player(name, scenario, face)
        for _ in range(3):
            action = play(observation)
            assert env.action_space.contains({k: v.astype(np.int64) for k, v in action.items()})
            observation = env.step(action)[0]


def test_unknown_players_and_unfit_interfaces_are_refused():
    face = interface_for_player("scripted", "MoveToBeacon")
    with pytest.raises(ValueError, match="scripted"):
        make_player("script", "MoveToBeacon", face)
    with pytest.raises(ValueError, match="Attack_screen"):
        make_player("scripted", "DefeatRoaches", face)
