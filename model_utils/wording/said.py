"""What is said of a mark, and how often its rule was right on labelled instructions that it was not made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from model_utils.contracts.wording import Kind, Mark


class HeldOut(NamedTuple):
    """How a rule does on the labelled instructions that nobody opened while it was made, though their totals were looked at; `model_utils.wording.score`
    counts this."""

    labelled: int
    """labelled places"""
    marked: int
    """marks that the rule made"""
    right: int
    """of these"""
    found: int
    """of the labels"""


COUNTED: Mapping[Kind, HeldOut] = {
    "leading premise": HeldOut(31, 27, 24, 23),
    "presupposition": HeldOut(28, 17, 14, 15),
    "double question": HeldOut(25, 16, 15, 15),
    "missing option": HeldOut(24, 21, 18, 18),
    "vagueness": HeldOut(45, 39, 34, 32),
    "negation": HeldOut(24, 26, 22, 22),
    "conflicting constraints": HeldOut(23, 13, 12, 12),
}
LONGEST = 60
"""Characters of quoted words."""


def mark_said(mark: Mark) -> str:
    """Its kind and words. It quotes what a person wrote."""
    return f"{mark.kind}: {quoted(mark.words)}"


def quoted(words: str, longest: int = LONGEST) -> str:
    """On one line, in quotation marks, and not longer than so many characters."""
    line = " ".join(words.split())
    return f"‘{line if len(line) <= longest else line[: longest - 1] + '…'}’"


def held_out_said(kind: Kind) -> str:
    """How often the rule was right, and how much it found, on held-out instructions."""
    one = COUNTED[kind]
    return f"{one.right} of {one.marked} marks of this rule on held-out instructions were right; it found {one.found} of the {one.labelled} labelled places"
