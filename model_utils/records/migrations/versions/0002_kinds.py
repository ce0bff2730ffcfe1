"""Entries are found by their kind: whether a session is closed, and which sessions there are, without reading every entry."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("entry_by_kind", "entry", ["kind", "session"])
