"""Bots that others have written, against the stand-in game."""
