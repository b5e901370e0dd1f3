"""Wraps the paragraphs and list items of Markdown files: ``python -m tests.prose docs/usage.md ...``."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

WIDTH = 110
LONGEST = 120
_START = re.compile(r"(\s*)([-*+] |\d+\. |> )?")
_ALONE = re.compile(r"\s*(\||#|!\[|<|---|\[[^]]+\]: )")


def prose(text: str) -> Iterator[tuple[bool, list[str]]]:
    """The text in pieces: paragraphs and list items (True), and what must stay as it is (False)."""
    piece: list[str] = []
    fenced = False
    for line in text.splitlines():
        starts = bool(re.match(r"\s*([-*+] |\d+\. |> )", line))
        if line.lstrip().startswith("```"):
            if piece:
                yield True, piece
                piece = []
            fenced = not fenced
            yield False, [line]
        elif fenced or not line.strip() or _ALONE.match(line):
            if piece:
                yield True, piece
                piece = []
            yield False, [line]
        else:
            if piece and starts:
                yield True, piece
                piece = []
            piece.append(line)
    if piece:
        yield True, piece


def wrap(text: str) -> str:
    """The text with its prose wrapped; code spans and links stay whole."""
    lines: list[str] = []
    for is_prose, piece in prose(text):
        if not is_prose or max(map(len, piece)) <= LONGEST:
            lines += piece
            continue
        begin = _START.match(piece[0])
        assert begin is not None
        indent, mark = begin[1], begin[2] or ""
        words = " ".join(line.strip() for line in piece).removeprefix(mark)
        whole = re.sub(r"`[^`]*`|\]\([^)]*\)", lambda span: span[0].replace(" ", "\0"), words)
        wrapped = textwrap.wrap(
            whole,
            WIDTH,
            initial_indent=indent + mark,
            subsequent_indent=indent + " " * len(mark),
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [line.replace("\0", " ") for line in wrapped]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(wrap(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
