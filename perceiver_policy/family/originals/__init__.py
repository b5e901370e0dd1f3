"""Weights in the formats of the papers' own code: parameter trees of DeepMind's and Google's Haiku modules, and the
state dicts of the public Perceiver Resamplers."""
