"""Perceiver RL under its own name: what people import, and what the console script starts."""

__version__ = "0.1.0"
