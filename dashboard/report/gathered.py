"""What a report says of a session: its entries read once, checked, and brought to the records that they are about."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from model_utils.contracts.preferences import Preferences
from model_utils.contracts.records import (
    Closed,
    Entry,
    Erased,
    Judgement,
    Note,
    Opened,
    Outcome,
    Preference,
    Record,
    Rerun,
    Tags,
    Verdict,
    Verified,
)
from model_utils.errors import Refused
from model_utils.measures import Measure, measures
from model_utils.records import chain, contents, preferences
from model_utils.records.preferences import Given
from model_utils.records.store import Store

log = logging.getLogger(__name__)
T = TypeVar("T")
UNFIT = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)
"""What drawing raises where the arrays of a stored result do not fit together: Candor writes none such, but an import may hold one."""
UNFIT_SAID = (
    "This record cannot be drawn, because its numbers do not fit together; what is stored stands in the export."
)
UNREADABLE = "Its content is not as it was written, so it is not shown."


@dataclass(frozen=True)
class Said:
    """One thing that somebody added, or that was computed again."""

    number: int
    """of its entry"""
    time: str
    """UTC, ISO 8601"""
    about: int | None
    what: Note | Tags | Judgement | Preference | Rerun | Closed


@dataclass(frozen=True)
class Erasure:
    """Content that was taken away: of which entry, by whom and why, as far as that itself still stands."""

    entry: int
    kind: str
    """of the entry whose content is gone"""
    time: str
    """when it was erased; UTC, ISO 8601; empty: no entry says so"""
    author: str
    reason: str


@dataclass
class Recorded:
    """A record with all that was said of it."""

    entry: Entry
    record: Record | None
    """None: `why` says why"""
    why: str = ""
    stored: bytes = b""
    """its canonical JSON, UTF-8"""
    measures: tuple[Measure, ...] = ()
    notes: list[Said] = field(default_factory=list)
    tagged: list[Said] = field(default_factory=list)
    verdicts: list[Said] = field(default_factory=list)
    preferred: list[Said] = field(default_factory=list)
    replays: list[Said] = field(default_factory=list)
    floors: list[Said] = field(default_factory=list)

    @property
    def number(self) -> int:
        return self.entry.number

    @property
    def tags(self) -> tuple[str, ...]:
        """The latest."""
        return last(self.tagged, Tags).tags if self.tagged else ()

    @property
    def judgement(self) -> Judgement | None:
        """The latest; None: nobody judged."""
        return last(self.verdicts, Judgement) if self.verdicts else None

    @property
    def verdict(self) -> Verdict:
        return self.judgement.verdict if self.judgement else "not judged"

    @property
    def outcome(self) -> Outcome | None:
        """Of the latest replay; None: never computed again."""
        return last(self.replays, Rerun).outcome if self.replays else None


@dataclass
class Gathered:
    """A session, as a report tells it."""

    session: str
    verified: Verified
    count: int
    """entries"""
    head: str
    """hash of the last entry"""
    time: str
    """when it was opened; UTC, ISO 8601"""
    opened: Opened | None
    """None: erased, or not as it was written"""
    closed: Said | None = None
    records: list[Recorded] = field(default_factory=list)
    notes: list[Said] = field(default_factory=list)
    """about the session, or about an entry that is no record"""
    erasures: list[Erasure] = field(default_factory=list)
    preferences: Preferences | None = None
    """what blind judgements came to; None: there are none"""

    @property
    def title(self) -> str:
        return self.opened.title if self.opened else "A session whose title was erased"


def last(said: Sequence[Said], kind: type[T]) -> T:
    what = said[-1].what
    assert isinstance(what, kind)
    return what


def gather(store: Store, session: str) -> Gathered:
    """The session; Refused where there is none. What is not as it was written is left out, and the verifying says so."""
    entries = list(store.entries(session))
    contents = [_content(entry) for entry in entries]
    first = contents[0] if isinstance(contents[0], Opened) else None
    found = Gathered(session, chain.verify(entries), len(entries), entries[-1].hash, entries[0].time, first)
    records: dict[int, Recorded] = {}
    for entry, content in zip(entries, contents, strict=True):
        if entry.kind == "record":
            records[entry.number] = _recorded(entry, content)
        elif isinstance(content, Note | Tags | Judgement | Preference | Rerun | Closed):
            _place(found, records, entry, content)
    found.records = list(records.values())
    found.erasures = _erasures(entries, contents)
    found.preferences = _preferences(found.records)
    return found


def _preferences(records: Sequence[Recorded]) -> Preferences | None:
    judgements = [
        Given(said.number, one.number, said.what)
        for one in records
        for said in one.preferred
        if isinstance(said.what, Preference)
    ]
    if not judgements:
        return None
    asked = preferences.gathered((one.entry, one.record) for one in records)
    return preferences.concluded(asked, sorted(judgements, key=lambda one: one.entry))


def _content(entry: Entry) -> object:
    """What the entry holds; None: it was erased, or is not as it was written."""
    if entry.content is None or entry.salt is None:
        return None
    if chain.hash_content(entry.salt, entry.content) != entry.content_hash:
        return None
    try:
        return chain.unpack(entry.content)
    except Refused:
        return None


def _recorded(entry: Entry, content: object) -> Recorded:
    if content is None:
        why = "Its content was erased." if entry.content is None else UNREADABLE
        return Recorded(entry, None, why)
    try:
        record = contents.check_record(content)
    except Refused as refused:
        return Recorded(entry, None, str(refused))
    try:
        found = measures(record.analysis, record.result)
    except UNFIT:
        log.warning("a record could not be measured", exc_info=True)
        return Recorded(entry, None, UNFIT_SAID)
    return Recorded(entry, record, stored=chain.unfold(entry.content or b""), measures=found)


def _place(
    found: Gathered,
    records: dict[int, Recorded],
    entry: Entry,
    content: Note | Tags | Judgement | Preference | Rerun | Closed,
) -> None:
    said, about = Said(entry.number, entry.time, entry.about, content), records.get(entry.about or 0)
    if isinstance(content, Closed):
        found.closed = said
    elif about is None:
        found.notes += [said] if isinstance(content, Note) else []
    elif isinstance(content, Note):
        about.notes.append(said)
    elif isinstance(content, Tags):
        about.tagged.append(said)
    elif isinstance(content, Judgement):
        about.verdicts.append(said)
    elif isinstance(content, Preference):
        about.preferred.append(said)
    elif entry.kind == "replay":
        about.replays.append(said)
    else:
        about.floors.append(said)


def _erasures(entries: Sequence[Entry], contents: Sequence[object]) -> list[Erasure]:
    """Of every entry without content, the latest entry that says who erased it."""
    told = {
        entry.about: (entry, content)
        for entry, content in zip(entries, contents, strict=True)
        if entry.kind == "erased"
    }
    found = []
    for entry in entries:
        if entry.content is not None:
            continue
        by, content = told.get(entry.number, (None, None))
        said = content if isinstance(content, Erased) else Erased("(erased)", "(erased)")
        found.append(Erasure(entry.number, entry.kind, by.time if by else "", said.author, said.reason))
    return found
