"""Hand-written players that give every unit an order in each step: the orders style."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from envs.standin.players.fighters import ROUTE, Spot, all_on_the_way, longest, plan
from envs.standin.players.sight import KINDS, Action, Floats, Observation, Player
from envs.starcraft.interface import CAMERA_WIDTH, MAP_SIZE, Interface

Bools = npt.NDArray[np.bool_]

MARINE_RANGE = 5.0
"""World units beyond both radii."""
HURT, RELOADING, TOO_NEAR = 0.3, 4.0, 5.2
"""A marine steps back below this share of its health, with so many loops left until it can shoot, this near."""
IN_SIGHT = 14.0
"""World units within which a marine turns to an enemy."""
STRAGGLING = 4.0
"""World units behind the others at which a marine is waited for."""
WEAKNESS, FAR = 0.03, 20.0
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


def search(interface: Interface) -> Player:
    """The marines walk the route together; where an enemy is near they fight as against roaches."""
    shoot = focus_fire(interface)
    field = Field(interface, ("unit_type", "alliance", "x", "y"), ("Attack_unit", "Attack_pt", "Move_unit"))
    memory: dict[int, int] = {}
    (size, _), cell = interface.minimap_size, MAP_SIZE / interface.minimap_size[0]

    def play(observation: Observation) -> Action:
        action = shoot(observation)
        field.look(observation)
        away = field.away()
        for game in range(len(action["function"])):
            marines, enemies = np.flatnonzero(field.own[game]), np.flatnonzero(field.enemy[game])
            x, y = ROUTE[memory.get(game, 0) % len(ROUTE)]
            if len(marines) and np.hypot(field.x[game, marines] - x, field.y[game, marines] - MAP_SIZE + y).min() < 3:
                memory[game] = memory.get(game, 0) + 1
            if len(enemies) and len(marines) and away[game][np.ix_(marines, enemies)].min() < IN_SIGHT:
                continue
            for m in marines:
                last = marines[np.hypot(field.x[game, marines] - x, field.y[game, marines] - MAP_SIZE + y).argmax()]
                action["enemy"][game, m] = action["unit"][game, m] = 0
                if away[game][m, last] > STRAGGLING:
                    action["function"][game, m] = field.function["Move_unit"]
                    action["unit"][game, m] = last
                else:
                    action["function"][game, m] = field.function["Attack_pt"]
                    action["place"][game, m] = int((MAP_SIZE - y) / cell) * size + int(x / cell)
        return action

    return play
