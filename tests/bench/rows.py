"""What a database can take in of the very rows that the engine wrote, without any engine."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from router.storage.tables import metadata

#: What an event brings before it is worked, in an order in which it may be written.
INTAKE = ("lane", "inbox_event")
#: What is there once it is decided.
DECIDED = (*INTAKE, "decision", "outbox")
#: What its thread has kept of it, too.
WHOLE = ("lane", "inbox_event", "contact", "conversation", "message", "decision", "outbox")
#: Events in one transaction, as many as there are producers.
_GROUP = 64

#: The rows of a run's events, each table's in the order in which they were first written. As many
#: rows as there are: a lane, a contact or a conversation is one, however many events it had.
_OF_RUN = {
    "inbox_event": """
SELECT {columns} FROM inbox_event t WHERE external_id LIKE '{run}-%' ORDER BY received_at""",
    "decision": """
SELECT {columns} FROM decision t JOIN inbox_event e ON e.lane = t.lane AND e.seq = t.seq
WHERE e.external_id LIKE '{run}-%' ORDER BY e.received_at""",
    "outbox": """
SELECT {columns} FROM outbox t JOIN inbox_event e ON e.lane = decided_lane AND e.seq = decided_seq
WHERE e.external_id LIKE '{run}-%' ORDER BY e.received_at""",
    "message": """
SELECT {columns} FROM message t JOIN inbox_event e ON e.lane = event_lane AND e.seq = event_seq
WHERE e.external_id LIKE '{run}-%' ORDER BY e.received_at""",
    "conversation": """
SELECT {columns} FROM conversation t JOIN (
  SELECT conversation, min(received_at) AS first FROM inbox_event
  WHERE external_id LIKE '{run}-%' GROUP BY conversation) AS e ON e.conversation = t.id
ORDER BY first""",
    "contact": """
SELECT {columns} FROM contact t JOIN conversation v ON v.contact = t.id JOIN (
  SELECT conversation, min(received_at) AS first FROM inbox_event
  WHERE external_id LIKE '{run}-%' GROUP BY conversation) AS e ON e.conversation = v.id
ORDER BY first""",
}
_IN_LANES = """
SELECT {columns} FROM lane t JOIN (
  SELECT lane, min(received_at) AS first FROM inbox_event
  WHERE external_id LIKE '{run}-%' GROUP BY lane) AS e ON e.lane = t.key
WHERE kind = 'in' ORDER BY first"""
_LANES = """
SELECT {columns} FROM lane t JOIN (
  SELECT lane, min(received_at) AS first FROM inbox_event
  WHERE external_id LIKE '{run}-%' GROUP BY lane
  UNION ALL
  SELECT o.lane, min(received_at) FROM outbox o
  JOIN inbox_event i ON i.lane = decided_lane AND i.seq = decided_seq
  WHERE external_id LIKE '{run}-%' GROUP BY o.lane) AS e ON e.lane = t.key
ORDER BY first"""

Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def _query(table: str, tables: Sequence[str], run: str) -> str:
    statement = _OF_RUN.get(table) or (_LANES if "outbox" in tables else _IN_LANES)
    columns = ", ".join(f't."{column.name}"' for column in metadata.tables[table].columns)
    return statement.format(columns=columns, run=run)


def read(path: Path, tables: Sequence[str], run: str) -> Rows:
    """Read what the engine wrote of the events of a run."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as raw:
        return {name: raw.execute(_query(name, tables, run)).fetchall() for name in tables}


def _groups(rows: Rows) -> Iterator[dict[str, Sequence[tuple[Any, ...]]]]:
    """Give the rows of so many events at a time."""
    events = len(rows["inbox_event"])
    for start in range(0, events, _GROUP):
        ends = (start / events, min(1.0, (start + _GROUP) / events))
        group = {}
        for name, some in rows.items():
            first, last = (round(len(some) * end) for end in ends)
            group[name] = some[first:last]
        yield group


def sqlite(path: Path, rows: Rows) -> dict[str, float]:
    """Write rows to an empty SQLite database as the writer commits.

    Give events per second, and the processor's time for one.
    """
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"):
        raw.execute(f"PRAGMA {pragma}")
    statements = {}
    for name in rows:
        columns = metadata.tables[name].columns
        marks = ", ".join("?" * len(columns))
        names = ", ".join(f'"{column.name}"' for column in columns)
        statements[name] = f"INSERT INTO {name} ({names}) VALUES ({marks})"  # noqa: S608
    events = len(rows["inbox_event"])
    began, cpu = time.perf_counter(), time.thread_time()
    for group in _groups(rows):
        raw.execute("BEGIN IMMEDIATE")
        for name, some in group.items():
            raw.executemany(statements[name], some)
        raw.execute("COMMIT")
    elapsed, cost = time.perf_counter() - began, time.thread_time() - cpu
    raw.close()
    return {"per_s": events / elapsed, "cpu_us": cost / events * 1e6}


async def read_postgres(dsn: str, tables: Sequence[str], run: str) -> Rows:
    """Read what the engine wrote of the events of a run."""
    import asyncpg

    connection = await asyncpg.connect(dsn)
    found = {
        name: [tuple(row) for row in await connection.fetch(_query(name, tables, run))]
        for name in tables
    }
    await connection.close()
    return found


async def postgres(dsn: str, rows: Rows) -> float:
    """Copy rows into tables like the engine's, indexes and all; give events per second."""
    import asyncpg

    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE SCHEMA ceiling")
    for name in rows:
        await connection.execute(f"CREATE TABLE ceiling.{name} (LIKE public.{name} INCLUDING ALL)")
    columns = {name: [column.name for column in metadata.tables[name].columns] for name in rows}
    began = time.perf_counter()
    for group in _groups(rows):
        async with connection.transaction():
            for name, some in group.items():
                await connection.copy_records_to_table(
                    name, schema_name="ceiling", records=some, columns=columns[name]
                )
    elapsed = time.perf_counter() - began
    await connection.execute("DROP SCHEMA ceiling CASCADE")
    await connection.close()
    return len(rows["inbox_event"]) / elapsed
