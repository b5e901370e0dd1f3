"""The StarCraft II API, served by the stand-in game: PySC2 and python-sc2 play against it as against the real one."""
