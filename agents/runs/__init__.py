"""What stays on disk of a run, and what people see of it."""
