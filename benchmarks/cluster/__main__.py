"""CartPole-v1 to 475 and MoveToBeacon to 24 with two workers, beside RLlib and Sample Factory, in turn, in one run.

    python -m benchmarks.cluster [--seeds 3] [--tasks cartpole move_to_beacon] [--systems ppo appo impala ...]

Every system gets two processes that step environments. The others get an environment of their own, made on first use:
RLlib with the parameters of its own CartPole examples, Sample Factory with its defaults but for 2 workers, 20
environments each, and batches of 1,280 steps. Every environment notes its finished episodes in a file, so that no
system's own counters are trusted. "Solved" is the first time that the mean return of the last 20 training episodes
(sampling, in the order in which they finish) reaches the goal; `train` counts from the first finished episode, `wall`
from the start of the process, imports included. Steps a second are those between a fifth of the run and its end.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from agents.runs.callbacks import Silent
from benchmarks.others import python_with

STARTED = time.time()
WINDOW = 20
GOALS = {"cartpole": 475.0, "move_to_beacon": 24.0}
SECONDS = {"cartpole": 90.0, "move_to_beacon": 300.0}
OURS = ("ppo", "appo", "impala", "throughput")  # the last is PPO's preset for steps a second
PACKAGES = {
    "rllib_ppo": "ray[rllib]==2.60.0",
    "rllib_impala": "ray[rllib]==2.60.0",
    "sample_factory": "sample-factory==2.1.1",
}
FOLDER = "CLUSTER_BENCHMARK_FOLDER"
COLUMNS = (
    "task", "system", "seed", "steps", "train s", "wall s", "best 20", "steps/s", "overhead", "workers idle",
    "learner idle", "lag",
)  # fmt: skip


class Noted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CartPole that notes, for every finished episode, when it ended, its return and its length."""

    def __init__(self, **options: Any) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        folder = Path(os.environ[FOLDER])
        self.file = (folder / f"{os.getpid()}-{id(self)}").open("a", buffering=1)
        self.total, self.length = 0.0, 0

    def reset(self, **options: Any) -> Any:
        self.total, self.length = 0.0, 0
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        self.total += float(reward)
        self.length += 1
        if terminated or truncated:
            self.file.write(f"{time.time()} {self.total} {self.length}\n")
        return observation, reward, terminated, truncated, info


def episodes(folder: Path) -> list[tuple[float, float, int]]:
    """All finished ones, in the order in which they ended."""
    found = []
    for file in folder.iterdir():
        for line in file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                when, total, length = line.split()
                found.append((float(when), float(total), int(length)))
    return sorted(found)


def solved(found: list[tuple[float, float, int]], goal: float) -> dict[str, float] | None:
    """When the goal was reached first, if it was."""
    steps = 0
    for i, (when, _, length) in enumerate(found):
        steps += length
        last = found[i + 1 - WINDOW : i + 1]
        if len(last) == WINDOW and statistics.mean(total for _, total, _ in last) >= goal:
            return {"steps": steps, "train": when - found[0][0], "wall": when - STARTED}
    return None


class Goal:
    """Looks whether the goal is reached, once a second: reading all notes takes time that the measured system needs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.look_at, self.reached = folder, 0.0, False

    def __bool__(self) -> bool:
        if not self.reached and time.time() > self.look_at:
            self.look_at = time.time() + 1
            self.reached = solved(episodes(self.folder), GOALS["cartpole"]) is not None
        return self.reached


def summary(found: list[tuple[float, float, int]], goal: float) -> dict[str, Any]:
    """What is told of a run: when it was solved, its best 20 episodes, and steps a second."""
    totals = [total for _, total, _ in found]
    means = [statistics.mean(totals[i : i + WINDOW]) for i in range(max(0, len(totals) - WINDOW + 1))]
    began, ended = found[0][0], found[-1][0]
    late = began + (ended - began) / 5
    rate = sum(length for when, _, length in found if when > late) / max(1e-9, ended - late)
    return {"solved": solved(found, goal), "best": max(means, default=0.0), "rate": rate}


# ---- this toolkit


def ours(algorithm: str, task: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train with two workers until solved."""
    from agents.placement import cluster
    from agents.runs.experiment import find_config, read_config

    alone = "move_to_beacon_clicks" if task == "move_to_beacon" else task  # as the others' experiments play it
    config = read_config(find_config(alone if algorithm == "ppo" else f"{task}_{algorithm}"))
    changes = {"seed": seed, "workers": 2, "device": "cpu"}
    if task == "cartpole":
        changes["env"] = "benchmarks.cluster.__main__:Noted"
    watch = Watch(task, folder)
    with tempfile.TemporaryDirectory() as run_dir:
        cluster.train(config.model_copy(update=changes), Path(run_dir), watch, resume=False)
    found = summary(episodes(folder), GOALS[task]) if task == "cartpole" else watch.summary()
    return found | {"first": watch.first, "shares": watch.shares()}


class Watch(Silent):
    """The report's interface: asks for a stop when the goal is reached, or the time over."""

    def __init__(self, task: str, folder: Path) -> None:
        self.task, self.until = task, time.time() + SECONDS[task]
        self.goal = Goal(folder)
        self.records: list[dict[str, float]] = []
        self.began: float | None = None
        self.solved: dict[str, float] | None = None
        self.first = ""

    @property
    def stop_requested(self) -> bool:
        reached = self.goal if self.task == "cartpole" else self.solved
        return bool(reached) or time.time() > self.until

    def start(self, step: int, total_steps: int, parameters: int) -> None:
        self.began = time.time()

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        self.records.append({"step": step, **metrics})
        assert self.began
        # of the last hundred episodes, which is what the toolkit itself reports
        if self.task != "cartpole" and metrics.get("episode/return", 0.0) >= GOALS[self.task] and not self.solved:
            self.solved = {"steps": step, "train": time.time() - self.began, "wall": time.time() - STARTED}

    def note(self, text: str) -> None:
        if "first update" in text:
            self.first = text

    def summary(self) -> dict[str, Any]:
        """As :func:`summary`, from the toolkit's own records."""
        returns = [record["episode/return"] for record in self.records if "episode/return" in record]
        return {"solved": self.solved, "best": max(returns, default=0.0), "rate": self.median("time/steps_per_second")}

    def median(self, name: str) -> float:
        """Of the records in which it is."""
        return statistics.median([record[name] for record in self.records if name in record] or [0.0])

    def shares(self) -> dict[str, float]:
        """Where the time went."""
        names = ("cluster/overhead", "cluster/worker_idle", "cluster/learner_idle", "learner/lag")
        return {name.partition("/")[2]: self.median(name) for name in names}


# ---- the others


def rllib(algorithm: str, seed: int, folder: Path) -> dict[str, Any]:
    """RLlib with two environment runners of 8 environments and the learner in the driver."""
    import ray
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.tune.registry import register_env

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    register_env("noted", lambda options: Noted())
    config: Any
    if algorithm == "ppo":
        from ray.rllib.algorithms.ppo import PPOConfig

        config = PPOConfig().training(gamma=0.99, lr=3e-4, num_epochs=6, vf_loss_coeff=0.01, use_kl_loss=True)
        model = DefaultModelConfig(fcnet_hiddens=[32], fcnet_activation="linear", vf_share_layers=True)
    else:
        from ray.rllib.algorithms.impala import IMPALAConfig

        config = IMPALAConfig().training(
            train_batch_size_per_learner=500,
            grad_clip=40.0,
            grad_clip_by="global_norm",
            lr=5e-4,
            vf_loss_coeff=0.05,
            entropy_coeff=0.0,
        )
        model = DefaultModelConfig(vf_share_layers=True)
    config = (
        config.environment("noted")
        .env_runners(num_env_runners=2, num_envs_per_env_runner=8)
        .learners(num_learners=0)
        .rl_module(model_config=model)
        .debugging(seed=seed)
    )
    trainer = config.build_algo()
    goal = Goal(folder)
    while time.time() - STARTED < SECONDS["cartpole"] and not goal:
        trainer.train()
    trainer.stop()
    return summary(episodes(folder), GOALS["cartpole"])


def sample_factory(seed: int, folder: Path) -> dict[str, Any]:
    """Sample Factory's asynchronous PPO, two rollout workers with 20 environments each."""
    from sample_factory.algo.runners.runner import AlgoObserver
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
    from sample_factory.envs.env_utils import register_env
    from sample_factory.train import make_runner

    goal = Goal(folder)

    class Stopper(AlgoObserver):
        """Ends training when the goal is reached."""

        def on_training_step(self, runner: Any, training_iteration_since_resume: int) -> None:
            if goal:
                runner._should_end_training = lambda: True

    register_env("noted", _noted)
    options = {
        "algo": "APPO", "env": "noted", "experiment": "noted", "train_dir": str(folder.parent), "device": "cpu",
        "num_workers": 2, "num_envs_per_worker": 20, "seed": seed, "rollout": 32, "batch_size": 1280,
        "train_for_seconds": int(SECONDS["cartpole"]), "use_rnn": False, "restart_behavior": "overwrite",
    }  # fmt: skip
    parser, _ = parse_sf_args(argv=[f"--{name}={value}" for name, value in options.items()])
    config = parse_full_cfg(parser, [f"--{name}={value}" for name, value in options.items()])
    config, runner = make_runner(config)
    runner.register_observer(Stopper())
    runner.init()
    runner.run()
    return summary(episodes(folder), GOALS["cartpole"])


def _noted(name: str, config: Any, env_config: Any, render_mode: Any = None) -> Noted:
    return Noted()


# ---- all of them


def measure(python: str, system: str, task: str, seed: int) -> dict[str, Any]:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "episodes")
        notes.mkdir()
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", FOLDER: str(notes), "PYTHONPATH": root}
        command = [python, "-m", "benchmarks.cluster", "--run", system, "--tasks", task, "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
        if done.returncode:
            raise SystemExit(f"{system}: {done.stderr[-3000:]}")
        # the others print, too
        found: dict[str, Any] = json.loads(next(x for x in done.stdout.splitlines() if x.startswith('{"solved"')))
        if "first" in found:
            print(found["first"], file=sys.stderr)
        return found


def row(system: str, task: str, seed: int, found: dict[str, Any]) -> str:
    """A line of the table; a run that was not solved shows dashes."""
    reached = found["solved"] or {}
    steps, train, wall = (f"{reached[k]:,.0f}" if k in reached else "-" for k in ("steps", "train", "wall"))
    shares = found.get("shares", {})
    names = ("overhead", "worker_idle", "learner_idle")
    told = [f"{shares[k]:.0%}" if k in shares else "" for k in names]
    told.append(f"{shares['lag']:.1f}" if "lag" in shares else "")
    cells = [task, system, str(seed), steps, train, wall, f"{found['best']:.1f}", f"{found['rate']:,.0f}", *told]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run all in turn, or one system when --run says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", choices=tuple(GOALS), default=list(GOALS))
    parser.add_argument("--systems", nargs="+", choices=(*OURS, *PACKAGES), default=[*OURS, *PACKAGES])
    parser.add_argument("--run", choices=(*OURS, *PACKAGES), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        folder = Path(os.environ[FOLDER])
        if args.run in OURS:
            found = ours(args.run, args.tasks[0], args.seed, folder)
        elif args.run == "sample_factory":
            found = sample_factory(args.seed, folder)
        else:
            found = rllib(args.run.removeprefix("rllib_"), args.seed, folder)
        print("\n" + json.dumps(found), flush=True)
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for task in args.tasks:
        for seed in range(args.seeds):
            for system in args.systems:
                if task != "cartpole" and system not in ("ppo", "appo", "impala"):
                    continue
                python = sys.executable
                if system in PACKAGES:
                    name = system.removesuffix("_ppo").removesuffix("_impala")
                    python = python_with(Path(f".venv-{name}"), PACKAGES[system])
                print(row(system, task, seed, measure(python, system, task, seed)), flush=True)


if __name__ == "__main__":
    main()
