"""What a GPU makes of this toolkit, in one go and within eight minutes.

    python -m benchmarks.gpu [--json FILE] [--small]

| part | what is measured |
|---|---|
| agreement | log-probabilities, values and parameters after updates, recorded against plain, on the device |
| waiting | whether a step of acting waits for the device other than for its action, and what the profiler counts |
| throughput | `benchmarks.throughput --scaling`, then the fastest again in bfloat16 |
| peak | what learning with a large network makes of the bfloat16 peak |
| beacon | seconds of training until MoveToBeacon's mean return is 26 |

`--small` is for trying the script where there is no GPU. A part that fails is told and the others go on.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from agents.acting.rollout import collect
from agents.acting.seeding import seed_all
from agents.config import Config
from agents.device import choose_device
from agents.learning.learner import Learner
from agents.placement.local import Training, make_envs
from agents.runs.experiment import find_config, read_config
from benchmarks.throughput.__main__ import GAMES, TASKS, Clock, best_matmul, measure, scaled, table
from perceiver_policy.policy.policy import make_policy

Found = dict[str, Any]
SYNCHRONIZING = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaMemcpy", "cudaEventSynchronize")
LARGE = {"token_width": 512, "latents": 64, "latent_width": 512, "self_attends": 4, "heads": 8, "precision": "bfloat16"}


def training_of(config: Config, device: torch.device) -> Training:
    """Of a run whose folder nobody needs."""
    seed_all(config.seed)
    return Training(config, make_envs(config, device), device)


def beacon(games: int, device: torch.device) -> Config:
    """MoveToBeacon's experiment with so many games."""
    config = scaled(read_config(find_config("move_to_beacon")), games, device)
    unroll = max(8, config.ppo.unroll * 16 // games)
    ppo = config.ppo.model_copy(update={"unroll": unroll, "minibatch": max(256, games * unroll // 8)})
    return config.model_copy(update={"ppo": ppo})


def agreement(device: torch.device, small: bool) -> Found:
    """Recorded against plain: the largest differences, over updates of which the last are replayed."""
    config = beacon(32 if small else 256, device)
    training = training_of(config, device)
    fast = training.learner
    plain = make_policy(training.policy.observation_space, training.policy.action_space, config.policy).to(device)
    reference = Learner(plain, config, device=device)
    reference.graphs.record = None
    reference.load_state_dict(fast.state_dict())
    worst = {"log_prob": 0.0, "value": 0.0, "parameters": 0.0}
    for _ in range(3):
        trajectory, _ = collect(training.rollouts)
        with torch.no_grad():
            again = plain.evaluate_actions(
                trajectory.to(device).observation,
                trajectory.action,
                trajectory.memory,
                trajectory.first.to(device),
            )
        for name, mine, other in (
            ("log_prob", trajectory.log_prob, again.log_prob),
            ("value", trajectory.value, again.value[:-1]),
        ):
            worst[name] = max(worst[name], float((mine - other).abs().max()))
        fast.update(trajectory)
        reference.update(trajectory)
        pairs = zip(training.policy.parameters(), plain.parameters(), strict=True)
        worst["parameters"] = max(float((a - b).detach().abs().max()) for a, b in pairs)
    return worst


def waiting(device: torch.device, small: bool) -> Found:
    """Steps of acting in which whatever waits for the device is an error, then the profiler's count of such calls.

    An event a step is expected: the action's.
    """
    training = training_of(beacon(32 if small else 1024, device), device)
    for _ in range(2):
        training.step()
    rollouts, steps = training.rollouts, 4
    for rollout in rollouts:
        rollout.begin()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.profiler.profile() as profile:
            for t in range(steps):
                for rollout in rollouts:
                    rollout.step(t, [])
                    rollout.ask(t + 1)
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    names = Counter(event.name for event in profile.events() if event.name.startswith(SYNCHRONIZING))
    return {"steps": steps * len(rollouts), "calls": dict(names), "launches": _count(profile, "cudaGraphLaunch")}


def _count(profile: Any, name: str) -> int:
    return sum(event.name == name for event in profile.events())


def throughput(device: torch.device, small: bool, until: float) -> Found:
    """Rows of `benchmarks.throughput`, those with the most games first."""
    clock, rows = Clock(device, 0.1 if small else 1.0), []
    games = (8,) if small else GAMES[::-1]
    peak = best_matmul(clock, torch.float32)
    for count in games:
        for name in TASKS.values():
            if time.perf_counter() < until:
                rows.append(measure(scaled(read_config(find_config(name)), count, device), device, clock, peak))
                print(table(rows[-1:]) if len(rows) == 1 else table(rows[-1:]).splitlines()[-1], flush=True)
    fastest = max(rows, key=lambda row: row.training)
    name = TASKS[fastest.task]
    config = scaled(read_config(find_config(name)), fastest.games, device)
    half = config.policy.model_copy(update={"precision": "bfloat16"})
    config = config.model_copy(update={"policy": half})
    rows.append(measure(config, device, clock, best_matmul(clock, torch.bfloat16)))
    print(table(rows[-1:]).splitlines()[-1], "(bfloat16)", flush=True)
    return {"rows": [asdict(row) for row in rows], "last": "bfloat16"}


def share_of_peak(device: torch.device, small: bool) -> Found:
    """Learning with a large network, in bfloat16."""
    clock = Clock(device, 0.1 if small else 2.0)
    config = scaled(read_config(find_config("defeat_roaches")), 4 if small else 256, device)
    large = {**LARGE, "latents": 4, "token_width": 64, "latent_width": 64} if small else LARGE
    ppo = config.ppo.model_copy(update={"unroll": 16, "minibatch": 4096, "epochs": 2, "target_kl": None})
    config = config.model_copy(update={"policy": config.policy.model_copy(update=large), "ppo": ppo})
    return asdict(measure(config, device, clock, best_matmul(clock, torch.bfloat16)))


def time_to_beacon(device: torch.device, small: bool, until: float) -> Found:
    """Wall-clock seconds of training until the mean return of the latest episodes is 26."""
    config = beacon(16 if small else 1024, device)
    training, began, mean = training_of(config, device), time.perf_counter(), -math.inf
    while mean < 26 and time.perf_counter() < until:
        mean = training.step().get("episode/return", -math.inf)
    return {"seconds": time.perf_counter() - began, "steps": training.learner.steps, "mean": mean}


def main(argv: list[str] | None = None) -> None:
    """All parts, each printed and written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--limit", type=float, default=450.0, help="seconds for everything")
    args = parser.parse_args(argv)
    device, began = choose_device(args.device), time.perf_counter()
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    found: Found = {"device": name, "torch": torch.__version__}
    share = args.limit / 10
    parts: dict[str, Callable[[], Found]] = {
        "agreement": lambda: agreement(device, args.small),
        "waiting": lambda: waiting(device, args.small),
        "beacon": lambda: time_to_beacon(device, args.small, time.perf_counter() + share),
        "peak": lambda: share_of_peak(device, args.small),
        "throughput": lambda: throughput(device, args.small, began + 8 * share),
    }
    for part, call in parts.items():
        started = time.perf_counter()
        try:
            found[part] = call()
        except Exception:  # what one part comes to must not cost the others the minutes that the GPU is there for
            found[part] = {"error": traceback.format_exc()}
        found[part]["took"] = round(time.perf_counter() - started, 1)
        print(part, json.dumps(found[part], indent=2), flush=True)
        if args.json:
            args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    failed = [part for part in parts if "error" in found[part]]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
