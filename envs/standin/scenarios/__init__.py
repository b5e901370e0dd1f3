"""The mini-games' own rules, one map a file, each as the map's script reads."""
