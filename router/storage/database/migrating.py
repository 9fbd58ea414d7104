"""Which schema a database has, and how it gets the one that this version needs."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from router.data import data_path
from router.errors import SchemaMismatch
from router.storage.files import check_readable, private_file, private_folder, refused, unusable

if TYPE_CHECKING:
    import sqlalchemy as sa

Result = TypeVar("Result")

#: The revision that this version of the router needs: the last file of migrations/versions.
HEAD = "0001"

#: The full-text index over passages. Each database has its own kind, which only migrations know.
FULL_TEXT = "passage_fts"


def current(connection: "sa.Connection") -> str | None:
    """Give the revision of a database's schema; ``None`` for a database without one."""
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def ensure(url: str | Path, *, migrate: bool = True) -> None:
    """See to it that a database has the schema of this version. Blocks: call it in a thread.

    Costs one query when the schema is right.

    :param url: a SQLite file, or a SQLAlchemy URL.
    :param migrate: bring an older or empty database up to date; otherwise say what to do.
    :raises SchemaMismatch: if the schema is newer than this version, or older and may not change.
    :raises StorageUnavailable: if the database cannot be reached.
    """
    revision = revision_of(url)
    if revision == HEAD:
        return
    if revision is not None and revision not in revisions():
        message = (
            f"the database's schema {revision} is newer than this version of the router, which "
            f"knows {HEAD}. Install the version that wrote it, or restore an older backup"
        )
        raise SchemaMismatch(message)
    if not migrate:
        path = _sqlite_path(url)
        if path is not None and not check_readable(path):
            message = (
                f"the database {path} is not there yet. `router run` makes it, and so does "
                "`router db migrate`"
            )
            raise SchemaMismatch(message)
        found = "has no schema yet" if revision is None else f"has the older schema {revision}"
        message = f"the database {found}; this version needs {HEAD}. Run `router db migrate`"
        raise SchemaMismatch(message)
    _upgrade(url, "head")


def migrate(url: str | Path, *, to: str = "head") -> None:
    """Bring a database up to a revision, in one transaction. Blocks: call it in a thread.

    :param url: a SQLite file, made if there is none, or a SQLAlchemy URL.
    :raises SchemaMismatch: if the schema is newer than this version.
    :raises StorageUnavailable: if the database cannot be reached.
    """
    if to == "head":
        ensure(url, migrate=True)
    else:
        _upgrade(url, to)


@cache
def revisions() -> tuple[str, ...]:
    """Give every revision that this version knows, oldest first, without importing alembic."""
    files = data_path("migrations", "versions").glob("[0-9]*.py")
    return tuple(sorted(file.name.partition("_")[0] for file in files))


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Tell alembic what a comparison with ``tables.metadata`` looks at: not the full text."""
    return name is None or not name.startswith(FULL_TEXT)


def revision_of(url: str | Path) -> str | None:
    """Give the revision of a database's schema; ``None`` where there is no database or schema.

    :raises StorageUnavailable: if it cannot be reached, or is another user's.
    """
    path = _sqlite_path(url)
    if path is None:
        return _on_postgresql(str(url), current)
    if not check_readable(path):
        return None
    # Without SQLAlchemy's engine: every start passes here.
    with _sqlite_errors(path), closing(sqlite3.connect(path, timeout=10)) as connection:
        known = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        if connection.execute(known).fetchone() is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _upgrade(url: str | Path, to: str) -> None:
    path = _sqlite_path(url)
    if path is None:
        _on_postgresql(str(url), lambda connection: _run_alembic(connection, to), long=True)
    else:
        _upgrade_sqlite(path, to)


def _upgrade_sqlite(path: Path, to: str) -> None:
    import sqlalchemy as sa

    with _sqlite_errors(path):
        private_folder(path.parent)
        private_file(path)
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, timeout=10, isolation_level=None),
        poolclass=sa.pool.NullPool,
    )

    # Python's sqlite3 begins no transaction before DDL; here SQLAlchemy does, with the write lock.
    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with _sqlite_errors(path), engine.begin() as connection:
        _run_alembic(connection, to)


def _run_alembic(connection: "sa.Connection", to: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A % in a path would be read as a reference to another option.
    config.set_main_option("script_location", str(data_path("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _on_postgresql(
    url: str, function: "Callable[[sa.Connection], Result]", *, long: bool = False
) -> Result:
    """Run a function in a transaction.

    :param long: it takes as long as it takes, as a migration does.
    :raises StorageError: if texts of every language cannot be kept there.
    """
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    from router.storage.postgres.engine import CONNECT, STATEMENT, UNUSABLE, parse
    from router.storage.postgres.refusals import check_encoding, in_words

    address = parse(url)

    async def run() -> Result:
        engine = create_async_engine(address, poolclass=sa.pool.NullPool)
        try:
            async with asyncio.timeout(CONNECT) as limit, engine.begin() as connection:
                now = asyncio.get_running_loop().time()
                limit.reschedule(None if long else now + STATEMENT)
                await connection.run_sync(check_encoding)
                return await connection.run_sync(function)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except UNUSABLE as error:
        raise in_words(address, error) from error


def _sqlite_path(url: str | Path) -> Path | None:
    """Give the file behind a URL or path; ``None`` for PostgreSQL."""
    if isinstance(url, Path) or "://" not in url:
        return Path(url)
    from sqlalchemy import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return None
    return Path(parsed.database or "")


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except OSError as error:
        raise unusable(path, error) from error
    except (sqlite3.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise refused(path, cause) from error
