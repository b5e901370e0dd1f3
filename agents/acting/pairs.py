"""Two players in the same games: by how much one is better, game by game.

What a game begins with is the same for both, so that its luck drops out of the difference (common random numbers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.acting.evaluate import CONFIDENCE, Evaluation, Spread


@dataclass(frozen=True)
class Pair:
    """The second player's return less the first one's, in equal games."""

    label: str
    differences: list[float]

    @property
    def spread(self) -> Spread:
        """Mean and interval of the differences."""
        return Spread.of(self.differences)


def pair(one: Sequence[Evaluation], other: Sequence[Evaluation]) -> list[Pair]:
    """What both have played, a Pair an environment and opponent; of several, the last one is of all games.

    Raises ValueError where that is nothing, or where games are not the same.
    """
    found = []
    for mine in one:
        for theirs in other:
            if (mine.label, mine.opponent) != (theirs.label, theirs.opponent):
                continue
            label = mine.label + (f" against {mine.opponent}" if mine.opponent else "")
            for name in ("seed", "games"):
                a, b = getattr(mine, name), getattr(theirs, name)
                if a != b or (name == "games" and not a):
                    raise ValueError(
                        f"{label}: {name} is {a} in one and {b} in the other, so the games are not the same"
                    )
            if len(mine.returns) != len(theirs.returns) or mine.played.cut or theirs.played.cut:
                raise ValueError(
                    f"{label}: {len(mine.returns)} episodes against {len(theirs.returns)}, or some are cut"
                )
            found.append(Pair(label, [b - a for a, b in zip(mine.returns, theirs.returns, strict=True)]))
    if not found:
        raise ValueError("they have no environment and opponent in common")
    if len(found) > 1:
        found.append(Pair("all", [value for each in found for value in each.differences]))
    return found


def table(pairs: Sequence[Pair], one: str, other: str) -> str:
    """A line a pair."""
    lines = [f"{other}, less {one}, in the same games ({CONFIDENCE:.0%} interval of the mean, Student's t)"]
    for each in pairs:
        s = each.spread
        better, worse = (sum(d * sign > 0 for d in each.differences) for sign in (1, -1))
        lines.append(
            f"{each.label}\n  {s.mean:+.3g} ({s.low:+.3g} to {s.high:+.3g}); better in {better}, worse in {worse}"
        )
        lines[-1] += f", of {len(each.differences)}"
    return "\n".join(lines)
