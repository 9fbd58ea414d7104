"""What a database can take in of the very rows that the engine writes, without any engine."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from router.storage.tables import metadata

#: In an order in which they may be written.
TABLES = ("lane", "inbox_event", "contact", "conversation", "message", "decision", "outbox")
#: What of them an event brings before it is worked.
INTAKE = ("lane", "inbox_event")
#: Events in one transaction, as many as there are producers.
_GROUP = 64

Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def read(path: Path, events: int) -> Rows:
    """Read the rows of about so many events out of a database that the engine wrote."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as raw:
        total = raw.execute("SELECT count(*) FROM inbox_event").fetchone()[0]
        share = min(1.0, events / total)
        return {name: _some(raw, name, share) for name in TABLES}


def _some(raw: sqlite3.Connection, name: str, share: float) -> list[tuple[Any, ...]]:
    columns = ", ".join(f'"{column.name}"' for column in metadata.tables[name].columns)
    count = raw.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - our names
    return raw.execute(f"SELECT {columns} FROM {name} LIMIT ?", (int(count * share),)).fetchall()  # noqa: S608


def _groups(rows: Rows, tables: Sequence[str]) -> Iterator[dict[str, Sequence[tuple[Any, ...]]]]:
    """Give the rows of so many events at a time."""
    events = len(rows["inbox_event"])
    for start in range(0, events, _GROUP):
        ends = (start / events, min(1.0, (start + _GROUP) / events))
        group = {}
        for name in tables:
            first, last = (round(len(rows[name]) * end) for end in ends)
            group[name] = rows[name][first:last]
        yield group


def sqlite(path: Path, rows: Rows, tables: Sequence[str]) -> float:
    """Write rows to an empty SQLite database as the writer commits; give events per second."""
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"):
        raw.execute(f"PRAGMA {pragma}")
    statements = {}
    for name in tables:
        columns = metadata.tables[name].columns
        marks = ", ".join("?" * len(columns))
        names = ", ".join(f'"{column.name}"' for column in columns)
        statements[name] = f"INSERT INTO {name} ({names}) VALUES ({marks})"  # noqa: S608
    began = time.perf_counter()
    for group in _groups(rows, tables):
        raw.execute("BEGIN IMMEDIATE")
        for name, some in group.items():
            raw.executemany(statements[name], some)
        raw.execute("COMMIT")
    elapsed = time.perf_counter() - began
    raw.close()
    return len(rows["inbox_event"]) / elapsed


async def read_postgres(dsn: str, events: int) -> Rows:
    """Read the rows of about so many events out of a database that the engine wrote."""
    import asyncpg

    connection = await asyncpg.connect(dsn)
    total = await connection.fetchval("SELECT count(*) FROM inbox_event")
    share = min(1.0, events / total)
    found = {}
    for name in TABLES:
        columns = ", ".join(f'"{column.name}"' for column in metadata.tables[name].columns)
        count = await connection.fetchval(f"SELECT count(*) FROM {name}")  # noqa: S608 - our names
        query = f"SELECT {columns} FROM {name} LIMIT $1"  # noqa: S608
        found[name] = [tuple(row) for row in await connection.fetch(query, int(count * share))]
    await connection.close()
    return found


async def postgres(dsn: str, rows: Rows, tables: Sequence[str]) -> float:
    """Copy rows into tables like the engine's, indexes and all; give events per second."""
    import asyncpg

    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE SCHEMA ceiling")
    for name in tables:
        await connection.execute(f"CREATE TABLE ceiling.{name} (LIKE public.{name} INCLUDING ALL)")
    columns = {name: [column.name for column in metadata.tables[name].columns] for name in tables}
    began = time.perf_counter()
    for group in _groups(rows, tables):
        async with connection.transaction():
            for name, some in group.items():
                await connection.copy_records_to_table(
                    name, schema_name="ceiling", records=some, columns=columns[name]
                )
    elapsed = time.perf_counter() - began
    await connection.execute("DROP SCHEMA ceiling CASCADE")
    await connection.close()
    return len(rows["inbox_event"]) / elapsed
