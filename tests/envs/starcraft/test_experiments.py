"""Every experiment can be played well by somebody: through its own interface and at its own pace."""

from __future__ import annotations

import numpy as np
import pytest

from agents.runs.experiment import CONFIGS, read_config
from envs import registry
from envs.standin.players.roster import interface_for_player, make_player
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS, interface_for

EPISODES = {
    "MoveToBeacon": 20,
    "CollectMineralShards": 16,
    "DefeatRoaches": 100,
    "DefeatZerglingsAndBanelings": 100,
    "FindAndDefeatZerglings": 20,
    "CollectMineralsAndGas": 1,
    "BuildMarines": 1,
}


def experiments():
    """The experiments of one mini-game: name of the map, and its options; and each map as it is without any."""
    found = {}
    for path in sorted(CONFIGS.glob("*.yaml")):
        config = read_config(path)
        name = config.env.removeprefix(registry.SIM)
        if name in MAPS:
            options = {k: tuple(v) if isinstance(v, list) else v for k, v in config.env_options.items()}
            found[name, tuple(options.items())] = None
    return [*found, *((name, ()) for name in MAPS if (name, ()) not in found)]


def scores(name, interface, step_mul=8):
    """Of the first episode of every game, the strong player's."""
    games = EPISODES[name]
    env = make(name, games, interface=interface, step_mul=step_mul)
    observation, _ = env.reset(seed=0)
    play, total, final = make_player("strong", name, interface), np.zeros(games), np.full(games, np.nan)
    while np.isnan(final).any():
        observation, reward, terminated, truncated, _ = env.step(play(observation))
        total += reward
        first = (terminated | truncated) & np.isnan(final)
        final[first] = total[first]
    return final


@pytest.fixture(scope="module")
def best():
    """The mean through the interface that the player is at its best through, of the same games."""
    known = {}

    def mean(name):
        if name not in known:
            known[name] = scores(name, interface_for_player("strong", name)).mean()
        return known[name]

    return mean


@pytest.mark.parametrize(("name", "options"), experiments())
def test_the_strong_player_reaches_nine_tenths_of_its_score(name, options, best):
    given = dict(options)
    step_mul = given.pop("step_mul", 8)
    assert scores(name, interface_for(name, **given), step_mul).mean() >= 0.9 * best(name)


def test_all_mini_games_have_an_experiment():
    assert {name for name, _ in experiments()} == set(MAPS)
