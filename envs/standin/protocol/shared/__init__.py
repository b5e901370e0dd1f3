"""A game that two play, through a process each."""
