"""What PySC2's static data names: units, buffs, upgrades, effects and functions, in one table."""
