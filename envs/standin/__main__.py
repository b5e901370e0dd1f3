"""Compiles the stand-in game's kernels, so that the first training run need not wait: ``python -m envs.standin``."""

from envs.standin.vector_env import make

env = make("MoveToBeacon", 1)
env.reset(seed=0)
env.step({name: space.sample()[None] for name, space in env.single_action_space.spaces.items()})  # type: ignore[attr-defined]
print("the stand-in game is compiled")
