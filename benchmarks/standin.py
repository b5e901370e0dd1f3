"""How fast the stand-in game steps.

    python benchmarks/standin.py            the table of docs/results.md
    python benchmarks/standin.py --scaling  over numbers of games and threads
    python benchmarks/standin.py --start    import, first compilation, start from the cache
    python benchmarks/standin.py --scores   scores of the hand-written players
    python benchmarks/standin.py --pysc2    PySC2's own environment over the game's protocol

Agent steps a second: one action, eight game loops and one observation, for one game. Choices are random and drawn
before the clock starts: legal and illegal functions with random arguments. Processor time of this process is what is
counted for one thread, wall time for more, and the best of five slices, so that a busy machine blurs the figures less.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

OBSERVED: dict[str, dict[str, Any]] = {
    "units, numbers": {"screen_planes": (), "minimap_planes": ()},
    "and the map's own planes": {},
    "and all planes at 64 x 64": {"screen": 64, "minimap": 64, "screen_planes": "all", "minimap_planes": "all"},
}


def rate(scenario: str, games: int, seconds: float, threads: int = 1, **options: Any) -> float:
    import numpy as np

    from envs.standin.vector_env import make
    from envs.starcraft.interface import MINIMAP_PLANES, SCREEN_PLANES

    for name, table in (("screen_planes", SCREEN_PLANES), ("minimap_planes", MINIMAP_PLANES)):
        if options.get(name) == "all":
            options[name] = tuple(table)
    env = make(scenario, games, threads=threads, **options)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(16)]
    rng = np.random.default_rng(0)
    # Spread the games over their episodes first: a game's beginning is not its average.
    for k in range(min(env.max_loops // 8, 200)):
        env.step(actions[k % 16])
    clock = time.process_time if threads == 1 else time.perf_counter
    best = 0.0
    for _ in range(5):
        steps, start = 0, clock()
        while clock() - start < seconds / 5:
            env.step(actions[int(rng.integers(16))])
            steps += 1
        best = max(best, games * steps / (clock() - start))
    env.close()
    return best


def table(seconds: float) -> None:
    from envs.starcraft.maps import MAPS

    print("| map | " + " | ".join(OBSERVED) + " |")
    print("|---" * (len(OBSERVED) + 1) + "|")
    for name in MAPS:
        cells = [f"{rate(name, 256, seconds, **options):,.0f}" for options in OBSERVED.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def scaling(seconds: float) -> None:
    print("| map | threads | 1 game | 16 | 256 | 4096 |")
    print("|---" * 6 + "|")
    for name in ("MoveToBeacon", "DefeatRoaches", "BuildMarines"):
        for threads in (1, 2):
            cells = [
                f"{rate(name, n, seconds, threads, screen_planes=(), minimap_planes=()):,.0f}"
                for n in (1, 16, 256, 4096)
            ]
            print(f"| {name} | {threads} | " + " | ".join(cells) + " |", flush=True)


def scores(episodes: int) -> None:
    import numpy as np

    from envs.standin.players.roster import PLAYERS, interface_for_player, make_player
    from envs.standin.vector_env import make
    from envs.starcraft.maps import MAPS

    print("| map | " + " | ".join(f"{name}: mean (sd) [min, max]" for name in PLAYERS) + " |")
    print("|---" * 4 + "|")
    for scenario in MAPS:
        cells = []
        for name in PLAYERS:
            face = interface_for_player(name, scenario)
            env = make(scenario, episodes, interface=face)
            observation, _ = env.reset(seed=0)
            play, total, final = make_player(name, scenario, face), np.zeros(episodes), np.full(episodes, np.nan)
            while np.isnan(final).any():
                observation, reward, terminated, truncated, _ = env.step(play(observation))
                total += reward
                first = (terminated | truncated) & np.isnan(final)
                final[first] = total[first]
            cells.append(f"{final.mean():.1f} ({final.std():.1f}) [{final.min():.0f}, {final.max():.0f}]")
        print(f"| {scenario} | " + " | ".join(cells) + " |", flush=True)


def pysc2(seconds: float) -> None:
    """Wall time: the game runs in a process of its own."""
    from envs.standin.protocol.install import install

    with tempfile.TemporaryDirectory() as folder:
        os.environ["SC2PATH"] = str(install(Path(folder) / "game").folder)
        from absl import flags
        from pysc2_evolved.agents import random_agent
        from pysc2_evolved.env import sc2_env
        from pysc2_evolved.lib import features

        flags.FLAGS(["benchmark"])
        for size in (16, 64):
            interface = features.AgentInterfaceFormat(
                feature_dimensions=features.Dimensions(screen=size, minimap=size), use_feature_units=True
            )
            with sc2_env.SC2Env(
                map_name="DefeatRoaches",
                players=[sc2_env.Agent(sc2_env.Race.terran)],
                agent_interface_format=interface,
                step_mul=8,
                random_seed=0,
            ) as env:
                agent = random_agent.RandomAgent()
                agent.setup(env.observation_spec()[0], env.action_spec()[0])
                told = env.reset()
                steps, start = 0, time.perf_counter()
                while time.perf_counter() - start < seconds:
                    told = env.reset() if told[0].last() else env.step([agent.step(told[0])])
                    steps += 1
                rate = steps / (time.perf_counter() - start)
                print(f"PySC2, DefeatRoaches, layers of {size} x {size}: {rate:,.0f} steps a second")


def start() -> None:
    code = (
        "import time; a = time.process_time(); import envs; b = time.process_time();"
        "from envs.standin.vector_env import make; e = make('MoveToBeacon', 1); c = time.process_time();"
        "e.reset(seed=0); e.step(e.action_space.sample()); d = time.process_time();"
        "print(f'{b - a:.2f} {c - b:.2f} {d - c:.2f}')"
    )
    with tempfile.TemporaryDirectory() as cache:
        for what in ("first start, compiling", "from the cache"):
            out = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(Path(__file__).parents[1])},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            print(f"{what}: import envs {out[0]} s, make {out[1]} s, reset and step {out[2]} s (processor time)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scaling", action="store_true", help="over numbers of games and threads")
    parser.add_argument("--start", action="store_true", help="time to import and to compile")
    parser.add_argument("--scores", action="store_true", help="of the hand-written players, on the stand-in game")
    parser.add_argument("--pysc2", action="store_true", help="PySC2's own environment over the game's protocol")
    parser.add_argument("--episodes", type=int, default=200, help="for each score")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    options = parser.parse_args()
    if options.start:
        start()
    elif options.scores:
        scores(options.episodes)
    elif options.pysc2:
        pysc2(options.seconds)
    elif options.scaling:
        scaling(options.seconds)
    else:
        table(options.seconds)


if __name__ == "__main__":
    main()
