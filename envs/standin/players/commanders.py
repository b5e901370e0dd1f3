"""Hand-written players that give every unit an order in each step: the orders style."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.players.fighters import Spot, all_on_the_way, longest, plan
from envs.standin.players.sight import KINDS, Action, Floats, Observation, Player
from envs.starcraft.interface import CAMERA_WIDTH, MAP_SIZE, Interface

Bools = npt.NDArray[np.bool_]

MARINE_RANGE = 5.0
"""World units beyond both radii."""
HURT, RELOADING, TOO_NEAR = 0.7, 7.0, 5.2
"""A marine steps back below this share of its health, with so many loops left until it can shoot, this near."""
ROUND = ((32.0, MAP_SIZE - 28.0), (16.0, 11.0))
"""The middle and half the sides of the rectangle that is walked along in search, y downwards."""
AHEAD, APART, NEARBY = 4.0, 2.0, 11.0
"""World units: how far ahead they aim, how far from their middle they stay, how far from it they hunt."""
IN_REACH, UPON, WALKING = 5.75, 6.3, 7.0
"""World units, between centers, at which a marine shoots a zergling and at which that comes for it; with more loops
left until it can shoot a marine walks."""
WEAKNESS, FAR = 0.8, 20.0
"""What a point of health, and being out of reach, weigh against a world unit of distance in the choice of a target."""


class Field:
    """A batch of observations of the orders style, by column: arrays [B, U], places in world units (y downwards)."""

    def __init__(self, interface: Interface, columns: tuple[str, ...], functions: tuple[str, ...]) -> None:
        missing = [f for f in functions if f not in interface.functions]
        missing += [c for c in columns if c not in interface.unit_features]
        if interface.style != "orders" or missing:
            raise ValueError(f"this player needs an interface of the style orders with {', '.join(missing)}")
        self.interface, self.space = interface, interface.orders
        self.column = {name: i for i, name in enumerate(interface.unit_features)}
        self.function = {name: i for i, name in enumerate(interface.functions)}

    def look(self, observation: Observation) -> None:
        """Take in what is observed now."""
        self.features, self.there = observation["units"]["features"], observation["units"]["mask"] > 0
        self.x, self.y = (np.asarray(self.features[..., self.column[c]]) * MAP_SIZE for c in ("x", "y"))
        self.own, self.enemy = (self.there & (self.get("alliance") == side) for side in (1, 4))

    def get(self, name: str) -> Floats:
        """A column."""
        return np.asarray(self.features[..., self.column[name]])

    def are(self, kind: str) -> Bools:
        """Which units are of a kind."""
        return np.asarray((self.get("unit_type") == KINDS[kind]) & self.there)

    def keep(self) -> Action:
        """Everybody goes on with what they do."""
        return {name: np.zeros((len(self.there), *(s.shape or ())), np.int64) for name, s in self.space.items()}

    def cell(self, x: Floats, y: Floats) -> npt.NDArray[np.int64]:
        """The cells of the minimap that hold places in world units."""
        width, height = self.interface.minimap_size
        column, row = (np.asarray(v / MAP_SIZE * n, np.int64).clip(0, n - 1) for v, n in ((x, width), (y, height)))
        return np.asarray(row * width + column)

    def away(self) -> Floats:
        """Distances [B, U, U], row to row."""
        return np.hypot(self.x[:, :, None] - self.x[:, None], self.y[:, :, None] - self.y[:, None])


def move_to_beacon(interface: Interface) -> Player:
    """The marine walks to the beacon."""
    field = Field(interface, ("unit_type", "alliance", "x", "y"), ("Move_unit",))

    def play(observation: Observation) -> Action:
        field.look(observation)
        action = field.keep()
        action["function"][field.own] = field.function["Move_unit"]
        action["unit"] += np.where(field.own, field.are("Beacon_Terran").argmax(1)[:, None], 0)
        return action

    return play


def collect_shards(interface: Interface) -> Player:
    """Each marine walks its own tour of the shards; what was planned is kept until there is a shorter plan.

    Plans that were made anew in each step could take turns, and the marines stand still for good.
    """
    field = Field(interface, ("unit_type", "alliance", "x", "y"), ("Move_unit",))
    planned: dict[int, list[list[Spot]]] = {}

    def play(observation: Observation) -> Action:
        field.look(observation)
        action, shards = field.keep(), field.are("NaturalMinerals")
        for game in range(len(action["function"])):
            x, y = field.x[game] / CAMERA_WIDTH, field.y[game] / CAMERA_WIDTH
            where = {(float(x[k]), float(y[k])): int(k) for k in np.flatnonzero(shards[game])}
            marines = np.flatnonzero(field.own[game])
            ways = [[(float(x[m]), float(y[m]))] for m in marines]
            tours = plan(list(where), ways)
            kept = [[spot for spot in tour if spot in where] for tour in planned.get(game, [])]
            if all_on_the_way(where, ways, kept) and longest(ways, kept) <= longest(ways, tours):
                tours = kept
            planned[game] = tours
            for marine, tour in zip(marines, tours, strict=False):
                if tour:
                    action["function"][game, marine] = field.function["Move_unit"]
                    action["unit"][game, marine] = where[tour[0]]
        return action

    return play


def focus_fire(interface: Interface, first: str | None = None) -> Player:
    """Each marine shoots the enemy that is near and weak, all the same one where they stand together; those that are
    hurt step back while they cannot shoot.

    ``first``: a kind of enemy that is shot before all others.
    """
    columns = ("unit_type", "alliance", "x", "y", "health", "health_ratio", "weapon_cooldown")
    field = Field(interface, columns, ("Attack_unit", "Move_away_unit"))

    def play(observation: Observation) -> Action:
        field.look(observation)
        action, away = field.keep(), field.away()
        worth = away + WEAKNESS * field.get("health")[:, None] + FAR * (away > MARINE_RANGE + 1.5)
        if first is not None:
            worth = worth - 100.0 * field.are(first)[:, None]
        target = np.where(field.enemy[:, None], worth, np.inf).argmin(2)
        shoot = field.own & field.enemy.any(1, keepdims=True)
        action["function"][shoot] = field.function["Attack_unit"]
        action["enemy"][shoot] = target[shoot]
        _step_back(field, action, away)
        return action

    return play


def _step_back(field: Field, action: Action, away: Floats) -> None:
    """Marines that are hurt and cannot shoot just now walk away from the nearest enemy, while others hold the line."""
    near = np.where(field.enemy[:, None], away, np.inf)
    closest = np.take_along_axis(near, near.argmin(2)[..., None], 2)[..., 0]
    hurt = (field.get("health_ratio") < HURT) & (field.get("weapon_cooldown") > RELOADING)
    back = field.own & hurt & (closest < TOO_NEAR) & (field.own.sum(1, keepdims=True) > 2)
    action["function"][back] = field.function["Move_away_unit"]
    action["enemy"][back] = 0
    action["unit"][back] = near.argmin(2)[back]


def bait(interface: Interface) -> Player:
    """While there are banelings, the marine nearest to them goes to meet them and the others keep their distance,
    shooting; then all shoot what is left."""
    columns = ("unit_type", "alliance", "x", "y", "health", "weapon_cooldown")
    field = Field(interface, (*columns, "health_ratio"), ("Attack_unit", "Move_away_unit", "Move_unit"))
    shoot = focus_fire(interface, "Baneling")

    def play(observation: Observation) -> Action:
        action = shoot(observation)
        field.look(observation)
        banelings, away = field.are("Baneling"), field.away()
        cooldown = field.get("weapon_cooldown")
        for game in range(len(action["function"])):
            marines, danger = np.flatnonzero(field.own[game]), np.flatnonzero(banelings[game])
            if len(marines) < 2 or len(danger) == 0:
                continue
            near = away[game][np.ix_(marines, danger)]
            lone = int(near.min(1).argmin())
            for k, m in enumerate(marines):
                d = danger[near[k].argmin()]
                if k == lone:
                    action["function"][game, m] = field.function["Move_unit"]
                    action["unit"][game, m] = d
                elif near[k].min() < 4.0 and cooldown[game, m] > 2:
                    action["function"][game, m] = field.function["Move_away_unit"]
                    action["unit"][game, m] = d
        return action

    return play


def search(interface: Interface, *, walking: bool = True) -> Player:
    """The marines go round the map together, clockwise, and leave the round for what they see.

    All who reach it shoot the same enemy. ``walking``: between two shots they walk on, to the next one or along the
    round, and back where two are upon them; else they stand while they shoot.
    """
    columns = ("unit_type", "alliance", "x", "y", "weapon_cooldown")
    functions = ("Attack_unit", "Move_unit", "Move_away_unit", "Attack_pt", "Move_pt")
    field = Field(interface, columns, functions)

    def play(observation: Observation) -> Action:
        field.look(observation)
        action, away, own, enemy = field.keep(), field.away(), field.own, field.enemy
        x, y = (np.where(own, v, 0).sum(1) / np.maximum(own.sum(1), 1) for v in (field.x, field.y))
        from_middle = np.hypot(field.x - x[:, None], field.y - y[:, None])
        seen = enemy & (from_middle < NEARBY)
        reached = enemy[:, None] & (away <= IN_REACH) & own[..., None]
        # whom most can shoot is shot first, else whoever is near
        worth = np.where(reached, from_middle[:, None] - 10.0 * reached.sum(1)[:, None], np.inf)
        upon = enemy & ((away < UPON) & own[..., None]).any(1)
        others = np.where(seen[:, None] & ~reached, from_middle[:, None], np.inf)
        engaged, loaded = reached.any(2), (field.get("weapon_cooldown") <= WALKING) | (not walking)

        def order(who: Bools, function: str, **arguments: Any) -> None:
            action["function"][who] = field.function[function]
            for name, value in arguments.items():
                action[name][who] = np.broadcast_to(value, who.shape)[who]

        goal = field.cell(*_round(x, y))[:, None]
        order(own, "Attack_pt", place=goal)
        order(own & engaged, "Move_pt", place=goal)
        order(own & engaged & np.isfinite(others).any(2), "Move_unit", unit=others.argmin(2), place=0)
        mates = np.where(own[:, None] & ~np.eye(own.shape[1], dtype=bool), from_middle[:, None], np.inf)
        order(own & (from_middle > APART), "Move_unit", unit=mates.argmin(2), place=0)
        back = own & engaged & (upon.sum(1) > 1)[:, None]
        order(back, "Move_away_unit", unit=np.where(upon[:, None], away, np.inf).argmin(2), place=0)
        chase = own & ~engaged & seen.any(1)[:, None]
        nearest = np.where(seen, from_middle, np.inf).argmin(1)[:, None]
        order(chase, "Attack_unit", enemy=nearest, unit=0, place=0)
        order(own & engaged & loaded, "Attack_unit", enemy=worth.argmin(2), unit=0, place=0)
        return action

    return play


def _round(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Where to walk from a place: a little farther clockwise along the rectangle :data:`ROUND` (y downwards)."""
    (cx, cy), (width, height) = ROUND
    u, v = (x - cx) / width, (y - cy) / height
    scale = np.maximum(np.maximum(np.abs(u), np.abs(v)), 1e-6)
    u, v = u / scale, v / scale
    corners = 2 * np.cumsum([0.0, width, height, width, height])
    sides = [v <= -1 + 1e-9, u >= 1 - 1e-9, v >= 1 - 1e-9]
    along = [(u + 1) * width, corners[1] + (v + 1) * height, corners[2] + (1 - u) * width]
    walked = (np.select(sides, along, corners[3] + (1 - v) * height) + AHEAD) % corners[4]
    return (
        cx + width * np.interp(walked, corners, [-1, 1, 1, -1, -1]),
        cy + height * np.interp(walked, corners, [-1, -1, 1, 1, -1]),
    )
