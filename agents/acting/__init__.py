"""A policy becomes trajectories, episodes and scores."""
