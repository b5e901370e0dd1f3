"""Each checkpoint of the zoo plays as well as its card says, in other episodes than those that the card is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.acting.evaluate import FRESH_SEED, Spread, games_for, play
from agents.acting.player import load_player
from agents.runs.experiment import read_run_config
from envs import registry
from envs.starcraft.maps import MAPS

ZOO = Path(__file__).resolve().parent.parent / "zoo"
NAMES = sorted(path.parent.name for path in ZOO.glob("*/config.yaml"))
QUICK = {"move_to_beacon": 48, "collect_mineral_shards": 16}
"""Episodes in the default run, where games are short."""


def agrees(name: str, episodes: int) -> None:
    run = ZOO / name
    told = json.loads((run / "score.json").read_text())[0]["return"]
    config = read_run_config(run)
    env = registry.make(config.env, games_for(episodes), **config.env_arguments)
    player = load_player(run, config, env, greedy=not config.evaluation_sampled, seed=1)
    found = Spread.of(play(player, env, episodes, FRESH_SEED + 1).returns)
    # two means of samples: four standard deviations of their difference
    error = (told["sd"] ** 2 / 100 + found.sd**2 / episodes) ** 0.5
    assert abs(found.mean - told["mean"]) < 4 * error + 0.01 * abs(told["mean"])


@pytest.mark.parametrize("name", QUICK)
def test_scores_what_its_card_says(name: str) -> None:
    agrees(name, QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in QUICK])
def test_scores_what_its_card_says_in_longer_games(name: str) -> None:
    agrees(name, 64)


def test_there_is_one_for_every_mini_game_and_the_melee() -> None:
    maps = {read_run_config(ZOO / name).env.removeprefix("sim/") for name in NAMES}
    assert maps == {*MAPS, "Simple64"}
