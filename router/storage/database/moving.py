"""Carrying a whole database to another one: SQLite to PostgreSQL, and back.

The destination is written in one transaction, which also reads everything back before it ends: a
move that is interrupted, or that finds a difference, leaves the destination as empty as it was, and
can simply be begun again. The source is only read.
"""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from router.clock import to_micros
from router.errors import StorageError, StorageUnavailable
from router.storage.database.migrating import ensure
from router.storage.postgres.statements.locks import NODE_LOCK
from router.storage.sqlite.lock import DatabaseLock
from router.storage.tables import metadata

#: Rows in one statement.
_BATCH: Final = 500
_EXACT: Final = 2**53

#: Called as rows pass: what is done (``copied`` or ``verified``), the table, rows so far, of how
#: many.
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A table that was carried over, the same on both sides.

    :param digest: of all its rows, whatever their order.
    """

    table: str
    rows: int
    digest: str


def move(source: str, destination: str, progress: Progress = lambda *_: None) -> list[Moved]:
    """Carry everything from one database to another, and see that it arrived.

    Both are kept to ourselves meanwhile. Blocks.

    :param source: the URL of a database with the schema of this version; nobody may have it open.
    :param destination: the URL of an empty one, or of a SQLite file that is not there yet.
    :raises DatabaseLocked: if somebody has one of the two SQLite files open.
    :raises StorageError: in words, if it cannot be done; the destination is then empty.
    """
    if sa.make_url(source) == sa.make_url(destination):
        raise StorageError(f"{shown(source)} cannot be moved to itself")
    with kept_alone(source), kept_alone(destination):
        ensure(source, migrate=False)
        ensure(destination)
        return asyncio.run(copy(source, destination, progress))


def shown(url: str) -> str:
    """Give a URL as it may be printed: without its password."""
    path = sqlite_path(url)
    return str(path) if path else sa.make_url(url).render_as_string(hide_password=True)


async def copy(
    source: str,
    destination: str,
    progress: Progress,
    *,
    alone: bool = True,
    then: Callable[[sa.Connection, sa.Connection], None] = lambda *_: None,
) -> list[Moved]:
    """Carry everything over in one transaction. Both databases have the schema; see :func:`move`.

    :param alone: nobody may use the source; else it is read as it is at one moment.
    :param then: called with both sides once all has arrived, as part of the transaction.
    """
    async with AsyncExitStack() as stack:
        reads = await stack.enter_async_context(_opened(source, writes=False, alone=alone))
        writes = await stack.enter_async_context(_opened(destination, writes=True))

        def carry() -> list[Moved]:
            if alone:
                _check_free(reads)
            moved = _carry(reads, writes, progress)
            then(reads, writes)
            return moved

        # Both are spoken to from one greenlet, which waits for whichever is asynchronous.
        return await greenlet_spawn(carry)


def _carry(reads: sa.Connection, writes: sa.Connection, progress: Progress) -> list[Moved]:
    _check_free(writes)
    _check_empty(writes)
    tables = metadata.sorted_tables
    copied = [_copy(table, reads, writes, progress) for table in tables]
    for table in tables:
        _set_numbers(table, reads, writes)
    for table, expected in zip(tables, copied, strict=True):
        found = _digest(table, writes, expected.rows, progress)
        if found != expected:
            raise StorageError(
                f'table "{table.name}" did not arrive as it was: {expected.rows} rows with digest '
                f"{expected.digest}, but {found.rows} with {found.digest} at the destination. "
                "Nothing was kept there; please report this"
            )
    return copied


def _copy(
    table: sa.Table, reads: sa.Connection, writes: sa.Connection, progress: Progress
) -> Moved:
    total = _count(table, reads)
    digest = _Digest(table)
    strict = writes.dialect.name == "postgresql"
    for rows in _batches(table, reads):
        for row in rows:
            digest.add(row)
            if strict:
                _check_text(table, row)
        try:
            writes.execute(sa.insert(table), rows)
        except (sa.exc.SQLAlchemyError, ValueError, OverflowError) as error:
            raise StorageError(
                f'table "{table.name}" cannot be written near the row {_name(table, rows[0])}: '
                f"{_cause(error)}. Nothing was kept at the destination"
            ) from error
        progress("copied", table.name, digest.rows, total)
    return digest.moved()


def _digest(table: sa.Table, connection: sa.Connection, total: int, progress: Progress) -> Moved:
    digest = _Digest(table)
    for rows in _batches(table, connection):
        for row in rows:
            digest.add(row)
        progress("verified", table.name, digest.rows, total)
    return digest.moved()


def _batches(table: sa.Table, connection: sa.Connection) -> Iterator[list[dict[str, Any]]]:
    """Give all rows along the primary key, a page at a time: no cursor is kept open."""
    key = list(table.primary_key)
    statement = sa.select(table).order_by(*key).limit(_BATCH)
    after: Sequence[Any] | None = None
    while True:
        page = statement
        if after is not None:
            page = page.where(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, after)))
        try:
            rows = [dict(row) for row in connection.execute(page).mappings()]
        except (sa.exc.SQLAlchemyError, ValueError, OverflowError) as error:
            near = "" if after is None else f" behind the row {'/'.join(map(str, after))}"
            message = f'table "{table.name}" cannot be read{near}: {_cause(error)}'
            raise StorageError(f"{message}. `router db check` looks for damage") from error
        if not rows:
            return
        yield rows
        after = [rows[-1][column.name] for column in key]


class _Digest:
    """Sums up rows so that their order, which is each database's own, does not matter."""

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._columns = [column.name for column in table.columns]
        self._sum = 0
        self.rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        values = [_plain(row[name]) for name in self._columns]
        text = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())
        self._sum = (self._sum + number) % (1 << 128)
        self.rows += 1

    def moved(self) -> Moved:
        return Moved(table=self._table.name, rows=self.rows, digest=f"{self._sum:032x}")


def _plain(value: Any) -> Any:
    """Give a value in the one form that it has whatever kept it."""
    if isinstance(value, datetime):
        return {"moment": to_micros(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        # jsonb keeps 1e20 as the number that it is, not as it was written.
        if abs(value) >= _EXACT or value != int(value):
            return repr(float(value))
        return int(value)
    if isinstance(value, Mapping):
        return {"object": {str(key): _plain(item) for key, item in value.items()}}
    return [_plain(item) for item in value]


def _check_text(table: sa.Table, row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        if value is not None and not _fit(value):
            raise StorageError(
                f'table "{table.name}", row {_name(table, row)}: column "{name}" holds a NUL '
                "character or half a surrogate pair, which PostgreSQL takes nowhere. Take it out "
                "there, and move again. Nothing was kept at the destination"
            )


def _fit(value: Any) -> bool:
    if isinstance(value, str):
        if "\0" in value:
            return False
        return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, Mapping):
        return all(_fit(key) and _fit(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_fit, value))
    return True


def _name(table: sa.Table, row: Mapping[str, Any]) -> str:
    return ", ".join(f"{column.name}={row[column.name]!r}" for column in table.primary_key)


def _count(table: sa.Table, connection: sa.Connection) -> int:
    found: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return found


def _check_empty(connection: sa.Connection) -> None:
    for table in metadata.sorted_tables:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise StorageError(
                f"{_named(connection)} is not empty: its table "
                f'"{table.name}" has rows. It has to be a new database'
            )


#: Whose time is over, and whose session is still there.
_SILENT: Final = """
SELECT held.objid AS node, held.pid, node.host
FROM pg_locks held LEFT JOIN node ON node.id % 2147483647 = held.objid::bigint
WHERE held.locktype = 'advisory' AND held.classid::bigint = :lock AND held.objsubid = 2
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1
"""


def _check_free(connection: sa.Connection) -> None:
    """See that no node works on a PostgreSQL database; none can begin while its tables are held."""
    if connection.dialect.name != "postgresql":
        return
    node = metadata.tables["node"]
    alive = sa.select(node.c.id, node.c.host).where(node.c.expires_at > sa.func.clock_timestamp())
    row = connection.execute(alive.limit(1)).first()
    if row is not None:
        raise StorageError(
            f"{_named(connection)} is in use by node {row.id} on {row.host}. Stop it first; one "
            "that was killed counts for a quarter of a minute more"
        )
    silent = connection.execute(sa.text(_SILENT), {"lock": NODE_LOCK}).first()
    if silent is not None:
        where = "" if silent.host is None else f" on {silent.host}"
        raise StorageError(
            f"{_named(connection)} is in use by node {silent.node}{where}, which says nothing: it "
            "is frozen, cut off or just starting, and would go on with what is here. End its "
            "process first; if its machine is gone for good, end the session that it left with "
            f"SELECT pg_terminate_backend({silent.pid})"
        )


# --- numbers that rows get by themselves


def _set_numbers(table: sa.Table, reads: sa.Connection, writes: sa.Connection) -> None:
    """Let the destination go on counting where the source stopped."""
    column = table.autoincrement_column
    if column is None or column.autoincrement is not True:
        return
    highest = sa.select(sa.func.coalesce(sa.func.max(column), 0))
    last = max(reads.execute(highest).scalar_one(), _last_number(table, column, reads))
    if not last:
        return
    if writes.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        writes.execute(sa.select(sa.func.setval(sequence, last)))
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "last": last}
        writes.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        writes.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), values)


def _last_number(table: sa.Table, column: sa.Column[Any], connection: sa.Connection) -> int:
    """Give the last number that was given out, even if its row is gone."""
    if connection.dialect.name == "postgresql":
        name = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name)))
        statement = sa.text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}")
        return int(connection.scalar(statement) or 0)
    if not table.dialect_options["sqlite"]["autoincrement"]:
        return 0
    kept = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(connection.scalar(kept, {"name": table.name}) or 0)


# --- reaching the two


@asynccontextmanager
async def _opened(url: str, *, writes: bool, alone: bool = True) -> AsyncIterator[sa.Connection]:
    """Open a database for one transaction, which is committed if all goes well."""
    path = sqlite_path(url)
    if path is None:
        async with _postgresql(url, writes=writes, alone=alone) as connection:
            yield connection
        return
    with _sqlite(path, writes=writes) as connection:
        yield connection


@contextmanager
def _sqlite(path: Path, *, writes: bool) -> Iterator[sa.Connection]:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT" if writes else "ROLLBACK")
    engine.dispose()


@asynccontextmanager
async def _postgresql(url: str, *, writes: bool, alone: bool) -> AsyncIterator[sa.Connection]:
    from sqlalchemy.ext.asyncio import create_async_engine

    from router.storage.postgres.engine import UNUSABLE, parse

    engine = create_async_engine(parse(url), poolclass=NullPool)
    names = ", ".join(f'"{name}"' for name in metadata.tables)
    mode = "SHARE ROW EXCLUSIVE" if writes else "SHARE"
    try:
        async with engine.connect() as connection, connection.begin():
            if not writes:
                await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if alone:
                await connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
                # Before anything is read, so that the snapshot is younger than what others wrote.
                await connection.exec_driver_sql(f"LOCK TABLE {names} IN {mode} MODE")
            yield connection.sync_connection  # type: ignore[misc]  # it is connected
    except UNUSABLE as error:
        raise StorageUnavailable(f"PostgreSQL cannot be used: {_cause(error)}") from error
    finally:
        await engine.dispose()


@contextmanager
def kept_alone(url: str) -> Iterator[None]:
    """Keep others away from a SQLite database. PostgreSQL is locked in the transaction itself.

    :raises DatabaseLocked: if somebody has it open.
    """
    path = sqlite_path(url)
    if path is None:
        yield
        return
    with DatabaseLock(path):
        yield


def sqlite_path(url: str) -> Path | None:
    """Give the SQLite file of a URL; ``None`` for PostgreSQL."""
    parsed = sa.make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _named(connection: sa.Connection) -> str:
    if connection.dialect.name == "sqlite":
        return "the SQLite file"
    return f'the PostgreSQL database "{connection.scalar(sa.select(sa.func.current_database()))}"'


def _cause(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    text = (str(cause).splitlines() or [""])[0] or type(cause).__name__
    # The driver's adapter puts the class in front.
    return text.partition(">: ")[2] or text
