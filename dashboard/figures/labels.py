"""Tokens as words on a figure: control characters visible, nothing read as markup."""

from __future__ import annotations

import html

MARKS = {9: "⇥", 10: "⏎", 13: "␍", 32: "·"}
CONTROL = (
    {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421} | {code: ord(mark) for code, mark in MARKS.items()}
)


def visible(piece: str, longest: int = 16) -> str:
    """A token's characters with spaces and control characters as marks, escaped, because Plotly reads text as markup (but not &quot;)."""
    shown = piece.translate(CONTROL)
    return html.escape(shown if len(shown) <= longest else shown[: longest - 1] + "…", quote=False)


def numbered(position: int, piece: str) -> str:
    """Where a token stands and what it is, for the ticks of a numeric axis."""
    return f"{position} {visible(piece)}"
