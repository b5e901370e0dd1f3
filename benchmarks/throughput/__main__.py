"""Steps a second on this machine: environment alone, acting alone, learning alone, and training.

    python -m benchmarks.throughput [--tasks CartPole-v1 ...] [--games 64] [--scaling] [--peers] [--json FILE]

Each task is trained with its experiment in `configs/`, as it is for users. On a CPU the figures are in processor time
of one thread, which a busy machine disturbs least; on a GPU in wall-clock time, waited for, with the environments on
all cores and minibatches of a quarter of an update. Acting is measured with handing observations over and actions back.
"of the peak" is what learning makes of the largest rate of matrix products measured in the same run, in the precision
of the layers: at any shape, and at this network's own (a layer of all tokens of a minibatch). `--scaling` repeats it
over 256 to 16,384 games; no row is begun after `--limit` seconds. `--peers` adds Stable-Baselines3's PPO on CartPole,
in an environment of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optree
import torch

from agents.acting.rollout import collect
from agents.acting.seeding import seed_all
from agents.config import Config
from agents.device import choose_device
from agents.placement.local import Training, make_envs
from agents.runs.experiment import find_config, read_config
from benchmarks.others import python_with
from perceiver_policy.core.cost import cost
from perceiver_policy.policy.outputs import to_environment

TASKS = {
    "CartPole-v1": "cartpole",
    "sim/MoveToBeacon": "move_to_beacon",
    "sim/DefeatRoaches": "defeat_roaches",
    "sim/BuildMarines": "build_marines",
}
GAMES = (256, 1024, 4096, 16_384)


@dataclass(frozen=True)
class Row:
    """What was measured of one task with that many games; rates are steps a second."""

    task: str
    games: int
    environment: float
    acting: float
    learning: float
    training: float
    learning_flops: float
    """Floating-point operations a second of learning."""
    of_peak: float
    of_peak_at_shapes: float


class Clock:
    """Processor time on a CPU; on a GPU wall-clock time, once all that was asked for is done."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self.seconds = device, seconds

    def now(self) -> float:
        """Seconds since any moment."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def rate(self, call: Callable[[], Any], amount: float) -> float:
        """How much of ``amount``, which one call makes, is made in a second; after one call to warm up."""
        call()
        began, calls = self.now(), 0
        while calls == 0 or self.now() - began < self.seconds:
            call()
            calls += 1
        return amount * calls / (self.now() - began)


def measure(config: Config, device: torch.device, clock: Clock, peak: float) -> Row:
    """One task, as its experiment has it."""
    seed_all(0)
    envs = make_envs(config, device)
    try:
        training = Training(config, envs, device)
        rollouts, learner, policy = training.rollouts, training.learner, training.policy
        trajectory, _ = collect(rollouts)
        parts: Any = vars(trajectory)
        trajectory = type(trajectory)(**optree.tree_map(torch.clone, parts))
        actions = [
            to_environment(env.single_action_space, r.resident.answer()) for env, r in zip(envs, rollouts, strict=True)
        ]

        def act() -> None:
            for rollout in rollouts:
                rollout.resident.show(rollout.current, rollout.is_first)
                rollout.resident.ask()
            for rollout in rollouts:
                rollout.resident.answer()

        def step() -> None:
            for env, action in zip(envs, actions, strict=True):
                env.step(action)

        acting = clock.rate(act, config.num_envs)
        environment = clock.rate(step, config.num_envs)
        learning = clock.rate(lambda: learner.update(trajectory), trajectory.steps)
        rate = clock.rate(training.step, trajectory.steps)
        observation = optree.tree_map(lambda x: x[:-1].flatten(0, 1)[:1].cpu(), trajectory.observation)
        policy = copy.deepcopy(policy).cpu()
        one = policy.trim(observation)
        found = cost(policy, one)
        tokens = policy.inputs(one).tokens.shape[1]
        rows = min(config.learning.minibatch, trajectory.steps) * tokens
        shapes = matmul(clock, rows, config.policy.token_width, dtype_of(config))
        flops = learning * config.learning.epochs * (found.forward + found.backward)
        return Row(
            config.env, config.num_envs, environment, acting, learning, rate, flops, flops / peak, flops / shapes
        )
    finally:
        for env in envs:
            env.close()


def dtype_of(config: Config) -> torch.dtype:
    """What the policy's layers compute in."""
    found: torch.dtype = getattr(torch, config.policy.precision)
    return found


def scaled(config: Config, games: int, device: torch.device) -> Config:
    """The experiment with so many games; on a GPU its minibatches are a quarter of an update."""
    learning = config.learning
    if device.type == "cuda":
        learning = learning.model_copy(update={"minibatch": max(learning.minibatch, games * learning.unroll // 4)})
    return config.model_copy(update={"num_envs": games, config.algorithm: learning})


def matmul(clock: Clock, rows: int, width: int, dtype: torch.dtype) -> float:
    """Floating-point operations a second of [rows, width] x [width, 2 width]."""
    a, b = (torch.randn(shape, device=clock.device).to(dtype) for shape in ((rows, width), (width, 2 * width)))
    return clock.rate(lambda: a @ b, 2.0 * rows * width * 2 * width)


def best_matmul(clock: Clock, dtype: torch.dtype) -> float:
    """The largest rate over some sizes."""
    sizes = (4096, 8192, 16384) if clock.device.type == "cuda" else (512, 1024, 2048)
    return max(matmul(clock, size, size // 2, dtype) for size in sizes)


def stable_baselines3(python: str) -> float:
    """Steps a second of its PPO on CartPole with rl-zoo's parameters (see `benchmarks.cartpole`)."""
    command = [python, "-m", "benchmarks.cartpole", "--system", "sb3", "--seed", "0"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| task | games | environment | acting | learning | training | GFLOP/s | of the peak | at its shapes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = " | ".join(f"{rate:,.0f}" for rate in (row.environment, row.acting, row.learning, row.training))
        share = f"{row.of_peak:.0%} | {row.of_peak_at_shapes:.0%}"
        lines.append(f"| {row.task} | {row.games:,} | {rates} | {row.learning_flops / 1e9:.1f} | {share} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Measure what is asked for, print a table, and write the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--games", type=int, help="games side by side; without it the experiment's own")
    parser.add_argument("--scaling", action="store_true", help=f"with {', '.join(map(str, GAMES))} games")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--limit", type=float, default=420.0, help="seconds after which no row is begun")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--venv", type=Path, default=Path(".venv-sb3"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    device = choose_device(args.device)
    began = time.perf_counter()
    torch.set_num_threads(1)
    clock = Clock(device, args.seconds)
    peak = best_matmul(clock, getattr(torch, args.precision))
    print(f"{platform.machine()}, torch {torch.__version__}, {device}: products at {peak / 1e9:,.1f} GFLOP/s\n")
    rows = []
    for games in GAMES if args.scaling else (args.games,):
        for task in args.tasks:
            if time.perf_counter() - began > args.limit:
                print(f"{task} with {games} games: left out, {args.limit:.0f} s are over")
                continue
            config = read_config(find_config(TASKS[task]))
            policy = config.policy.model_copy(update={"precision": args.precision})
            config = scaled(config.model_copy(update={"policy": policy}), games or config.num_envs, device)
            rows.append(measure(config, device, clock, peak))
            print(table(rows[-1:]) if len(rows) == 1 else table(rows[-1:]).splitlines()[-1], flush=True)
    peers = {}
    if args.peers:
        peers["Stable-Baselines3 PPO, CartPole-v1"] = stable_baselines3(python_with(args.venv, "stable-baselines3"))
        print("\n" + "\n".join(f"{name}: {rate:,.0f} steps a second" for name, rate in peers.items()))
    if args.json:
        found = {"device": str(device), "peak": peak, "rows": [asdict(row) for row in rows], "peers": peers}
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
