"""The stand-in game: the mini-games' rules with the real numbers of StarCraft II."""
