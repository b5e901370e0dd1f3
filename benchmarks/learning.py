"""What PPO learns on each of the stand-in game's seven mini-games: a table and a picture of the curves.

    python -m benchmarks.learning                  trains all seven, one after the other (runs that exist are kept)
    python -m benchmarks.learning DefeatRoaches    only that one
    python -m benchmarks.learning --draw           only draws and tells, from the runs that exist
    python -m benchmarks.learning --clicks         the same in the published agents' way, by clicks on the screen

Runs are those of `configs/`, in runs/learning/<experiment>. Beside the trained policy stand two random ones: one that
draws from the functions that the experiment offers, one that draws from PySC2's whole set, as the published random rows
do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from agents.acting.evaluate import FRESH_SEED, RandomPlayer, play
from agents.runs import experiment as experiments
from envs import registry

ROOT = Path(__file__).resolve().parent.parent
RUNS = Path("runs/learning")
PICTURE = Path("docs/images/learning.png")
CLICKS = "_clicks"
"""Behind the name of an experiment that plays by clicks; MoveToBeacon has one alone."""
EXPERIMENTS = {
    "MoveToBeacon": "move_to_beacon",
    "CollectMineralShards": "collect_mineral_shards",
    "FindAndDefeatZerglings": "find_and_defeat_zerglings",
    "DefeatRoaches": "defeat_roaches",
    "DefeatZerglingsAndBanelings": "defeat_zerglings_and_banelings",
    "CollectMineralsAndGas": "collect_minerals_and_gas",
    "BuildMarines": "build_marines",
}
RANDOM_EPISODES = 64


def train(experiment: str) -> None:
    """Train the experiment and evaluate it, unless that has been done."""
    folder = RUNS / experiment
    if not (folder / "evaluation.json").exists():
        command = [sys.executable, str(ROOT / "train_agent.py"), "--config", experiment, "--run-dir", str(folder)]
        subprocess.run(command, check=True)


def random_returns(experiment: str) -> tuple[list[float], list[float]]:
    """Returns of random play: through the experiment's own functions, and through all of PySC2's."""
    config = experiments.read_config(experiments.find_config(experiment))
    results = []
    for env_options in (config.env_arguments, registry.player_options(config.env, "random", {})):
        env = registry.make(config.env, RANDOM_EPISODES, **env_options)
        player = RandomPlayer(env.single_action_space, 0)
        results.append(play(player, env, RANDOM_EPISODES, FRESH_SEED).returns)
        env.close()
    return results[0], results[1]


def curve(experiment: str) -> tuple[list[float], list[float], float]:
    """Steps, mean returns of the last 100 training episodes, and the seconds that training took."""
    records = [json.loads(line) for line in (RUNS / experiment / "metrics.jsonl").read_text().splitlines()]
    seconds = sum(r["time/collect_seconds"] + r["time/update_seconds"] for r in records)
    shown = [r for r in records if r.get("episode/return") is not None]
    return [r["step"] for r in shown], [r["episode/return"] for r in shown], seconds


def experiment_of(name: str, clicks: bool) -> str:
    """The experiment of a map."""
    by_clicks = EXPERIMENTS[name] + CLICKS
    return by_clicks if clicks and (experiments.CONFIGS / f"{by_clicks}.yaml").is_file() else EXPERIMENTS[name]


def report(names: list[str], clicks: bool) -> None:
    """Print a row for each map that has been trained, and draw the curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(15, 6.2), layout="constrained")
    print("| map | steps | training | trained: mean (sd) [min, max] | random, same functions | random, all functions |")
    print("|---" * 6 + "|")
    for axis, name in zip(axes.flat, names, strict=False):
        experiment = experiment_of(name, clicks)
        if not (RUNS / experiment / "evaluation.json").exists():
            continue
        own, every = random_returns(experiment)
        steps, returns, seconds = curve(experiment)
        final = np.array(json.loads((RUNS / experiment / "evaluation.json").read_text())[0]["returns"])
        trained = f"{final.mean():.1f} ({final.std():.1f}) [{final.min():.0f}, {final.max():.0f}]"
        print(
            f"| {name} | {steps[-1]:,} | {seconds / 60:.1f} min | {trained} | {np.mean(own):.1f} ({np.std(own):.1f}) "
            f"| {np.mean(every):.1f} ({np.std(every):.1f}) |",
            flush=True,
        )
        axis.plot(np.array(steps) / 1000, returns, color="tab:blue", label="PPO, while training")
        axis.plot(steps[-1] / 1000, final.mean(), "o", color="tab:blue", label="PPO, fresh episodes")
        axis.axhline(np.mean(own), color="tab:orange", label="random, the same functions")
        axis.axhline(np.mean(every), color="tab:gray", linestyle="--", label="random, all functions")
        axis.set_title(name, fontsize=11)
        axis.set_xlabel("thousand steps")
        axis.set_ylabel("score")
        axis.grid(alpha=0.3)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    axes.flat[-1].legend(handles, labels, loc="center", frameon=False)
    figure.suptitle("PPO with a Perceiver on the stand-in game's mini-games")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE.with_stem(PICTURE.stem + CLICKS) if clicks else PICTURE, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maps", nargs="*", choices=[*EXPERIMENTS, []], help="all seven if none is named")
    parser.add_argument("--draw", action="store_true", help="train nothing")
    parser.add_argument("--clicks", action="store_true", help="play by clicks")
    asked = parser.parse_args()
    if not asked.draw:
        for name in asked.maps or EXPERIMENTS:
            train(experiment_of(name, asked.clicks))
    report(asked.maps or list(EXPERIMENTS), asked.clicks)


if __name__ == "__main__":
    main()
