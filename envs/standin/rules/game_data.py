"""The game's own table of its units, abilities, upgrades, buffs and effects, as text: read here, used by all.

The file is made from what a game answers (``python -m envs.standin.protocol.requests.tables``). A line that begins with
a word says what the columns of the following lines are; an entry's first cell is its number.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).with_name("game_data.tsv")

Rows = dict[int, dict[str, str]]
"""Number -> column -> cell; cells that are empty are left out."""


@lru_cache(maxsize=1)
def read() -> dict[str, Rows]:
    """Kind of entry ("units", "abilities", ...) -> its rows."""
    tables: dict[str, Rows] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        first, *cells = line.split("\t")
        if not first.isdecimal():
            columns, rows = cells, tables.setdefault(first, {})
            continue
        rows[int(first)] = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
    return tables
