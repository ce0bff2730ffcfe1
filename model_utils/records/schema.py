"""The tables of the database, in the newest schema; the migrations lead there from each older one."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

metadata = MetaData()
_ERASED = text("content IS NULL")

entry = Table(
    "entry",
    metadata,
    Column("session", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("time", String(27), nullable=False),
    Column("about", Integer),
    Column("content_hash", String(64), nullable=False),
    Column("parent", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("salt", LargeBinary),
    Column("content", LargeBinary),
    Index("entry_by_kind", "kind", "session", "number"),
    Index("entry_listed", "session", "number", "kind", "time", "about"),
    Index("entry_erased", "session", "number", sqlite_where=_ERASED, postgresql_where=_ERASED),
)
"""`contracts.records.Entry`, field by field. Lists are read from the indexes alone: in the table, contents lie in between."""

label = Table(
    "label",
    metadata,
    Column("session", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String(16), nullable=False),
    Column("value", Text, nullable=False),
    Index("label_listed", "session", "number", "name", "value"),
    Index("label_by_value", "name", "value", "session", "number"),
)
"""What entries are listed and found by (title, analysis, model, tag, ...): taken from their contents, erased with them, and no evidence."""
