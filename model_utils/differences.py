"""The words of two answers: which both have, which only one, and where they part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from model_utils.checks import MARKS, WORD

UNIT = re.compile(
    rf"\s+|{WORD.pattern}|[\U0001f1e6-\U0001f1ff]{{2}}|.(?:[{MARKS}\U0001f3fb-\U0001f3ff]|(?<=\u200d)[^\w\s])*",
    re.DOTALL,
)
"""A word, a run of space, or one other character with what belongs to it (a flag, an astronaut)."""

CELLS = 1 << 29
"""Pairs of words that are compared at most (64 MB); of longer answers only what both begin and end with is matched."""


Whose = Literal["same", "base", "tuned"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text that both answers have, or only one of them."""

    kind: Whose
    text: str


def units(text: str) -> list[tuple[str, str]]:
    """(space before it, word or other character), in order; the last is empty and holds the space at the end."""
    found, space = [], ""
    for match in UNIT.finditer(text):
        if match[0].isspace():
            space += match[0]
        else:
            found.append((space, match[0]))
            space = ""
    return [*found, (space, "")]


def diff(base: str, tuned: str) -> tuple[Piece, ...]:
    """What both answers say and what only one does, in order: 'same' and 'base' pieces join to `base`, 'same' and 'tuned'
    pieces to `tuned`. Words are compared, and the space before a word belongs to it."""
    return tuple(_joined(_differences(units(base), units(tuned))))


def _differences(base: list[tuple[str, str]], tuned: list[tuple[str, str]]) -> Iterator[Piece]:
    i = j = 0
    for left, right, length in [*_matches(base, tuned), (len(base) - 1, len(tuned) - 1, 1)]:
        yield Piece("base", "".join(space + word for space, word in base[i:left]))
        yield Piece("tuned", "".join(space + word for space, word in tuned[j:right]))
        i, j = left + length, right + length
        for (before, word), (other, _) in zip(base[left:i], tuned[right:j], strict=True):
            if before == other:
                yield Piece("same", before + word)
            else:
                yield from (Piece("base", before), Piece("tuned", other), Piece("same", word))


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Between two 'same' pieces at most one of each side, base first."""
    for same, run in groupby((piece for piece in pieces if piece.text), lambda piece: piece.kind == "same"):
        texts: dict[Whose, list[str]] = {"same": []} if same else {"base": [], "tuned": []}
        for piece in run:
            texts[piece.kind].append(piece.text)
        yield from (Piece(kind, "".join(parts)) for kind, parts in texts.items() if parts)


def first_divergence(base: str, tuned: str) -> int | None:
    """How many words (and other characters) both answers begin with before one differs; None where none does."""
    left, right = ([word for _, word in units(text)] for text in (base, tuned))
    return None if left == right else _common(left, right)


def agreement(base: str, tuned: str) -> float:
    """Share of words (and other characters) that both answers have in the same order: 2 * matches / words of both; 1 for equal answers."""
    sides = units(base), units(tuned)
    total = len(sides[0]) + len(sides[1]) - 2
    return 2 * sum(length for _, _, length in _matches(*sides)) / total if total else 1.0


def _common(left: list[str], right: list[str]) -> int:
    """Length of the beginning that two lists share."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _matches(base: list[tuple[str, str]], tuned: list[tuple[str, str]]) -> list[tuple[int, int, int]]:
    """(place in base, place in tuned, length) of what is matched, in order; the empty unit at the end is left out."""
    left, right = ([word for _, word in side[:-1]] for side in (base, tuned))
    if left > right:  # which of several equally good matchings is taken depends on the order
        return [(i, j, length) for j, i, length in _blocks(right, left)]
    return _blocks(left, right)


def _blocks(left: list[str], right: list[str]) -> list[tuple[int, int, int]]:
    head = _common(left, right)
    tail = _common(left[head:][::-1], right[head:][::-1])
    inner, other = left[head : len(left) - tail], right[head : len(right) - tail]
    pairs = [(head + i, head + j) for i, j in longest_common(inner, other)] if len(inner) * len(other) <= CELLS else []
    blocks = [(0, 0, head), *((i, j, 1) for i, j in pairs), (len(left) - tail, len(right) - tail, tail)]
    return [block for block in blocks if block[2]]


def longest_common(left: list[str], right: list[str]) -> list[tuple[int, int]]:
    """(place in left, place in right) of a longest common subsequence, in order.

    Bits of one long integer stand for the words of `left` (Hyyrö 2004, "Bit-parallel LCS-length computation
    revisited"): thousands of words take milliseconds whatever they are, where difflib takes a minute for two loops.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(left)) - 1
    rows = [every]  # a 0 in row j at i: the longest for left[: i + 1] and right[:j] is one longer than without word i
    for word in right:
        fits = rows[-1] & places.get(word, 0)
        rows.append(((rows[-1] + fits) | (rows[-1] - fits)) & every)
    pairs, i, j = [], len(left), len(right)
    while i and j:
        if rows[j] >> (i - 1) & 1:
            i -= 1
        elif not rows[j - 1] >> (i - 1) & 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
