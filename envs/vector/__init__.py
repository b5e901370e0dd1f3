"""Vectors of games other than one after another in this process."""
