"""The defaults on Gymnasium's classic tasks, beside Stable-Baselines3 with the parameters of rl-baselines3-zoo.

    pip install 'perceiver-rl[environments]'
    python -m benchmarks.classics [--seeds 3] [--only Acrobot] [--venv .venv-sb3] [--out runs/classics]

Ours is `perceiver-rl train --env ID --total-steps N` without any other option; theirs is PPO as `hyperparams/ppo.yml`
has it for the task, for as many steps, in an environment of its own. Both run with one torch thread, in turn. Each
trained policy plays 100 fresh episodes, without noise. Runs that exist are kept; the table says what they have earned,
the mean of each seed, and the processor seconds that training took.
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
OURS_ALONE = {"tests.agents.probes:Quadrant": 20_000, "tests.agents.probes:ShootTheWeakest": 40_000}
"""Tasks that the zoo has no parameters for: a picture, and a padded table."""


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
}  # fmt: skip


def ours(env: str, steps: int, seed: int, folder: Path) -> dict[str, float]:
    """Train by the defaults."""
    asked = ["--env", env, "--total-steps", str(steps), "--seed", str(seed), "--run-dir", str(folder)]
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
    games: Any = make_vec_env(env, options.pop("envs"), seed=seed)
    normalize = options.pop("normalize", False)
    if normalize:
        games = VecNormalize(games, gamma=options["gamma"])
    model = PPO("MlpPolicy", games, seed=seed, device="cpu", **options)
    began = time.process_time()
    model.learn(steps)
    seconds = time.process_time() - began
    fresh: Any = make_vec_env(env, 1, seed=1_000_000)
    if normalize:
        fresh = VecNormalize(fresh, training=False, norm_reward=False)
        fresh.obs_rms = games.obs_rms
    mean, _ = evaluate_policy(model, fresh, EPISODES)
    print(json.dumps({"mean": float(mean), "seconds": seconds}))


def table(found: dict[str, dict[str, float]]) -> str:
    """What has been found, by task and system."""
    lines = ["| task | steps | system | mean | each seed | CPU seconds |", "|---|---|---|---|---|---|"]
    for env, steps in {**STEPS, **OURS_ALONE}.items():
        for system in ("defaults", "SB3, rl-zoo"):
            seeds = [result for key, result in sorted(found.items()) if key.rpartition(" ")[0] == f"{env} {system}"]
            if seeds:
                means = [result["mean"] for result in seeds]
                each = ", ".join(f"{mean:.4g}" for mean in means)
                seconds = statistics.mean(result["seconds"] for result in seeds)
                name = env.rpartition(":")[2]
                lines.append(
                    f"| {name} | {steps:,} | {system} | {statistics.mean(means):.4g} | {each} | {seconds:.0f} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="tasks whose name holds this")
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
    python = python_with(asked.venv, f"stable-baselines3=={SB3}", "box2d>=2.3.10")
    for seed in range(asked.seeds):
        for env, steps in {**STEPS, **OURS_ALONE}.items():
            for system in ("defaults", "SB3, rl-zoo"):
                key = f"{env} {system} {seed}"
                if asked.only not in env or key in found or (system != "defaults" and env in OURS_ALONE):
                    continue
                if system == "defaults":
                    folder = (asked.out / f"{env.rpartition(':')[2]}-{seed}").absolute()
                    found[key] = ours(env, steps, seed, folder)
                else:
                    found[key] = theirs(python, env, steps, seed)
                print(key, found[key], flush=True)
                results.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
