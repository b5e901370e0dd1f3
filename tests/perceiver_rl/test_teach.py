"""The example of a player that teaches: plays better than the script that moves both marines together, by what is seen
alone."""

import numpy as np

import perceiver_rl
from agents.runs import experiment
from examples.teach.shards_in_turns import CONFIG, ShardsInTurns

ENV = "sim/CollectMineralShards"


def test_marines_in_turns_collect_more_than_together(tmp_path):
    options = experiment.read_config(experiment.find_config(CONFIG)).env_options
    shown = perceiver_rl.record(ShardsInTurns(**options), ENV, 16, tmp_path / "turns", seed=3, **options)
    together = perceiver_rl.record("scripted", ENV, 16, tmp_path / "together", seed=3)
    turns = np.mean(shown.returns())
    assert turns > 1.1 * np.mean(together.returns())  # 114 and 98
    assert turns > 112  # 110 where it takes no notice of what is queued
    # asked anew about what was seen, in another order, it says the same: there is nothing that it remembers
    steps = np.random.default_rng(0).permutation(len(shown))[:200]
    seen = {"units": {name: part[steps] for name, part in shown.observation["units"].items()}}
    again = ShardsInTurns(**options)(seen)
    for name in ("function", "screen", "queued"):
        np.testing.assert_array_equal(again[name], shown.action[name][steps])
