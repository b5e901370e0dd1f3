"""Ground that is not flat: where units walk, where buildings stand, how high it is."""
