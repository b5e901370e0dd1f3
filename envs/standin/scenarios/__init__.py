"""The mini-games' own rules, each as the map's script reads, and the melee."""
