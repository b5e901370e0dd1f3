"""The trained checkpoints in `zoo/`: one a mini-game, some by clicks, two of the melee; the picture of them at play.

python -m zoo add RUN NAME    evaluates a run, and copies what plays it to zoo/NAME, with a card
python -m zoo check           every checkpoint plays again: does it score what its card says?
python -m zoo picture         docs/images/zoo.gif
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from agents.acting.evaluate import FRESH_SEED
from agents.acting.player import load_player
from agents.commands.cli import run as command
from agents.runs import experiment
from agents.runs.card import card
from agents.runs.hub import bundle
from envs import registry
from envs.standin.vector_env import StandinVectorEnv

ZOO, PICTURE = Path("zoo"), Path("docs/images/zoo.gif")
MAPS = (
    "move_to_beacon",
    "collect_mineral_shards",
    "find_and_defeat_zerglings",
    "defeat_roaches",
    "defeat_zerglings_and_banelings",
    "collect_minerals_and_gas",
    "build_marines",
)
CLICKS = tuple(f"{name}_clicks" for name in MAPS)
"""The same maps by clicks on the screen, the published agents' way: not all are there."""
AGAINST = {
    "melee": "terran:very_easy,easy,medium,hard",
    "melee_self_play": "terran:medium,hard,harder,very_hard",
}
"""The computers that are played against."""
EPISODES = 100
SCORE = "score.json"
"""The evaluation that the card is of; whoever evaluates a checkpoint again writes evaluation.json beside it."""
FRAMES, RATE, WIDTH, GAP = 72, 8, 280, 6
"""Of the picture: frames, frames a second, and the pixels that a game is wide and that lie between two."""
SKIPPED = {"collect_minerals_and_gas": 5, "build_marines": 10}
"""Steps that a frame stands for, where games are long."""


def _how(home: Path) -> list[str]:
    """Whether actions are drawn, as its experiment says."""
    return ["--sampled"] if experiment.read_run_config(home).evaluation_sampled else []


def _evaluate(home: Path, file: Path, *more: str, episodes: int) -> None:
    """Play with a checkpoint, and leave the result in a file."""
    against = ("--opponent", AGAINST[home.name]) if home.name in AGAINST else ()
    argv = ["evaluate", str(home), *_how(home), "--episodes", str(episodes), "--json", str(file), *against, *more]
    if command(argv):
        sys.exit(f"{home}: cannot be evaluated")


def add(run: Path, name: str, episodes: int = EPISODES) -> None:
    """Put what plays a run into the zoo, evaluated there, with its card and a video."""
    home = ZOO / name
    shutil.rmtree(home, ignore_errors=True)
    bundle(run, home, name)
    for old in home.glob("evaluation*.json"):
        old.unlink()
    _evaluate(home, home / "evaluation.json", episodes=episodes)
    (home / "README.md").write_text(card(home, name), encoding="utf-8")
    (home / "evaluation.json").rename(home / SCORE)
    against = ("--opponent", "terran:medium") if name in AGAINST else ()
    video = ("--video", str(home / "episode.mp4"), "--fps", str(RATE))
    if command(["watch", str(home), *_how(home), *against, *video]):
        sys.exit(f"{run}: cannot be watched")


def check() -> bool:
    """Whether each checkpoint scores within the interval of its card, in other episodes than those of the card."""
    fine = True
    for name in (*MAPS, *CLICKS, *AGAINST):
        if not (ZOO / name).is_dir():
            continue
        found = ZOO / name / "again.json"
        told = json.loads((ZOO / name / SCORE).read_text())
        _evaluate(ZOO / name, found, "--seed", "1", episodes=told[0]["episodes"])
        played = json.loads(found.read_text())
        found.unlink()
        for card_says, again in zip(told, played, strict=True):
            said, now = card_says["return"], again["return"]
            same = now["low"] <= said["high"] and said["low"] <= now["high"]
            what = " against ".join(filter(None, (name, again.get("opponent"))))
            print(
                f"{what}: {now['mean']:.4g}, its card says {said['mean']:.4g}: {'the same' if same else 'NOT the same'}"
            )
            fine &= same
    return fine


def played(name: str) -> Iterator[Image.Image]:
    """A game of a checkpoint, frame by frame, with the orders that it gives."""
    config = experiment.read_run_config(ZOO / name)
    env = registry.make(config.env, 1, **config.env_arguments, render_mode="rgb_array")
    assert isinstance(env, StandinVectorEnv)
    player = load_player(ZOO / name, config, env, greedy=not config.evaluation_sampled, seed=FRESH_SEED)
    observation, _ = env.reset(seed=FRESH_SEED)
    first = np.ones(1, bool)
    while True:
        for turn in range(SKIPPED.get(name, 1)):
            action = player.act(observation, first)
            if turn == 0:
                env.mark(action)
                picture = Image.fromarray(env.render()[0])
            observation, _, terminated, truncated, _ = env.step(action)
            first = terminated | truncated
        yield picture.resize((WIDTH, picture.height * WIDTH // picture.width), Image.Resampling.LANCZOS)


def picture() -> None:
    """All of them at play, side by side."""
    games = [played(name) for name in MAPS if (ZOO / name).is_dir()]
    frames = [sheet([next(game) for game in games]) for _ in range(FRAMES)]
    colors = frames[-1].quantize(160)
    still = [frame.quantize(palette=colors, dither=Image.Dither.NONE) for frame in frames]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    still[0].save(PICTURE, save_all=True, append_images=still[1:], duration=1000 // RATE, loop=0, optimize=True)
    print(f"wrote {PICTURE}, {PICTURE.stat().st_size / 1e6:.1f} MB")


def sheet(pictures: list[Image.Image], columns: int = 4) -> Image.Image:
    """Pictures in rows of ``columns``."""
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) + GAP for row in rows]
    whole: npt.NDArray[np.uint8] = np.full((sum(heights) + GAP, columns * (WIDTH + GAP) + GAP, 3), 12, np.uint8)
    canvas, y = Image.fromarray(whole), GAP
    for row, height in zip(rows, heights, strict=True):
        for i, one in enumerate(row):
            canvas.paste(one, (GAP + i * (WIDTH + GAP), y))
        y += height
    return canvas


def main() -> None:
    """Do what is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["add", "check", "picture"])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("name", nargs="?", choices=(*MAPS, *CLICKS, *AGAINST))
    parser.add_argument("--episodes", type=int, default=EPISODES, help="of the evaluation, against each opponent")
    asked = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        if asked.what == "add":
            if not (asked.run and asked.name):
                parser.error("add: give a run's folder and the name of its map")
            add(asked.run, asked.name, asked.episodes)
        elif asked.what == "picture":
            picture()
        elif not check():
            sys.exit(1)


if __name__ == "__main__":
    main()
