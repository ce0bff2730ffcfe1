"""A session as a file: what goes out comes in elsewhere, and nothing that anybody changed, or wrote to do harm, does."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pickle
import secrets
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from model_utils import codec
from model_utils.analyses import ANALYSES
from model_utils.contracts.records import (
    START,
    Closed,
    Difference,
    Entry,
    Erased,
    Judgement,
    Note,
    Opened,
    Preference,
    Tags,
)
from model_utils.errors import Refused
from model_utils.records import bundle, chain, recording, schema, sessions
from model_utils.records.bundle import Imported
from model_utils.records.store import Store
from tests import results
from tests.strategies import AWKWARD

SESSION = "0123456789abcdef" * 2
EVERYTHING = len(ANALYSES) + 11
"""Of a session with everything: it is opened, every analysis is recorded, and ten more."""
APART = Difference("answers.tuned.kl", 0.5, 2.0)


def opened_at(folder: Path) -> Store:
    return Store(f"sqlite:///{folder / 'records.db'}")


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return opened_at(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return opened_at(tmp_path / "there")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One that no test writes to."""
    return opened_at(tmp_path_factory.mktemp("empty"))


def rows(store: Store) -> list[Any]:
    """All that the database holds."""
    with store.engine.connect() as connection:
        return [row for table in (schema.entry, schema.label) for row in connection.execute(select(table)).all()]


def exported(store: Store, session: str) -> bytes:
    file = io.BytesIO()
    assert bundle.write(store, session, file) == list(store.entries(session))[-1].hash
    return file.getvalue()


def imported(store: Store, data: bytes) -> Imported:
    return bundle.read(store, io.BytesIO(data))


def refused(store: Store, data: bytes, said: str = ".") -> None:
    """It is, with a sentence, and the database is as it was."""
    before = rows(store)
    with pytest.raises(Refused, match=said) as told:
        imported(store, data)
    assert str(told.value).endswith(".") and len(str(told.value)) < 700
    assert rows(store) == before


def made(*contents: tuple[Any, ...], session: str = SESSION) -> list[Entry]:
    """A chain of entries of (kind, content) or (kind, content, about); bytes are stored as they are. The first one opens the session."""
    found = [chain.follow(None, session, "opened", chain.pack(Opened("A title")))]
    for kind, content, *about in contents:
        stored = content if isinstance(content, bytes) else chain.pack(content)
        found.append(chain.follow(found[-1], session, kind, stored, *about))
    return found


def as_file(entries: list[Entry], /, **header: Any) -> bytes:
    """What the format says, written a second time; a value of the first line that is `...` is left out."""
    plain = []
    for one in entries:
        binary = {
            name: None if value is None else base64.b64encode(value).decode()
            for name, value in {"salt": one.salt, "content": one.content}.items()
        }
        plain.append(json.dumps({**vars(one), **binary}, sort_keys=True, separators=(",", ":")))
    first = {"format": "candor session", "version": 1, "session": entries[0].session, "entries": len(entries), "head": entries[-1].hash, "about": "for people", **header}  # fmt: skip
    kept = {name: value for name, value in first.items() if value is not ...}
    return "\n".join([json.dumps(kept), *plain, ""]).encode()


def filled(store: Store, text: str = "a note") -> str:
    """A session with an entry of every kind, a record of every analysis, and something erased."""
    session = sessions.start(store, "Loans", "who gets one", "finance", ["Ada", "Béla"])
    numbers = [
        recording.keep(store, session, results.record(result, request)).number
        for request, result in results.every().values()
    ]
    sessions.note(store, session, None, "Ada", text)
    sessions.note(store, session, numbers[0], "Ada", "漢字 🎉 '; DROP TABLE entry; -- \0 \ud800")
    sessions.tag(store, session, numbers[0], "Ada", ["first", "second"])
    sessions.judge(store, session, numbers[1], "Béla", "concern", "look again")
    sessions.add_rerun(store, session, numbers[1], results.rerun(APART), "floor")
    sessions.add_rerun(store, session, numbers[1], results.rerun(APART, floor=(APART,)), "replay")
    store.append(session, "preference", Preference("Ada", "base", "left", 2, "shorter", 1.5), numbers[1])
    store.erase(session, [numbers[2]], Erased("Ada", "asked to"))
    sessions.close(store, session, "Ada")
    store.erase(session, [numbers[3]], Erased("Ada", "asked to, later"))
    return session


# Out and in


def test_a_session_with_everything_is_the_same_elsewhere(here: Store, there: Store):
    session = filled(here)
    data = exported(here, session)
    head = here.verify(session).head
    assert imported(there, data) == Imported(session, EVERYTHING, head, EVERYTHING)
    assert list(there.entries(session)) == list(here.entries(session))
    assert there.listed(session) == here.listed(session), "labels are made anew from the contents"
    assert sessions.overview(session, there.listed(session)) == sessions.overview(session, here.listed(session))
    for number in range(EVERYTHING):
        assert (there.content(session, number) is None) == (number in (3, 4))
    verified = there.verify(session, head)
    assert not verified.problem and verified.erased == (3, 4) and sessions.check(there, session, head) == verified
    assert exported(there, session) == data
    before = rows(there)
    again = imported(there, data)
    assert again.already and again.added == 0 and rows(there) == before


@given(text=st.sampled_from(AWKWARD) | st.text())
@settings(max_examples=30, deadline=None)
def test_any_text_goes_out_and_in(text: str, tmp_path_factory: pytest.TempPathFactory):
    first, second = (opened_at(tmp_path_factory.mktemp("texts")) for _ in range(2))
    session = first.open(Opened(text[:200], text, people=(text,)))
    first.append(session, "note", Note(text, text))
    imported(second, exported(first, session))
    assert [second.content(session, number) for number in (0, 1)] == [first.content(session, number) for number in (0, 1)]  # fmt: skip
    assert second.listed(session) == first.listed(session)


def test_the_format_is_fixed(here: Store):
    """Files that people keep must stay readable."""
    session = here.open(Opened("One"))
    here.append(session, "note", Note("Ada", "x"), about=0)
    first, *others = exported(here, session).decode().splitlines(keepends=True)
    header = json.loads(first)
    assert list(header) == ["format", "version", "session", "entries", "head", "about"]
    assert "Erasures made after this file was written do not reach it" in header["about"]
    assert "".join(others) == as_file(list(here.entries(session))).decode().partition("\n")[2]
    entry = json.loads(others[1])
    covered = {name: entry[name] for name in entry if name not in ("salt", "content", "hash")} | {"algorithm": "sha256"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == entry["hash"] == header["head"], "as the sentence says"
    stored = base64.b64decode(entry["content"])
    assert hashlib.sha256(base64.b64decode(entry["salt"]) + stored).hexdigest() == entry["content_hash"]
    assert entry["parent"] == json.loads(others[0])["hash"]
    assert json.loads(zlib.decompress(stored))["fields"] == {"author": "Ada", "text": "x"}


def test_what_is_missing_is_added_and_what_is_longer_here_stays(here: Store, there: Store):
    session = here.open(Opened("One"))
    short = exported(here, session)
    for number in range(3):
        here.append(session, "note", Note("Ada", str(number)))
    long = exported(here, session)
    assert imported(there, short).added == 1
    assert imported(there, long).added == 3
    assert list(there.entries(session)) == list(here.entries(session)) and not there.verify(session).problem
    before = rows(there)
    found = imported(there, short)
    assert found.already and found.entries == 1 and rows(there) == before


def test_sessions_that_part_are_refused(here: Store, there: Store):
    session = here.open(Opened("One"))
    imported(there, exported(here, session))
    here.append(session, "note", Note("Ada", "same words"))
    there.append(session, "note", Note("Ada", "same words"))
    here.append(session, "note", Note("Ada", "more"))
    refused(there, exported(here, session), r"Line 3 of this file: .* the two part at entry 1")
    refused(here, exported(there, session), r"Line 3 of this file: .* the two part at entry 1")


def test_two_readers_of_one_file_take_it_over_once(here: Store, there: Store):
    session = filled(here)
    data = exported(here, session)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: imported(there, data).added, range(4)))
    assert sorted(found) == [0, 0, 0, EVERYTHING] and not there.verify(session).problem


def test_neither_way_keeps_more_than_an_entry(here: Store, there: Store):
    session = here.open(Opened("Many"))
    for _ in range(200):
        here.append(session, "note", Note("Ada", secrets.token_hex(30_000)))
    file = Path(str(here.url.database)).with_name("session.jsonl")

    def peak(work: Callable[[], Any]) -> int:
        tracemalloc.start()
        work()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    with file.open("wb") as out:
        assert peak(lambda: bundle.write(here, session, out)) < 2_000_000
    assert file.stat().st_size > 8_000_000
    with file.open("rb") as given_:
        assert peak(lambda: bundle.read(there, given_)) < 2_000_000
    assert there.verify(session).entries == 201


# Erasures


def test_a_file_from_before_an_erasure_brings_nothing_back(here: Store):
    session = filled(here)
    before_erasing = exported(here, session)
    here.erase(session, (0, 1, 13), Erased("Ada", "asked to"))
    kept = rows(here)
    assert imported(here, before_erasing).already and rows(here) == kept
    assert [here.content(session, number) for number in (0, 1, 13)] == [None] * 3


def test_an_erasure_reaches_whoever_reads_a_later_file(here: Store, there: Store):
    secret = "Mrs Eleanor Vance, 14 Hill House Lane"
    session = here.open(Opened("One"))
    number = here.append(session, "note", Note("Ada", secret)).number
    record = here.append(session, "record", results.record()).number
    imported(there, exported(here, session))
    files = lambda: b"".join(one.read_bytes() for one in Path(str(there.url.database)).parent.iterdir())  # noqa: E731
    packed = next(one.content for one in there.entries(session) if one.number == number) or b""
    assert packed in files()
    here.erase(session, [number], Erased("Béla", "she asked us to"))
    here.erase(session, [record], Erased("Béla", "that too"))
    here.append(session, "note", Note("Ada", "after"))
    assert imported(there, exported(here, session)).added == 3
    assert there.content(session, number) is None and packed not in files()
    assert rows(there) == rows(here) and not there.verify(session).problem


def with_erased_content_present() -> list[Entry]:
    """Somebody kept what was erased, and put it back into the file: the hashes fit."""
    return made(("note", Note("Ada", "secret")), ("erased", Erased("Ada", "why"), 1), ("note", Note("Ada", "after")))


def test_content_that_the_file_says_was_erased_is_not_taken_over(there: Store):
    found = imported(there, as_file(with_erased_content_present()))
    assert found.added == 4 and there.content(SESSION, 1) is None and there.content(SESSION, 3) == Note("Ada", "after")
    assert there.verify(SESSION).erased == (1,)


def test_what_is_erased_here_stays_so_where_a_file_has_it_and_more(there: Store):
    entries = with_erased_content_present()
    imported(there, as_file(entries[:3]))
    assert imported(there, as_file(entries[:3])).already
    assert imported(there, as_file(entries)).added == 1
    assert there.content(SESSION, 1) is None and there.verify(SESSION, entries[-1].hash).entries == 4


def test_content_that_is_gone_without_an_erasure_is_refused(empty: Store):
    entries = made(("note", Note("Ada", "x")), ("note", Note("Ada", "y")))
    entries[1] = replace(entries[1], salt=None, content=None)
    refused(empty, as_file(entries), "The content of entry 1 is missing, and no later entry says that it was erased")
    half = [entries[0], replace(entries[1], salt=b"0" * 16), entries[2]]
    refused(empty, as_file(half), "Line 3 of this file: .* half of it is gone")


def test_a_replay_from_before_an_erasure_is_taken_over(here: Store, there: Store):
    """Where it is erased too, and where somebody erased nothing but the record."""
    session = here.open(Opened("One"))
    record = here.append(session, "record", results.record()).number
    sessions.add_rerun(here, session, record, results.rerun(APART), "floor")
    sessions.add_rerun(here, session, record, results.rerun(APART), "replay")
    here.erase(session, [record], Erased("Ada", "asked to"))
    assert imported(there, exported(here, session)).added == 5 and rows(there) == rows(here)
    sessions.erase(here, session, record, "Ada", "all of it")
    assert imported(there, exported(here, session)).added == 3 and rows(there) == rows(here)


# What was changed


ENTRIES = made(
    ("note", Note("Ada", "x")),
    ("record", results.record()),
    ("tags", Tags("Ada", ("a",)), 2),
    ("verdict", Judgement("Ada", "fail"), 2),
    ("closed", Closed("Ada")),
)
FILE = as_file(ENTRIES)
LINES = FILE.splitlines(keepends=True)
PLACES = st.integers(len(LINES[0]), len(FILE) - 1)


def test_the_file_of_these_tests_is_a_good_one(there: Store):
    assert imported(there, FILE) == Imported(SESSION, 6, ENTRIES[-1].hash, 6)


@given(PLACES, st.integers(0, 7))
@example(len(FILE) - 1, 0)
@settings(max_examples=400, deadline=None)
def test_one_flipped_bit_anywhere_in_the_entries_is_refused(empty: Store, place: int, bit: int):
    data = bytearray(FILE)
    data[place] ^= 1 << bit
    refused(empty, bytes(data), "^Line [2-7] of this file: ")


@given(st.integers(0, LINES[0].index(b'"about"') - 1), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_one_flipped_bit_in_what_the_first_line_says_is_refused(empty: Store, place: int, bit: int):
    data = bytearray(FILE)
    data[place] ^= 1 << bit
    refused(empty, bytes(data))


@given(st.integers(0, len(FILE) - 1))
@settings(max_examples=200, deadline=None)
def test_a_file_that_was_cut_off_anywhere_is_refused(empty: Store, length: int):
    refused(empty, FILE[:length])


@given(PLACES, st.binary(min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_bytes_that_were_put_in_are_refused(empty: Store, place: int, more: bytes):
    refused(empty, FILE[:place] + more + FILE[place:])


@given(st.permutations(range(1, 7)))
@settings(max_examples=50, deadline=None)
def test_reordered_entries_are_refused(empty: Store, order: list[int]):
    if order != sorted(order):
        refused(empty, b"".join([LINES[0], *(LINES[number] for number in order)]), "^Line [2-7] of this file")


@pytest.mark.parametrize("number", range(1, 7))
def test_missing_and_doubled_entries_are_refused(empty: Store, number: int):
    refused(empty, b"".join(LINES[:number] + LINES[number + 1 :]), f"^Line {number + 1} of this file: ")
    refused(empty, b"".join(LINES[: number + 1] + LINES[number:]), f"^Line {number + 2} of this file: ")


@pytest.mark.parametrize(
    "more", [b"\n", b"x", LINES[1], b"\x00", b"[" * 100_000], ids=["line", "x", "entry", "NUL", "deep"]
)
def test_what_follows_the_last_entry_is_refused(empty: Store, more: bytes):
    refused(empty, FILE + more, "Line 8 of this file: there is more than the 6 entries")


def test_entries_of_another_session_are_refused(empty: Store):
    other = made(*(("note", Note("Ada", str(number))) for number in range(5)), session="f" * 32)
    for number in range(1, 7):
        lines = [*LINES[:number], as_file(other).splitlines(keepends=True)[number], *LINES[number + 1 :]]
        refused(empty, b"".join(lines), f"Line {number + 1} of this file: this entry is of another session")
    refused(empty, as_file(other, session=SESSION), "Line 2 of this file: this entry is of another session")
    mixed = [replace(one, session=SESSION) for one in other]
    refused(empty, as_file(mixed), r"Line 2 of this file: Entry 0 \(opened\) was altered")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"entries": 5}, "Line 7 of this file: there is more than the 5 entries"),
        ({"entries": 5, "head": ENTRIES[4].hash}, "Line 7 of this file: there is more than the 5 entries"),
        ({"entries": 7}, "Line 8 of this file: the file ends after 6 of 7 entries"),
        ({"head": START}, "The head 0+ is not among the 6 entries"),
        ({"head": ENTRIES[3].hash}, "the head is not the hash of the last entry"),
        ({"head": "f" * 64}, "The head f+ is not among the 6 entries"),
        *(({"entries": value}, "Line 1 .* the number of entries must be from 1 to") for value in (0, -1, True, 6.0, "6", None, [6], 10**9, 10**400)),
        *(({"head": value}, "Line 1 .* the head must be 64") for value in (None, 5, "F" * 64, "f" * 63, "f" * 64 + "\n", ["f" * 64], "'; DROP TABLE entry; --")),
        *(({"session": value}, "Line 1 .* the session must be 32") for value in (None, 10**31, "../../etc/passwd", SESSION.upper(), SESSION + "\n", {"$ne": 1})),
        ({"session": "f" * 32}, "Line 2 of this file: this entry is of another session"),
        *(({"version": value}, "Line 1 .* it is not a first line that Candor writes") for value in (0, -1, True, 1.0, "1", None)),
        ({"version": 2}, "written by a newer Candor"),
        ({"more": 1}, "Line 1 .* it is not a first line that Candor writes"),
        ({"entries": ...}, "Line 1 .* it is not a first line that Candor writes"),
        ({"about": "x", "head": ..., "entries": 6}, "Line 1 .* it is not a first line that Candor writes"),
        ({"about": ...}, "Line 1 .* it is not a first line that Candor writes"),
        ({"format": "zip"}, "its first line does not say so"),
        ({"format": ...}, "its first line does not say so"),
    ],
)  # fmt: skip
def test_a_first_line_that_lies_is_refused(empty: Store, header: dict[str, Any], said: str):
    refused(empty, as_file(ENTRIES, **header), said)


def test_a_first_line_has_one_form(empty: Store):
    """A head that is named twice would be one for the person who looks and another for the program."""
    first = LINES[0].decode()
    twice = first.replace('"about"', f'"head": "{ENTRIES[-1].hash}", "about"').replace(ENTRIES[-1].hash, "f" * 64, 1)
    for line in (twice, first.replace(": ", ":"), first.replace("{", "{ ", 1), first.replace("about", "\\u0061bout")):
        assert line != first and json.loads(line).keys() == json.loads(first).keys()
        refused(empty, line.encode() + b"".join(LINES[1:]), "Line 1 .* it is not a first line that Candor writes")


# What was written to do harm


class Evil:
    """Unpickled, it makes the folder that it names."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def deep(count: int = 100_000) -> bytes:
    return b"[" * count + b"]" * count


def note(text: str) -> bytes:
    """A stored content that is no more than such JSON."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def bomb() -> bytes:
    """The 16 of 256 MiB are nothing to whoever sends them."""
    packing, parts = zlib.compressobj(9), []
    parts.append(packing.compress(b'"'))
    for _ in range((chain.MAX_CONTENT >> 20) + 1):
        parts.append(packing.compress(b"a" * (1 << 20)))
    return b"".join([*parts, packing.flush()])


HOSTILE: dict[str, bytes] = {
    "pickle": pickle.dumps(Evil("evil-was-here")),
    "packed pickle": zlib.compress(pickle.dumps(Evil("evil-was-here"))),
    "bomb": bomb(),
    "bomb in a bomb": zlib.compress(bomb()),
    "empty": b"",
    "broken UTF-8": zlib.compress(b'{"fields":{"author":"\xff","text":"x"},"type":"Note"}'),
    "deep": zlib.compress(deep()),
    "deep in fields": note('{"fields":{"author":' + "[" * 100_000 + "]" * 100_000 + ',"text":"x"},"type":"Note"}'),
    "deep objects": note('{"fields":{"author":' * 5_000 + "1" + "}}" * 5_000),
    "NaN": note('{"fields":{"author":"Ada","text":NaN},"type":"Note"}'),
    "Infinity": note('{"fields":{"author":"Ada","text":-Infinity},"type":"Note"}'),
    "long number": note('{"fields":{"author":"Ada","text":' + "9" * 10_000 + '},"type":"Note"}'),
    "unknown type": note('{"fields":{"command":"true"},"type":"os.system"}'),
    "unknown field": note('{"fields":{"author":"Ada","text":"x","more":1},"type":"Note"}'),
    "missing field": note('{"fields":{"author":"Ada"},"type":"Note"}'),
    "field of another type": note('{"fields":{"author":"Ada","text":5},"type":"Note"}'),
    "name of a method": note('{"fields":{"__class__":"Ada","text":"x"},"type":"Note"}'),
    "text alone": note('"x"'),
    "nothing": note("null"),
    "an array": note('{"array":"object","shape":[1],"data":["x"]}'),
    "an array that says it is huge": note('{"array":"uint8","shape":[9999999999,9999999999],"data":[]}'),
    "another kind": chain.pack(Tags("Ada", ())),
    "a result": chain.pack(results.generation()),
    "cut off": chain.pack(Note("Ada", "x"))[:-3],
    "more": chain.pack(Note("Ada", "x")) + b"more",
    "gzip": b"\x1f\x8b" + chain.pack(Note("Ada", "x")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_content_that_candor_would_not_write_is_refused_whole(empty: Store, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # fmt: skip
    """The chain holds: whoever writes a file can hash too."""
    monkeypatch.chdir(tmp_path)
    refused(empty, as_file(made(("note", Note("Ada", "fine")), ("note", HOSTILE[what]), ("note", Note("Ada", "fine")))), "^Line 4 of this file: ")  # fmt: skip
    assert list(tmp_path.iterdir()) == []


RECORD = results.record()
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    | st.sampled_from([{"number": "nan"}, {"array": "float32", "data": [], "shape": [0, 10**12]}, {"fields": {"base": 1, "tuned": []}, "type": "Pair"}, "nan", "type"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "fields", "array", "shape", "data", "number", "x"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(analysis=st.sampled_from([*results.every()]), other=anything, data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_record_with_anything_in_any_place_is_read_or_refused_and_raises_nothing_else(analysis: str, other: Any, data: st.DataObject):  # fmt: skip
    plain = json.loads(PLAIN[analysis])
    place, parent, key = plain, {"": plain}, ""
    while isinstance(place, dict | list) and place and (parent[key] is plain or data.draw(st.integers(0, 9)) > 0):
        parent, key = place, data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        place = parent[key]
    parent[key] = other
    entry = made(("record", zlib.compress(json.dumps(plain).encode())))[1]
    try:
        bundle._labels(entry)
    except Refused as refused:
        assert str(refused).endswith(".")


PLAIN = {kind: codec.encode(results.record(result, request)) for kind, (request, result) in results.every().items()}


@pytest.mark.parametrize(
    "content",
    [
        replace(RECORD, analysis="guess"),
        replace(RECORD, analysis="shift"),
        replace(RECORD, result=None),
        replace(RECORD, result=Note("Ada", "x")),
        replace(RECORD, result=results.shift()),
        replace(RECORD, seconds="0"),
        replace(RECORD, specs=Note("Ada", "x")),
        replace(RECORD, result=replace(results.load_report(), tokenizers="the same")),
    ],
)
def test_a_record_whose_parts_do_not_belong_together_is_refused(empty: Store, content: Any):
    refused(empty, as_file(made(("record", content))), "^Line 3 of this file: ")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([("opened", Opened("Two"))], "A session is opened once"),
        ([("closed", Closed("Ada")), ("note", Note("Ada", "x"))], "closed, and nothing but an erasure may follow"),
        ([("note", Note("Ada", "x"), 2)], "has no entry 2"),
        ([("note", Note("Ada", "x"), 1)], "has no entry 1"),
        ([("tags", Tags("Ada", ()), 0)], r"about a record, but this one is about entry 0 \(opened\)"),
        ([("verdict", Judgement("Ada", "fail"))], "about a record, but this one is about none"),
        ([("replay", results.rerun(), 0)], "about a record"),
        ([("floor", results.rerun(), 0)], "about a record"),
        ([("erased", Erased("Ada", "why"))], "about an entry"),
        ([("record", results.record(), 0)], "about no other entry"),
        ([("tags", Tags("Ada", ("x",) * 500), 0)], "at most 100"),
        ([("preference", Preference("Ada", "base", "left"), 0)], "about a record"),
        ([("preference", Preference("Ada", "base", "left", -1), 0)], "no item that there is"),
    ],
)
def test_the_rules_of_a_session_hold_for_what_is_read(empty: Store, contents: list[tuple[Any, ...]], said: str):
    refused(empty, as_file(made(*contents)), f"^Line {len(contents) + 2} of this file: .*{said}")


def test_a_session_that_does_not_begin_with_its_opening_is_refused(empty: Store):
    first = chain.follow(None, SESSION, "note", chain.pack(Note("Ada", "x")))
    refused(empty, as_file([first]), "^Line 2 of this file: There is no session")
    refused(empty, as_file(made()[:1], entries=1, head=START), "head")


def changed(**values: Any) -> Callable[[], bytes]:
    """The third line with other values, each as JSON would allow it."""
    plain = {**json.loads(LINES[2]), **values}
    return lambda: (
        LINES[0]
        + LINES[1]
        + json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
        + b"\n"
        + b"".join(LINES[3:])
    )


@pytest.mark.parametrize(
    "values",
    [
        {"number": True}, {"number": -1}, {"number": 1.0}, {"number": "1"}, {"number": None}, {"number": 10**30}, {"about": "0"}, {"about": -1}, {"about": []},
        {"kind": "note "}, {"kind": "evil"}, {"kind": None}, {"kind": "'; DROP TABLE entry; --"}, {"kind": ["note"]}, {"hash": "g" * 64}, {"hash": None}, {"parent": ""},
        {"content_hash": "A" * 64}, {"session": SESSION.upper()}, {"session": None}, {"time": "yesterday"}, {"time": "2026-13-45T00:00:00.000000Z"},
        {"time": "2026-01-01T00:00:00Z"}, {"salt": ""}, {"salt": "AA=="}, {"salt": 5}, {"content": 5}, {"content": "===="}, {"content": "\u00e9"}, {"content": {"a": 1}},
        {"content": "QR=="}, {"content": "Q"}, {"more": 1}, {"time": "\ud800"},
    ],
)  # fmt: skip
def test_a_field_of_an_entry_that_is_not_what_it_must_be_is_refused(empty: Store, values: dict[str, Any]):
    refused(empty, changed(**values)(), "^Line 3 of this file: ")


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"{}\n", b"null\n", b"[]\n", b"NaN\n", deep() + b"\n", b'{"a":' * 100_000 + b"\n", b"\xff\xfe\n", b"\xed\xa0\x80\n", LINES[2][:-1] + b" \n", LINES[2][:-1] + b"\r\n",
        LINES[2].replace(b":", b": ", 1), b" " + LINES[2], LINES[2].replace(b'"kind":"note"', b'"kind":"record","kind":"note"'), LINES[2].replace(b"note", b"\\u006eote"),
        pickle.dumps(Evil("evil-was-here")) + b"\n", b"PK\x03\x04\n",
    ],
)  # fmt: skip
def test_a_line_that_candor_would_not_write_is_refused(empty: Store, line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    refused(empty, b"".join([*LINES[:2], line, *LINES[3:]]), "^Line 3 of this file: ")
    refused(empty, line + FILE)
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(empty: Store, data: bytes):
    refused(empty, data)
    refused(empty, LINES[0] + data)


def test_base64_has_one_form(empty: Store):
    """Bits that a lenient reader drops cannot hide a change."""
    content = base64.b64encode(ENTRIES[1].content or b"").decode()
    assert content.endswith("="), "the note of these tests has such bits"
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = content.rstrip("=")[-1]
    other = content.rstrip("=")[:-1] + digits[digits.index(last) ^ 1] + "=" * content.count("=")
    assert base64.b64decode(other) == ENTRIES[1].content
    refused(empty, FILE.replace(content.encode(), other.encode()), "^Line 3 of this file: ")


@pytest.mark.parametrize("salt", [b"", b"short", b"x" * 17])
def test_a_salt_has_its_length_even_where_the_hashes_fit(empty: Store, salt: bytes):
    (first,) = made()
    salted = replace(first, salt=salt, content_hash=chain.hash_content(salt, first.content or b""))
    refused(empty, as_file([salted := replace(salted, hash=chain.hash_entry(salted))]), "^Line 2 of this file: ")
    assert not chain.verify([salted]).problem


class Endless(io.BytesIO):
    """A line without an end."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        super().__init__()
        self.lines, self.asked = list(lines), 0

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None and size > 0, "however long it is"
        self.asked = max(self.asked, size)
        return self.lines.pop(0) if self.lines else b"A" * size


def test_a_line_without_an_end_is_read_no_further_than_the_limit(empty: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle, "MAX_LINE", 1 << 20)
    for lines, said, most in (
        ([], "its first line does not say so", bundle.MAX_HEADER + 1),
        (LINES[:2], "Line 3 of this file: it is longer than 1 MiB", (1 << 20) + 1),
    ):
        file = Endless(lines)
        with pytest.raises(Refused, match=said):
            bundle.read(empty, file)
        assert file.asked == most and rows(empty) == []


# What cannot be written


def test_what_could_not_be_read_is_not_written(here: Store, monkeypatch: pytest.MonkeyPatch):
    session = filled(here)
    monkeypatch.setattr(bundle, "MAX_ENTRIES", 3)
    with pytest.raises(Refused, match=f"The session has {EVERYTHING} entries; at most 3 fit in one file"):
        bundle.write(here, session, io.BytesIO())
    refused(here, FILE, "the number of entries must be from 1 to 3")
    monkeypatch.undo()
    monkeypatch.setattr(bundle, "MAX_LINE", 600)
    with pytest.raises(Refused, match="Entry 1 is too large for a file"):
        bundle.write(here, session, io.BytesIO())
    with pytest.raises(Refused, match="There is no session"):
        bundle.write(here, "f" * 32, io.BytesIO())


def test_a_session_that_was_altered_here_is_not_written(here: Store):
    session = filled(here)
    with here.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE entry SET time = '2026-01-01T00:00:00.000000Z' WHERE number = 5")
        connection.commit()
    with pytest.raises(Refused, match=r"not as it was written, and no file was made of it: Entry 5 \(record\)"):
        bundle.write(here, session, io.BytesIO())
