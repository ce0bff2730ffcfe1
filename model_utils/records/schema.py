"""The tables of the database, in the newest schema; the migrations lead there from each older one."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

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
    Index("entry_by_kind", "kind", "session"),
)
"""`contracts.records.Entry`, field by field."""

label = Table(
    "label",
    metadata,
    Column("session", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String(16), nullable=False),
    Column("value", Text, nullable=False),
    Index("label_of_entry", "session", "number"),
    Index("label_by_value", "name", "value"),
)
"""What entries are listed and found by (title, analysis, model, tag, ...): taken from their contents, erased with them, and no evidence."""
