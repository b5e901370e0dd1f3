"""Searches over an experiment's options with Ray Tune; docs/tune.md shows them."""
