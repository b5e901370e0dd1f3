"""Players of one's own that a policy learns from."""
