"""Compiles the stand-in game's kernels, so that the first training run need not wait: ``python -m envs.standin``."""

from envs.standin.warm import load_kernels

load_kernels()
print("the stand-in game is compiled")
