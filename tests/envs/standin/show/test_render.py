"""Pictures that say who and what without a color."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from envs.standin.rules import catalog, world
from envs.standin.rules.catalog import type_table
from envs.standin.show import render
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS, MELEE

TYPES = type_table()


def scene(kind: int, owner: int, **more: float) -> np.ndarray:
    """A frame with one unit in the middle."""
    g, units = np.zeros(1, world.GAME), np.zeros(4, world.UNIT)
    g["right"], g["top_y"], g["limit"], g["top"] = 24, 20, 1000, 1
    unit = units[:1]
    unit["kind"], unit["owner"], unit["x"], unit["y"], unit["face_x"] = kind, owner, 12, 10, 1
    unit["hp"] = TYPES["hp"][kind]
    for name, value in more.items():
        unit[name] = value
    return render.frame(g[0], units, TYPES, "test")


def middle(picture: np.ndarray) -> np.ndarray:
    """The ground around the unit, in gray."""
    row, column = (render._BAR + len(picture) - 3 * render._LINE - 4) // 2, picture.shape[1] // 2
    return picture[row - 75 : row + 75, column - 75 : column + 75].astype(float).mean(-1)


@pytest.mark.parametrize("kind", [catalog.MARINE, catalog.SCV, catalog.BARRACKS, catalog.COMMAND_CENTER])
def test_owners_are_told_apart_without_color(kind: int) -> None:
    shapes = []
    for owner in (world.OWN, world.ENEMY, world.NEUTRAL):
        picture = middle(scene(kind, owner))
        shapes.append(picture != np.median(picture))
    building = TYPES["footprint_w"][kind] > 0
    for a, b in itertools.combinations(shapes[: 2 if building else 3], 2):
        assert (a ^ b).sum() > 0.08 * (a & b).sum()


def test_an_enemys_worker_is_drawn_as_an_enemy() -> None:
    def redness(owner: int) -> float:
        picture = scene(catalog.SCV, owner).astype(float)
        row, column = (render._BAR + len(picture) - 3 * render._LINE - 4) // 2, picture.shape[1] // 2
        red, green, _ = picture[row - 12 : row + 12, column - 12 : column + 12].mean((0, 1))
        return red - green

    assert redness(world.ENEMY) > 15
    assert redness(world.OWN) < -15


@pytest.mark.parametrize("kind", list(render.NAMES))
def test_every_kind_has_a_name_and_letters_of_its_own_in_its_legend(kind: int) -> None:
    letters, name = render.NAMES[kind]
    assert name
    same = [other for other, (its, _) in render.NAMES.items() if its == letters and other != kind]
    assert all(render.NAMES[other][1] == name for other in same)
    assert scene(kind, world.OWN).shape == scene(catalog.MARINE, world.OWN).shape


def test_every_kind_of_the_catalog_is_named() -> None:
    assert set(render.NAMES) == set(range(1, catalog.KINDS))


@pytest.mark.parametrize("style", ["feature", "raw"])
def test_a_mark_is_where_the_action_points(style: str) -> None:
    functions = ("no_op", "Move_screen", "Move_minimap") if style == "feature" else ("no_op", "Move_pt", "Move_unit")
    env = make("MoveToBeacon", 1, style=style, functions=functions, render_mode="rgb_array", screen=16, minimap=32)
    env.reset(seed=0)
    row, column = 3, 12
    g = env.games[0]
    on_screen = (g["camera_x"] - 12 + 24 * (column + 0.5) / 16, g["camera_y"] + 12 - 24 * (row + 0.5) / 16)
    on_minimap = (64 * (column + 0.5) / 32, 64 - 64 * (row + 0.5) / 32)
    space = env.single_action_space
    nothing = {name: np.zeros((1, *(space[name].shape or ())), np.int64) for name in ("function", *space.arguments)}

    def pointed(function: str, **arguments: int) -> list[tuple[float, float]]:
        action = {**nothing, "function": np.array([functions.index(function)])}
        env.mark({**action, **{name: np.array([value]) for name, value in arguments.items()}})
        return env._clicks[0]

    assert pointed("no_op") == []
    if style == "feature":
        assert pointed("Move_screen", screen=row * 16 + column) == [pytest.approx(on_screen)]
        assert pointed("Move_minimap", minimap=row * 32 + column) == [pytest.approx(on_minimap)]
    else:
        assert pointed("Move_pt", world=row * 32 + column) == [pytest.approx(on_minimap)]
        beacon = env.units[0][env.units[0]["kind"] == catalog.BEACON][0]
        assert pointed("Move_unit", target_unit_tag=1) == [pytest.approx((beacon["x"], beacon["y"]))]
    env.step(nothing)
    assert env._clicks == {}


@pytest.mark.parametrize("name", [*MAPS, next(iter(MELEE))])
def test_frames_of_a_game_are_of_one_size(name: str) -> None:
    env = make(name, 1, render_mode="rgb_array", functions=("no_op",), arguments=(), step_mul=100)
    env.reset(seed=0)
    shapes = set()
    for _ in range(4):
        shapes.add(env.render()[0].shape)
        env.step({"function": np.zeros(1, np.int64)})
    assert len(shapes) == 1
