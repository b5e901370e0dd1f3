"""A player's episodes as a video: each frame with what was chosen there and what it has earned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from PIL import Image, ImageDraw, ImageFont, ImageOps

from agents.acting.attention import Looks
from agents.acting.evaluate import Player
from agents.errors import UserError
from envs.spaces import Choice, Functions, PerUnit, Place

SMALLEST_SIDE = 480
TEXT_SIZE = 18
BACKGROUND, BRIGHT, DIM, GAIN, LOSS = (24, 26, 32), (240, 240, 240), (150, 155, 165), (110, 220, 120), (240, 120, 110)
CHART, VALUE_WIDTH, SQUARES, LABEL_WIDTH = 48, 96, 20, 110  # pixels
DEFAULT_RATE = 10.0
MAX_STEPS = 5_000  # a GIF is held in memory until it is written


def frames(
    player: Player,
    env: VectorEnv[Any, Any, Any],
    episodes: int,
    seed: int,
    title: str,
    max_steps: int = MAX_STEPS,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[np.ndarray]:
    """Play ``episodes`` episodes of the first game in ``env`` and yield a frame [H, W, 3] uint8 for every step.

    A frame shows the game before the step, with a mark where the action points to if the game can draw one, and under
    it the step's number, the action chosen, its reward, the return so far with that reward in it, and, of a policy, the
    course of the value that it expects.
    """
    observation, _ = env.reset(seed=seed)
    first = np.ones(env.num_envs, bool)  # of several agents in one world, each is a game
    for episode in range(1, episodes + 1):
        step, score, values = 0, 0.0, []
        while True:
            action = player.act(observation, first)
            if hasattr(env, "mark"):
                env.mark(action)
            picture = render(env)
            observation, reward, terminated, truncated, _ = env.step(action)
            step += 1
            score += float(reward[0])
            expected = getattr(player, "value", None)
            values += [] if expected is None else [float(expected[0])]
            words = "action " + describe_action(env.single_action_space, _first(action))
            where = f"episode {episode}  step {step}"
            frame = caption(picture, title, where, words, float(reward[0]), score, values)
            seen = getattr(player, "looks", None)
            yield frame if seen is None else with_looks(frame, seen)
            first = np.asarray(terminated) | np.asarray(truncated)
            if first[0]:
                break
            if step >= max_steps:
                note(f"note: episode {episode} goes on after {max_steps:,} steps; the video ends here (--max-steps)")
                return


def render(env: VectorEnv[Any, Any, Any]) -> np.ndarray:
    """The first game's picture [H, W, 3] uint8. Raises UserError for an environment that draws none."""
    picture: Any = env.render()
    if isinstance(picture, tuple | list):
        picture = picture[0] if picture else None
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.dtype.kind not in "biuf" or not array.size:
        raise UserError(
            "this environment draws no pictures: its render() must return an array [height, width, 3], or [height, "
            f"width] in grey, but returned {'None' if picture is None else f'{array.dtype} of shape {array.shape}'}"
        )
    if array.dtype.kind in "bf":
        array = np.nan_to_num(array.astype(np.float64))
        array = array * 255 if array.max() <= 1 else array  # 0 to 1, as matplotlib has it
    return np.broadcast_to(array.clip(0, 255).astype(np.uint8)[..., :3], (*array.shape[:2], 3))


def _first(nest: Any) -> Any:
    if isinstance(nest, Mapping):
        return {key: _first(part) for key, part in nest.items()}
    if isinstance(nest, tuple):
        return tuple(_first(part) for part in nest)
    return nest[0]


def describe_action(space: spaces.Space[Any], action: Any) -> str:
    """An action in a few words: a function by its name with the arguments it takes, else its numbers."""
    if isinstance(space, Functions):
        name = space.names[int(action["function"])]
        taken = (_argument(argument, space[argument], action[argument]) for argument in space.functions[name])
        return f"{name}({', '.join(taken)})"
    if isinstance(space, PerUnit):
        chosen = np.bincount(np.asarray(action["function"]), minlength=len(space.names))
        orders = [f"{name} x {n}" for name, n in zip(space.names[1:], chosen[1:], strict=True) if n]
        return ", ".join(orders) or space.names[0]
    if isinstance(space, Choice):
        return space.names[int(action)]
    if isinstance(space, Place):
        row, column = divmod(int(action), space.width)
        return f"[{column}, {row}]"
    if isinstance(space, spaces.Dict):
        return ", ".join(f"{key} {describe_action(part, action[key])}" for key, part in space.items())
    if isinstance(space, spaces.Tuple):
        return ", ".join(describe_action(part, value) for part, value in zip(space, action, strict=True))
    if isinstance(space, spaces.MultiBinary) and int(np.prod(space.shape)) > 8:
        return "{" + ", ".join(str(i) for i in np.flatnonzero(action)) + "}"
    if isinstance(space, spaces.Box):
        return np.array2string(np.asarray(action), precision=2, suppress_small=True, threshold=8)
    return str(np.asarray(action).tolist())


def _argument(name: str, space: spaces.Space[Any], value: Any) -> str:
    """A number means nothing without the argument's name; names, places and sets of rows say what they are."""
    bare = isinstance(space, spaces.Discrete) and not isinstance(space, Choice | Place)
    return f"{name} {describe_action(space, value)}" if bare else describe_action(space, value)


def caption(
    picture: np.ndarray,
    title: str,
    where: str,
    words: str,
    reward: float,
    score: float,
    values: Sequence[float] = (),
) -> np.ndarray:
    """The picture, enlarged by a whole factor if it is small, with three lines of text under it, and below them the
    course of ``values`` where there are any; sides are even."""
    height, width = picture.shape[:2]
    factor = max(1, -(-SMALLEST_SIDE // max(height, width)))
    image = Image.fromarray(picture).resize((width * factor, height * factor), Image.Resampling.NEAREST)
    line, margin = TEXT_SIZE + 8, 10
    # Video codecs want even sides; text needs room even where the picture is tall and narrow.
    full_width = max(image.width, SMALLEST_SIDE) + 1 & ~1
    chart = CHART if len(values) else 0
    canvas = Image.new("RGB", (full_width, image.height + 3 * line + margin + chart + 1 & ~1), BACKGROUND)
    canvas.paste(image, ((full_width - image.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(TEXT_SIZE)
    room = full_width - 2 * margin
    top = image.height + margin // 2
    draw.text((margin, top), _fit(title, font, room), DIM, font)
    draw.text((margin, top + line), where, BRIGHT, font)
    right = f"return {score:g}" if abs(score) < 1e4 else f"return {score:,.0f}"
    gained = f"{reward:+.3g}" if reward else ""
    draw.text((full_width - margin, top + line), right, BRIGHT, font, anchor="ra")
    before = full_width - margin - font.getlength(right + "   ")
    draw.text((before, top + line), gained, GAIN if reward > 0 else LOSS, font, anchor="ra")
    draw.text((margin, top + 2 * line), _fit(words, font, room), BRIGHT, font)
    if chart:
        _chart(draw, values, (margin, canvas.height - chart, full_width - margin, canvas.height - margin))
    return np.asarray(canvas)


def with_looks(frame: np.ndarray, seen: Looks) -> np.ndarray:
    """The frame with a row of squares below it for each part of the observation, one a token and the brighter the more
    the latents attend to it, and the entropies of the heads."""
    font = ImageFont.load_default(TEXT_SIZE - 4)
    rows, width, margin = len(seen.weights), frame.shape[1], 10
    canvas = Image.new("RGB", (width, frame.shape[0] + (rows + 1) * SQUARES + margin & ~1), BACKGROUND)
    canvas.paste(Image.fromarray(frame), (0, 0))
    draw, top = ImageDraw.Draw(canvas), frame.shape[0]
    most = max((float(part.max()) for part in seen.weights.values() if part.size), default=1.0)
    for path, part in seen.weights.items():
        label = _fit(f"{path or 'observation'} {part.sum():.0%}", font, LABEL_WIDTH)
        draw.text((margin, top), label, DIM, font)
        side = min(SQUARES - 4.0, (width - 2 * margin - LABEL_WIDTH) / max(len(part), 1))
        for i, weight in enumerate(part):
            left, shade = margin + LABEL_WIDTH + i * side, float(weight) / max(most, 1e-9)
            color = tuple(
                round(dark + (bright - dark) * shade) for dark, bright in zip((40, 44, 54), GAIN, strict=True)
            )
            draw.rectangle((left, top + 2, left + max(side - 2, 1), top + SQUARES - 4), fill=color)
        top += SQUARES
    words = ", ".join(f"{path or 'action'} {entropy:.2f}" for path, entropy in seen.entropies.items())
    draw.text((margin, top), _fit(f"entropy (nats) {words}", font, width - 2 * margin), DIM, font)
    return np.asarray(canvas)


def _chart(draw: ImageDraw.ImageDraw, values: Sequence[float], box: tuple[float, float, float, float]) -> None:
    """A line through ``values``, as high as the box, with the latest in words."""
    left, top, right, bottom = box
    font = ImageFont.load_default(TEXT_SIZE - 4)
    latest = f"{values[-1]:,.0f}" if abs(values[-1]) >= 100 else f"{values[-1]:.3g}"
    draw.text((left, top - 2), f"value {latest}", DIM, font)
    left += VALUE_WIDTH
    low, high = min(values), max(values)
    across, up = (right - left) / max(len(values) - 1, 1), (bottom - top) / max(high - low, 1e-9)
    line = [(left + i * across, bottom - (value - low) * up) for i, value in enumerate(values)]
    draw.line([*line, *line[-1:]], fill=DIM, width=2)


def _fit(text: str, font: Any, room: float) -> str:
    while font.getlength(text) > room and len(text) > 1:
        text = text[:-2] + "…"
    return text


def frame_rate(env: VectorEnv[Any, Any, Any]) -> float:
    """Frames a second that the environment asks for."""
    return float((env.metadata or {}).get("render_fps") or DEFAULT_RATE)


def expected_frames(env: VectorEnv[Any, Any, Any], episodes: int) -> int | None:
    """Frames of so many episodes if none ends before its time limit; None if the environment names no limit."""
    limit, step = getattr(env, "max_loops", None), getattr(env, "step_mul", 1)
    return -(-limit // step) * episodes if limit else None


def write_video(
    pictures: Iterable[np.ndarray], path: Path, rate: float, written: Callable[[], object] = lambda: None
) -> int:
    """Write frames of one size as .mp4 or .gif and return how many there were. Raises UserError if it cannot.

    ``written`` is called after each.
    """
    import imageio.v2 as imageio

    how: dict[str, Any] = {"duration": 1000 / rate, "loop": 0} if path.suffix == ".gif" else {"fps": rate}
    if path.suffix == ".mp4":
        how["macro_block_size"] = 2
    count, size = 0, (0, 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UserError(f"{path}: cannot be written")  # ffmpeg says so after the game, and at length
        with imageio.get_writer(path, **how) as writer:
            for picture in pictures:
                size = size if count else (picture.shape[1], picture.shape[0])
                if picture.shape[1::-1] != size:
                    picture = np.asarray(ImageOps.pad(Image.fromarray(picture), size, color=BACKGROUND))
                writer.append_data(picture)  # type: ignore[attr-defined]
                count += 1
                written()
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error})") from error
    return count
