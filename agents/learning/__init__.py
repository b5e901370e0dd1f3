"""A trajectory becomes a better policy."""
