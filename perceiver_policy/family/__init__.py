"""The published Perceivers."""
