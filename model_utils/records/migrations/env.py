"""Alembic runs this: the connection is the store's, which holds the database for itself meanwhile."""

from alembic import context

from model_utils.records.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
