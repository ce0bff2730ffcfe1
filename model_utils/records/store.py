"""Where sessions are kept: a SQLite file, or PostgreSQL by its address; whatever an append returned survives a crash."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from model_utils.contracts.records import Entry, EntryKind, Erased, Listed, Opened, Verified
from model_utils.errors import Refused
from model_utils.records import chain, contents, schema
from model_utils.records.chain import Link
from model_utils.records.contents import Labels

MIGRATIONS = Path(__file__).with_name("migrations")
ADDRESS = "CANDOR_DATABASE_URL"
BUSY_SECONDS = 30
"""How long a writer waits for its turn."""
TRIES = 50
"""How often an append begins anew because another writer took its number; on SQLite each waits for its turn instead."""
FETCHED = 1_000
"""Rows of labels that are held at once: they are many, and what stays is less."""

ABOUT_RECORDS = ("tags", "verdict", "preference", "floor", "replay")
"""Kinds of entries that are about a record; a note may be about any entry or none, an erasure is about any."""


def address() -> str:
    """The database's address: `CANDOR_DATABASE_URL`, else a file of this user's."""
    file = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "candor" / "records.db"
    return os.environ.get(ADDRESS) or f"sqlite:///{file}"


class Store:
    """Sessions and their entries. Any number of threads and processes may write one session: its chain stays linear."""

    def __init__(self, url: str | None = None) -> None:
        """Opens the database and brings an older schema up to date; Refused where that cannot be, and then nothing was changed."""
        self.url = make_url(url or address())
        self.engine = self._engine()
        with _said(f"The database {self._name} cannot be opened"):
            self._upgrade()

    @property
    def _name(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def _engine(self) -> Engine:
        """Its errors and logs hold no values: those are what people asked."""
        if self.url.get_backend_name() != "sqlite":
            return create_engine(self.url, hide_parameters=True)
        file = self.url.database
        if file and not file.startswith("file:"):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(self.url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def close(self) -> None:
        self.engine.dispose()

    def _upgrade(self) -> None:
        known, config = _script(), Config()
        with self.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        if current == known.get_current_head():
            return
        if current is not None and current not in {one.revision for one in known.walk_revisions()}:
            raise Refused(
                f"The database {self._name} was written by a newer Candor (schema {current}); open it with that one. Nothing was changed."
            )
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._writing() as connection:
            if MigrationContext.configure(connection).get_current_revision() == current:  # nobody was quicker
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction; on SQLite it holds the database from its first moment."""
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    # --- writing --------------------------------------------------------------------------------------------------------

    def open(self, opened: Opened) -> str:
        """A new session; its id."""
        session = secrets.token_hex(16)
        self.append(session, "opened", opened)
        return session

    def append(self, session: str, kind: EntryKind, content: Any, about: int | None = None) -> Entry:
        """One more entry, on the disk when this returns.

        Refused where the session is closed, where `content` is not what such an entry holds, and where what it is `about` is not there,
        or is nothing that such an entry can be about.
        """
        contents.check(kind, content)
        stored, labels = chain.pack(content), contents.labels_of(kind, content)
        for _ in range(TRIES):
            try:
                with _said("The entry could not be written"), self._writing() as connection:
                    return self._append(connection, session, kind, stored, about, labels)
            except IntegrityError:
                continue  # another writer was quicker
        raise Refused(f"The entry could not be written: {TRIES} other writers were quicker; try again.")

    def _append(
        self, connection: Connection, session: str, kind: EntryKind, stored: bytes, about: int | None, labels: Labels
    ) -> Entry:
        state = _state(connection, session, about)
        _check(state, session, kind, about)
        if kind in ("floor", "replay") and state.gone:
            raise Refused(f"The content of entry {about} was erased, so that nothing is computed of it any more.")
        if kind == "preference" and state.gone:
            raise Refused(f"The content of entry {about} was erased, so that nobody can judge its answers any more.")
        entry = chain.follow(state.last, session, kind, stored, about)
        _insert(connection, entry, labels)
        return entry

    @contextmanager
    def receiving(self, session: str) -> Iterator[Callable[[Entry, Labels], bool]]:
        """A function that takes the entries of a session from elsewhere, in order, each with its labels, and says whether it was new here.

        All of them in one transaction: when the block is left by an exception, none was taken. Refused for an entry that parts from the
        session that is here, or cannot follow the one before. What is erased here stays erased, whatever is given; an erasure that
        is new here is carried out here. Other writers wait meanwhile. Nothing of the chain is verified: see `chain.verify`.
        """
        erased = False
        with _said("The session could not be written"):
            try:
                with self._writing() as connection:

                    def take(entry: Entry, labels: Labels) -> bool:
                        nonlocal erased
                        here = _hash(connection, session, entry.number)
                        if here not in (None, entry.hash):
                            raise Refused(
                                f"This session is here too, and the two part at entry {entry.number}; nothing was taken over."
                            )
                        if here is None:
                            _check(_state(connection, session, entry.about), session, entry.kind, entry.about)
                            _insert(connection, entry, labels)
                            if entry.kind == "erased" and entry.about is not None:
                                erased |= _take_away(connection, session, entry.about)
                        return here is None

                    yield take
            except IntegrityError as error:
                raise Refused(
                    "Somebody else wrote this session meanwhile, and nothing was taken over; try again."
                ) from error
            if erased:
                self._forget()

    def erase(self, session: str, numbers: Sequence[int], erased: Erased) -> list[Entry]:
        """Takes the contents of these entries away, for good: all of them, or none when this raises before it is done.

        With each go its salt, its labels and what the files still hold of it; the chain still verifies. One entry of kind erased is made
        for each, in the order of `numbers`. Exports that were made before are out of reach, and so are PostgreSQL's own files until it is vacuumed.
        """
        contents.check("erased", erased)
        stored, made = chain.pack(erased), []
        with _said("The content could not be erased"):
            with self._writing() as connection:
                for number in numbers:
                    made.append(self._append(connection, session, "erased", stored, number, {}))
                    _take_away(connection, session, number)
            self._forget()
        return made

    def _forget(self) -> None:
        """What the write-ahead log still holds goes into the file, where freed pages are overwritten, and the log is emptied."""
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.connect() as connection:
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise Refused(
                "The content was erased, but another program reads the database, so that its log still holds it; close that program and erase the entry again."
            )

    # --- reading --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self, session: str) -> Iterator[tuple[Connection, Link, Iterator[Entry]]]:
        """One moment of the session: its last entry, and all of them; Refused where it is not there."""
        how = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        chosen = select(schema.entry).where(schema.entry.c.session == session).order_by(schema.entry.c.number)
        with _said("The session could not be read"), self.engine.connect().execution_options(**how) as connection:
            last = _state(connection, session, None).last
            if last is None:
                raise self._no_session(session)
            rows = connection.execute(chosen, execution_options={"yield_per": 8})
            yield connection, last, (Entry(**row._mapping) for row in rows)

    @contextmanager
    def snapshot(self, session: str) -> Iterator[tuple[Link, Iterator[Entry]]]:
        """The last entry, and all in the order of their numbers, as they are at one moment; Refused for a session that is not there."""
        with self._reading(session) as (_, last, entries):
            yield last, entries

    def entries(self, session: str) -> Iterator[Entry]:
        """In the order of their numbers; Refused for a session that is not there."""
        with self.snapshot(session) as (_, entries):
            yield from entries

    def content(self, session: str, number: int) -> Any:
        """What an entry holds; None: it was erased. Refused where it is not there, or not as it was written."""
        return self.read(session, number)[1]

    def read(self, session: str, number: int) -> tuple[Entry, Any]:
        """An entry and what it holds, as `content` says."""
        chosen = select(schema.entry).where((schema.entry.c.session == session) & (schema.entry.c.number == number))
        with _said("The entry could not be read"), self.engine.connect() as connection:
            row = connection.execute(chosen).one_or_none()
        if row is None:
            raise Refused(f"The session {session[:40]!r} has no entry {number}.")
        return _opened(Entry(**row._mapping))

    def of_kind(self, session: str, kind: EntryKind) -> list[tuple[Entry, Any]]:
        """The session's entries of this kind and what each holds, as `content` says, in the order of their numbers; for small contents."""
        here = (schema.entry.c.session == session) & (schema.entry.c.kind == kind)
        with _said("The session could not be read"), self.engine.connect() as connection:
            rows = connection.execute(select(schema.entry).where(here).order_by(schema.entry.c.number)).all()
        return [_opened(Entry(**row._mapping)) for row in rows]

    def head(self, session: str) -> Entry:
        """The session's last entry, whose hash is the head; Refused for a session that is not there."""
        chosen = select(schema.entry).where(schema.entry.c.session == session)
        with _said("The session could not be read"), self.engine.connect() as connection:
            row = connection.execute(chosen.order_by(schema.entry.c.number.desc()).limit(1)).one_or_none()
        if row is None:
            raise self._no_session(session)
        return Entry(**row._mapping)

    def sessions(self) -> list[str]:
        """Ids, the latest first."""
        chosen = (
            select(schema.entry.c.session).where(schema.entry.c.kind == "opened").order_by(schema.entry.c.time.desc())
        )
        with _said("The sessions could not be read"), self.engine.connect() as connection:
            return list(connection.execute(chosen).scalars())

    def titled(self, title: str) -> list[str]:
        """Ids of the sessions that are listed by this title."""
        label, (value,) = schema.label.c, contents.labels_of("opened", Opened(title))["title"]
        chosen = select(label.session).where((label.name == "title") & (label.value == value)).distinct()
        with _said("The sessions could not be read"), self.engine.connect() as connection:
            return list(connection.execute(chosen.order_by(label.session)).scalars())

    def listed(self, session: str) -> list[Listed]:
        """All entries without their contents, in the order of their numbers; Refused for a session that is not there.

        The labels are those for people: `contents.KEY` is not among them. Several values of one name are in the order of the alphabet.
        """
        entry = schema.entry.c
        mine = entry.session == session
        chosen = select(entry.number, entry.kind, entry.time, entry.about).where(mine).order_by(entry.number)
        gone = select(entry.number).where(mine & entry.content.is_(None))
        with _said("The session could not be read"), self.engine.connect() as connection:
            rows = connection.execute(chosen).all()
            erased = set(connection.execute(gone).scalars())
            labels = _labels(connection, session, schema.label.c.name != contents.KEY)
        if not rows:
            raise self._no_session(session)
        return [
            Listed(number, kind, time, about, number in erased, labels.get(number, {}))
            for number, kind, time, about in rows
        ]

    def mislabelled(self, session: str) -> int | None:
        """The first entry whose labels are not those that its content has; None: all are.

        The chain does not cover labels. Every content is read for this. Refused, with its number, for one that this Candor does not read.
        `contents.KEY` may be missing, as it is of records of the first release: then nothing is found by it.
        """
        with self._reading(session) as (connection, _, entries):
            labels = _labels(connection, session)
            for entry in entries:
                found, wanted = labels.pop(entry.number, {}), _labels_of(entry)
                names = found.keys() | wanted.keys()
                if contents.KEY not in found:
                    names.discard(contents.KEY)
                if any(sorted(found.get(name, ())) != sorted(wanted.get(name, ())) for name in names):
                    return entry.number
        return min(labels, default=None)

    def labelled(self, session: str, name: str, value: str) -> list[int]:
        """Numbers of the session's entries that have this label, the first first; one look into an index, however long the session is."""
        label = schema.label.c
        chosen = select(label.number).where((label.name == name) & (label.value == value) & (label.session == session))
        with _said("The session could not be read"), self.engine.connect() as connection:
            return list(connection.execute(chosen.order_by(label.number)).scalars())

    def _no_session(self, session: str) -> Refused:
        return Refused(f"There is no session {session[:40]!r} in {self._name}.")

    def verify(self, session: str, head: str | None = None) -> Verified:
        """The session's chain, followed from its first entry."""
        return chain.verify(self.entries(session), head)


def _opened(entry: Entry) -> tuple[Entry, Any]:
    """With what it holds; None: it was erased. Refused where that is not as it was written."""
    if entry.content is None or entry.salt is None:
        return entry, None
    if chain.hash_content(entry.salt, entry.content) != entry.content_hash:
        raise Refused(f"The content of entry {entry.number} is not as it was written; verify the session.")
    return entry, chain.unpack(entry.content)


class _State(NamedTuple):
    """What decides whether an entry can follow."""

    last: Link | None
    """None: the session is not there"""
    closed: bool
    kind: EntryKind | None
    """of the entry that the new one is about; None: it is not there, or the new one is about none"""
    gone: bool
    """its content was erased"""


def _state_query() -> Select[Any]:
    """One statement for the whole of `_State`, made once: an append asks it each time."""
    entry, other, about = schema.entry.c, schema.entry.alias().c, schema.entry.alias().c
    session, number = bindparam("session", type_=entry.session.type), bindparam("about", type_=entry.number.type)
    closed = select(other.number).where(other.kind == "closed", other.session == session).limit(1).scalar_subquery()
    meant = (about.session == session) & (about.number == number)
    kind = select(about.kind).where(meant).scalar_subquery()
    gone = select(about.number).where(meant, about.content.is_(None)).scalar_subquery()
    last = select(entry.number, entry.hash, closed, kind, gone).where(entry.session == session)
    return last.order_by(entry.number.desc()).limit(1)


_STATE = _state_query()


def _state(connection: Connection, session: str, about: int | None) -> _State:
    row = connection.execute(_STATE, {"session": session, "about": about}).one_or_none()
    if row is None:
        return _State(None, False, None, False)
    number, digest, closed, kind, gone = row
    return _State(Link(number, digest), closed is not None, kind, gone is not None)


def _check(state: _State, session: str, kind: EntryKind, about: int | None) -> None:
    """Refused where such an entry cannot follow."""
    if (state.last is None) != (kind == "opened"):
        raise Refused(f"There is no session {session[:40]!r}." if state.last is None else "A session is opened once.")
    if about is not None and state.kind is None:
        raise Refused(f"The session {session[:40]!r} has no entry {about}.")
    if kind in ABOUT_RECORDS and state.kind != "record":
        raise Refused(
            f"An entry of kind {kind} is about a record, but this one is about {f'entry {about} ({state.kind})' if state.kind else 'none'}."
        )
    if kind not in (*ABOUT_RECORDS, "note") and (about is None) == (kind == "erased"):
        raise Refused(f"An entry of kind {kind} is about {'an entry' if kind == 'erased' else 'no other entry'}.")
    if state.closed and kind != "erased":
        raise Refused("This session is closed, and nothing but an erasure may follow; open another one.")


def _insert(connection: Connection, entry: Entry, labels: Labels) -> None:
    connection.execute(insert(schema.entry), vars(entry))
    rows = [
        {"session": entry.session, "number": entry.number, "name": name, "value": value}
        for name, values in labels.items()
        for value in values
    ]
    if rows:
        connection.execute(insert(schema.label), rows)


def _labels(connection: Connection, session: str, *which: ColumnElement[bool]) -> dict[int, dict[str, tuple[str, ...]]]:
    """number of an entry -> name -> values, in the order of the alphabet."""
    label = schema.label.c
    chosen = select(label.number, label.name, label.value).where(label.session == session, *which)
    chosen = chosen.order_by(label.number, label.name, label.value).execution_options(yield_per=FETCHED)
    found: dict[int, dict[str, tuple[str, ...]]] = {}
    last: int | None = None
    mine: dict[str, tuple[str, ...]] = {}
    alone: dict[str, tuple[str, ...]] = {}  # most values are those of many entries
    for number, name, value in connection.execute(chosen):
        if number != last:
            last, mine = number, {}
            found[number] = mine
        if name in mine:
            mine[name] = (*mine[name], value)
        elif value in alone:
            mine[name] = alone[value]
        else:
            mine[name] = alone[value] = (value,)
    return found


def _labels_of(entry: Entry) -> Labels:
    """Those that it should have."""
    if entry.content is None:
        return {}
    try:
        return contents.labels_of(entry.kind, chain.unpack(entry.content))
    except Refused as refused:
        raise Refused(f"Entry {entry.number} ({entry.kind}) cannot be held against its labels: {refused}") from refused


def _take_away(connection: Connection, session: str, number: int) -> bool:
    """The content of an entry, with its salt and its labels; False: it was gone already."""
    here = (schema.entry.c.session == session) & (schema.entry.c.number == number) & schema.entry.c.content.is_not(None)
    gone = connection.execute(update(schema.entry).where(here).values(salt=None, content=None)).rowcount
    labels = (schema.label.c.session == session) & (schema.label.c.number == number)
    connection.execute(delete(schema.label).where(labels))
    return bool(gone)


def _hash(connection: Connection, session: str, number: int) -> str | None:
    """Of an entry; None: it is not there."""
    chosen = select(schema.entry.c.hash).where((schema.entry.c.session == session) & (schema.entry.c.number == number))
    return connection.execute(chosen).scalar_one_or_none()


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


@contextmanager
def _said(what: str) -> Iterator[None]:
    """What a database says of itself, as one sentence for people; who was quicker is for the caller."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise Refused(
            f"{what} ({str(error.orig)[:200]}); see whether the disk is full, the file may be written, and nobody else holds it."
        ) from error


def _prepare(connection: Any, _: Any) -> None:
    """SQLite: a log that survives a crash, and freed pages that are overwritten; transactions begin where `_begin` says."""
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {1_000 * BUSY_SECONDS}", "secure_delete = ON", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    if connection.execute("PRAGMA query_only").fetchone() == (0,):
        connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
