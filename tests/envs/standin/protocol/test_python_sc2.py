"""python-sc2, unmodified, plays against the stand-in game: bots that know its public API alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sc2.main")
BOTS = Path(__file__).with_name("python_sc2_bots.py")


# Published: the shards' mean of people is 133 and of the best agent 196, and marines one by one get more than together
# (103); DefeatRoaches' scripted agent has 97 on average and at most 345. The BuildMarines' game is cut to four minutes,
# in which its bot has its depots, its barracks and the first marines.
@pytest.mark.parametrize(
    ("name", "seconds", "least", "most"),
    [("CollectMineralShards", None, 104, 220), ("DefeatRoaches", None, 10, 345), ("BuildMarines", 240, 5, 60)],
)
def test_bot_plays(installation: Path, name: str, seconds: int | None, least: int, most: int) -> None:
    command = [sys.executable, BOTS, name, *([str(seconds)] if seconds else [])]
    environment = {**os.environ, "SC2PATH": str(installation)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["result"] == {"CollectMineralShards": "Victory", "DefeatRoaches": "Defeat", "BuildMarines": "Tie"}[name]
    assert least <= told["score"] <= most
