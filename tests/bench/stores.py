"""The stores that are measured, each on a database of its own that reaches the disk."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from router.clock import SystemClock
from router.storage.database.migrating import ensure
from router.storage.sqlite.store import SQLiteStore
from router.storage.store import Store
from tests.bench import rows
from tests.postgres import PostgresDatabase, PostgresServer, start_postgres


class Database(Protocol):
    """A store, and what its database could do without it."""

    store: Store

    def cpu(self) -> float:
        """Give the processor's seconds that store and database have taken so far."""
        ...

    async def ceiling(self, tables: Sequence[str], run: str) -> dict[str, float]:
        """Give what it takes to write a run's rows of these tables without an engine.

        Events in a second, and the processor's time for one, in microseconds.
        """
        ...


class SQLite:
    """A SQLite file."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self._folder = folder

    def cpu(self) -> float:
        return time.process_time()

    async def ceiling(self, tables: Sequence[str], run: str) -> dict[str, float]:
        written = rows.read(self._folder / "router.db", tables, run)
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            empty = Path(name, "empty.db")
            ensure(empty)
            return await asyncio.to_thread(rows.sqlite, empty, written)


@asynccontextmanager
async def sqlite() -> AsyncIterator[Database]:
    """Open a store on an empty SQLite file in the working directory."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        path = Path(name, "router.db")
        ensure(path)
        store = await SQLiteStore.open(path, SystemClock())
        try:
            yield SQLite(path.parent, store)
        finally:
            await store.close()


class Postgres:
    """A PostgreSQL server on this machine."""

    def __init__(self, server: PostgresServer, database: PostgresDatabase, store: Store) -> None:
        self.store = store
        self._server = server
        self._database = database

    def cpu(self) -> float:
        return time.process_time() + family_cpu(self._server.pid)

    async def ceiling(self, tables: Sequence[str], run: str) -> dict[str, float]:
        written = await rows.read_postgres(self._database.dsn, tables, run)
        before = self.cpu()
        rate = await rows.postgres(self._database.dsn, written)
        cost = (self.cpu() - before) / len(written["inbox_event"])
        return {"per_s": rate, "cpu_us": cost * 1e6}


@asynccontextmanager
async def postgres() -> AsyncIterator[Database]:
    """Open a store on an empty database of a PostgreSQL server that is started for it."""
    from router.storage.postgres.store import PostgresStore

    with start_postgres(settings="") as server, server.database() as database:
        await asyncio.to_thread(ensure, database.url)
        store = await PostgresStore.open(database.url, SystemClock())
        try:
            yield Postgres(server, database, store)
        finally:
            await store.close()


def family_cpu(pid: int) -> float:
    """Give the processor's seconds of a process, its children, and those that have ended."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything, even spaces.
            number, _, rest = stat.read_text().partition(" (")
            fields = rest.rpartition(") ")[2].split()
        except OSError:
            continue  # it has just ended, and its parent has its time
        parent, times = int(fields[1]), [int(field) for field in fields[11:15]]
        if int(number) == pid:
            ticks += sum(times)
        elif parent == pid:
            ticks += sum(times[:2])
    return ticks / os.sysconf("SC_CLK_TCK")
