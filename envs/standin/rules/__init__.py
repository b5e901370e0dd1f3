"""The game's state as arrays and its rules, one concern a file, compiled."""
