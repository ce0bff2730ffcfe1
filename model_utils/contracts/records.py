"""What a session of records keeps, entry by entry, and what verifying it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EntryKind = Literal["opened", "record", "note", "tags", "verdict", "closed", "erased"]
Verdict = Literal["pass", "concern", "fail", "not judged"]

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
    """number of the entry that a note, tags, a verdict or an erasure is about; None: the session"""
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
class Closed:
    """The session is over: nothing but erasures may follow."""

    author: str


@dataclass(frozen=True)
class Erased:
    """The content of an entry was taken away; who did it, and why, stays."""

    author: str
    reason: str
