"""CartPole-v1 to 475: this toolkit's PPO beside Stable-Baselines3's, in turn, in one run.

    python -m benchmarks.cartpole [--seeds 3] [--venv .venv-sb3]

Stable-Baselines3 gets an environment of its own (made on first use) and the parameters of rl-baselines3-zoo's
`hyperparams/ppo.yml`. Both run with one torch thread. "Solved" is the first time that the mean return of the last 20
training episodes (sampling, all environments in the order they finish) reaches 475; `train` counts from the first
finished episode, `wall` from the start of the process, imports included. `cartpole_throughput` is a preset
that goes for steps a second instead of for few steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.others import python_with

STARTED = time.time()
SOLVED, WINDOW = 475, 20
SB3 = "2.9.2"
ROOT = Path(__file__).parents[1]


class Watch:
    """Notes when the episodes' returns first reach the goal."""

    def __init__(self) -> None:
        self.returns: list[float] = []
        self.first: float | None = None
        self.solved: dict[str, float] | None = None

    def episode(self, total: float, steps: int) -> None:
        self.first = self.first or time.time()
        self.returns.append(total)
        if self.solved is None and len(self.returns) >= WINDOW and statistics.mean(self.returns[-WINDOW:]) >= SOLVED:
            now = time.time()
            self.solved = {"steps": steps, "train": now - self.first, "wall": now - STARTED, "cpu": time.process_time()}


def ours(seed: int, config_name: str) -> None:
    """Train with configs/<config_name>.yaml until solved (or, for a throughput preset, to the end)."""
    import torch

    from agents.placement.local import Training
    from agents.runs.experiment import find_config, read_config
    from envs import registry

    config = read_config(find_config(config_name)).model_copy(update={"seed": seed})
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    env = registry.make(config.env, config.num_envs)
    training = Training(config, env, torch.device("cpu"))
    watch, rates = Watch(), []
    while training.learner.steps < config.total_steps and not (watch.solved and config_name == "cartpole"):
        before = training.episodes.count
        rates.append(training.step()["time/steps_per_second"])
        ended = training.episodes.count - before
        for episode in list(training.episodes.recent[""])[-ended:] if ended else []:
            watch.episode(episode.total, training.learner.steps)
    print(json.dumps({**(watch.solved or {}), "rate": statistics.median(rates)}))


def stable_baselines3(seed: int) -> None:
    """The zoo's PPO for CartPole-v1, until solved."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    watch = Watch()

    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    watch.episode(info["episode"]["r"], self.num_timesteps)
            return watch.solved is None

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 8, seed=seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )
    began = time.time()
    model.learn(100_000, callback=Stop())
    print(json.dumps({**(watch.solved or {}), "rate": model.num_timesteps / (time.time() - began)}))


def measure(python: str, system: str, seed: int) -> dict[str, float]:
    """One run in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "benchmarks.cartpole", "--system", system, "--seed", str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run all in turn, or one system when --system says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--venv", type=Path, default=Path(".venv-sb3"))
    parser.add_argument("--system", choices=("cartpole", "cartpole_throughput", "sb3"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.system == "sb3":
        stable_baselines3(args.seed)
    elif args.system:
        ours(args.seed, args.system)
    else:
        peer = python_with(args.venv, f"stable-baselines3=={SB3}")
        pythons = {"cartpole": sys.executable, "cartpole_throughput": sys.executable, "sb3": peer}
        print("| system | seed | steps | train s | wall s | cpu s | steps/s |\n|---|---|---|---|---|---|---|")
        for seed in range(args.seeds):
            for system, python in pythons.items():
                print(row(system, seed, measure(python, system, seed)), flush=True)


def row(system: str, seed: int, found: dict[str, float]) -> str:
    """A line of the table; a run that was not solved shows dashes."""
    steps, train, wall, cpu = (f"{found[k]:,.1f}" if k in found else "-" for k in ("steps", "train", "wall", "cpu"))
    return f"| {system} | {seed} | {steps} | {train} | {wall} | {cpu} | {found['rate']:,.0f} |"


if __name__ == "__main__":
    main()
