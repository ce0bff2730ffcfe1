"""A session as people see it: its records, each with its latest verdict, tags, notes and replays; and the ones that are looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from model_utils.contracts.records import (
    VERDICTS,
    Closed,
    Difference,
    Entry,
    EntryKind,
    Erased,
    Judgement,
    Listed,
    Note,
    Opened,
    Record,
    Rerun,
    Tags,
    Verdict,
    Verified,
)
from model_utils.errors import Refused
from model_utils.records import contents
from model_utils.records.store import Store

ID_DIGITS = 4
"""Hexadecimal digits from which on something can be the beginning of a session's id."""


@dataclass(frozen=True)
class Kept:
    """A record as a list shows it; no content was read for it."""

    number: int
    """of its entry"""
    time: str
    """UTC, ISO 8601"""
    analysis: str
    base: str
    tuned: str
    instruction: str
    erased: bool
    verdict: Verdict = "not judged"
    """the latest"""
    tags: tuple[str, ...] = ()
    """the latest"""
    notes: int = 0
    replay: str = ""
    """outcome of the latest replay; empty: never replayed"""
    floor: int | None = None
    """entry of the latest noise floor; None: never measured"""


@dataclass(frozen=True)
class Overview:
    """A session without its contents."""

    session: str
    title: str
    field: str
    opened: str
    """UTC, ISO 8601"""
    closed: str
    """the same; empty: it is open"""
    records: tuple[Kept, ...]
    """in the order in which they were made"""
    entries: int

    def record(self, number: int) -> Kept:
        """The record at this entry; Refused where there is none."""
        for one in self.records:
            if one.number == number:
                return one
        held = ", ".join(str(one.number) for one in self.records[:20]) + (", ..." if len(self.records) > 20 else "")
        raise Refused(
            f"Entry {number} is not a record; " + (f"the records are {held}." if held else "this session has none yet.")
        )


def overview(session: str, listed: Iterable[Listed]) -> Overview:
    """The session whose entries these are, in the order of their numbers."""
    records: dict[int, Kept] = {}
    title = field = opened = closed = ""
    count = 0
    for one in listed:
        count += 1
        about = records.get(one.about) if one.about is not None else None
        if one.kind == "opened":
            title, field, opened = _first(one, "title") or "(erased)", _first(one, "field"), one.time
        elif one.kind == "closed":
            closed = one.time
        elif one.kind == "record":
            analysis, base, tuned, said = (_first(one, name) for name in ("analysis", "base", "tuned", "instruction"))
            records[one.number] = Kept(one.number, one.time, analysis, base, tuned, said, one.erased)
        elif about is not None and not one.erased:
            records[about.number] = _with(about, one)
    return Overview(session, title, field, opened, closed, tuple(records.values()), count)


def _with(record: Kept, one: Listed) -> Kept:
    match one.kind:
        case "note":
            return replace(record, notes=record.notes + 1)
        case "tags":
            return replace(record, tags=one.labels.get("tag", ()))
        case "verdict":
            given = _first(one, "verdict")
            return replace(record, verdict=next((verdict for verdict in VERDICTS if verdict == given), "not judged"))
        case "replay":
            return replace(record, replay=_first(one, "outcome"))
        case "floor":
            return replace(record, floor=one.number)
    return record


def _first(one: Listed, name: str) -> str:
    return next(iter(one.labels.get(name, ())), "")


def overviews(store: Store) -> list[Overview]:
    """Every session, the latest first."""
    return [overview(session, store.listed(session)) for session in store.sessions()]


@dataclass(frozen=True)
class Wanted:
    """Which records are looked for; empty: any."""

    analyses: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """base or tuned, by name"""
    verdicts: tuple[Verdict, ...] = ()
    tags: tuple[str, ...] = ()
    """at least one of them"""
    since: str = ""
    """the first day, such as 2026-11-01 (UTC)"""
    until: str = ""
    """the last day, included"""

    def holds(self, one: Kept) -> bool:
        return (
            (not self.analyses or one.analysis in self.analyses)
            and (not self.models or one.base in self.models or one.tuned in self.models)
            and (not self.verdicts or one.verdict in self.verdicts)
            and (not self.tags or bool(set(self.tags) & set(one.tags)))
            and self.since <= one.time
            and (not self.until or one.time[: len(self.until)] <= self.until)
        )


# --- what people add -------------------------------------------------------------------------------------------------


def note(store: Store, session: str, about: int | None, author: str, text: str) -> Entry:
    """Something written about an entry, or about the session."""
    return store.append(session, "note", Note(named(author), _said(text, "note")), about)


def tag(store: Store, session: str, about: int, author: str, tags: Iterable[str]) -> Entry:
    """The tags of a record from now on; none: it has none."""
    kept = tuple(dict.fromkeys(_said(one, "tag") for one in tags))
    return store.append(session, "tags", Tags(named(author), kept), about)


def judge(store: Store, session: str, about: int, author: str, verdict: Verdict, reason: str = "") -> Entry:
    """A verdict on a record, from now on."""
    content = Judgement(named(author), verdict, reason.strip())
    return store.append(session, "verdict", content, about)


def say(
    store: Store,
    session: str,
    about: int,
    author: str,
    verdict: Verdict | None = None,
    reason: str = "",
    tags: Iterable[str] | None = None,
    note: str = "",
) -> list[Entry]:
    """A verdict, tags and a note of one person on a record; what is None or empty is not said. Refused as a whole, or added as a whole but for a crash."""
    name, made = author.strip(), list[tuple[EntryKind, Judgement | Tags | Note]]()
    if verdict is not None:
        made.append(("verdict", Judgement(name, verdict, reason.strip())))
    if tags is not None:
        made.append(("tags", Tags(name, tuple(dict.fromkeys(one.strip() for one in tags if one.strip())))))
    if note.strip():
        made.append(("note", Note(name, note.strip())))
    for kind, content in made:
        named(name)
        contents.check(kind, content)
    return [store.append(session, kind, content, about) for kind, content in made]


def close(store: Store, session: str, author: str) -> Entry:
    """Nothing but erasures may follow."""
    return store.append(session, "closed", Closed(named(author)))


def erase(store: Store, session: str, number: int, author: str, reason: str) -> list[Entry]:
    """Takes the content of an entry away, for good; of a record also that of its replays and noise floors, which may quote it.

    What people wrote about it stays, and so do exports that were made before. The first erasure is that of the entry itself.
    """
    content = Erased(named(author), _said(reason, "reason"))
    made = store.erase(session, (number, *_computed_of(store, session, number)), content)
    late = _computed_of(store, session, number)  # written between the look and the erasure; none can follow that
    return made + (store.erase(session, late, content) if late else [])


def _computed_of(store: Store, session: str, number: int) -> list[int]:
    """Replays and noise floors of this record that still hold something."""
    return [
        one.number
        for one in store.listed(session)
        if one.about == number and one.kind in ("floor", "replay") and not one.erased
    ]


def check(store: Store, session: str, head: str | None = None) -> Verified:
    """The chain, as `Store.verify` follows it, and where that is fine the labels that lists are made of; every content is read."""
    found = store.verify(session, head)
    return found if found.problem else replace(found, problem=_mislabelled(store, session))


def _mislabelled(store: Store, session: str) -> str:
    """A sentence that names the first entry whose labels are not those of its content; empty: none."""
    try:
        number = store.mislabelled(session)
    except Refused as refused:
        return str(refused)
    if number is None:
        return ""
    kind = next((one.kind for one in store.listed(session) if one.number == number), "which is not there")
    return f"What lists show of entry {number} ({kind}) is not what it holds: its labels were altered."


def start(store: Store, title: str, purpose: str = "", field: str = "", people: Iterable[str] = ()) -> str:
    """A new session; its id."""
    names = tuple(name.strip() for name in people if name.strip())
    return store.open(Opened(_said(title, "title"), purpose.strip(), field.strip(), names))


def add_rerun(store: Store, session: str, about: int, found: Rerun, kind: str) -> Entry:
    """What computing a record again has found: a 'replay', or its noise 'floor'."""
    assert kind in ("replay", "floor"), kind
    return store.append(session, "replay" if kind == "replay" else "floor", found, about)


def record_of(store: Store, session: str, number: int) -> Record:
    """The record at this entry; Refused where there is none, where it was erased, or where it is none of a known analysis."""
    content = store.content(session, number)
    if content is None:
        raise Refused(f"The content of entry {number} was erased; who did it and why stands in a later entry.")
    return contents.check_record(content)


def floor_of(store: Store, session: str, number: int) -> tuple[Difference, ...] | None:
    """The latest noise floor of the record at this entry; None: it was never measured, or erased."""
    kept = {one.number: one for one in overview(session, store.listed(session)).records}
    entry = kept[number].floor if number in kept else None
    found = None if entry is None else store.content(session, entry)
    return found.differences if isinstance(found, Rerun) else None


def find(store: Store, name: str) -> str:
    """The id of the session with this title, or whose id is this or begins with these digits, at least `ID_DIGITS`.

    Refused where there is none, or more than one; only a whole id is never mistaken for a title.
    """
    ids = store.sessions()
    if name in ids:
        return name
    titled = store.titled(name)
    begun = [id for id in ids if id.startswith(name)] if re.fullmatch(f"[0-9a-f]{{{ID_DIGITS},}}", name) else []
    found = list(dict.fromkeys((*titled, *begun)))
    if len(found) == 1:
        return found[0]
    if titled and begun:
        raise Refused(
            f"{name[:60]!r} is the title of the session {_some(titled)} and the beginning of the id of {_some(begun)}; give more digits of the id."
        )
    if found:
        raise Refused(f"{len(found)} sessions are called {name[:60]!r}; give more digits of the id: {_some(found)}.")
    raise Refused(
        f"There is no session {name[:60]!r}; `sessions list` shows those that there are, by title or by the first digits of the id, at least {ID_DIGITS}; `sessions new TITLE` opens one."
    )


def _some(ids: list[str]) -> str:
    return ", ".join(id[:12] for id in ids[:5])


def named(author: str) -> str:
    """The name without space around it; Refused where there is none."""
    return _said(author, "author's name")


def _said(text: str, what: str) -> str:
    if not text.strip():
        raise Refused(f"The {what} is empty; type one.")
    return text.strip()
