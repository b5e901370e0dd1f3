"""A picture of all mini-games: ``python -m envs.standin.contact_sheet PICTURE.png``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from envs.standin.players.roster import interface_for_player, make_player
from envs.standin.show.render import WIDTH
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS


def contact_sheet(steps: int = 14) -> npt.NDArray[np.uint8]:
    """One frame of each mini-game, some steps into an episode of its best hand-written player, side by side."""
    frames = []
    for name, game in MAPS.items():
        face = interface_for_player("strong", name)
        env = make(name, 1, interface=face, render_mode="rgb_array")
        observation, _ = env.reset(seed=3)
        play = make_player("strong", name, face)
        # The economies take their time.
        for _ in range(steps if game.loops < 5000 else game.loops // 8 * 3 // 5):
            observation = env.step(play(observation))[0]
        frames.append(Image.fromarray(env.render()[0]))
    columns, gap = 4, 10
    height = max(f.height for f in frames)
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * (WIDTH + gap) + gap, rows * (height + gap) + gap), (12, 13, 15))
    for i, picture in enumerate(frames):
        sheet.paste(picture, (gap + i % columns * (WIDTH + gap), gap + i // columns * (height + gap)))
    return np.asarray(sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m envs.standin.contact_sheet PICTURE.png")
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(contact_sheet()).save(path)
    print(f"wrote {path}")
