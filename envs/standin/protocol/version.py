"""Which game the stand-in passes for: the newest build that Blizzard has published for Linux."""

GAME_VERSION, BUILD = "4.10.0", 75689
DATA_VERSION = "B89B5D6FA7CBF6452E721311BFBC6CB2"
LOOPS_A_SECOND = 22.4
"""Game loops in a second of a game in real time, at the speed "faster"."""
