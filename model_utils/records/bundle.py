"""A session as a file that another person can open and verify: JSON lines, read as if an enemy had written them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, get_args

from model_utils.contracts.records import Entry, EntryKind
from model_utils.errors import Refused
from model_utils.records import chain, contents
from model_utils.records.contents import Labels
from model_utils.records.store import Store

FORMAT, VERSION = "candor session", 1
SENTENCE = (
    "A session of Candor, one entry a line, each with its content (base64 of zlib of JSON). Erasures made after this file was written do "
    "not reach it. To verify it, import it into Candor, or follow the hashes yourself: content_hash is the SHA-256 of salt and content, "
    'one after the other; hash is that of the line without salt, content and hash and with "algorithm":"sha256", as JSON with sorted '
    "keys and no spaces; parent is the hash of the line before. Compare the head with one that you got another way: only that shows a "
    "session that was written anew."
)
HEADER = ("format", "version", "session", "entries", "head", "about")
"""What the first line says, in order; the last is for people."""
MAX_HEADER = 1 << 14
"""Bytes of the first line."""
MAX_LINE = 1 << 28
"""Bytes of an entry's line; what is longer is neither written nor read."""
MAX_ENTRIES = 1_000_000
"""Of one session; more are neither written nor read."""

_DIGEST, _BASE64 = "[0-9a-f]{64}", "[A-Za-z0-9+/]*={0,2}"
_ENTRY = re.compile(
    r'\{"about":(?P<about>null|0|[1-9][0-9]{0,8}),'
    rf'"content":(?:null|"(?P<content>{_BASE64})"),'
    rf'"content_hash":"(?P<content_hash>{_DIGEST})",'
    rf'"hash":"(?P<hash>{_DIGEST})",'
    rf'"kind":"(?P<kind>{"|".join(get_args(EntryKind))})",'
    r'"number":(?P<number>0|[1-9][0-9]{0,8}),'
    rf'"parent":"(?P<parent>{_DIGEST})",'
    rf'"salt":(?:null|"(?P<salt>{_BASE64})"),'
    r'"session":"(?P<session>[0-9a-f]{32})",'
    r'"time":"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"\}\n',
    re.ASCII,
)
"""A line as `write` writes it, and nothing else that JSON would allow: no parser is let loose on what an enemy wrote."""


@dataclass(frozen=True)
class Imported:
    """What was read from a file."""

    session: str
    entries: int
    """in the file"""
    head: str
    """hash of the last of them"""
    added: int
    """how many of them were not here"""

    @property
    def already(self) -> bool:
        """Everything in the file was here, and nothing was written."""
        return self.added == 0


@dataclass(frozen=True)
class _Header:
    session: str
    entries: int
    head: str


def write(store: Store, session: str, file: BinaryIO) -> str:
    """The whole session as it is at this moment, entry by entry; the head, which a reader should get another way too.

    Refused where the session is not as it was written, or too large: nobody could read such a file, and what was written of it is to be
    thrown away.
    """
    with store.snapshot(session) as (last, entries):
        count = last.number + 1
        if count > MAX_ENTRIES:
            raise Refused(f"The session has {count:,} entries; at most {MAX_ENTRIES:,} fit in one file.")
        said = (FORMAT, VERSION, session, count, last.hash, SENTENCE)
        file.write(json.dumps(dict(zip(HEADER, said, strict=True))).encode() + b"\n")
        verified = chain.verify(_written(entries, file), last.hash)
    if verified.problem:
        raise Refused(f"The session is not as it was written, and no file was made of it: {verified.problem}")
    return last.hash


def _written(entries: Iterator[Entry], file: BinaryIO) -> Iterator[Entry]:
    for entry in entries:
        line = _line(entry)
        if len(line) > MAX_LINE:
            raise Refused(
                f"Entry {entry.number} is too large for a file: {len(line) >> 20} MiB of at most {MAX_LINE >> 20}."
            )
        file.write(line)
        yield entry


def read(store: Store, file: BinaryIO) -> Imported:
    """Takes over the session in the file: all of it, or what is missing here of it, or nothing where it is here already.

    Refused, with the line, for anything that `write` would not have written, for a chain that does not hold, a content that Candor does
    not read, and a session that parts from the one of that name which is here; then the database is as it was. That the head is the
    right one only a person can say who got it another way.

    An erasure outlives the file: content that was erased here stays erased when a file from before is read again, and content that
    any entry in the file says was erased is not taken over, even where it is there.
    """
    header = _header(file)
    progress = _Progress()
    with store.receiving(header.session) as take:
        verified = chain.verify(_taken(file, header, progress, take), header.head)
        if verified.problem:
            raise Refused(f"Line {progress.line} of this file: {verified.problem} Nothing was taken over.")
        if verified.head != header.head:
            raise _refused(1, "the head is not the hash of the last entry")
    return Imported(header.session, header.entries, header.head, progress.added)


@dataclass
class _Progress:
    line: int = 1
    """that was read last, from 1"""
    added: int = 0
    """entries that were new here"""


def _taken(
    file: BinaryIO, header: _Header, progress: _Progress, take: Callable[[Entry, Labels], bool]
) -> Iterator[Entry]:
    """Each entry; when the next is asked for, `chain.verify` found this one in order, and it is taken over."""
    for number in range(header.entries):
        progress.line = number + 2
        line = file.readline(MAX_LINE + 1)
        if not line:
            raise _refused(progress.line, f"the file ends after {number} of {header.entries} entries")
        entry = _entry(line, progress.line)
        if entry.session != header.session:
            raise _refused(progress.line, "this entry is of another session")
        yield entry
        try:
            progress.added += take(entry, _labels(entry))
        except Refused as refused:
            raise Refused(f"Line {progress.line} of this file: {refused}") from refused
    if file.read(1):
        raise _refused(header.entries + 2, f"there is more than the {header.entries} entries that line 1 names")


def _labels(entry: Entry) -> Labels:
    """Of a content that was read and checked; none of one that was erased."""
    if entry.content is None:
        return {}
    content = chain.unpack(entry.content)
    contents.check(entry.kind, content)
    return contents.labels_of(entry.kind, content)


def _line(entry: Entry) -> bytes:
    plain = {name: _text(value) if isinstance(value, bytes) else value for name, value in vars(entry).items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _header(file: BinaryIO) -> _Header:
    line = file.readline(MAX_HEADER + 1)
    try:
        plain: Any = json.loads(line.decode()) if len(line) <= MAX_HEADER and line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise Refused("This is not a file of a session that Candor wrote: its first line does not say so.")
    version, session, entries, head = (plain.get(name) for name in ("version", "session", "entries", "head"))
    if type(version) is int and version > VERSION:
        raise Refused(f"This file was written by a newer Candor (format {version}); open it with that one.")
    as_written = tuple(plain) == HEADER and json.dumps(plain).encode() + b"\n" == line
    if type(version) is not int or version != VERSION or not as_written:
        raise _refused(1, "it is not a first line that Candor writes")
    if type(entries) is not int or not 1 <= entries <= MAX_ENTRIES:
        raise _refused(1, f"the number of entries must be from 1 to {MAX_ENTRIES:,}")
    if not isinstance(session, str) or not re.fullmatch("[0-9a-f]{32}", session):
        raise _refused(1, "the session must be 32 hexadecimal digits")
    if not isinstance(head, str) or not re.fullmatch(_DIGEST, head):
        raise _refused(1, "the head must be 64 hexadecimal digits")
    return _Header(session, entries, head)


def _entry(line: bytes, number: int) -> Entry:
    """The entry that this line was written from."""
    if len(line) > MAX_LINE:
        raise _refused(number, f"it is longer than {MAX_LINE >> 20} MiB")
    try:
        found = _ENTRY.fullmatch(line.decode("ascii"))
        if found is None:
            raise ValueError("another form")
        named: dict[str, Any] = found.groupdict()
        datetime.fromisoformat(named["time"])
        named["number"] = int(named["number"])
        named["about"] = None if named["about"] == "null" else int(named["about"])
        for name in ("salt", "content"):
            named[name] = None if named[name] is None else base64.b64decode(named[name])
        entry = Entry(**named)
    except ValueError as error:  # binascii.Error and UnicodeDecodeError are such
        raise _refused(number, "it is not an entry as Candor writes it, altered or cut off") from error
    if _line(entry) != line or (entry.salt is not None and len(entry.salt) != chain.SALT_BYTES):
        raise _refused(number, "it is not an entry as Candor writes it, altered or cut off")
    return entry


def _refused(number: int, what: str) -> Refused:
    return Refused(f"Line {number} of this file: {what}. Nothing was taken over.")
