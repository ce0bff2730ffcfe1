"""What can be said of an instruction's wording without a model: rules of English for seven faults of its design."""

from __future__ import annotations

import re
from dataclasses import replace

from model_utils.contracts.wording import KINDS, Mark
from model_utils.wording import conflicts, double, leading, negation, options, presupposition, vague
from model_utils.wording.reading import Found, is_english, read

__all__ = ["KINDS", "Mark", "marks"]

RULES = (leading, presupposition, double, options, vague, negation, conflicts)
"""In the order of `KINDS`."""
REWRITTEN = 4_000
"""Characters of an instruction; of a longer one no rewrite is given, because each is as long, and there may be one for each mark."""


def marks(text: str) -> tuple[Mark, ...]:
    """Every place that a rule finds, in the order in which they stand there.

    The rules know English only: a text in another script gets no mark, which says nothing about it. What is quoted, code, and records after
    an empty line are not the instruction and are not marked. A mark is a question to the writer, not a verdict: rules read words, not
    what is meant. Of an instruction of more than `REWRITTEN` characters there are no rewrites.
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
    rewrite = "" if one.instead is None or len(text) > REWRITTEN else _changed(text, one.start, one.stop, one.instead)
    return Mark(kind, one.start, one.stop, text[one.start : one.stop], why, rewrite, one.advice)  # type: ignore[arg-type]  # of KINDS


ARTICLE = re.compile(r"\ban?\s+$", re.IGNORECASE)
FITS_A = re.compile(r"(?![A-Z]{2})[bcdfgjklmnpqrstvwxyzBCDFGJKLMNPQRSTVWXYZ]")
"""Begins a word that surely stands after `a`: no vowel, which may be spoken as a consonant, no h, and no initials."""


def _changed(text: str, start: int, stop: int, instead: str) -> str:
    """The text with something else in this place; empty where what is left might not be a sentence any more."""
    before, after = text[:start], text[stop:]
    if not instead:
        left = _left(before, after)
        if left is None:
            return ""
        before, after = left
        if text[start].isupper():
            after = after[:1].upper() + after[1:]
    article = ARTICLE.search(before)
    if article and (article[0].split()[0].lower() == "an" or not FITS_A.match(instead + after)):
        return ""
    return before + instead + after


def _left(before: str, after: str) -> tuple[str, str] | None:
    """What stands around words that are taken away, without the space and the commas that parted them; None: they were parted otherwise."""
    head, tail = before.rstrip(), after.lstrip()
    ends = not tail or tail[0] in ".!?;:"
    if head[-1:] in ("-", "–", "—", "(", "[") or tail[:1] in ("-", "–", "—", ")", "]") or (ends and not _goes_on(head)):
        return None
    if head.endswith(","):
        if not ends and not tail.startswith(","):
            return None  # the comma may belong to what stands before
        head = head[:-1]
        before = head + " "
    after = after if ends else tail.removeprefix(",").lstrip(" ")
    return (head if ends else before), (tail if ends and head else after)


def _goes_on(head: str) -> bool:
    """Whether a sentence has begun here."""
    return bool(head) and head[-1] not in ".!?;:"
