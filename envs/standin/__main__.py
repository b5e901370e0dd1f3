"""Compiles the stand-in game's kernels, so that the first training run need not wait: ``python -m envs.standin``."""

from envs.standin.protocol.match import Match
from envs.standin.vector_env import make
from envs.starcraft.maps import mini_game

env = make("MoveToBeacon", 1)
env.reset(seed=0)
env.step({name: space.sample()[None] for name, space in env.single_action_space.spaces.items()})  # type: ignore[attr-defined]
match = Match(mini_game("MoveToBeacon"), seed=0, screen=64, minimap=64)
match.choose("no_op", "ui", {})
match.command("Stop", [0])
print("the stand-in game is compiled")
