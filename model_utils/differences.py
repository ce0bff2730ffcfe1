"""The words of two answers: which both have, which only one, and where they part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rapidfuzz.distance import LCSseq

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
    for left, right, length in [*matches(_words(base), _words(tuned)), (len(base) - 1, len(tuned) - 1, 1)]:
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
    left, right = (_words(units(text)) for text in (base, tuned))
    return None if left == right else _common(left, right)


def agreement(base: str, tuned: str) -> float:
    """Share of words (and other characters) that both answers have in the same order: 2 * matches / words of both; 1 for equal answers."""
    left, right = (_words(units(text)) for text in (base, tuned))
    total = len(left) + len(right)
    return 2 * sum(length for _, _, length in matches(left, right)) / total if total else 1.0


def _words(units: list[tuple[str, str]]) -> list[str]:
    """Without space, and without the empty unit at the end."""
    return [word for _, word in units[:-1]]


def _common(left: list[str], right: list[str]) -> int:
    """Length of the beginning that two lists share."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def matches(left: list[str], right: list[str]) -> list[tuple[int, int, int]]:
    """(place in left, place in right, length) of a longest common subsequence, in order."""
    if left > right:  # which of several equally good matchings is taken depends on the order
        return [(i, j, length) for j, i, length in matches(right, left)]
    head = _common(left, right)
    tail = _common(left[head:][::-1], right[head:][::-1])
    blocks = [(0, 0, head), (len(left) - tail, len(right) - tail, tail)]
    inner, other = left[head : len(left) - tail], right[head : len(right) - tail]
    if len(inner) * len(other) <= CELLS:
        numbers: dict[str, int] = {}  # of words; rapidfuzz compares hashes, and a number is its own
        coded = ([numbers.setdefault(word, len(numbers)) for word in side] for side in (inner, other))
        blocks[1:1] = [(head + i, head + j, length) for i, j, length in LCSseq.opcodes(*coded).as_matching_blocks()]
    return [block for block in blocks if block[2]]
