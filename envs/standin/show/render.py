"""Frames that a person can look at.

Own units are green, enemies red, resources blue (minerals) and green-blue (vespene), the beacon a ring. A white ring is
a selection, a thin line an order, a bar over a unit its health where it is hurt.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from envs.standin.rules import catalog, world

WIDTH = 560
_BAR = 26
_FINE = 2
_GROUND, _EDGE, _TEXT = (44, 48, 56), (70, 76, 88), (235, 235, 235)
_OWNERS = {world.OWN: (86, 196, 98), world.ENEMY: (222, 84, 76), world.NEUTRAL: (150, 150, 160)}
_KINDS = {
    catalog.SCV: (64, 160, 200),
    catalog.BANELING: (232, 170, 60),
    catalog.MINERAL_FIELD: (88, 150, 240),
    catalog.SHARD: (120, 190, 255),
    catalog.GEYSER: (60, 150, 120),
    catalog.BEACON: (90, 220, 230),
}


@lru_cache(maxsize=4)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


class _View:
    """World coordinates to pixels of the picture's map part."""

    def __init__(self, g: Any) -> None:
        margin = 1.0
        self.left, self.top = float(g["left"]) - margin, float(g["top_y"]) + margin
        width, height = float(g["right"]) + margin - self.left, self.top - float(g["bottom"]) + margin
        self.scale = WIDTH * _FINE / width
        self.size = WIDTH * _FINE, 2 * round(height * self.scale / 2 / _FINE) * _FINE

    def point(self, x: float, y: float) -> tuple[float, float]:
        return (float(x) - self.left) * self.scale, (self.top - float(y)) * self.scale

    def box(self, x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
        px, py = self.point(x, y)
        return px - w * self.scale, py - h * self.scale, px + w * self.scale, py + h * self.scale


def _shade(color: tuple[int, int, int], by: float) -> tuple[int, int, int]:
    r, g, b = (max(0, min(255, int(c * by))) for c in color)
    return r, g, b


def _unit(pen: ImageDraw.ImageDraw, view: _View, u: Any, types: npt.NDArray[Any]) -> None:
    kind, t = int(u["kind"]), types[u["kind"]]
    color = _KINDS.get(kind, _OWNERS[int(u["owner"])])
    radius = float(t["radius"])
    if kind == catalog.BEACON:
        pen.ellipse(view.box(u["x"], u["y"], 1.25, 1.25), outline=color, width=3 * _FINE)
        pen.ellipse(view.box(u["x"], u["y"], 0.3, 0.3), fill=color)
        return
    w, h = float(t["footprint_w"]) / 2, float(t["footprint_h"]) / 2
    if w > 0:
        pen.rectangle(view.box(u["x"], u["y"], w, h), fill=_shade(color, 0.55), outline=color, width=_FINE)
    else:
        pen.ellipse(view.box(u["x"], u["y"], radius, radius), fill=_shade(color, 0.5))
        pen.ellipse(view.box(u["x"] - 0.06, u["y"] + 0.06, radius * 0.8, radius * 0.8), fill=color)
        tip = radius * 1.25
        nose = view.point(u["x"] + tip * u["face_x"], u["y"] + tip * u["face_y"])
        pen.line([view.point(u["x"], u["y"]), nose], fill=_shade(color, 1.4), width=2 * _FINE)
    if u["selected"]:
        pen.ellipse(view.box(u["x"], u["y"], radius + 0.15, radius + 0.15), outline=(255, 255, 255), width=_FINE)
    if u["cargo"]:
        pen.ellipse(view.box(u["x"], u["y"], 0.14, 0.14), fill=(170, 220, 255) if u["cargo"] == 1 else (90, 230, 150))
    health = float(u["hp"]) / float(t["hp"])
    if health < 0.999 and kind not in (catalog.MINERAL_FIELD, catalog.GEYSER):
        x0, y0, x1, y1 = view.box(u["x"], u["y"] + radius + 0.3, max(radius, 0.4), 0.08)
        pen.rectangle((x0, y0, x1, y1), fill=(60, 20, 20))
        pen.rectangle((x0, y0, x0 + (x1 - x0) * health, y1), fill=(int(230 * (1 - health)) + 20, 200, 60))


def _order(pen: ImageDraw.ImageDraw, view: _View, u: Any, units: npt.NDArray[Any]) -> None:
    if u["owner"] != world.OWN or u["order"] in (world.IDLE, world.HOLD):
        return
    x, y = u["order_x"], u["order_y"]
    slot = int(u["order_slot"])
    if slot >= 0 and units[slot]["kind"]:
        x, y = units[slot]["x"], units[slot]["y"]
    color = (200, 90, 80) if u["order"] in (world.ATTACK, world.ATTACK_MOVE) else (110, 150, 110)
    pen.line([view.point(u["x"], u["y"]), view.point(x, y)], fill=color, width=_FINE)


def _missile(pen: ImageDraw.ImageDraw, view: _View, g: Any, units: npt.NDArray[Any], k: int) -> None:
    start, end = units[int(g["missile_from"][k])], units[int(g["missile_slot"][k])]
    if start["kind"] and end["kind"]:
        part = float(g["missile_left"][k]) / 4.0
        x = end["x"] + (start["x"] - end["x"]) * part
        y = end["y"] + (start["y"] - end["y"]) * part
        pen.ellipse(view.box(x, y, 0.15, 0.15), fill=(190, 230, 90))


def _fog(picture: Image.Image, view: _View, here: list[Any], types: npt.NDArray[Any]) -> Image.Image:
    """Dark where none of the player's units sees."""
    seen = Image.new("L", view.size, 0)
    pen = ImageDraw.Draw(seen)
    for u in here:
        if u["owner"] == world.OWN:
            sight = float(types[u["kind"]]["sight"])
            pen.ellipse(view.box(u["x"], u["y"], sight, sight), fill=255)
    return Image.composite(picture, picture.point(lambda value: value * 0.55), seen)


def frame(g: Any, units: npt.NDArray[Any], types: npt.NDArray[Any], scenario: str) -> npt.NDArray[np.uint8]:
    """What goes on in one game: uint8 [height, width, 3], the playable rectangle under a line of text.

    ``g`` and ``units`` are the game's row and units (:mod:`envs.standin.rules.world`), ``types`` the catalog's table.

    Units that fog hides are drawn all the same, on the dark ground: the frame is for who watches, not for who plays.
    Where the camera can move, a thin rectangle shows what is on the screen.
    """
    view = _View(g)
    picture = Image.new("RGB", view.size, _GROUND)
    pen = ImageDraw.Draw(picture)
    corner, other = view.point(g["left"], g["top_y"]), view.point(g["right"], g["bottom"])
    pen.rectangle((*corner, *other), outline=_EDGE, width=2 * _FINE)
    here = [u for u in units[: int(g["top"])] if u["kind"]]
    if g["fog"]:
        picture = _fog(picture, view, here, types)
        pen = ImageDraw.Draw(picture)
    for u in here:
        _order(pen, view, u, units)
    for u in sorted(here, key=lambda u: (u["owner"] != world.NEUTRAL, -float(types[u["kind"]]["radius"]))):
        _unit(pen, view, u, types)
    if g["camera_free"]:
        pen.rectangle(view.box(g["camera_x"], g["camera_y"], 12, 12), outline=(160, 160, 90), width=_FINE)
    for k in range(int(g["missiles"])):
        _missile(pen, view, g, units, k)
    picture = picture.resize((view.size[0] // _FINE, view.size[1] // _FINE), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (WIDTH, picture.height + _BAR), (24, 26, 30))
    whole.paste(picture, (0, _BAR))
    pen = ImageDraw.Draw(whole)
    left = max(0, int(g["limit"]) - int(g["loop"])) / 22.4
    text = f"score {g['score']:g}    {left:.0f} s left"
    if (units["kind"] == catalog.COMMAND_CENTER).any():
        text = f"minerals {g['minerals']}  gas {g['vespene']}    {text}"
    pen.text((8, 5), scenario, fill=_TEXT, font=_font(14))
    pen.text((WIDTH - 8, 5), text, fill=_TEXT, font=_font(14), anchor="ra")
    return np.asarray(whole)
