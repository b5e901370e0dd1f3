"""How the stand-in's computer players do against each other: ``python -m benchmarks.difficulty --games 200``.

A cell is the part of the games that the row's difficulty has won against the column's, with the draws behind a slash
where there are any. ``--apart 2`` plays each against the one two below it alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from envs.standin.contest import contest
from envs.starcraft.opponents import DIFFICULTIES, Opponent


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--games", type=int, default=200, help="games of each pair")
    parser.add_argument("--apart", type=int, default=0, help="only pairs so far apart; 0: all")
    parser.add_argument("--build", default="random", help="the build of both")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args(argv)
    names = list(DIFFICULTIES)
    print("".join(f"{name:>14}" for name in ("", *names)))
    for row, strong in enumerate(names):
        cells = []
        for column, weak in enumerate(names):
            if column >= row or (told.apart and row - column != told.apart):
                cells.append("")
                continue
            one, other = (Opponent("terran", name, told.build) for name in (strong, weak))
            outcome, _ = contest(one, other, told.games, told.seed)
            drawn = (outcome == 0).mean()
            cells.append(f"{(outcome == 1).mean():.2f}" + (f"/{drawn:.2f}" if drawn else ""))
        print("".join(f"{cell:>14}" for cell in (strong, *cells)), flush=True)


if __name__ == "__main__":
    main()
