"""What can be said of an instruction's wording without a model: rules of English for seven faults of its design."""

from __future__ import annotations

from dataclasses import replace

from model_utils.contracts.wording import KINDS, Mark
from model_utils.wording import conflicts, double, leading, negation, options, presupposition, vague
from model_utils.wording.reading import Found, is_english, read

__all__ = ["KINDS", "Mark", "marks"]

RULES = (leading, presupposition, double, options, vague, negation, conflicts)
"""In the order of `KINDS`."""


def marks(text: str) -> tuple[Mark, ...]:
    """Every place that a rule finds, in the order in which they stand there.

    The rules know English only: a text in another script gets no mark, which says nothing about it. What is quoted, code, and records after
    an empty line are not the instruction and are not marked. A mark is a question to the writer, not a verdict: rules read words, not
    what is meant.
    """
    if not is_english(text):
        return ()
    reading = read(text)
    found = [
        _mark(kind, text, one, rule.WHY) for kind, rule in zip(KINDS, RULES, strict=True) for one in _apart(rule.find(reading), text)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda mark: (mark.start, mark.stop, mark.kind)))


def _apart(found: list[Found], text: str) -> list[Found]:
    """Without space around them; of places that overlap, the one that begins first, and of those the longest."""
    kept: list[Found] = []
    bare = [replace(one, start=one.stop - len(text[one.start : one.stop].lstrip()), stop=one.start + len(text[one.start : one.stop].rstrip())) for one in found]  # fmt: skip
    for one in sorted(bare, key=lambda one: (one.start, -one.stop)):
        if not kept or one.start >= kept[-1].stop:
            kept.append(one)
    return kept


def _mark(kind: str, text: str, one: Found, why: str) -> Mark:
    after = text[one.stop :]
    if one.instead == "":
        after = after.removeprefix(",").removeprefix(" ")
    changed = "" if one.instead is None else text[: one.start] + one.instead + after
    return Mark(kind, one.start, one.stop, text[one.start : one.stop], why, _begun(changed), one.advice)  # type: ignore[arg-type]  # of KINDS


def _begun(text: str) -> str:
    """With a capital in front, where the words that stood there were taken away."""
    return text[:1].upper() + text[1:]
