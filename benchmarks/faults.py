"""Training through games that fail: what each fault of the stand-in's server costs, and what is lost by it.

    python -m benchmarks.faults [--steps 4096] [--faults crash@step:200 ...]

PPO trains a tiny policy on sc2/MoveToBeacon, two game processes of the stand-in's server behind PySC2, and the server
fails on purpose, again and again (docs/server.md, "Faults on purpose"): each process counts for itself, so that a game
that was started anew fails anew. Faults at launch need launches: there, a process is replaced after every second
episode. An episode has 100 steps.

failures    by the supervisor's count, with their class
aborted     episodes that a failure cut short / those that training counted as aborted
relaunch    seconds from a failure (for a hang: from its deadline) to the first observation of the next episode, median
steps, updates  done / asked for
orphans     processes of the game that are left when the environment has been closed
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.runs.callbacks import Silent

GAMES, UNROLL = 2, 64
OPTIONS: dict[str, Any] = {
    "screen": 16, "minimap": 16, "max_loops": 800, "launch_interval": 0, "backoff": 0.05, "request_seconds": 2,
    "launch_seconds": 10, "first_attempts": 10, "memory_limit": 350,
}  # fmt: skip
FAULTS = {
    "": "none",
    "hang@step:200": "no answer",
    "crash@observation:200": "crash",
    "slow=0.5@step:p0.005": "an answer 0.5 s late",
    "garbage@step:200": "random bytes",
    "truncate@observation:200": "half a message",
    "wrong-size@observation:200": "layers of another size",
    "leak=700@step:220,slow=0.1@step:220+": "700 MB at once, seconds before the end of an episode",
    "leak=2@step:1+": "2 MB a step",
    "exit@launch:p0.5": "every other launch: exit",
    "hang@launch:p0.2": "every fifth launch: hang",
    "port-taken@launch:p0.5": "every other launch: port taken",
    "crash@create_game:p0.5": "every other launch: crash as the game is created",
}


class Watch:
    """Listens to the supervision of one environment's games."""

    def __init__(self, env: Any) -> None:
        self.cut_short = 0
        self.seconds: list[float] = []
        self._failed: dict[int, float] = {}
        for game in env.games:
            game._mourn = functools.partial(self._mourn, game, game._mourn)
            game._begin = functools.partial(self._begin, game, game._begin)

    def _mourn(self, game: Any, mourn: Any, failure: Any, effect: str) -> None:
        self.cut_short += "aborted" in effect
        self._failed.setdefault(game.index, time.monotonic())
        mourn(failure, effect)

    def _begin(self, game: Any, begin: Any, *seed: Any) -> None:
        begin(*seed)
        if game.index in self._failed:
            self.seconds.append(time.monotonic() - self._failed.pop(game.index))


class Report(Silent):
    """The report's interface: keeps the last metrics, and counts the updates."""

    def __init__(self) -> None:
        self.updates, self.step = 0, 0
        self.last: Mapping[str, float] = {}

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        self.updates, self.step, self.last = self.updates + 1, step, metrics


def left(folder: Path) -> int:
    """Processes of this installation's game."""
    import psutil

    found = psutil.process_iter(["status", "cmdline"])
    return sum(
        process.info["status"] != psutil.STATUS_ZOMBIE and str(folder) in " ".join(process.info["cmdline"] or ())
        for process in found
    )


def train(fault: str, steps: int, folder: Path) -> list[str]:
    """The row of one fault."""
    import torch

    from agents.config import Config, PPOConfig
    from agents.placement.local import Training
    from envs import registry
    from envs.starcraft.vector_env import StarcraftVectorEnv
    from perceiver_policy.policy.config import PolicyConfig

    os.environ["PERCEIVER_RL_FAULT"] = fault
    options = OPTIONS | ({"recycle_episodes": 2} if "launch" in fault or "create_game" in fault else {})
    config = Config(
        env="sc2/MoveToBeacon", num_envs=GAMES, env_options=options, total_steps=steps, checkpoint_interval=steps,
        threads=1, policy=PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, self_attends=0),
        ppo=PPOConfig(unroll=UNROLL, minibatch=64, epochs=1),
    )  # fmt: skip
    start = time.monotonic()
    report = Report()
    env = registry.make(config.env, GAMES, **options)
    assert isinstance(env, StarcraftVectorEnv)  # SC2PATH says so
    watch = Watch(env)
    try:
        with tempfile.TemporaryDirectory() as run:
            Training(config, env, torch.device("cpu")).run(Path(run), report, resume=False)
    finally:
        env.close()
    seconds = time.monotonic() - start
    return [
        ", ".join(env.failures) or "-",
        str(env.failures.total()),
        f"{watch.cut_short} / {report.last.get('episode/aborted', 0):.0f}",
        f"{statistics.median(watch.seconds):.1f}" if watch.seconds else "-",
        f"{report.step:,} / {steps:,}",
        f"{report.updates} / {steps // (GAMES * UNROLL)}",
        str(left(folder)),
        f"{seconds:.0f}",
    ]


def main() -> None:
    """Train through each fault and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4096)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS))
    asked = parser.parse_args()
    import torch

    from envs.standin.protocol.install import install
    from envs.standin.warm import load_kernels

    logging.getLogger("envs.starcraft").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    load_kernels()
    with tempfile.TemporaryDirectory() as folder:
        place = install(Path(folder) / "StarCraftII").folder
        os.environ["SC2PATH"] = str(place)
        print("| fault | | class | failures | aborted | relaunch, s | steps | updates | orphans | seconds |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for fault in asked.faults:
            row = train(fault, asked.steps, place)
            code = f"`{fault}`" if fault else ""
            print("| " + " | ".join((code, FAULTS.get(fault, ""), *row)) + " |", flush=True)


if __name__ == "__main__":
    main()
