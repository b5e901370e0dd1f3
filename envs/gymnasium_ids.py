"""The mini-games under Gymnasium's own names: ``gymnasium.make("perceiver_rl/MoveToBeacon")``, and ``make_vec``.

``perceiver_rl/MoveToBeacon-flat`` is the same game as a Box and a MultiDiscrete (see `envs.flat`). Options are those of
the stand-in game: ``step_mul``, ``max_loops``, ``style``, ``max_units``, ...
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import VectorEnv, VectorWrapper

from envs.standin.rules.scenario_ids import MELEE, SCENARIOS

if TYPE_CHECKING:
    from envs.flat import Flat
    from envs.standin.single_env import StandinEnv

GAMES = SCENARIOS[:MELEE]
"""From where nothing else is imported: Gymnasium may be on its way in because the module of the maps is."""
NAMESPACE = "perceiver_rl/"
FLAT = "-flat"


def register() -> None:
    """Tell Gymnasium of them; may be called again."""
    for name in GAMES:
        if NAMESPACE + name in gymnasium.registry:
            continue
        given = {"scenario": name}
        gymnasium.register(
            NAMESPACE + name,
            entry_point="envs.gymnasium_ids:make_one",
            vector_entry_point="envs.gymnasium_ids:make_many",
            kwargs=given,
        )
        gymnasium.register(NAMESPACE + name + FLAT, entry_point="envs.gymnasium_ids:make_flat", kwargs=given)


def make_one(scenario: str, **options: Any) -> StandinEnv:
    """One game."""
    from envs.standin.single_env import StandinEnv

    return StandinEnv(scenario, **options)


def make_flat(scenario: str, **options: Any) -> Flat:
    """One game, flat; where units are given orders, unless the ``style`` is another, each in a component of its own."""
    from envs.flat import Flat
    from envs.starcraft.maps import MAPS

    if MAPS[scenario].orders and not options.keys() & {"style", "interface"}:
        options["style"] = "orders"
    return Flat(make_one(scenario, **options))


def make_many(scenario: str, num_envs: int = 1, **options: Any) -> VectorEnv[Any, Any, Any]:
    """Many games, in kernels of their own; observations are the caller's to keep."""
    from envs.standin.vector_env import make

    return _Copied(make(scenario, num_envs, **options))


class _Copied(VectorWrapper):
    """What is observed is kept by the caller, while the games write over their own arrays."""

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """As the games'."""
        observation, info = self.env.reset(**options)
        return deepcopy(observation), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the games'."""
        observation, *rest = self.env.step(actions)
        return deepcopy(observation), *rest
