"""Runs on several processes: their speed, and whether they last."""
