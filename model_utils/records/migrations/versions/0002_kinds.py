"""What is looked for is found in indexes alone: sessions, whether one is closed, and lists, without a look at any content."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    erased = sa.text("content IS NULL")
    op.create_index("entry_by_kind", "entry", ["kind", "session", "number"])
    op.create_index("entry_listed", "entry", ["session", "number", "kind", "time", "about"])
    op.create_index("entry_erased", "entry", ["session", "number"], sqlite_where=erased, postgresql_where=erased)
    op.drop_index("label_of_entry", "label")
    op.create_index("label_listed", "label", ["session", "number", "name", "value"])
    op.drop_index("label_by_value", "label")
    op.create_index("label_by_value", "label", ["name", "value", "session", "number"])
