"""What is said of a mark: plainly where its rule was mostly right on instructions that were held out, else as a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from model_utils.contracts.wording import Kind, Mark


class HeldOut(NamedTuple):
    """How a rule did on the labelled instructions that it was not made with; `model_utils.wording.score` counts this."""

    labelled: int
    """marks that people made"""
    marked: int
    """marks that the rule made"""
    right: int
    """of these"""
    found: int
    """of the labels"""


HELD_OUT: Mapping[Kind, HeldOut] = {
    "leading premise": HeldOut(16, 9, 8, 8),
    "presupposition": HeldOut(4, 3, 1, 1),
    "double question": HeldOut(8, 4, 3, 3),
    "missing option": HeldOut(8, 8, 3, 3),
    "vagueness": HeldOut(15, 9, 7, 7),
    "negation": HeldOut(11, 11, 9, 9),
    "conflicting constraints": HeldOut(10, 3, 1, 1),
}
QUESTIONS: Mapping[Kind, str] = {
    "leading premise": "Does {words} say which answer is wanted?",
    "presupposition": "Does {words} take something for granted that may not be so?",
    "double question": "Does {words} ask two things at once?",
    "missing option": "Could it be that no answer of {words} holds?",
    "vagueness": "Would two readers take {words} alike?",
    "negation": "Is {words} easily read the wrong way round?",
    "conflicting constraints": "Can one answer meet both demands at {words}?",
}
TRUSTED = 0.5
"""Share of a rule's marks on held-out instructions that were right; below it a mark is put as a question."""
LONGEST = 60
"""Characters of quoted words."""


def doubtful(kind: Kind) -> bool:
    """Whether less than half of this rule's marks were right."""
    return HELD_OUT[kind].right < TRUSTED * HELD_OUT[kind].marked


def mark_said(mark: Mark) -> str:
    """Its kind and words, or the question whether it is one. It quotes what a person wrote."""
    if doubtful(mark.kind):
        return f"{mark.kind}? {QUESTIONS[mark.kind].format(words=quoted(mark.words))}"
    return f"{mark.kind}: {quoted(mark.words)}"


def quoted(words: str, longest: int = LONGEST) -> str:
    """On one line, in quotation marks, and not longer than so many characters."""
    line = " ".join(words.split())
    return f"‘{line if len(line) <= longest else line[: longest - 1] + '…'}’"


def held_out_said(kind: Kind) -> str:
    """How often the rule was right, and how much it found, on held-out instructions."""
    one = HELD_OUT[kind]
    return f"{one.right} of {one.marked} marks of this rule on held-out instructions were right; it found {one.found} of the {one.labelled} places that people marked"
