"""Read-only connections, beside whoever writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

from router.storage.sqlite.reading import read_only

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal


@contextmanager
def reader_of(url: str) -> Iterator[sa.Connection]:
    """Open a PostgreSQL database read-only, as it is at one moment, beside its nodes. Blocks.

    What is given has what the functions of this package use of a connection, and no more.

    :raises StorageUnavailable: if it cannot be reached.
    """
    from anyio.from_thread import start_blocking_portal

    from router.storage.postgres.engine import in_words, is_away, make_engine

    engine = make_engine(url, pooled=True)
    try:
        with start_blocking_portal() as portal:
            connection = portal.call(_begun, engine)
            try:
                yield cast("sa.Connection", _Driven(connection, portal))
            finally:
                portal.call(_ended, connection, engine)
    except Exception as error:
        if is_away(error):
            raise in_words(error) from error
        raise


async def _begun(engine: AsyncEngine) -> AsyncConnection:
    connection = await engine.connect()
    await connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return connection


async def _ended(connection: AsyncConnection, engine: AsyncEngine) -> None:
    await connection.close()
    await engine.dispose()


class _Driven:
    """A connection whose driver runs in a loop of its own, for those who have none.

    Results are whole when they are given: to go through them asks the driver nothing.
    """

    def __init__(self, connection: AsyncConnection, portal: "BlockingPortal") -> None:
        self._connection = connection
        self._portal = portal
        self.dialect = connection.dialect

    def execute(self, *words: Any, **named: Any) -> Any:
        return self._do(lambda it: it.execute(*words, **named))

    def scalar(self, *words: Any, **named: Any) -> Any:
        return self._do(lambda it: it.scalar(*words, **named))

    def scalars(self, *words: Any, **named: Any) -> Any:
        return self._do(lambda it: it.scalars(*words, **named))

    def exec_driver_sql(self, *words: Any) -> Any:
        return self._do(lambda it: it.exec_driver_sql(*words))

    def _do(self, function: Callable[[sa.Connection], Any]) -> Any:
        return self._portal.call(self._connection.run_sync, function)


@contextmanager
def reader(path: Path) -> Iterator[sa.Connection]:
    """Open a SQLite database read-only, beside a running daemon.

    :raises sqlalchemy.exc.OperationalError: if there is no such database.
    """
    engine = sa.create_engine(read_only(path, "sqlite"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
