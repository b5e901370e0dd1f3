"""A task that needs everything at once: units that come and go, a pointer, a masked choice of functions with different
arguments, and a cue to be remembered.

    perceiver-rl train --config dispatch

The first observation names a colour, and nothing after it does. Three steps later, and then twice more, one of two
functions may be called, as a mask says: ``tag`` the weakest unit of that colour, or ``send`` the strongest one, at the
speed that is the colour's number. Each right call pays 1. Between two and eight units are there, others at every step,
each in a row by chance.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.spaces import Feature, Functions, Pointer, Units

COLOURS, CAPACITY = 3, 8
BLANKS, CALLS = 3, 3
WAIT, TAG, SEND = range(3)


class Dispatch(gymnasium.Env[dict[str, Any], dict[str, Any]]):
    """See the module. Best: 3 an episode; right calls whatever the colour: 1."""

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = spaces.Dict(
        {
            "cue": spaces.Discrete(1 + COLOURS),
            "units": Units(CAPACITY, [Feature("colour", "category", COLOURS), Feature("strength")]),
            "action_mask": spaces.Dict({"function": spaces.MultiBinary(3)}),
        }
    )
    action_space = Functions(
        {"wait": (), "tag": ("unit",), "send": ("unit", "speed")},
        {"unit": Pointer("units", CAPACITY), "speed": spaces.Discrete(COLOURS)},
    )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Name a colour."""
        super().reset(seed=seed)
        self.colour, self.steps = int(self.np_random.integers(COLOURS)), 0
        self.successes = 0
        return self._observe(cue=1 + self.colour), {}

    def step(self, action: dict[str, Any]) -> Any:
        """Pay for what was called, and show other units."""
        right = self._is_right(int(action["function"]), int(action["unit"]), int(action["speed"]))
        self.successes += right
        self.steps += 1
        over = self.steps == 1 + BLANKS + CALLS
        info = {"all_right": self.successes == CALLS} if over else {}
        return self._observe(), float(right), over, False, info

    def _is_right(self, function: int, unit: int, speed: int) -> bool:
        if self.legal == WAIT or function != self.legal or not self.there[unit]:
            return False
        mine = np.flatnonzero(self.there & (self.colours == self.colour))
        strengths = self.strengths[mine]
        if function == TAG:
            return unit == mine[strengths.argmin()]
        return unit == mine[strengths.argmax()] and speed == self.colour

    def _observe(self, cue: int = 0) -> dict[str, Any]:
        random = self.np_random
        self.there = np.zeros(CAPACITY, bool)
        rows = random.permutation(CAPACITY)[: random.integers(2, CAPACITY + 1)]
        self.there[rows] = True
        self.colours = random.integers(0, COLOURS, CAPACITY)
        self.colours[rows[0]] = self.colour
        self.strengths = random.random(CAPACITY).astype(np.float32)
        self.legal = int(random.integers(TAG, SEND + 1)) if self.steps > BLANKS else WAIT
        return {
            "cue": cue,
            "units": {
                "features": np.stack((self.colours, self.strengths), 1).astype(np.float32),
                "mask": self.there.astype(np.int8),
            },
            "action_mask": {"function": np.eye(3, dtype=np.int8)[self.legal]},
        }
