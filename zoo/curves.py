"""How the checkpoints of `zoo/` learned: their returns against steps, beside random play and the script.

python -m zoo.curves    docs/images/zoo_curves.png
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.learning import MAPS as MINI_GAMES
from zoo.__main__ import MAPS, SCORE, ZOO

PICTURE = Path("docs/images/zoo_curves.png")
BESIDE = {this.experiment: (name, this.random, this.ordering) for name, this in MINI_GAMES.items()}
"""Of each: its map, and what random play and the script by orders make there (docs/results.md)."""


def curve(name: str) -> tuple[list[float], list[float]]:
    """Thousands of steps, and the mean return of the latest training episodes; of a clone none."""
    file = ZOO / name / "metrics.jsonl"
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    shown = [record for record in records if record.get("episode/return") is not None]
    return [record["step"] / 1000 for record in shown], [record["episode/return"] for record in shown]


def draw(axis: Any, name: str) -> None:
    """One map."""
    title, random, script = BESIDE[name]
    steps, returns = curve(name)
    told = json.loads((ZOO / name / SCORE).read_text(encoding="utf-8"))[0]["return"]
    if steps:
        axis.plot(steps, returns, color="tab:blue", label="while training by PPO")
    error = [[told["mean"] - told["low"]], [told["high"] - told["mean"]]]
    at = steps[-1] if steps else 0
    axis.errorbar(at, told["mean"], error, fmt="o", color="tab:blue", capsize=3, label="fresh episodes, 95 %")
    axis.axhline(script, color="tab:green", linestyle="--", label="the script")
    axis.axhline(random, color="tab:gray", linestyle=":", label="random play")
    if not steps:
        axis.set_xticks([])
    axis.set_title(title if steps else f"{title} (imitation)", fontsize=10)
    axis.set_xlabel("thousand steps" if steps else "")
    axis.set_ylim(bottom=min(0, random, *returns) if returns else min(0, random))
    axis.grid(alpha=0.3)


def main() -> None:
    """Draw all of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(15, 6.2), layout="constrained")
    names = [name for name in MAPS if (ZOO / name).is_dir()]
    for axis, name in zip(axes.flat, names, strict=False):
        draw(axis, name)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    axes.flat[-1].legend(handles, labels, loc="center", frameon=False)
    figure.suptitle("Policies with an order for every unit on the stand-in game's mini-games: score against steps")
    figure.savefig(PICTURE, dpi=80)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
