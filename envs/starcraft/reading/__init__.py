"""From the game's message to rows: units, effects, upgrades."""
