"""A stage for tests of the game's physics: any units anywhere, any orders, loop by loop."""

import numpy as np

from envs.standin import game
from envs.standin.rules import catalog, world
from envs.standin.rules.cards import COMMANDS
from envs.standin.vector_env import make

OWN, ENEMY, NEUTRAL = world.OWN, world.ENEMY, world.NEUTRAL


class Arena:
    """One game (or several alike) of a map whose units are put there by the test. Commands are raw ones."""

    def __init__(self, scenario="DefeatRoaches", games=1, seed=0, **options):
        self.env = make(scenario, games, style="raw", max_units=64, step_mul=1, max_loops=10**6, **options)
        self.env.reset(seed=seed)
        self.face = self.env.interface
        self.types = catalog.type_table()

    def clear(self):
        self.env.units[:] = 0
        g = self.env.games
        g["top"], g["enemies"], g["crowded"], g["next_tag"] = 0, 0, 1, 0
        return self

    def add(self, kind, x, y, owner=OWN, **fields):
        """Put a unit there in every game; its slot."""
        slot = int(self.env.games["top"][0])
        u = self.env.units[:, slot]
        u[:] = 0
        nothing = ("order_slot", "target", "source", "worker", "way_version", "product_left", "second_left", "addon")
        blank = dict.fromkeys((*nothing, "face_y"), -1) | {"hurt_at": -1000}
        values = {**blank, "called": -1000, "stirred": 1, "hp": self.types[kind]["hp"], **fields}
        values |= {"contents": fields.get("contents", self.types[kind]["contents"])}
        for name, value in {**values, "kind": kind, "owner": owner, "x": x, "y": y, "tag": slot + 1}.items():
            self.env.units[name][:, slot] = value
        self.env.games["top"] = slot + 1
        self.env.games["next_tag"] = slot + 1
        self.env.games["enemies"] += owner == ENEMY
        if self.types[kind]["footprint_w"]:
            self.env.games["obstacles"] += 1
        return slot

    def order(self, slot, order, x=0.0, y=0.0, target=-1):
        """Set a unit's order without a command."""
        for name, value in {"order": order, "order_x": x, "order_y": y, "order_slot": target}.items():
            self.env.units[name][:, slot] = value
        self.env.units["order_tag"][:, slot] = target + 1

    def run(self, loops=1):
        nothing = {name: value * 0 for name, value in self.env.action_space.sample().items()}
        for _ in range(loops):
            self.env.step(nothing)

    def tell(self, function, slots=(), at=None, target=None, queued=0):
        """Give a raw command, the same in every game, and run one loop; what ``step`` returned."""
        n = self.env.num_envs
        self.env.load_state(self.env.save_state())  # shows what is there now
        action = {k: np.zeros((n, *(s.shape or ())), np.int64) for k, s in self.env.single_action_space.items()}
        action["function"][:] = self.face.functions.index(function)
        for slot in slots:
            action["unit_tags"][self.env.slots == slot] = 1
        if target is not None:
            action["target_unit_tag"][:] = np.argmax(self.env.slots == target, 1)
        if at is not None:
            size = self.face.minimap
            action["world"][:] = int((64 - at[1]) / 64 * size) * size + int(at[0] / 64 * size)
        if "queued" in action:
            action["queued"][:] = queued
        return self.env.step(action)

    def command(self, name, slots, at=(0.0, 0.0), target=-1, queued=0):
        """Give any command in the first game, without letting time pass; what comes of it."""
        chosen = np.zeros(self.env.units.shape[1], np.int64)
        chosen[list(slots)] = 1
        if target >= 0:
            at = self.unit(target)["x"], self.unit(target)["y"]
        state = self.env.games[:1], self.env.units[:1], self.types
        return game.command(*state, COMMANDS.index(name), queued, float(at[0]), float(at[1]), target, chosen)

    def unit(self, slot, game=0):
        return self.env.units[game, slot]

    @property
    def game(self):
        return self.env.games[0]
