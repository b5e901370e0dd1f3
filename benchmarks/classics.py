"""The defaults, and experiments of configs/, beside Stable-Baselines3 with the parameters of rl-baselines3-zoo.

    pip install 'perceiver-rl[environments]'
    python -m benchmarks.classics [--seeds 3] [--only Acrobot] [--venv .venv-sb3] [--out runs/classics]

Ours is `perceiver-rl train --env ID --total-steps N` without any other option, or `--config NAME`; theirs is PPO as
`hyperparams/ppo.yml` has it for the task, for as many steps, in an environment of its own. All run with one torch
thread, in turn. Each trained policy plays 100 fresh episodes, without noise, on MiniGrid's with actions drawn. Runs
that exist are kept; the table says what they have earned, the mean of each seed, and the processor seconds that
training took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.others import python_with

SB3 = "2.9.2"
ROOT = Path(__file__).parents[1]
EPISODES = 100
STEPS = {
    "CartPole-v1": 100_000,
    "Acrobot-v1": 200_000,
    "Pendulum-v1": 100_000,
    "MountainCarContinuous-v0": 20_000,
    "LunarLander-v3": 300_000,
}
DEFAULTS, PEER = "defaults", "SB3, rl-zoo"
OURS_ALONE = {"tests.agents.probes:Quadrant": 20_000, "tests.agents.probes:ShootTheWeakest": 40_000}
"""Tasks that the zoo has no parameters for: a picture, and a padded table."""


DOORKEY = "minigrid:MiniGrid-DoorKey-5x5-v0"
EXPERIMENTS = {
    "Acrobot-v1": ("acrobot", 200_000),
    "Pendulum-v1": ("pendulum", 100_000),
    "MountainCarContinuous-v0": ("mountain_car_continuous", 20_000),
    "LunarLander-v3": ("lunar_lander", 600_000),
    "Hopper-v5": ("hopper", 1_000_000),
    DOORKEY: ("minigrid_doorkey", 100_000),
    "examples.tasks.dispatch:Dispatch": ("dispatch", 150_000),
    "minigrid:MiniGrid-MemoryS7-v0": ("minigrid_memory", 800_000),
}
"""Tasks, the experiment of each in configs/, and its steps."""


def falling(start: float) -> Any:
    """The zoo's lin_ schedules."""
    return lambda left: left * start


ZOO: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "envs": 8, "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20,
        "learning_rate": falling(1e-3), "clip_range": falling(0.2),
    },
    "Acrobot-v1": {"envs": 16, "normalize": True, "n_steps": 256, "gae_lambda": 0.94, "gamma": 0.99, "n_epochs": 4},
    "Pendulum-v1": {
        "envs": 4, "n_steps": 1024, "gae_lambda": 0.95, "gamma": 0.9, "n_epochs": 10, "learning_rate": 1e-3,
        "use_sde": True, "sde_sample_freq": 4,
    },
    "MountainCarContinuous-v0": {
        "envs": 1, "normalize": True, "n_steps": 8, "batch_size": 256, "gae_lambda": 0.9, "gamma": 0.9999,
        "n_epochs": 10, "learning_rate": 7.77e-5, "ent_coef": 0.00429, "clip_range": 0.1, "max_grad_norm": 5,
        "vf_coef": 0.19, "use_sde": True, "policy_kwargs": {"log_std_init": -3.29, "ortho_init": False},
    },
    "LunarLander-v3": {
        "envs": 16, "n_steps": 1024, "batch_size": 64, "gae_lambda": 0.98, "gamma": 0.999, "n_epochs": 4,
        "ent_coef": 0.01,
    },
    "Hopper-v5": {
        "envs": 1, "normalize": True, "n_steps": 512, "batch_size": 32, "gae_lambda": 0.99, "gamma": 0.999,
        "n_epochs": 5, "learning_rate": 9.80828e-5, "ent_coef": 0.00229519, "clip_range": 0.2, "max_grad_norm": 0.7,
        "vf_coef": 0.835671, "net_arch": [256, 256],
        "policy_kwargs": {"log_std_init": -2, "ortho_init": False},
    },
    DOORKEY: {
        "envs": 8, "normalize": True, "flat": True, "drawn": True, "n_steps": 128, "batch_size": 64,
        "gae_lambda": 0.95, "gamma": 0.99, "n_epochs": 10, "learning_rate": 2.5e-4, "clip_range": 0.2,
    },
}  # fmt: skip


def tasks() -> list[tuple[str, str, int]]:
    """What is to be measured: environment, system and steps."""
    found = [(env, system, steps) for env, steps in STEPS.items() for system in (DEFAULTS, PEER)]
    found += [(env, DEFAULTS, steps) for env, steps in OURS_ALONE.items()]
    for env, (name, steps) in EXPERIMENTS.items():
        found.append((env, f"configs/{name}.yaml", steps))
        if env in ZOO and STEPS.get(env) != steps:
            found.append((env, PEER, steps))
    return found


def ours(env: str, system: str, steps: int, seed: int, folder: Path) -> dict[str, float]:
    """Train by the defaults, or by an experiment."""
    which = ["--env", env] if system == DEFAULTS else ["--config", Path(system).stem]
    asked = [*which, "--total-steps", str(steps), "--seed", str(seed), "--run-dir", str(folder)]
    command = [sys.executable, "-m", "perceiver_rl", "train", *asked, "--evaluation-episodes", str(EPISODES)]
    with folder.with_suffix(".log").open("w", encoding="utf-8") as log:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, env=one_thread(), cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))[0]["return"]
    return {"mean": told["mean"], "seconds": after.ru_utime - before.ru_utime}


def theirs(python: str, env: str, steps: int, seed: int) -> dict[str, float]:
    """Train Stable-Baselines3 in a process of its own."""
    command = [python, "-m", "benchmarks.classics", "--peer", env, "--steps", str(steps), "--seed", str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=one_thread(), cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_thread() -> dict[str, str]:
    """The environment variables of a process that is measured."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def peer(env: str, steps: int, seed: int) -> None:
    """Train and evaluate the zoo's PPO, and print what it earns."""
    import time

    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    options = {"ent_coef": 0.0, **ZOO[env]}
    normalize, drawn = options.pop("normalize", False), options.pop("drawn", False)
    wrapper: Any = flat if options.pop("flat", False) else None
    if "net_arch" in options:
        options["policy_kwargs"] |= {"net_arch": options.pop("net_arch"), "activation_fn": torch.nn.ReLU}
    games: Any = make_vec_env(env, options.pop("envs"), seed=seed, wrapper_class=wrapper)
    if normalize:
        games = VecNormalize(games, gamma=options["gamma"])
    model = PPO("MlpPolicy", games, seed=seed, device="cpu", **options)
    began = time.process_time()
    model.learn(steps)
    seconds = time.process_time() - began
    fresh: Any = make_vec_env(env, 1, seed=1_000_000, wrapper_class=wrapper)
    if normalize:
        fresh = VecNormalize(fresh, training=False, norm_reward=False)
        fresh.obs_rms = games.obs_rms
    mean, _ = evaluate_policy(model, fresh, EPISODES, deterministic=not drawn)
    print(json.dumps({"mean": float(mean), "seconds": seconds}))


def flat(env: Any) -> Any:
    """MiniGrid's observation as one row of numbers, as the zoo has it; its ids are registered on import."""
    from minigrid.wrappers import FlatObsWrapper

    return FlatObsWrapper(env)


def table(found: dict[str, dict[str, float]]) -> str:
    """What has been found, by task and system."""
    lines = ["| task | steps | system | mean | each seed | CPU seconds |", "|---|---|---|---|---|---|"]
    for env, system, steps in tasks():
        seeds = [result for key, result in sorted(found.items()) if key.rpartition(" ")[0] == f"{env} {system} {steps}"]
        if seeds:
            means = [result["mean"] for result in seeds]
            each = ", ".join(f"{mean:.4g}" for mean in means)
            seconds = statistics.mean(result["seconds"] for result in seeds)
            name = env.rpartition(":")[2]
            lines.append(f"| {name} | {steps:,} | {system} | {statistics.mean(means):.4g} | {each} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="tasks and systems whose names hold this")
    parser.add_argument("--venv", type=Path, default=Path(".venv-sb3"))
    parser.add_argument("--out", type=Path, default=Path("runs/classics"))
    for name, kind in (("peer", str), ("steps", int), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peer:
        peer(asked.peer, asked.steps, asked.seed)
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / "results.json"
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    python = python_with(asked.venv, f"stable-baselines3=={SB3}", "box2d>=2.3.10", "mujoco>=3", "minigrid>=3")
    for seed in range(asked.seeds):
        for env, system, steps in tasks():
            key = f"{env} {system} {steps} {seed}"
            if asked.only not in key or key in found:
                continue
            if system == PEER:
                found[key] = theirs(python, env, steps, seed)
            else:
                name = env.rpartition(":")[2] + ("" if system == DEFAULTS else "-experiment")
                found[key] = ours(env, system, steps, seed, (asked.out / f"{name}-{seed}").absolute())
            print(key, found[key], flush=True)
            results.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
