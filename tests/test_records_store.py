"""The store of records: what goes in comes out, and what it survives: crashes, a full disk, many writers, a newer schema."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

from model_utils import codec
from model_utils.contracts.common import ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.records import (
    Closed,
    Difference,
    EntryKind,
    Erased,
    Judgement,
    Note,
    Opened,
    Preference,
    Tags,
)
from model_utils.errors import Refused
from model_utils.records import chain, schema, sessions, store
from model_utils.records.schema import metadata
from model_utils.records.store import Store
from tests import record_writers, results

DATA = Path(__file__).with_name("data")
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.record_writers"])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'records.db'}"


@pytest.fixture
def kept(url: str) -> Store:
    return Store(url)


def test_what_goes_into_the_store_comes_out(kept: Store, url: str):
    session = kept.open(Opened("Loans", "who gets one", "finance", ("Ada", "Béla")))
    contents = [
        results.record(),
        Note("Ada", "漢字 🎉"),
        Tags("Ada", ("a", "b")),
        Judgement("Ada", "fail", "by name"),
    ]
    for kind, content in zip(("record", "note", "tags", "verdict"), contents, strict=True):
        kept.append(session, kind, content, about=None if kind == "record" else 1)
    again = Store(url)  # another process would see the same
    assert again.sessions() == [session]
    assert again.content(session, 0) == Opened("Loans", "who gets one", "finance", ("Ada", "Béla"))
    assert [again.content(session, number) for number in (2, 3, 4)] == contents[1:]
    assert type(again.content(session, 1)) is type(contents[0])
    listed = again.listed(session)
    assert [one.about for one in listed] == [None, None, 1, 1, 1] and not any(one.erased for one in listed)
    assert [one.kind for one in listed] == ["opened", "record", "note", "tags", "verdict"]
    assert [(one.number, one.time) for one in listed] == [(one.number, one.time) for one in again.entries(session)]
    assert listed[0].labels == {"title": ("Loans",), "field": ("finance",)} and listed[2].labels == {}
    assert listed[1].labels["analysis"] == ("load_report",) and listed[1].labels["tuned"] == ("demo/tuned",)
    assert "request" not in listed[1].labels, "nobody reads it"
    assert listed[3].labels == {"tag": ("a", "b")} and listed[4].labels == {"verdict": ("fail",)}
    assert not again.verify(session).problem


def test_what_cannot_follow_is_refused(kept: Store):
    session = kept.open(Opened("One"))
    with pytest.raises(Refused, match="There is no session 'nowhere'"):
        kept.append("nowhere", "note", Note("Ada", "x"))
    with pytest.raises(Refused, match="has no entry 7"):
        kept.append(session, "note", Note("Ada", "x"), about=7)
    with pytest.raises(Refused, match="opened once"):
        kept.append(session, "opened", Opened("Two"))
    with pytest.raises(Refused, match="no entry 4"):
        kept.content(session, 4)
    for read in (kept.entries, kept.listed):
        with pytest.raises(Refused, match="There is no session 'x'"):
            list(read("x"))
    kept.append(session, "closed", Closed("Ada"))
    with pytest.raises(Refused, match="closed, and nothing but an erasure may follow"):
        kept.append(session, "note", Note("Ada", "x"))
    kept.erase(session, [0], Erased("Ada", "asked to"))
    assert kept.verify(session).erased == (0,)


KINDS = {
    "tags": Tags("Ada", ("a",)),
    "verdict": Judgement("Ada", "fail"),
    "preference": Preference("Ada", "base", "left"),
    "floor": results.rerun(),
    "replay": results.rerun(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_of_a_record_is_about_a_record(kept: Store, kind: EntryKind):
    session = kept.open(Opened("One"))
    record = kept.append(session, "record", results.record()).number
    for about in (None, 0):
        with pytest.raises(Refused, match=f"An entry of kind {kind} is about a record, but this one is about"):
            kept.append(session, kind, KINDS[kind], about=about)
    assert kept.append(session, kind, KINDS[kind], about=record).about == record
    for about in (None, 0, record, record + 1):
        assert kept.append(session, "note", Note("Ada", "anything may have a note"), about=about).about == about
    for other in ("record", "closed"):
        with pytest.raises(Refused, match=f"An entry of kind {other} is about no other entry"):
            kept.append(session, other, results.record() if other == "record" else Closed("Ada"), about=record)
    with pytest.raises(Refused, match="An entry of kind erased is about an entry"):
        kept.append(session, "erased", Erased("Ada", "why"))
    assert not kept.verify(session).problem


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("note", Tags("Ada", ()), "kind note holds Note, but this one holds Tags"),
        ("record", results.attribution(), "kind record holds Record, but this one holds Attribution"),
        ("record", replace(results.record(), analysis="guess"), "'guess', an analysis that this Candor does not know"),
        (
            "record",
            replace(results.record(), result=results.shift()),
            "holds a LoadReportRequest and its LoadReport, but",
        ),
        ("tags", Tags("Ada", ("x" * 201,)), "The tag has 201 characters; at most 200"),
        ("tags", Tags("Ada", ("x",) * 101), "101 tags; at most 100"),
    ],
)
def test_what_an_entry_cannot_hold_is_refused(kept: Store, kind: EntryKind, content: Any, said: str):
    session = kept.open(Opened("One"))
    record = kept.append(session, "record", results.record()).number
    with pytest.raises(Refused, match=said):
        kept.append(session, kind, content, about=record if kind == "tags" else None)
    with pytest.raises(Refused, match="The title has 201 characters"):
        kept.open(Opened("x" * 201))
    assert len(kept.sessions()) == 1 and len(kept.listed(session)) == 2


@pytest.mark.parametrize("text", ["\0", "half \ud800 of one", "'; DROP TABLE entry; --", "漢字 🎉", "%s %(x)s :x ?"])
def test_any_text_can_be_a_title(kept: Store, text: str):
    """What no database keeps in a text is replaced where it is listed; the content keeps it."""
    session = kept.open(Opened(text))
    assert kept.content(session, 0) == Opened(text)
    assert kept.listed(session)[0].labels["title"][0].encode() and not kept.verify(session).problem


def test_what_could_not_be_read_again_is_not_kept(kept: Store, monkeypatch: pytest.MonkeyPatch):
    session = kept.open(Opened("One"))
    for name, limit, text in (("MAX_CONTENT", 1 << 20, "x"), ("MAX_BRACKETS", 1_000, "[")):
        with monkeypatch.context() as smaller:
            smaller.setattr(chain, name, limit)
            with pytest.raises(Refused, match=r"This takes 1 MiB in [\d,]+ parts; at most"):
                kept.append(session, "note", Note("Ada", text * (1 << 20)))
    assert len(kept.listed(session)) == 1


def test_erased_words_are_in_no_file_of_the_database_and_the_chain_still_verifies(kept: Store, tmp_path: Path):
    session = kept.open(Opened("One"))
    secret = "Mrs Eleanor Vance, 14 Hill House Lane"
    number = kept.append(
        session, "record", results.record(results.generation(), GenerationRequest(messages=ask(secret)))
    ).number
    assert kept.listed(session)[number].labels["instruction"] == (secret,)
    head = kept.append(session, "note", Note("Ada", "stays")).hash
    packed = next(one.content for one in kept.entries(session) if one.number == number)
    files = lambda: b"".join(one.read_bytes() for one in (tmp_path / "new").iterdir())  # noqa: E731
    assert secret.encode() in files() and packed and packed in files()
    kept.erase(session, [number], Erased("Béla", "she asked us to"))
    assert secret.encode() not in files() and packed not in files()
    assert kept.content(session, number) is None
    assert [one.labels for one in kept.listed(session) if one.erased] == [{}] and kept.listed(session)[number].erased
    verified = kept.verify(session, head)
    assert not verified.problem and verified.erased == (number,)
    assert kept.content(session, verified.entries - 1) == Erased("Béla", "she asked us to")


def test_a_record_is_erased_with_what_was_computed_of_it_at_once_or_not_at_all(kept: Store):
    session = kept.open(Opened("One"))
    record, other = (kept.append(session, "record", results.record()).number for _ in range(2))
    computed = [sessions.add_rerun(kept, session, record, results.rerun(), kind).number for kind in ("floor", "replay", "replay")]  # fmt: skip
    sessions.add_rerun(kept, session, other, results.rerun(), "replay")
    with pytest.raises(Refused, match="has no entry 99"):
        kept.erase(session, [record, 99], Erased("Ada", "asked to"))
    assert len(kept.listed(session)) == 7 and not any(one.erased for one in kept.listed(session))
    made = sessions.erase(kept, session, record, "Ada", "asked to")
    assert [(one.kind, one.about) for one in made] == [("erased", number) for number in (record, *computed)]
    assert kept.verify(session, made[-1].hash).erased == tuple(sorted((record, *computed)))
    assert [one.number for one in kept.listed(session) if one.erased] == sorted((record, *computed))
    assert kept.erase(session, [], Erased("Ada", "asked to")) == []


def test_nothing_is_computed_of_what_was_erased(kept: Store):
    """A replay that ends after the erasure could quote what is gone."""
    session = kept.open(Opened("One"))
    record = kept.append(session, "record", results.record()).number
    kept.erase(session, [record], Erased("Ada", "asked to"))
    for kind in ("floor", "replay"):
        with pytest.raises(Refused, match=f"content of entry {record} was erased, so that nothing is computed of it"):
            sessions.add_rerun(kept, session, record, results.rerun(), kind)
    sessions.judge(kept, session, record, "Ada", "concern")
    assert [one.kind for one in kept.listed(session)] == ["opened", "record", "erased", "verdict"]


def test_a_replay_that_is_written_while_its_record_is_erased_goes_too(kept: Store, monkeypatch: pytest.MonkeyPatch):
    session = kept.open(Opened("One"))
    record = kept.append(session, "record", results.record()).number
    erase_ = kept.erase

    def late(*arguments: Any) -> Any:
        if len(kept.listed(session)) == 2:
            sessions.add_rerun(kept, session, record, results.rerun(), "replay")
        return erase_(*arguments)

    monkeypatch.setattr(kept, "erase", late)
    assert [one.about for one in sessions.erase(kept, session, record, "Ada", "asked to")] == [record, record + 1]
    assert kept.content(session, record + 1) is None


CHANGED_LABELS = {
    "changed": ("UPDATE label SET value = 'pass' WHERE name = 'verdict'", 3, "verdict"),
    "missing": ("DELETE FROM label WHERE number = 2 AND value = 'b'", 2, "tags"),
    "added": ("INSERT INTO label SELECT session, 2, 'tag', 'a' FROM label LIMIT 1", 2, "tags"),
    "of another name": ("UPDATE label SET name = 'tuned' WHERE name = 'base'", 1, "record"),
    "request": ("UPDATE label SET value = 'x' WHERE name = 'request'", 1, "record"),
    "of what was erased": ("INSERT INTO label SELECT session, 4, 'verdict', 'pass' FROM label LIMIT 1", 4, "note"),
    "of no entry": (
        "INSERT INTO label SELECT session, 9, 'verdict', 'pass' FROM label LIMIT 1",
        9,
        "which is not there",
    ),
}


@pytest.mark.parametrize("how", CHANGED_LABELS)
def test_labels_that_are_not_those_of_the_content_are_found_and_named(kept: Store, how: str):
    """The chain alone does not see them."""
    session = kept.open(Opened("half \ud800 of one", field="\0"))
    kept.append(session, "record", results.record())
    kept.append(session, "tags", Tags("Ada", ("b", "a", "b")), about=1)
    kept.append(session, "verdict", Judgement("Ada", "fail"), about=1)
    kept.append(session, "note", Note("Ada", "to be erased"))
    kept.erase(session, [4], Erased("Ada", "asked to"))
    assert kept.mislabelled(session) is None and sessions.check(kept, session) == kept.verify(session)
    statement, number, kind = CHANGED_LABELS[how]
    with kept._writing() as connection:
        connection.exec_driver_sql(statement)
    assert kept.mislabelled(session) == number and not kept.verify(session).problem
    found = sessions.check(kept, session, kept.head(session).hash)
    assert found.problem == f"What lists show of entry {number} ({kind}) is not what it holds: its labels were altered."
    assert replace(found, problem="") == kept.verify(session)
    assert "head" in sessions.check(kept, session, "f" * 64).problem, "the chain comes first"


def test_a_session_is_found_by_its_title_and_by_the_beginning_of_its_id(kept: Store):
    first, second = kept.open(Opened("One")), kept.open(Opened("two \0"))
    for name in ("One", first, first[:16]):
        assert sessions.find(kept, name) == first
    assert sessions.find(kept, "two \0") == second
    for name in ("", "on", first[:3], first[:8] + "x", first.upper() + "X", f"{first}0", "(erased)"):
        with pytest.raises(Refused, match=r"There is no session .* the first digits of the id, at least 4"):
            sessions.find(kept, name)
    both = kept.open(Opened(first[:5]))
    with pytest.raises(Refused, match=f"is the title of the session {both[:12]} and .* of the id of {first[:12]}; give"):  # fmt: skip
        sessions.find(kept, first[:5])
    assert sessions.find(kept, first[:6]) == first and sessions.find(kept, both) == both
    kept.open(Opened(first))
    assert sessions.find(kept, first) == first, "a whole id is that session"
    third = kept.open(Opened("One"))
    with pytest.raises(Refused, match="2 sessions are called 'One'; give more digits") as told:
        sessions.find(kept, "One")
    assert first[:12] in str(told.value) and third[:12] in str(told.value)


def test_what_is_looked_for_is_read_from_indexes(kept: Store):
    """However many entries and contents there are."""
    session, said = kept.open(Opened("One")), []
    kept.append(session, "record", results.record())
    event.listen(kept.engine, "before_cursor_execute", lambda *given: said.append((given[2], given[3])))
    kept.listed(session)
    for work in (lambda: kept.labelled(session, "request", "x"), lambda: kept.titled("One")):
        work()
    kept.append(session, "note", Note("Ada", "x"), about=1)
    asked = [(statement, values) for statement, values in said if statement.startswith("SELECT")]
    with kept.engine.connect() as connection:
        plans = [
            [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            for statement, values in asked
        ]
    listed, erased, labels, labelled, titled, last = plans
    assert listed == ["SEARCH entry USING COVERING INDEX entry_listed (session=?)"]
    assert erased == ["SEARCH entry USING INDEX entry_erased (session=?)"]
    assert labels == ["SEARCH label USING COVERING INDEX label_listed (session=?)"]
    assert "label_by_value (name=? AND value=? AND session=?)" in labelled[0]
    assert "label_by_value (name=? AND value=?)" in titled[0]
    assert any("entry_by_kind (kind=? AND session=?)" in line for line in last), last


def test_any_flipped_byte_of_a_stored_entry_is_found(kept: Store, tmp_path: Path):
    session = kept.open(Opened("One"))
    kept.append(session, "note", Note("Ada", "x" * 40))
    kept.close()
    file = tmp_path / "new" / "records.db"
    raw = sqlite3.connect(file)
    columns = [name for _, name, *_ in raw.execute("PRAGMA table_info(entry)") if name != "session"]
    before = raw.execute(f"SELECT {', '.join(columns)} FROM entry WHERE number = 1").fetchone()
    for name, value in zip(columns, before, strict=True):
        if name in ("number", "about"):
            continue
        last = value[-1:]
        changed = value[:-1] + (bytes([last[0] ^ 1]) if isinstance(value, bytes) else chr(ord(last) ^ 1))
        raw.execute(f"UPDATE entry SET {name} = ? WHERE number = 1", (changed,))
        raw.commit()
        assert "ntry 1" in kept.verify(session).problem, name
        raw.execute(f"UPDATE entry SET {name} = ? WHERE number = 1", (value,))
        raw.commit()
    assert not kept.verify(session).problem


# Faults


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_acknowledged_entry_and_breaks_no_chain(url: str, tmp_path: Path):
    """200 times."""
    session = Store(url).open(Opened("Killed"))
    told = tmp_path / "acknowledged"
    for number in range(200):
        child = CHILDREN.Process(target=record_writers.write, args=(url, session, str(told)))
        before = told.stat().st_size if told.exists() else 0
        child.start()
        while number % 8 and not (told.exists() and told.stat().st_size > before):  # every eighth is killed as it opens
            assert child.is_alive(), "it ended by itself"
            time.sleep(0.001)
        time.sleep(random.Random(number).uniform(0.0, 0.03))
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    here = Store(url)
    hashes = {one.hash for one in here.entries(session)}
    acknowledged = told.read_text().splitlines() if told.exists() else []
    assert len(acknowledged) >= 175 and set(acknowledged) <= hashes
    assert not here.verify(session).problem


def test_a_full_disk_is_said_in_one_sentence_and_breaks_nothing(url: str):
    here = Store(url)
    session = here.open(Opened("Full"))
    child = CHILDREN.Process(target=record_writers.fill, args=(url, session, 400_000))
    child.start()
    child.join()
    assert child.exitcode == 7
    assert not here.verify(session).problem and here.verify(session).entries > 1
    here.append(session, "note", Note("Ada", "there is room again"))


def test_a_database_that_may_only_be_read_is_read_and_not_written(kept: Store, tmp_path: Path):
    """`mode=ro`, which holds for root too."""
    session = kept.open(Opened("One"))
    kept.close()
    here = Store(f"sqlite:///file:{tmp_path / 'new' / 'records.db'}?mode=ro&uri=true")
    assert not here.verify(session).problem
    with pytest.raises(Refused, match=r"The entry could not be written .*the file may be written"):
        here.append(session, "note", Note("Ada", "x"))


@pytest.mark.slow
def test_two_processes_of_ten_threads_lose_nothing_and_keep_one_line(url: str):
    here = Store(url)
    session = here.open(Opened("Many"))
    children = [CHILDREN.Process(target=record_writers.append_many, args=(url, session, 500)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    verified = here.verify(session)
    assert not verified.problem and verified.entries == 1_001


# Schemas


def test_the_migrations_lead_to_the_tables_of_the_schema(kept: Store, tmp_path: Path):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with kept.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


FIRST_HEAD = "09fa5de0cb110dca006b2b653a83a284e5c288b6c70ad2e816f58c6f869a8fdf"
"""Of the session in records-0001.db, which `tests.record_writers` wrote when that schema was the newest."""


def test_a_database_of_the_first_release_is_read_whole(tmp_path: Path):
    """Whatever the schema is now: nothing is lost, and the head of then is met."""
    file = tmp_path / "records.db"
    file.write_bytes((DATA / "records-0001.db").read_bytes())
    here = Store(f"sqlite:///{file}")
    (session,) = here.sessions()
    verified = here.verify(session, FIRST_HEAD)
    assert (verified.problem, verified.entries, verified.head, verified.erased) == ("", 10, FIRST_HEAD, (3,))
    assert sessions.check(here, session, FIRST_HEAD) == verified, "there was no label `request` then"
    contents = [here.content(session, number) for number in range(10)]
    record, floor, replay = contents[1], contents[6], contents[7]
    assert contents[0] == Opened("Loans", "who gets one", "finance", ("Ada", "Béla"))
    assert contents[2:6] == [Note("Ada", "漢字 🎉"), None, Tags("Ada", ("first", "second")), Judgement("Béla", "concern", "look again")]  # fmt: skip
    assert contents[8:] == [Erased("Ada", "asked to"), Closed("Ada")]
    now = results.load_report()
    then = replace(
        now,
        abilities=tuple(
            one
            for one in now.abilities
            if one.analysis
            not in ("reasoning", "robustness", "bias", "calibration", "published", "instructions", "findings")
        ),
    )
    assert codec.digest(record.result) == codec.digest(then), "every number of then"
    apart = Difference("tensor_norms", 0.5, 2.0)
    assert floor.differences == replay.differences == replay.floor == (apart,) and floor.floor is None
    overview = sessions.overview(session, here.listed(session))
    assert (overview.title, overview.field, bool(overview.closed)) == ("Loans", "finance", True)
    (kept,) = overview.records
    assert (kept.analysis, kept.base, kept.tuned, kept.instruction) == ("load_report", "demo/base", "demo/tuned", "")
    assert (kept.verdict, kept.tags, kept.notes, kept.replay, kept.floor) == ("concern", ("first", "second"), 0, "within the noise floor", 6)  # fmt: skip
    with pytest.raises(Refused, match="closed"):
        sessions.note(here, session, None, "Ada", "x")
    here.erase(session, [1], Erased("Ada", "later"))
    assert here.verify(session, FIRST_HEAD).erased == (1, 3)


def test_a_content_that_this_version_does_not_read_is_told_and_the_chain_still_holds(kept: Store):
    """As a newer Candor would leave it: a contract with one more field."""
    session = kept.open(Opened("One"))
    kept.append(session, "note", Note("Ada", "x"))
    newer = zlib.compress(b'{"fields":{"author":"Ada","mood":"fine","text":"x"},"type":"Note"}')
    last = list(kept.entries(session))[-1]
    with kept.engine.begin() as connection:
        connection.execute(insert(schema.entry), vars(chain.follow(last, session, "note", newer)))
    with pytest.raises(Refused, match=r"not a request or result that Candor wrote: .*mood"):
        kept.content(session, 2)
    assert "Entry 2 (note) cannot be held against its labels: " in sessions.check(kept, session).problem
    assert kept.content(session, 1) == Note("Ada", "x")
    assert kept.verify(session).entries == 3 and not kept.verify(session).problem and len(kept.listed(session)) == 3


def test_a_newer_database_is_refused_and_not_touched(kept: Store, url: str, tmp_path: Path):
    kept.close()
    file = tmp_path / "new" / "records.db"
    raw = sqlite3.connect(file)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    before = file.read_bytes()
    with pytest.raises(Refused, match=r"written by a newer Candor \(schema 9999\)"):
        Store(url)
    assert file.read_bytes() == before


@pytest.mark.parametrize("what", ["a folder", "no database"])
def test_what_is_no_database_is_refused_with_a_sentence(tmp_path: Path, what: str):
    file = tmp_path / "records.db"
    if what == "a folder":
        file.mkdir()
    else:
        file.write_bytes(b"these are not the pages of a database" * 100)
    with pytest.raises(Refused, match=r"The database .* cannot be opened"):
        Store(f"sqlite:///{file}")


def test_the_address_is_said_by_the_environment_and_else_lies_with_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # fmt: skip
    monkeypatch.delenv("CANDOR_DATABASE_URL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store.address() == f"sqlite:///{tmp_path / 'candor' / 'records.db'}"
    monkeypatch.setenv("CANDOR_DATABASE_URL", "postgresql+psycopg://somewhere/candor")
    assert store.address().startswith("postgresql")
