"""A database with the schema in it, for what is written once over a connection of either kind."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

Result = TypeVar("Result")


def empty_sqlite(path: Path) -> None:
    """Write a SQLite file with the schema in it: a copy of one that is made once a run."""
    path.touch(mode=0o600)
    path.write_bytes(_migrated_sqlite())


@cache
def _migrated_sqlite() -> bytes:
    from router.storage.database.migrating import ensure

    with TemporaryDirectory() as folder:
        path = Path(folder, "router.db")
        ensure(path)
        return path.read_bytes()


class Database:
    """SQLite or PostgreSQL, through SQLAlchemy alone. Synchronous: for tests without a loop.

    :ivar kind: ``sqlite`` or ``postgresql``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.kind = sa.make_url(url).get_backend_name()
        self._runner = asyncio.Runner()
        self.engine: AsyncEngine = create_async_engine(url, poolclass=NullPool)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self.engine.dispose())
        self._runner.close()

    def run(self, function: Callable[[sa.Connection], Result]) -> Result:
        """Run a function in a transaction of its own, and commit it."""

        async def run() -> Result:
            async with self.engine.begin() as connection:
                return await connection.run_sync(function)

        return self._runner.run(run())

    def do(self, function: Callable[..., Result], *words: Any, **named: Any) -> Result:
        """Call a function with a connection in front, in a transaction of its own."""
        return self.run(lambda connection: function(connection, *words, **named))

    def insert(self, table: sa.Table, *rows: Mapping[str, Any]) -> None:
        self.run(lambda connection: [connection.execute(sa.insert(table), row) for row in rows])

    def rows(self, table: sa.Table, **where: Any) -> list[Any]:
        statement = sa.select(table).order_by(*table.primary_key)
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        return self.run(lambda connection: list(connection.execute(statement)))

    def together(self, *functions: Callable[[sa.Connection], Any]) -> Sequence[Any]:
        """Run functions at once, each in a transaction of its own; PostgreSQL only."""

        async def one(function: Callable[[sa.Connection], Any]) -> Any:
            async with self.engine.begin() as connection:
                return await connection.run_sync(function)

        async def all_() -> Sequence[Any]:
            return await asyncio.gather(*map(one, functions), return_exceptions=True)

        return self._runner.run(all_())
