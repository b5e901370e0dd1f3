"""Hand-written players."""
