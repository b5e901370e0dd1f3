"""How soon a policy plays as a script on the stand-in game's seven mini-games, by what it is given to do.

    python -m benchmarks.learning                                trains what is not there yet, draws and tells
    python -m benchmarks.learning --maps DefeatRoaches --styles orders shown
    python -m benchmarks.learning --draw                         only draws and tells, from the runs that exist

Runs are in runs/learning/<style>/<map>. The styles: `clicks` on the screen, the published agents' way; `raw` commands,
which name units and their target; `orders` for every unit; `shown`, orders again, cloned from a script's games and
then in rounds in which it says what it would have done (DAgger).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from agents.runs import experiment as experiments

ROOT = Path(__file__).resolve().parent.parent
RUNS = Path("runs/learning")
PICTURE = Path("docs/images/learning.png")
BEFORE = "before.json"
STYLES = {"clicks": "tab:orange", "raw": "tab:purple", "orders": "tab:blue", "shown": "tab:green"}
LABELS = {
    "clicks": "clicks, PPO",
    "raw": "raw commands, PPO",
    "orders": "orders for every unit, PPO",
    "shown": "orders, cloned in rounds",
}


class Map(NamedTuple):
    """What stands beside what is learned: scores of random play, and of scripts that click and that order units."""

    experiment: str
    random: float
    clicking: float
    ordering: float


MAPS = {
    "MoveToBeacon": Map("move_to_beacon", 0.9, 26.3, 26.1),
    "CollectMineralShards": Map("collect_mineral_shards", 14.3, 97.7, 179.6),
    "FindAndDefeatZerglings": Map("find_and_defeat_zerglings", 4.3, 44.3, 52.5),
    "DefeatRoaches": Map("defeat_roaches", -0.7, 67.9, 182.3),
    "DefeatZerglingsAndBanelings": Map("defeat_zerglings_and_banelings", 24.5, 43.5, 716.8),
    "CollectMineralsAndGas": Map("collect_minerals_and_gas", 40.0, 4958.0, 7576.0),
    "BuildMarines": Map("build_marines", 0.2, 137.5, 139.6),
}
"""Means of docs/results.md."""

AFTER = {"DefeatRoaches": "DefeatZerglingsAndBanelings"}
"""By orders: from nothing it learns to hide, and from the policy that fights there to fight."""

# The experiments of the economies and of FindAndDefeatZerglings are for clones.
FROM_NOTHING = ["--ppo.value-warmup", "0", "--ppo.target-kl", "None", "--policy.initialization", "lecun"]
SHORT = ["--num-envs", "64", "--ppo.unroll", "32", "--ppo.minibatch", "512", "--ppo.epochs", "3"]
LARGE = ["--ppo.minibatch", "1024"]
RAW = [*SHORT, "--ppo.learning-rate", "1e-3", "--ppo.entropy-coefficient", "0.002", "--total-steps", "200000"]
ECONOMY = [
    *("--num-envs", "64", "--evaluation-sampled", "--policy.position-bands", "8", "--policy.scatter"),
    *("--ppo.unroll", "64", "--ppo.epochs", "2", "--ppo.learning-rate", "1.5e-3", "--ppo.gamma", "0.997"),
    *("--ppo.entropy-coefficients", "function", "0.01", "world", "0.004", "unit_tags", "0.001"),
    *("target_unit_tag", "0.0002"),
]
EACH = {"one_unit": "true", "masks_by_function": "true", "step_mul": "16"}
WORKING = "unit_type,alliance,x,y,order,carrying,build_progress,assigned_harvesters"
RAW_OF: dict[str, tuple[dict[str, str], list[str]]] = {
    "BuildMarines": (
        {
            **EACH,
            "head_start": ".7",
            "unit_features": f"[{WORKING},queue]",
            "max_units": "64",
            "minimap": "32",
            "unit_types": "[SCV,CommandCenter,SupplyDepot,Barracks,MineralField]",
            "functions": "[no_op,Harvest_Gather_unit,Train_SCV_quick,Build_SupplyDepot_pt,Build_Barracks_pt,"
            "Train_Marine_quick]",
        },
        [*ECONOMY, "--total-steps", "1500000"],
    ),
    "CollectMineralsAndGas": (
        {
            **EACH,
            "unit_features": f"[{WORKING},contents,queue]",
            "max_units": "80",
            "minimap": "40",
            "unit_types": "[SCV,CommandCenter,SupplyDepot,Refinery,MineralField,VespeneGeyser]",
            "functions": "[no_op,Harvest_Gather_unit,Train_SCV_quick,Build_SupplyDepot_pt,Build_Refinery_pt,"
            "Build_CommandCenter_pt]",
        },
        [*ECONOMY, "--total-steps", "800000"],
    ),
}
"""The economies by commands to one unit, within masks of each function's own: of the style's plain ones most fail."""

DAGGER = ["--epochs", "2", "--minibatch", "64"]
ORDERS: dict[str, list[str]] = {
    "FindAndDefeatZerglings": [
        *FROM_NOTHING, *LARGE, "--env-option", "minimap_planes=[last_seen]", "--policy.neighborhood", "1",
        "--policy.latents", "8", "--num-envs", "64", "--ppo.learning-rate", "2e-3", "--ppo.gae-lambda", "0.95",
        "--ppo.gamma", "0.995", "--ppo.entropy-coefficient", "1e-4", "--total-steps", "1800000",
    ],
    "CollectMineralsAndGas": [
        *FROM_NOTHING, *LARGE, "--ppo.learning-rate", "1e-3", "--ppo.gae-lambda", "0.9", "--ppo.gamma", "0.99",
        "--ppo.entropy-coefficient", "3e-5", "--total-steps", "600000", "--evaluation-sampled",
    ],
    "BuildMarines": [
        *FROM_NOTHING, *LARGE, "--env-option", "head_start=.8", "--env-option", "builders=1", "--policy.distances",
        "--ppo.learning-rate", "2e-3", "--ppo.gae-lambda", "0.95", "--ppo.gamma", "0.995",
        "--ppo.entropy-coefficient", "1e-4", "--total-steps", "600000", "--evaluation-sampled",
    ],
}  # fmt: skip
SHOWN = {
    "MoveToBeacon": (32, ["--gamma", "0.95", "--dagger-rounds", "2", "--dagger-episodes", "16"]),
    "CollectMineralShards": (64, ["--gamma", "0.97", "--dagger-rounds", "3", "--dagger-episodes", "24"]),
    "FindAndDefeatZerglings": (64, ["--gamma", "0.99", "--dagger-rounds", "4", "--dagger-episodes", "32"]),
    "DefeatRoaches": (64, ["--gamma", "0.98", "--dagger-rounds", "3", "--dagger-episodes", "24"]),
    "DefeatZerglingsAndBanelings": (64, ["--gamma", "0.98", "--dagger-rounds", "4", "--dagger-episodes", "32"]),
    "CollectMineralsAndGas": (
        24, ["--gamma", "0.995", "--rare", "0.5", "--dagger-rounds", "8", "--dagger-episodes", "12"],
    ),
    "BuildMarines": (16, ["--gamma", "0.997", "--rare", "0.5", "--dagger-rounds", "8", "--dagger-episodes", "8"]),
}  # fmt: skip
"""Episodes that are recorded of the script, and how they are cloned."""


def commands(style: str, name: str, folder: Path) -> list[list[str]]:
    """What makes the run."""
    this, program = MAPS[name], [sys.executable, "-m", "perceiver_rl"]
    train = [*program, "train", "--run-dir", str(folder)]
    if style == "clicks":
        return [[*train, "--config", f"{this.experiment}_clicks"]]
    if style == "raw":
        raw = [*train, "--env", f"sim/{name}", "--env-option", "style=raw"]
        if name in RAW_OF:
            seen, how = RAW_OF[name]
            return [[*raw, *(f"--env-option={key}={value}" for key, value in seen.items()), *how]]
        gamma = experiments.read_config(experiments.find_config(f"{this.experiment}_clicks")).learning.gamma
        return [[*raw, *RAW, "--ppo.gamma", str(gamma)]]
    if style == "orders":
        init = ["--init", str(RUNS / style / AFTER[name])] if name in AFTER else []
        return [[*train, "--config", this.experiment, *init, *ORDERS.get(name, [])]]
    config = experiments.read_config(experiments.find_config(this.experiment))
    options = [f"--env-option={key}={json.dumps(value)}" for key, value in config.env_options.items()]
    episodes, how = SHOWN[name]
    shown = folder.with_name(f"{name}-shown")
    record = [*program, "record", "--policy", "strong", "--env", f"sim/{name}", *options]
    return [
        [*record, "--episodes", str(episodes), "--seed", "1", "--out", str(shown)],
        [*program, "imitate", str(shown), "--config", this.experiment, "--run-dir", str(folder), *DAGGER, *how],
    ]


def train(style: str, name: str) -> None:
    """Make the run, unless that has been done; what came before it is written down beside it."""
    folder = RUNS / style / name
    if (folder / "evaluation.json").exists():
        return
    before = {"steps": 0, "seconds": 0.0}
    if style == "orders" and name in AFTER:
        train(style, AFTER[name])
        steps, seconds, _ = curve(RUNS / style / AFTER[name])
        before = {"steps": steps[-1], "seconds": seconds[-1]}
    *first, last = commands(style, name, folder)
    began = time.perf_counter()
    for command in first:
        subprocess.run(command, check=True)
    if first:
        before = {"steps": 0, "seconds": time.perf_counter() - began}
    subprocess.run(last, check=True)
    (folder / BEFORE).write_text(json.dumps(before), encoding="utf-8")


def curve(folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Steps, seconds and mean returns: of the latest 100 training episodes, or of a clone's in each round."""
    points: list[tuple[float, float, float]] = []
    before = json.loads((folder / BEFORE).read_text()) if (folder / BEFORE).exists() else {"steps": 0, "seconds": 0.0}
    spent = 0.0
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        spent += record.get("time/collect_seconds", 0.0) + record.get("time/update_seconds", 0.0)
        steps, seconds, mean = record["step"], spent, record.get("episode/return")
        if "imitation/return" in record:
            steps, seconds, mean = (record[key] for key in ("imitation/shown", "time/seconds", "imitation/return"))
        if mean is not None:
            points.append((before["steps"] + steps, before["seconds"] + seconds, mean))
    return tuple(list(column) for column in zip(*points, strict=True))  # type: ignore[return-value]


def reached(folder: Path, score: float) -> tuple[float, float] | None:
    """Steps and seconds to the score; None: never."""
    return next(((step, spent) for step, spent, mean in zip(*curve(folder), strict=True) if mean >= score), None)


def final(folder: Path) -> dict[str, Any]:
    """The return of 100 fresh episodes, with its interval."""
    told: dict[str, Any] = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))[0]["return"]
    return told


def draw(axis: Any, name: str) -> None:
    """One map: returns against steps."""
    for style, color in STYLES.items():
        folder = RUNS / style / name
        if (folder / "evaluation.json").exists():
            steps, _, returns = curve(folder)
            axis.plot(steps, returns, color=color, marker="." if len(steps) < 20 else "", label=LABELS[style])
            axis.plot(steps[-1], final(folder)["mean"], "o", color=color)
    axis.axhline(MAPS[name].clicking, color="black", linestyle="--", linewidth=1, label="a script that clicks")
    axis.axhline(MAPS[name].ordering, color="black", linewidth=1, label="a script that orders units")
    axis.axhline(MAPS[name].random, color="tab:gray", linestyle=":", label="random play")
    axis.set_xscale("log")
    axis.set_title(name, fontsize=11)
    axis.set_xlabel("steps")
    axis.grid(alpha=0.3)


def picture(names: list[str]) -> None:
    """Draw the curves of all that has been trained."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(15, 6.2), layout="constrained")
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        draw(axis, name)
    handles = {
        label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    axes.flat[-1].legend(handles.values(), handles, loc="center", frameon=False)
    figure.suptitle("The same policy and PPO by what it may see and do: return against steps (dot: 100 fresh episodes)")
    figure.savefig(PICTURE, dpi=80)
    print(f"wrote {PICTURE}")


def table(names: list[str]) -> None:
    """Print for each map and style the final score, and when the scripts' was reached."""
    print("| map | style | fresh episodes | after | to the script that clicks | to the one that orders |")
    print("|---" * 6 + "|")
    for name in names:
        this = MAPS[name]
        for style in STYLES:
            folder = RUNS / style / name
            if (folder / "evaluation.json").exists():
                when = [reached(folder, score) for score in (this.clicking, this.ordering)]
                steps, seconds = (f"{value[-1]:,.0f}" for value in curve(folder)[:2])
                end = final(folder)
                cells = [f"{at[0]:,.0f} steps, {at[1]:,.0f} s" if at else "-" for at in when]
                score = f"{end['mean']:,.1f} ({end['low']:,.1f} to {end['high']:,.1f})"
                print(f"| {name} | {style} | {score} | {steps} steps, {seconds} s | {cells[0]} | {cells[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", nargs="+", choices=list(MAPS), default=list(MAPS), help="all seven if none is named")
    parser.add_argument("--styles", nargs="+", choices=list(STYLES), default=list(STYLES))
    parser.add_argument("--draw", action="store_true", help="train nothing")
    asked = parser.parse_args()
    if not asked.draw:
        for name in asked.maps:
            for style in asked.styles:
                train(style, name)
    table(asked.maps)
    if len(asked.maps) == len(MAPS):  # of some it would take the place of all
        picture(asked.maps)


if __name__ == "__main__":
    main()
