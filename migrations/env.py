"""Run by alembic, from ``router.storage.database.migrating``, on the connection given to it."""

from alembic import context

from router.storage.database.migrating import include_name
from router.storage.tables import metadata

connection = context.config.attributes["connection"]
on_sqlite = connection.dialect.name == "sqlite"

context.configure(
    connection=connection,
    target_metadata=metadata,
    include_name=include_name,
    render_as_batch=on_sqlite,
    # SQLite can take a CREATE TABLE back like anything else; alembic does not count on it.
    transactional_ddl=True,
)
with context.begin_transaction():
    if not on_sqlite:
        # Two nodes that start together migrate once: the second waits here, then finds the work
        # done. On SQLite the transaction itself begins with the write lock.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7242013)")
        # Who waits for the lock of a table keeps everybody else from it meanwhile.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
    context.run_migrations()
