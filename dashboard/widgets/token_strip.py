"""The tokens of a text as a wrapping strip of cells, coloured by a value; a click picks one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from dashboard.figures import theme
from dashboard.widgets.component import component, pack, settle, tables, visible
from model_utils.contracts.common import ROLES, Encoded
from model_utils.pair import Pair

Colours = Literal["diverging", "base", "tuned", "plain"]
SCALES: dict[Colours, theme.Scale] = {"diverging": "diverging", "base": "sequential-base", "tuned": "sequential-tuned"}

SPECIAL, SELECTABLE, BREAK, GREYED, MARKED = 1, 2, 4, 8, 16
"""Bits of a cell's flags: a control token; may be picked; the line ends after it; without colour; the mark is before it."""

JOINED: dict[np.ufunc, str] = {np.add: "sum", np.multiply: "product", np.fmax: "largest"}
"""What the value of a cell of several tokens is of theirs."""

MARK = "first difference"
"""What the mark says."""

PALETTE = {
    mode: {"base": colours.side_text.base, "tuned": colours.side_text.tuned, "noise": colours.noise}
    for mode, colours in (("light", theme.LIGHT), ("dark", theme.DARK))
}
"""Words in the colour of each side, and the line under what is greyed."""

_shown = lru_cache(maxsize=2**15)(visible)  # the same few alternatives come up again and again

_strip = component("token_strip")


@dataclass(frozen=True)
class Cell:
    """Consecutive tokens that show as one."""

    start: int
    stop: int
    """positions `start` to before `stop`"""
    text: str
    """its characters, or the name of a control token"""


class Alternative(NamedTuple):
    """Another token that could stand here."""

    piece: str
    """its characters"""
    share: str = ""
    """its probability, in the form in which people read it"""


@dataclass(frozen=True)
class Comparison:
    """What the tooltip says of each token in both models: a table of a few rows, base beside tuned."""

    rows: tuple[str, ...]
    """the names of the rows, such as probability, rank, entropy, 1st, 2nd"""
    cells: Sequence[Pair[tuple[str | Alternative, ...]]]
    """(token,) for each side what every row says: a number with its unit, or a token; an empty text where there is none"""

    def check(self, count: int) -> None:
        """One line for each of `count` tokens, each with every row on both sides."""
        assert len(self.cells) == count, f"{len(self.cells)} compared for {count} tokens"
        for token, sides in enumerate(self.cells):
            lengths = sides.map(len).sides
            assert lengths == (len(self.rows),) * 2, f"{lengths} rows at token {token} for {len(self.rows)} names"


def cells(sequence: Encoded) -> list[Cell]:
    """The tokens in order, those whose characters overlap (bytes of one character) joined into one cell.

    Tokens without characters (control tokens, parts that decode to nothing) stand alone under their piece.
    """
    out: list[Cell] = []
    begin = end = -1  # characters of the open cell; an empty range takes no further token
    for i, (first, last) in enumerate(sequence.spans.tolist()):
        joins = first < end and begin < last and first < last and not sequence.special[i]
        if joins:
            begin, end = min(begin, first), max(end, last)
            out[-1] = Cell(out[-1].start, i + 1, sequence.text[begin:end])
            continue
        alone = bool(sequence.special[i]) or first == last
        out.append(Cell(i, i + 1, sequence.pieces[i] if alone else sequence.text[first:last]))
        begin, end = (-1, -1) if alone else (first, last)
    return out


def cell_values(parts: Sequence[Cell], values: np.ndarray, join: np.ufunc = np.add) -> np.ndarray:
    """(cell,) float32; the sum (or what `join` gives) over each cell's tokens of `values` (token,)."""
    if not parts:
        return np.zeros(0, dtype=np.float32)
    return join.reduceat(np.asarray(values, dtype=np.float64), [cell.start for cell in parts]).astype(np.float32)


def token_strip(
    sequence: Encoded,
    *,
    key: str,
    label: str,
    first: int = 0,
    values: np.ndarray | None = None,
    limit: float | None = None,
    colours: Colours = "plain",
    ends: tuple[str, str] | None = None,
    hover: Sequence[str] | None = None,
    compare: Comparison | None = None,
    selected: int | None = None,
    selectable: np.ndarray | None = None,
    greyed: np.ndarray | None = None,
    greyed_because: str = "",
    mark: int | None = None,
    join: np.ufunc = np.add,
) -> int | None:
    """Draws the strip and returns the position in `sequence` that is pinned, or None.

    `first` is the number that the first token has for people: of a part of a sequence, its position in the whole. What
    an encoder reads and what its decoder goes on with stand on lines of their own.
    `values` (token,) colours the cells: 0 to `limit` in the colour of a side, or -`limit` to `limit` diverging; `limit`
    defaults to the largest absolute value. NaN stays without colour. Tokens that share the characters they wrote (bytes
    of one character) are one cell, whose value joins theirs: the sum for attributions, attention and log-probabilities,
    the product (`join=np.multiply`) for probabilities; the tooltip says which (`JOINED`). `ends` says in words what the low and the high end mean.
    `hover` (token,) is further text for the tooltip, `compare` a table of both models under it (of a cell of several
    tokens: its first); `selectable` (token,) bool says which cells can be picked (default: all). A pin is set by click,
    Enter or the arrow keys, removed by clicking it again, Enter or Escape; `selected` sets it from the page whenever it
    changes.
    `greyed` (token,) bool takes the colour from tokens whose value means nothing (of a cell: all of its tokens), and
    `greyed_because` says why in few words. A line stands before the token `mark`, the first difference.
    """
    count = len(sequence)
    for name, given in (("values", values), ("hover", hover), ("selectable", selectable), ("greyed", greyed)):
        assert given is None or len(given) == count, f"{len(given)} {name} for {count} tokens"
    assert greyed is None or greyed_because, "what is greyed needs a reason for people: greyed_because"
    assert mark is None or 0 <= mark < count, f"no token {mark} to mark among {count}"
    parts = cells(sequence)
    pin, wish = settle(key, selected)
    pin = pin if pin is not None and 0 <= pin < count else None
    header, arrays = _content(sequence, parts, selectable)
    arrays["flags"] |= _signs(parts, greyed, mark)
    header |= {"label": label, "first": first, "wish": wish, "hover": list(hover or ())}
    header |= {"palette": PALETTE, "greyedBecause": greyed_because, "mark": MARK, "ends": ends}
    if compare is not None:
        compare.check(count)
        header |= {"rows": compare.rows, "compared": _compared(parts, compare)}
    if values is not None and colours != "plain":
        joined = cell_values(parts, values, join)
        top = float(limit if limit is not None else np.nanmax(np.abs(joined), initial=0))
        header |= {"scale": SCALES[colours], "limit": top, "joined": JOINED[join]}
        arrays |= {"values": joined, "levels": theme.levels(joined, SCALES[colours], top), **tables([SCALES[colours]])}
    _strip(key=key, data=pack(header, arrays), on_pick_change=lambda: None)
    return pin


def _signs(parts: Sequence[Cell], greyed: np.ndarray | None, mark: int | None) -> np.ndarray:
    """(cell,) uint8, the flags of what is greyed and of the cell with the mark."""
    signs = np.zeros(len(parts), dtype=np.uint8)
    if greyed is not None:
        signs |= np.uint8(GREYED) * (cell_values(parts, greyed, np.minimum) > 0)
    if mark is not None:
        signs[[cell.start <= mark < cell.stop for cell in parts]] |= MARKED
    return signs


def _compared(parts: Sequence[Cell], compare: Comparison) -> list[list[list[str | tuple[str, str]]]]:
    """(cell, side, row) what the table says of the first token of each cell; a token as what is shown of it and its share."""
    return [
        [
            [(_shown(one.piece), one.share) if isinstance(one, Alternative) else one for one in side]
            for side in compare.cells[cell.start].sides
        ]
        for cell in parts
    ]


def _content(sequence: Encoded, parts: Sequence[Cell], selectable: np.ndarray | None) -> tuple[dict, dict]:
    """Header and arrays of what does not depend on values or pins."""
    may = np.ones(len(sequence), dtype=bool) if selectable is None else np.asarray(selectable, dtype=bool)
    starts = np.array([cell.start for cell in parts], dtype=np.int32)
    flags = [
        SPECIAL * bool(sequence.special[cell.start])
        + SELECTABLE * bool(may[cell.start : cell.stop].any())
        + BREAK * (cell.stop == sequence.encoder_length or ("\n" in cell.text and not sequence.special[cell.start]))
        for cell in parts
    ]
    header = {
        "texts": [visible(cell.text) for cell in parts],
        "roleNames": ROLES,
        "bytes": {
            i: cell.text.encode("utf-8", "replace").hex(" ").upper()
            for i, cell in enumerate(parts)
            if cell.stop - cell.start > 1
        },
    }
    arrays = {
        "starts": starts,
        "ids": sequence.ids.astype(np.int32),
        "roles": sequence.roles[starts].astype(np.uint8),
        "flags": np.array(flags, dtype=np.uint8),
        "selectable": may.astype(np.uint8),
    }
    return header, arrays
