"""The built-in AI: how an opponent is named, ``zerg:hard:rush``, and the API's numbers for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from envs.spelling import did_you_mean

RACES: Mapping[str, int] = {"terran": 1, "zerg": 2, "protoss": 3, "random": 4}
"""``Race`` of the API (``common.proto``)."""

DIFFICULTIES: Mapping[str, int] = {
    name: i + 1
    for i, name in enumerate(
        (
            "very_easy",
            "easy",
            "medium",
            "medium_hard",
            "hard",
            "harder",
            "very_hard",
            "cheat_vision",
            "cheat_money",
            "cheat_insane",
        )
    )
}
"""``Difficulty`` of the API (``sc2api.proto``)."""

MENU_NAMES: Mapping[str, str] = {"elite": "very_hard"}
"""What the game's own menu calls a difficulty, where the API has another name for it."""

BUILDS: Mapping[str, int] = {
    name: i + 1 for i, name in enumerate(("random", "rush", "timing", "power", "macro", "air"))
}
"""``AIBuild`` of the API (``sc2api.proto``)."""


@dataclass(frozen=True)
class Opponent:
    """A computer player: what it plays, how well, and when it attacks. Raises ValueError for an unknown name."""

    race: str = "random"
    difficulty: str = "easy"
    build: str = "random"

    def __post_init__(self) -> None:
        object.__setattr__(self, "difficulty", MENU_NAMES.get(self.difficulty, self.difficulty))
        for part, name, known in (
            ("race", self.race, RACES),
            ("difficulty", self.difficulty, DIFFICULTIES),
            ("build", self.build, BUILDS),
        ):
            if name not in known:
                names = [*known, *(MENU_NAMES if part == "difficulty" else ())]
                near = did_you_mean(name, names) or "."
                raise ValueError(f"opponent: no {part} {name!r}{near} There are: {', '.join(names)}")

    def __str__(self) -> str:
        return f"{self.race}:{self.difficulty}:{self.build}"


def parse_opponent(text: str) -> Opponent:
    """``race:difficulty:build``, of which the race, the build or both may be left out: ``hard``, ``zerg:hard``."""
    parts = text.strip().lower().replace("-", "_").split(":")
    if len(parts) == 1:
        return Opponent(difficulty=parts[0])
    if len(parts) == 2 and parts[0] not in RACES and parts[1] not in (*DIFFICULTIES, *MENU_NAMES):
        return Opponent(difficulty=parts[0], build=parts[1])
    if len(parts) <= 3:
        return Opponent(*parts)
    raise ValueError(f"opponent: expected race:difficulty:build, such as zerg:hard:rush, got {text!r}")


def expand_opponents(text: str) -> list[str]:
    """Every combination of what is listed with commas: ``terran:easy,hard:rush,macro`` are four opponents."""
    parts = [[one for one in part.split(",") if one.strip()] for part in text.split(":")]
    return [str(parse_opponent(":".join(one))) for one in product(*parts)]


def check_playable(opponent: Opponent | str | None) -> None:
    """Raise ValueError, in words, for a computer player that the stand-in game does not have."""
    if isinstance(opponent, str):
        opponent = parse_opponent(opponent)
    if opponent is not None and opponent.race in ("zerg", "protoss"):
        raise ValueError(
            f"opponent: the stand-in game's computer plays Terran, not {opponent.race.capitalize()}; "
            "say terran, or random, which comes to that"
        )
    if opponent is not None and opponent.build == "air":
        raise ValueError(
            "opponent: nothing flies in the stand-in game, so that its computer has no build 'air'; "
            "there are random, rush, timing, power, macro"
        )
