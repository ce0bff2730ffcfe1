"""The chain of a session: how an entry is hashed, and how a chain is followed. Pure functions; no database."""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from model_utils import codec
from model_utils.contracts.records import START, Entry, EntryKind, Verified
from model_utils.errors import Refused

ALGORITHM = "sha256"
SALT_BYTES = 16
LEVEL = 1
"""Of zlib: results are numbers, which a higher level hardly makes smaller."""
MAX_CONTENT = 1 << 28
"""Bytes of canonical JSON that a stored content may unfold to."""
MAX_BRACKETS = 1 << 22
"""Opening brackets in it, those in texts included: each can become a list or an object, which takes many times its bytes in memory."""
NOT_HASHED = ("hash", "salt", "content")
"""Fields of an entry that its hash does not cover; the content's own hash covers the last two."""


class Link(NamedTuple):
    """What the next entry needs of the last one."""

    number: int
    hash: str


def pack(value: Any) -> bytes:
    """`value`, a result or a content of `contracts.records`, as it is stored; Refused where `unpack` would not read it."""
    text = codec.encode_bytes(value)
    if len(text) > MAX_CONTENT or _brackets(text) > MAX_BRACKETS:
        raise Refused(
            f"This takes {len(text) >> 20:,} MiB in {_brackets(text):,} parts; at most {MAX_CONTENT >> 20} MiB and {MAX_BRACKETS:,} parts are kept: ask for less at once."
        )
    return zlib.compress(text, LEVEL)


def unpack(stored: bytes) -> Any:
    """What `pack` was given; Refused for anything else, and for what would unfold beyond `MAX_CONTENT` or `MAX_BRACKETS`."""
    text = unfold(stored)
    if _brackets(text) > MAX_BRACKETS:
        raise Refused(f"This content has more than {MAX_BRACKETS:,} parts; it is not read.")
    return codec.decode(text)


def unfold(stored: bytes) -> bytes:
    """The canonical JSON, UTF-8, of a stored content; Refused where it is none, or more than `MAX_CONTENT`."""
    unfolding = zlib.decompressobj()
    try:
        text = unfolding.decompress(stored, MAX_CONTENT)
    except zlib.error as error:
        raise Refused(f"This content is not what Candor stored ({error}); it is not read.") from error
    if unfolding.unconsumed_tail or not unfolding.eof or unfolding.unused_data:
        raise Refused(
            f"This content is cut off, longer than it says, or more than {MAX_CONTENT >> 20} MiB; it is not read."
        )
    return text


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def hash_content(salt: bytes, stored: bytes) -> str:
    """SHA-256 of both, hexadecimal."""
    return hashlib.sha256(salt + stored).hexdigest()


def hash_entry(entry: Entry) -> str:
    """SHA-256 of the canonical JSON of the entry without `NOT_HASHED`, hexadecimal."""
    covered = {one.name: getattr(entry, one.name) for one in fields(entry) if one.name not in NOT_HASHED}
    covered["algorithm"] = ALGORITHM
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def follow(last: Link | Entry | None, session: str, kind: EntryKind, content: bytes, about: int | None = None) -> Entry:
    """The entry after `last`, None for the first of a session, now."""
    salt = secrets.token_bytes(SALT_BYTES)
    entry = Entry(
        session=session,
        number=0 if last is None else last.number + 1,
        kind=kind,
        time=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        about=about,
        content_hash=hash_content(salt, content),
        parent=START if last is None else last.hash,
        hash="",
        salt=salt,
        content=content,
    )
    return replace(entry, hash=hash_entry(entry))


def verify(entries: Iterable[Entry], head: str | None = None) -> Verified:
    """Follows a session's entries in the order of their numbers; with `head`, the hash of an entry that was known before, it must be met.

    A changed, missing, added or reordered entry is found by itself. Entries that were cut off at the end are found against a head that
    somebody kept elsewhere, and so is a whole chain that was written anew: nothing else can show those, and then no entry, the first
    ones neither, is known to be what it was.
    """
    count, last, found = 0, START, head is None
    missing: list[int] = []
    erased: set[int] = set()
    for entry in entries:
        problem = _problem(entry, count, last)
        if not problem and entry.content is None:
            missing.append(entry.number)
        if problem:
            return Verified(count, last, tuple(sorted(erased)), problem)
        if entry.kind == "erased" and entry.about is not None:
            erased.add(entry.about)
        count, last = count + 1, entry.hash
        found = found or entry.hash == head
    unexplained = sorted(set(missing) - erased)
    problem = ""
    if unexplained:
        problem = f"The content of entry {unexplained[0]} is missing, and no later entry says that it was erased."
    elif not found:
        problem = f"The head {head} is not among the {count} entries: those up to it were cut off, or the chain was written anew; which of these are as they were, nothing shows."
    return Verified(count, last, tuple(sorted(erased & set(missing))), problem)


def _problem(entry: Entry, number: int, parent: str) -> str:
    """What is wrong with the entry that should have this number and follow this hash."""
    if entry.number != number:
        return f"Entry {number} is missing; entry {entry.number} stands in its place."
    if hash_entry(entry) != entry.hash:
        return f"Entry {number} ({entry.kind}) was altered: its own hash does not fit."
    if entry.parent != parent:
        return f"Entry {number} ({entry.kind}) does not follow the entry before it: one of the two was exchanged."
    if (entry.salt is None) != (entry.content is None):
        return f"The content of entry {number} ({entry.kind}) was altered: half of it is gone."
    there = entry.salt is not None and entry.content is not None
    if there and hash_content(entry.salt or b"", entry.content or b"") != entry.content_hash:
        return f"The content of entry {number} ({entry.kind}) was altered."
    return ""
