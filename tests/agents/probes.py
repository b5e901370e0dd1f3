"""Small environments whose best play and its return are known, each of which tests one ability."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.spaces import Feature, Functions, PerUnit, Pointer, Pointers, Units

Step = tuple[Any, float, bool, bool, dict[str, Any]]


class Bandit(gymnasium.Env[np.ndarray, Any]):
    """One step; arm 2 of 4 pays 1. Best: 1."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Step:
        return np.zeros(1, np.float32), float(action == 2), True, False, {}


class TwoStepCredit(gymnasium.Env[np.ndarray, Any]):
    """The first action decides what the second step pays, whatever is chosen then. Best: 1."""

    observation_space = spaces.Discrete(2)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.chosen: int | None = None
        return 0, {}

    def step(self, action: int) -> Step:
        if self.chosen is None:
            self.chosen = int(action)
            return 1, 0.0, False, False, {}
        return 1, float(self.chosen == 1), True, False, {}


class Recall(gymnasium.Env[np.ndarray, Any]):
    """A cue of 0 or 1 is shown once; after four blank steps the agent must repeat it. Best: 1; without memory: 0.5."""

    observation_space = spaces.Discrete(4)  # the cue, a blank, the question
    action_space = spaces.Discrete(2)

    def __init__(self, delay: int = 4) -> None:
        self.delay = delay

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.cue, self.steps = int(self.np_random.integers(2)), 0
        return self.cue, {}

    def step(self, action: int) -> Step:
        self.steps += 1
        if self.steps <= self.delay:
            return 2, 0.0, False, False, {}
        if self.steps == self.delay + 1:
            return 3, 0.0, False, False, {}
        return 3, float(action == self.cue), True, False, {}


class Masked(gymnasium.Env[dict[str, Any], Any]):
    """Action k pays k / 9, but only two of the ten are legal, others in every episode. Best: the higher legal one.

    An illegal action raises: a policy that ignores its mask does not get far. Best: about .704 (the mean maximum of two
    different numbers of 0 to 9, 6 1/3, over 9).
    """

    observation_space = spaces.Dict({"nothing": spaces.Box(0, 1, (1,)), "action_mask": spaces.MultiBinary(10)})
    action_space = spaces.Discrete(10)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.mask = np.zeros(10, np.int8)
        self.mask[self.np_random.choice(10, 2, replace=False)] = 1
        return self._observe(), {}

    def step(self, action: int) -> Step:
        if not self.mask[action]:
            raise RuntimeError(f"illegal action {action} of {self.mask}")
        return self._observe(), action / 9, True, False, {}

    def _observe(self) -> dict[str, Any]:
        return {"nothing": np.zeros(1, np.float32), "action_mask": self.mask.copy()}


class PickTheMarked(gymnasium.Env[dict[str, Any], Any]):
    """Two to six units in random rows, one of them marked; ``pick`` must point to it. Best: 1."""

    observation_space = spaces.Dict({"units": Units(6, [Feature("marked"), Feature("x", "position")])})
    action_space = Functions({"wait": (), "pick": ("unit",)}, {"unit": Pointer("units", 6)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        random = self.np_random
        rows = random.permutation(6)[: random.integers(2, 7)]
        self.marked = int(rows[0])
        self.mask, self.features = np.zeros(6, np.int8), random.random((6, 2)).astype(np.float32)
        self.mask[rows] = 1
        self.features[:, 0] = 0
        self.features[self.marked, 0] = 1
        return self._observe(), {}

    def step(self, action: dict[str, Any]) -> Step:
        paid = action["function"] == 1 and action["unit"] == self.marked
        return self._observe(), float(paid), True, False, {}

    def _observe(self) -> dict[str, Any]:
        return {"units": {"features": self.features, "mask": self.mask}}


class ExactlyOne(gymnasium.Env[dict[str, Any], Any]):
    """Two units that look alike; an action selects, and pays 1 for exactly one of them, whichever. Best: 1.

    Whoever selects each on its own gets half of it: with equal chances p for both, 2 p (1 - p).
    """

    observation_space = spaces.Dict({"units": Units(3, [Feature("x", "position")])})
    action_space = spaces.Dict({"several": Pointers("units", 3)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action: dict[str, Any]) -> Step:
        return self._observe(), float(action["several"].sum() == 1), True, False, {}

    def _observe(self) -> dict[str, Any]:
        return {"units": {"features": np.full((3, 1), 0.5, np.float32), "mask": np.array([1, 1, 0], np.int8)}}


class Aim(gymnasium.Env[np.ndarray, Any]):
    """A point in the square is shown; the action is a point, and pays 1 - its distance. Best: 1; the middle: .46."""

    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Box(-1, 1, (2,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.target = self.np_random.uniform(-0.7, 0.7, 2).astype(np.float32)
        return self.target, {}

    def step(self, action: np.ndarray) -> Step:
        return self.target, 1 - float(np.hypot(*(action - self.target))), True, False, {}


class Squad(gymnasium.Env[dict[str, Any], Any]):
    """Two to five units, each with a colour: red ones must wait, green ones guard the marked unit, blue ones walk to
    the side that they show. All orders are given at once; the share that is right pays. Best: 1.
    """

    capacity = 6
    observation_space = spaces.Dict(
        {
            "units": Units(capacity, [Feature("color", "category", 3), Feature("marked"), Feature("side")]),
            "action_mask": spaces.Dict({"function": spaces.MultiBinary((capacity, 3))}),
        }
    )
    action_space: Any = PerUnit(
        "units",
        capacity,
        {"wait": (), "guard": ("who",), "walk": ("side",)},
        {"who": Pointer("units", capacity), "side": spaces.Discrete(2)},
    )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.count = int(self.np_random.integers(2, 6))
        self.color = self.np_random.integers(0, 3, self.count)
        self.side = self.np_random.integers(0, 2, self.count)
        self.marked = int(self.np_random.integers(self.count))
        return self._observe(), {}

    def right(self, unit: int, function: int, who: int, side: int) -> bool:
        """Is that the order that the unit should have?"""
        if function != self.color[unit]:
            return False
        return function == 0 or (who == self.marked if function == 1 else side == self.side[unit])

    def step(self, action: Any) -> Step:
        each = zip(action["function"], action["who"], action["side"], strict=True)
        right = [self.right(unit, *order) for unit, order in enumerate(each) if unit < self.count]
        return self._observe(), float(np.mean(right)), True, False, {}

    def _observe(self) -> dict[str, Any]:
        features = np.zeros((self.capacity, 3), np.float32)
        features[: self.count, 0], features[: self.count, 2] = self.color, self.side
        features[self.marked, 1] = 1
        there = (np.arange(self.capacity) < self.count).astype(np.int8)
        function = np.repeat(there[:, None], 3, 1)
        return {"units": {"features": features, "mask": there}, "action_mask": {"function": function}}


class SquadOneByOne(Squad):
    """The same, with one order a step: a unit, and what it is to do. As many steps as there are units; those that the
    last order of each is right for pay at the end. Best: 1.
    """

    observation_space = spaces.Dict({"units": Squad.observation_space["units"]})
    action_space = Functions(
        {"wait": ("unit",), "guard": ("unit", "who"), "walk": ("unit", "side")},
        {
            "unit": Pointer("units", Squad.capacity),
            "who": Pointer("units", Squad.capacity),
            "side": spaces.Discrete(2),
        },
    )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        self.orders: dict[int, bool] = {}
        self.steps = 0
        return observation, info

    def step(self, action: Any) -> Step:
        unit = int(action["unit"])
        self.orders[unit] = self.right(unit, int(action["function"]), int(action["who"]), int(action["side"]))
        self.steps += 1
        over = self.steps == self.count
        return self._observe(), sum(self.orders.values()) / self.count if over else 0.0, over, False, {}

    def _observe(self) -> dict[str, Any]:
        return {"units": super()._observe()["units"]}


class Quadrant(gymnasium.Env[np.ndarray, Any]):
    """One step: in which quarter of a 36 x 36 picture is the bright square? Best: 1; by chance: .25."""

    observation_space = spaces.Box(0, 255, (36, 36, 3), np.uint8)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        row, column = self.np_random.integers(0, 15, 2) + 18 * (quarter := self.np_random.integers(0, 2, 2))
        self.quarter = int(2 * quarter[0] + quarter[1])
        self.picture = np.zeros((36, 36, 3), np.uint8)
        self.picture[row : row + 4, column : column + 4] = 255
        return self.picture, {}

    def step(self, action: int) -> Step:
        return self.picture, float(action == self.quarter), True, False, {}


class ShootTheWeakest(gymnasium.Env[np.ndarray, Any]):
    """One to six enemies as rows of a padded table: how far, how strong, and that there is one. Each step shoots a row;
    the weakest pays 1 and is gone. An episode ends when all are. Best: 3.5, the mean number of enemies.
    """

    observation_space = spaces.Box(-1, 16, (6, 3), np.float32)
    action_space = spaces.Discrete(6)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.there = np.zeros(6, bool)
        self.there[self.np_random.permutation(6)[: self.np_random.integers(1, 7)]] = True
        self.table = self.np_random.uniform(0, 16, (6, 3)).astype(np.float32)
        return self._observe()

    def step(self, action: int) -> Step:
        living = np.flatnonzero(self.there)
        paid = self.there[action] and action == living[self.table[living, 1].argmin()]
        self.there[action] = False
        observation, info = self._observe()
        return observation, float(paid), not self.there.any(), False, info

    def _observe(self) -> Any:
        table = np.where(self.there[:, None], self.table, -1).astype(np.float32)
        table[:, 2] = self.there
        mask = self.there.astype(np.int8) if self.there.any() else np.ones(6, np.int8)
        return table, {"action_mask": mask}
