"""How fast the whole stack steps, and who spends the time: PySC2, the server of the stand-in game, our interface.

    python benchmarks/pysc2.py [--seconds 5] [--maps MoveToBeacon BuildMarines] [--repeats 3]

One game, one process of the stand-in's server, PySC2 unmodified in between; a scripted player chooses. An agent step is
what PySC2 makes of it: the action, eight game loops, the observation (three requests; a fourth in the raw style, which
asks for the units' abilities). Processor time is what is compared, so that a busy machine does not blur the shares:

server      of the server's process
PySC2       of ``SC2Env.step`` in the client's: messages, and PySC2's own arrays; in the raw style also of its query
interface   of ``envs/starcraft/translate.py``: arrays from what PySC2 observed, PySC2's call from the action
the rest    of all else in the environment's step: handing work to the game's thread, deadlines, stacking games

Steps a second are by the wall clock, and depend on what else the machine does. Of several repeats the median counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

ALL = "all planes"
CASES: dict[str, dict[str, Any]] = {
    "84/64": {"screen": 84, "minimap": 64},
    f"84/64, {ALL}": {"screen": 84, "minimap": 64},
    "64/64": {"screen": 64, "minimap": 64},
    "32/32": {"screen": 32, "minimap": 32},
    "raw": {"style": "raw"},
}


class Clock:
    """Adds up the processor time of a function's calls."""

    def __init__(self, function: Any) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = time.thread_time()
        try:
            return self.function(*args, **kwargs)
        finally:
            self.seconds += time.thread_time() - start


def timed(owner: object, method: str) -> Clock:
    """Put a clock around a method."""
    clock = Clock(getattr(owner, method))
    setattr(owner, method, clock)
    return clock


def player_for(name: str, interface: Any) -> Any:
    from envs.standin.players.roster import make_player, random_player

    if interface.style == "raw":
        return random_player(interface, 0)
    return make_player("scripted", name, interface)


def interface_of(name: str, case: str) -> Any:
    from dataclasses import replace

    from envs.standin.players.roster import interface_for_player
    from envs.starcraft.interface import MINIMAP_PLANES, SCREEN_PLANES
    from envs.starcraft.maps import interface_for

    options = CASES[case]
    if "style" in options:
        return interface_for(name, **options)
    own = interface_for(name)
    interface = replace(
        interface_for_player("scripted", name),
        max_units=own.max_units,
        screen_planes=own.screen_planes,
        minimap_planes=own.minimap_planes,
        **options,
    )
    if ALL in case:
        return replace(interface, screen_planes=tuple(SCREEN_PLANES), minimap_planes=tuple(MINIMAP_PLANES))
    return interface


def measure(name: str, case: str, seconds: float) -> tuple[float, ...]:
    """Agent steps a second, and processor milliseconds a step: of PySC2, the server, the interface, the rest."""
    import psutil

    from envs.starcraft.vector_env import make

    interface = interface_of(name, case)
    env = make(name, 1, interface=interface)
    try:
        observation, _ = env.reset(seed=0)
        play = player_for(name, interface)
        game = env.games[0]
        session, translator = game.session, game.translator
        assert session is not None
        assert session.process is not None
        step, query = timed(session.env, "step"), timed(session, "abilities")
        observe, call = timed(translator, "observe"), timed(translator, "function_call")
        server = psutil.Process(session.process.pid)
        served, steps, all_of_it = server.cpu_times(), 0, 0.0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            action = play(observation)
            before = time.process_time()
            observation = env.step(action)[0]
            all_of_it += time.process_time() - before
            steps += 1
        wall = time.perf_counter() - start
        now = server.cpu_times()
        in_server = now.user + now.system - served.user - served.system
        pysc2 = step.seconds + query.seconds
        interface = observe.seconds + call.seconds - query.seconds  # the query is asked from within observe
        spent = (pysc2, in_server, interface, all_of_it - pysc2 - interface)
        return steps / wall, *(1000 * part / steps for part in spent)
    finally:
        env.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--maps", nargs="+", default=["MoveToBeacon"])
    asked = parser.parse_args()
    from envs.standin.protocol.install import install
    from envs.standin.warm import load_kernels

    load_kernels()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SC2PATH"] = str(install(Path(folder) / "StarCraftII").folder)
        print(
            "| map | screen/minimap | steps/s | PySC2, ms | server, ms | interface, ms | rest, ms | interface/PySC2 |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for name in asked.maps:
            for case in CASES:
                runs = [measure(name, case, asked.seconds) for _ in range(asked.repeats)]
                rate, *spent = (statistics.median(column) for column in zip(*runs, strict=True))
                parts = " | ".join(f"{part:.2f}" for part in spent)
                print(f"| {name} | {case} | {rate:.0f} | {parts} | {spent[2] / spent[0]:.0%} |", flush=True)


if __name__ == "__main__":
    main()
