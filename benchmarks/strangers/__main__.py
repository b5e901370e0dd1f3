"""Bots that others have written, unmodified, play whole games against the stand-in's computer player.

``python -m benchmarks.strangers --python-sc2 DIR --tutorial DIR`` prints a table. ``--python-sc2``: a checkout of
BurnySc2/python-sc2; ``--tutorial``: one of skjb/pysc2-tutorial. ``SC2PATH`` names what ``perceiver-rl standin-install``
has made. The bots' files are read where they are. What the client libraries of today no longer have, and the tutorial's
agents of 2018 ask for, is put into the client here: it is not the server's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BOTS = {
    "worker_rush": ("examples/worker_rush.py", "WorkerRushBot"),
    "distributed_workers": ("examples/distributed_workers.py", "TerranBot"),
    "worker_stack": ("examples/worker_stack_bot.py", "WorkerStackBot"),
    "proxy_rax": ("examples/terran/proxy_rax.py", "ProxyRaxBot"),
    "ramp_wall": ("examples/terran/ramp_wall.py", "RampWallBot"),
    "mass_reaper": ("examples/terran/mass_reaper.py", "MassReaperBot"),
    "cyclone_push": ("examples/terran/cyclone_push.py", "CyclonePush"),
    "onebase_battlecruiser": ("examples/terran/onebase_battlecruiser.py", "BCRushBot"),
}
"""python-sc2's example bots that play Terran, or what all races have."""
ARCADE = ("examples/arcade_bot.py", "MarineSplitChallenge")
AGENTS = {
    "simple_agent": "Building a Basic Agent/simple_agent.py",
    "smart_agent": "Building a Smart Agent/smart_agent.py",
    "sparse_agent": "Building a Sparse Reward Agent/sparse_agent.py",
    "refined_agent": "Refining the Sparse Reward Agent/refined_agent.py",
    "learning_agent": "Reinforcement Learning Terran Bot/learning_agent.py",
}
"""The tutorial's agents that play Terran; without attack_agent, which fails where nothing is selected."""
WATCHED = 0.5
"""Seconds that the first agent waits before each step, so that somebody can watch."""
ARENAS = ("DefeatZerglingsAndBanelings", "FindAndDefeatZerglings")
"""The mini-games that the arcade bot plays."""


def play_python_sc2(folder: Path, name: str, map_name: str, difficulty: str, seconds: int) -> dict[str, Any]:
    """One game of one of python-sc2's examples; how it went."""
    from loguru import logger
    from sc2 import maps
    from sc2.data import Difficulty, Race, Result
    from sc2.main import run_game
    from sc2.player import Bot, Computer, Human

    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    sys.path.insert(0, str(folder))
    file, kind = ARCADE if name == "arcade_bot" else BOTS[name]
    bot = runpy.run_path(str(folder / file))[kind]()
    players: list[Human | Bot | Computer] = [Bot(Race.Terran, bot)]
    if name != "arcade_bot":
        players.append(Computer(Race.Terran, Difficulty[difficulty]))
    result = run_game(maps.get(map_name), players, realtime=False, random_seed=1, game_time_limit=seconds)
    assert isinstance(result, Result)  # there is one bot
    return {"result": result.name, "loops": bot.state.game_loop, "errors": []}


def play_tutorial(folder: Path, name: str, map_name: str, difficulty: str, seconds: int) -> dict[str, Any]:
    """One game of one of the tutorial's agents."""
    old_clients()
    from pysc2_evolved.env import run_loop, sc2_env
    from pysc2_evolved.lib import actions, features

    module = runpy.run_path(str(folder / AGENTS[name]))
    agents = [thing for thing in module.values() if isinstance(thing, type) and hasattr(thing, "step")]
    agent = next(thing for thing in reversed(agents) if not thing.__module__.startswith("pysc2"))()
    raw = name == "learning_agent"
    level = getattr(sc2_env.Difficulty, difficulty)
    face = features.AgentInterfaceFormat(
        feature_dimensions=None if raw else features.Dimensions(screen=84, minimap=64),
        action_space=actions.ActionSpace.RAW if raw else actions.ActionSpace.FEATURES,
        use_raw_units=raw, raw_resolution=64 if raw else None,
    )  # fmt: skip
    with sc2_env.SC2Env(
        map_name=map_name,
        players=[sc2_env.Agent(sc2_env.Race.terran), sc2_env.Bot(sc2_env.Race.terran, level)],
        agent_interface_format=face, step_mul=8 if not raw else 48, game_steps_per_episode=int(seconds * 22.4),
        disable_fog=raw, random_seed=1,
    ) as env:  # fmt: skip
        last: Any = Last(agent, raw)
        run_loop.run_loop([last], env, max_episodes=1)
    return {"result": {1: "Victory", 0: "Tie", -1: "Defeat"}[last.reward], "loops": last.loop, "errors": []}


class Last:
    """An agent, and what it saw last. Old agents know the planes by shorter names."""

    def __init__(self, agent: Any, raw: bool) -> None:
        self.agent, self.raw, self.reward, self.loop = agent, raw, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.agent, name)

    def step(self, seen: Any) -> Any:
        """The agent's step."""
        self.reward, self.loop = int(seen.reward), int(seen.observation.game_loop[0])
        if not self.raw:
            for name in ("screen", "minimap"):
                dict.__setitem__(seen.observation, name, seen.observation[f"feature_{name}"])
        return self.agent.step(seen)


def old_clients() -> None:
    """PySC2 by the name it had, and what pandas 3 has dropped of pandas 0.23."""
    import pandas as pd

    for name in ("agents", "agents.base_agent", "lib", "lib.actions", "lib.features", "lib.units", "env", "env.sc2_env",
                 "env.run_loop"):  # fmt: skip
        sys.modules[f"pysc2.{name}"] = importlib.import_module(f"pysc2_evolved.{name}")
    sys.modules["pysc2"] = importlib.import_module("pysc2_evolved")
    features = sys.modules["pysc2.lib.features"]
    for name in ("PlayerRelative",):
        if not hasattr(features, name):
            setattr(features, name, getattr(importlib.import_module("pysc2_evolved.lib.features_types"), name))
    frame: Any = pd.DataFrame
    frame.ix = property(lambda table: table.loc)
    frame.append = lambda table, row: _append(table, row)
    keep = frame.to_pickle
    frame.to_pickle = lambda table, path, compression="infer": keep(table, path, compression=compression)
    really = time.sleep
    time.sleep = lambda seconds: None if seconds == WATCHED else really(seconds)


def _append(table: Any, row: Any) -> Any:
    table.loc[row.name] = row.astype(float)  # pandas 3 would make an empty table of floats one of whole numbers
    return table


def play(job: Sequence[str]) -> None:
    """Play one game in this process, and print how it went as JSON."""
    kind, folder, name, map_name, difficulty, seconds = job
    os.chdir(tempfile.mkdtemp())  # some leave files
    random.seed(1)
    player: Callable[..., dict[str, Any]] = play_python_sc2 if kind == "python-sc2" else play_tutorial
    print(json.dumps(player(Path(folder), name, map_name, difficulty, int(seconds))))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python-sc2", type=Path, help="a checkout of BurnySc2/python-sc2")
    parser.add_argument("--tutorial", type=Path, help="a checkout of skjb/pysc2-tutorial")
    parser.add_argument("--map", help="the map of all (python-sc2's: Cliffs64, the tutorial's: Simple64)")
    parser.add_argument("--difficulty", default="Easy", help="of the computer player, as python-sc2 writes it")
    parser.add_argument("--seconds", type=int, default=1285, help="the longest game, in seconds of the speed faster")
    parser.add_argument("--patience", type=float, default=1800, help="seconds that a game may take")
    parser.add_argument("--only", nargs="*", default=[], help="these bots alone")
    parser.add_argument("--play", nargs=6, help=argparse.SUPPRESS)
    told = parser.parse_args(argv)
    if told.play:
        play(told.play)
        return
    jobs = []
    if told.python_sc2:
        jobs += [("python-sc2", told.python_sc2, name, told.map or "Cliffs64", told.difficulty) for name in BOTS]
        jobs += [("python-sc2", told.python_sc2, "arcade_bot", arena, "") for arena in ARENAS]
    if told.tutorial:
        jobs += [
            (
                "tutorial",
                told.tutorial,
                name,
                told.map or "Simple64",
                re.sub(r"(?<!^)(?=[A-Z])", "_", told.difficulty).lower(),
            )
            for name in AGENTS
        ]
    print("| bot | opponent | result | minutes | ended by |\n|---|---|---|---|---|")
    for kind, folder, name, map_name, difficulty in jobs:
        if told.only and name not in told.only:
            continue
        job = [kind, str(folder.resolve()), name, map_name, difficulty, str(told.seconds)]
        command = [sys.executable, "-m", "benchmarks.strangers", "--play", *job]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=told.patience)
        except subprocess.TimeoutExpired:
            print(f"| {name} | {difficulty or map_name} | | | out of patience |", flush=True)
            continue
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
            print(f"| {name} | {difficulty or map_name} | | | {why} |", flush=True)
            continue
        went = json.loads(done.stdout.strip().splitlines()[-1])
        minutes = went["loops"] / 22.4 / 60
        print(f"| {name} | {difficulty or map_name} | {went['result']} | {minutes:.1f} | the game |", flush=True)


if __name__ == "__main__":
    main()
