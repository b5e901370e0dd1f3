"""Frames that a person can look at.

Who a unit belongs to is told by its color and by its outline: own ones are green and round (buildings square), enemies
red and pointed (buildings with their corners cut), neutral ones blue, blue-green or gray and square. Letters say what
it is, and the legend under the picture spells them out. A white ring is a selection, a line an order and the cross at
its end where it leads, a bar over a unit its health where it is hurt, a pair of yellow brackets where the next action
clicks, a yellow line with a ring at its end an order that it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from envs.standin.rules import catalog, world

WIDTH = 560
_BAR, _LINE = 26, 18
_FINE = 2
_GROUND, _EDGE, _TEXT, _DIM, _CLICK = (44, 48, 56), (70, 76, 88), (235, 235, 235), (160, 165, 175), (255, 225, 70)
_OWNERS = {world.OWN: (86, 196, 98), world.ENEMY: (222, 84, 76), world.NEUTRAL: (150, 150, 160)}
_RESOURCES = {
    catalog.MINERAL_FIELD: (88, 150, 240),
    catalog.SMALL_MINERAL_FIELD: (88, 150, 240),
    catalog.SHARD: (120, 190, 255),
    catalog.GEYSER: (60, 150, 120),
    catalog.BEACON: (90, 220, 230),
}
NAMES = {
    catalog.MARINE: ("M", "Marine"),
    catalog.SCV: ("S", "SCV"),
    catalog.ZERGLING: ("Z", "Zergling"),
    catalog.BANELING: ("B", "Baneling"),
    catalog.ROACH: ("R", "Roach"),
    catalog.COMMAND_CENTER: ("CC", "Command Center"),
    catalog.SUPPLY_DEPOT: ("D", "Supply Depot"),
    catalog.BARRACKS: ("Ba", "Barracks"),
    catalog.REFINERY: ("Re", "Refinery"),
    catalog.MINERAL_FIELD: ("m", "minerals"),
    catalog.GEYSER: ("g", "gas"),
    catalog.BEACON: ("", "beacon"),
    catalog.SHARD: ("m", "minerals"),
    catalog.MARAUDER: ("Md", "Marauder"),
    catalog.REAPER: ("Rp", "Reaper"),
    catalog.MULE: ("Mu", "MULE"),
    catalog.BUNKER: ("Bu", "Bunker"),
    catalog.ENGINEERING_BAY: ("E", "Engineering Bay"),
    catalog.MISSILE_TURRET: ("T", "Missile Turret"),
    catalog.TECH_LAB: ("TL", "Tech Lab"),
    catalog.REACTOR: ("Rx", "Reactor"),
    catalog.ORBITAL_COMMAND: ("OC", "Orbital Command"),
    catalog.LOWERED_DEPOT: ("d", "lowered Depot"),
    catalog.SMALL_MINERAL_FIELD: ("m", "minerals"),
}
"""Kind of unit -> its letters in the picture, and its name."""

Click = tuple[float, float]
"""A place in world coordinates."""


@lru_cache(maxsize=16)
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


def outline(owner: int, building: bool, box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """The corners of what stands for a unit; a circle, which has none, stands for an own one that is no building."""
    x0, y0, x1, y1 = box
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    if owner == world.ENEMY and building:
        cut, down = (x1 - x0) / 4, (y1 - y0) / 4
        return [
            (x0 + cut, y0), (x1 - cut, y0), (x1, y0 + down), (x1, y1 - down),
            (x1 - cut, y1), (x0 + cut, y1), (x0, y1 - down), (x0, y0 + down),
        ]  # fmt: skip
    if owner == world.ENEMY:
        more = (x1 - x0) * 0.12  # a diamond of a disc's size
        return [(x, y0 - more), (x1 + more, y), (x, y1 + more), (x0 - more, y)]
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)] if building or owner == world.NEUTRAL else []


def _shape(pen: ImageDraw.ImageDraw, owner: int, building: bool, box: Any, fill: Any, edge: Any) -> None:
    corners = outline(owner, building, box)
    if corners:
        pen.polygon(corners, fill=fill, outline=edge, width=_FINE)
    else:
        pen.ellipse(box, fill=fill, outline=edge, width=_FINE)


def _unit(pen: ImageDraw.ImageDraw, view: _View, u: Any, types: npt.NDArray[Any]) -> None:
    kind, owner, t = int(u["kind"]), int(u["owner"]), types[u["kind"]]
    color = _OWNERS[owner] if owner != world.NEUTRAL else _RESOURCES.get(kind, _OWNERS[owner])
    radius = float(t["radius"])
    if kind == catalog.BEACON:
        pen.ellipse(view.box(u["x"], u["y"], 1.25, 1.25), outline=color, width=3 * _FINE)
        pen.ellipse(view.box(u["x"], u["y"], 0.3, 0.3), fill=color)
        return
    w, h = float(t["footprint_w"]) / 2, float(t["footprint_h"]) / 2
    building = w > 0
    if not building:
        tip = radius * 1.3
        nose = view.point(u["x"] + tip * u["face_x"], u["y"] + tip * u["face_y"])
        pen.line([view.point(u["x"], u["y"]), nose], fill=_shade(color, 1.4), width=2 * _FINE)
    box = view.box(u["x"], u["y"], w or radius, h or radius)
    _shape(pen, owner, building, box, _shade(color, 0.5), color)
    size = max(8, min(15, int((w or radius) * 1.5 * view.scale / _FINE)))
    place = view.point(u["x"], u["y"])
    pen.text(place, NAMES[kind][0], fill=(255, 255, 255), font=_font(size * _FINE), anchor="mm")
    if u["selected"]:
        pen.ellipse(view.box(u["x"], u["y"], radius + 0.15, radius + 0.15), outline=(255, 255, 255), width=_FINE)
    if u["cargo"]:
        box = view.box(u["x"] + radius, u["y"] - radius, 0.16, 0.16)
        pen.ellipse(box, fill=(170, 220, 255) if u["cargo"] == 1 else (90, 230, 150))
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
    at = view.point(x, y)
    pen.line([view.point(u["x"], u["y"]), at], fill=color, width=_FINE)
    _cross(pen, at, 4 * _FINE, _shade(color, 1.3), _FINE)


def _cross(pen: ImageDraw.ImageDraw, at: Click, arm: float, color: Any, width: int) -> None:
    x, y = at
    pen.line([(x - arm, y - arm), (x + arm, y + arm)], fill=color, width=width)
    pen.line([(x - arm, y + arm), (x + arm, y - arm)], fill=color, width=width)


def _brackets(pen: ImageDraw.ImageDraw, at: Click, reach: float, width: int) -> None:
    """A pair of brackets around a place: nothing else in the picture looks like it."""
    x, y = at
    for side in (-1, 1):
        edge, inner = x + side * reach, x + side * reach / 2
        pen.line(
            [(inner, y - reach), (edge, y - reach), (edge, y + reach), (inner, y + reach)], fill=_CLICK, width=width
        )


def _legend(kinds: Sequence[int], orders: bool) -> Image.Image:
    """What shapes and letters mean, in three lines: as high whatever is in the picture.

    ``orders``: whether units are given orders, instead of clicks being made.
    """
    strip = Image.new("RGB", (WIDTH, 3 * _LINE + 4), (24, 26, 30))
    pen, font = ImageDraw.Draw(strip), _font(12)
    x, y = 12.0, _LINE / 2 + 2
    for owner, whose in ((world.OWN, "own"), (world.ENEMY, "enemy"), (world.NEUTRAL, "neutral")):
        color = _RESOURCES[catalog.MINERAL_FIELD] if owner == world.NEUTRAL else _OWNERS[owner]
        _shape(pen, owner, False, (x - 5, y - 5, x + 5, y + 5), _shade(color, 0.5), color)
        pen.text((x + 11, y), whose, fill=_DIM, font=font, anchor="lm")
        x += 24 + font.getlength(whose)

    def word(text: str, after: float) -> float:
        pen.text((x + after, y), text, fill=_DIM, font=font, anchor="lm")
        return x + after + 13 + font.getlength(text)

    pen.ellipse((x - 6, y - 6, x + 6, y + 6), outline=(255, 255, 255))
    x = word("selected", 11)
    pen.line([(x - 5, y), (x + 10, y)], fill=(110, 150, 110), width=2)
    _cross(pen, (x + 10, y), 4, (140, 190, 140), 2)
    x = word("order, and where it leads", 18) + 6
    if orders:
        pen.line([(x - 5, y), (x + 7, y)], fill=_CLICK, width=1)
        pen.ellipse((x + 6, y - 3, x + 12, y + 3), outline=_CLICK)
        word("order given now", 17)
    else:
        _brackets(pen, (x, y), 6, 2)
        word("click", 12)
    x, y = 8.0, 1.5 * _LINE + 2
    for letters, name in dict.fromkeys(NAMES[kind] for kind in kinds if NAMES[kind][0]):
        long = font.getlength(f"{letters} {name}")
        if x + long > WIDTH - 8:
            x, y = 8.0, y + _LINE
        pen.text((x, y), letters, fill=_TEXT, font=font, anchor="lm")
        pen.text((x + font.getlength(f"{letters} "), y), name, fill=_DIM, font=font, anchor="lm")
        x += long + 14
    return strip


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


def frame(
    g: Any,
    units: npt.NDArray[Any],
    types: npt.NDArray[Any],
    scenario: str,
    clicks: Sequence[Click] = (),
    told: Sequence[tuple[int, Click]] | None = None,
) -> npt.NDArray[np.uint8]:
    """What goes on in one game: uint8 [height, width, 3], the playable rectangle between a line of text and a legend.

    ``g`` and ``units`` are the game's row and units (:mod:`envs.standin.rules.world`), ``types`` the catalog's table,
    ``clicks`` where the next action points to, ``told`` the units that it gives orders and where these
    lead, or None in another style.

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
    for slot, place in told or ():
        start, end = view.point(units[slot]["x"], units[slot]["y"]), view.point(*place)
        pen.line([start, end], fill=_CLICK, width=_FINE)
        pen.ellipse((end[0] - 7, end[1] - 7, end[0] + 7, end[1] + 7), outline=_CLICK, width=_FINE)
    for click in clicks:
        x, y = view.point(*click)  # the screen shows more than the playable rectangle: such clicks are at the edge
        x, y = min(max(x, 0), view.size[0] - 1), min(max(y, 0), view.size[1] - 1)
        _brackets(pen, (x, y), 9 * _FINE, 2 * _FINE)
    picture = picture.resize((view.size[0] // _FINE, view.size[1] // _FINE), Image.Resampling.LANCZOS)
    legend = _legend(sorted({int(u["kind"]) for u in here}), told is not None)
    whole = Image.new("RGB", (WIDTH, _BAR + picture.height + legend.height), (24, 26, 30))
    whole.paste(picture, (0, _BAR))
    whole.paste(legend, (0, _BAR + picture.height))
    pen = ImageDraw.Draw(whole)
    left = max(0, int(g["limit"]) - int(g["loop"])) / 22.4
    text = f"score {g['score']:g}    {left:.0f} s left"
    if (units["kind"] == catalog.COMMAND_CENTER).any():
        text = f"minerals {g['minerals']}  gas {g['vespene']}    {text}"
    pen.text((8, 5), scenario, fill=_TEXT, font=_font(14))
    pen.text((WIDTH - 8, 5), text, fill=_TEXT, font=_font(14), anchor="ra")
    return np.asarray(whole)
