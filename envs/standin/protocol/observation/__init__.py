"""The game's state in the protocol's messages."""
