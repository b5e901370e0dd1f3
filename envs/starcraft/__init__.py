"""StarCraft II: one agent interface, two games that serve it."""
