"""Learning: knows policies and environments, not games."""
