"""What a session of records keeps, entry by entry, and what verifying it finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from model_utils.contracts.common import ModelSpec, Request
from model_utils.contracts.load_report import Identity, Opening
from model_utils.pair import Pair, Side, other_side

EntryKind = Literal["opened", "record", "note", "tags", "verdict", "preference", "floor", "replay", "closed", "erased"]
Verdict = Literal["pass", "concern", "fail", "not judged"]
VERDICTS: tuple[Verdict, ...] = ("pass", "concern", "fail", "not judged")
Choice = Literal["left", "right", "tie", "both bad"]
CHOICES: tuple[Choice, ...] = ("left", "right", "tie", "both bad")

START = "0" * 64
"""The parent of a session's first entry."""


@dataclass(frozen=True)
class Entry:
    """One link of a session's chain. Nothing is ever overwritten but by an erasure, which is an entry itself."""

    session: str
    """32 hexadecimal digits, drawn at random"""
    number: int
    """from 0, without gaps"""
    kind: EntryKind
    time: str
    """UTC, ISO 8601 with microseconds and a Z"""
    about: int | None
    """number of the entry that a note, tags, a verdict, a preference or an erasure is about; None: the session"""
    content_hash: str
    """SHA-256 of the salt and the stored content, hexadecimal; it stays when they are erased"""
    parent: str
    """hash of the entry before"""
    hash: str
    """SHA-256 of the canonical JSON of all of the above and the algorithm's name, hexadecimal: the head, where this is the last entry"""
    salt: bytes | None
    """16 random bytes, so that erased content cannot be confirmed by guessing it; None: erased"""
    content: bytes | None
    """as it is stored, compressed; None: erased"""


@dataclass(frozen=True)
class Listed:
    """An entry without its content, as a list shows it."""

    number: int
    kind: EntryKind
    time: str
    about: int | None
    erased: bool
    labels: Mapping[str, tuple[str, ...]]
    """name -> values that it is found by; not covered by the chain"""


@dataclass(frozen=True)
class Verified:
    """What was found when a session's chain was followed from its first entry."""

    entries: int
    """how many follow one another unaltered"""
    head: str
    """hash of the last of them"""
    erased: tuple[int, ...]
    """entries whose content was erased, as a later entry says"""
    problem: str = ""
    """a sentence that names the first entry that is not as it was written; empty: none"""


@dataclass(frozen=True)
class Opened:
    """A session begins."""

    title: str
    purpose: str = ""
    field: str = ""
    people: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """What an analysis was computed with, beside the models."""

    system: str
    """operating system and kind of processor"""
    versions: tuple[tuple[str, str], ...]
    """(name, version) of Python and of every package whose version can change a number"""


@dataclass(frozen=True, eq=False)
class Record:
    """One analysis: what was asked, of exactly which weights, and what came back."""

    analysis: str
    """a key of `ANALYSES`"""
    specs: Pair[ModelSpec]
    identities: Pair[Identity]
    """hashes of weights, tokenizer, template and adapter"""
    openings: Pair[Opening]
    """number format, device, attention kernel, threads"""
    environment: Environment
    request: Request
    """its seeds included"""
    prompt_salt: str
    """16 random bytes, hexadecimal, so that an erased prompt cannot be confirmed by guessing it"""
    prompt_hash: str
    """SHA-256 of the salt and of every rendered prompt in the result, hexadecimal; empty: it holds none"""
    result: Any
    """with the noise floors that the analysis itself measured"""
    seconds: float
    """from its start to its end; what else the machine did is in it"""
    author: str = ""
    """who recorded it; empty: nobody said"""


Outcome = Literal["same", "within the noise floor", "different"]


@dataclass(frozen=True)
class Difference:
    """How far two results of one request are apart in one field."""

    field: str
    """path in the result, such as `answers.tuned.log_probs`"""
    largest: float
    """largest absolute difference, in the field's own unit; NaN: they cannot be subtracted"""
    size: float
    """largest absolute value in the record, to see the difference against; NaN as above"""
    unlike: str = ""
    """a sentence, where texts, choices or shapes differ"""


@dataclass(frozen=True, eq=False)
class Rerun:
    """A record's request computed once more, in a process of its own with an empty cache."""

    identities: Pair[Identity]
    openings: Pair[Opening]
    environment: Environment
    seconds: float
    changed: tuple[str, ...]
    """what else is not as it was (weights, versions, device, ...), a sentence each; the first thing to look at"""
    differences: tuple[Difference, ...]
    """fields that differ from the record; empty: every text and number is the same, bit for bit"""
    floor: tuple[Difference, ...] | None
    """the noise floor that it was held against: how far each field moved when the record was computed with the processor's other instructions; None: none was measured"""

    def beyond(self) -> tuple[Difference, ...]:
        """The differences that are larger than the noise floor."""
        floor = {one.field: one.largest for one in self.floor or ()}
        return tuple(one for one in self.differences if not one.largest <= floor.get(one.field, 0.0))

    @property
    def outcome(self) -> Outcome:
        if not self.differences:
            return "same"
        return "different" if self.beyond() else "within the noise floor"

    def table(self) -> pd.DataFrame:
        """A row for each field that differs: by how much, how large it is, and its noise floor (NaN: none was measured)."""
        floor = None if self.floor is None else {one.field: one.largest for one in self.floor}
        return pd.DataFrame(
            {
                "field": [one.field for one in self.differences],
                "difference": [one.largest for one in self.differences],
                "floor": [math.nan if floor is None else floor.get(one.field, 0.0) for one in self.differences],
                "size": [one.size for one in self.differences],
                "unlike": [one.unlike for one in self.differences],
            }
        )


@dataclass(frozen=True)
class Note:
    """Somebody wrote something about an entry, or about the session."""

    author: str
    text: str


@dataclass(frozen=True)
class Tags:
    """The tags of an entry from now on."""

    author: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """Somebody's verdict on a record; a later one of the same record takes its place and leaves it readable."""

    author: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Preference:
    """Which of a record's two answers somebody preferred who was not told whose they are; a later one of the same author about the same
    answers takes its place and leaves it readable."""

    author: str
    left: Side
    """whose answer stood left, drawn at random (`records.preferences.left_side`)"""
    preferred: Choice
    item: int | None = None
    """from 0: place among the instructions of a survey; None: one instruction was asked"""
    reason: str = ""
    seconds: float | None = None
    """from when both answers stood there to the choice; None: not known"""

    @property
    def winner(self) -> Side | None:
        """Whose answer was preferred; None: neither's."""
        if self.preferred == "left":
            return self.left
        return other_side(self.left) if self.preferred == "right" else None

    def said(self) -> str:
        """What was preferred and where it stood, in words; of a survey also which item."""
        item = "" if self.item is None else f"item {self.item}: "
        if self.winner is None:
            return f"{item}{'both bad' if self.preferred == 'both bad' else 'equally good'} ({self.left} stood left)"
        return f"{item}{self.winner} preferred, which stood {self.preferred}"


@dataclass(frozen=True)
class Closed:
    """The session is over: nothing but erasures may follow."""

    author: str


@dataclass(frozen=True)
class Erased:
    """The content of an entry was taken away; who did it, and why, stays."""

    author: str
    reason: str
