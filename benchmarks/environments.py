"""Every step of the way on real environments: train, evaluate, make a video; all must end with exit code 0.

    pip install 'perceiver-rl[environments]'
    python -m benchmarks.environments [--only CartPole] [--steps 20000] [--out runs/environments]

A table for docs/results.md is printed; what has been done in the folder already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ENVIRONMENTS: dict[str, list[str]] = {
    "CartPole-v1": [],
    "Acrobot-v1": [],
    "Pendulum-v1": [],
    "MountainCar-v0": [],
    "MountainCarContinuous-v0": [],
    "LunarLander-v3": [],
    "LunarLander-v3 continuous": ["--env-option", "continuous=true"],
    "BipedalWalker-v3": [],
    "Taxi-v4": [],
    "FrozenLake-v1": [],
    "CliffWalking-v1": ["--env-time-limit", "200"],
    "Blackjack-v1": [],
    "HalfCheetah-v5": [],
    "Hopper-v5": [],
    "InvertedPendulum-v5": [],
    "minigrid:MiniGrid-Empty-5x5-v0": [],
    "minigrid:MiniGrid-DoorKey-5x5-v0": [],
    "minigrid:MiniGrid-MemoryS7-v0": ["--policy.memory", "latents"],
    "minigrid:BabyAI-GoToRedBall-v0": [],
    "mpe2.simple_spread_v3:parallel_env": [],
    "pettingzoo.sisl.pursuit_v5:parallel_env": ["--env-time-limit", "100"],
    "ale_py:ALE/Pong-v5": [],
    "ale_py:ALE/Breakout-v5": [],
    "CarRacing-v3": [],
    "highway_env:highway-fast-v0": [],
}
ALWAYS = ["--num-envs", "8", "--evaluation-episodes", "5", "--evaluation-max-steps", "1000"]


def one(name: str, options: list[str], steps: int, folder: Path) -> dict[str, Any]:
    """Train, evaluate, and make a video of an environment; what came of it."""
    run = folder / "".join(c if c.isalnum() else "-" for c in name)
    shutil.rmtree(run, ignore_errors=True)
    program = [sys.executable, "-m", "perceiver_rl"]
    asked = ["--env", name.partition(" ")[0], *options, "--total-steps", str(steps), *ALWAYS, "--run-dir", str(run)]
    environ = {"MUJOCO_GL": "egl", "SDL_VIDEODRIVER": "dummy", "OMP_NUM_THREADS": "1", **os.environ}
    began, codes = time.monotonic(), {}
    with (folder / f"{run.name}.log").open("w", encoding="utf-8") as log:
        for what, command in {
            "train": [*program, "train", *asked],
            "watch": [*program, "watch", str(run), "--trust", "--max-steps", "100", "--video", f"{run}.mp4"],
        }.items():
            codes[what] = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environ).returncode
            if what == "train":
                seconds = time.monotonic() - began
    told = run / "evaluation.json"
    evaluation = json.loads(told.read_text(encoding="utf-8"))[0] if told.exists() else {}
    video = Path(f"{run}.mp4")
    return {
        "exit": codes,
        "seconds": round(seconds),
        "return": (evaluation.get("return") or {}).get("mean"),
        "length": (evaluation.get("length") or {}).get("mean"),
        "video_bytes": video.stat().st_size if video.exists() else 0,
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """The results as a table of a page."""
    lines = [
        "| environment | exit: train, video | return of 5 episodes | their steps | seconds |",
        "|---|---|---|---|---|",
    ]
    for name, result in found.items():
        figures = ["-" if result[key] is None else f"{result[key]:.4g}" for key in ("return", "length")]
        codes = ", ".join(map(str, result["exit"].values()))
        lines.append(f"| `{name}` | {codes} | {figures[0]} | {figures[1]} | {result['seconds']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("runs/environments"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / "results.json"
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for name, options in ENVIRONMENTS.items():
        if asked.only in name and any(found.get(name, {"exit": {"train": 1}})["exit"].values()):
            found[name] = one(name, options, asked.steps, asked.out)
            print(name, found[name], flush=True)
            results.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table({name: found[name] for name in ENVIRONMENTS if name in found}))
    sys.exit(any(any(result["exit"].values()) for result in found.values()))


if __name__ == "__main__":
    main()
