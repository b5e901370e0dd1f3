"""Training across processes and machines, placed by Ray. Only this package imports ray."""

from agents.placement.cluster.driver import train

__all__ = ["train"]
