"""A PostgreSQL server of an episode's own, whose disk can be full and which can be killed."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio.to_thread
import asyncpg

from tests.postgres import PostgresDatabase, PostgresServer, start_postgres
from tests.proof.database import Database, Rows, limit

# What it acknowledged has to survive its own end; that of the machine is not tried.
_SETTINGS = """
fsync = off
full_page_writes = off
synchronous_commit = on
max_connections = 200
"""


#: What comes of a connection whose server ended. The driver is confused by one that the server has
#: taken leave of, and not closed yet.
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Postgres(Database):
    """A database of a running server."""

    def __init__(self, server: PostgresServer, database: PostgresDatabase) -> None:
        self._server = server
        self._database = database
        self._connection: asyncpg.Connection | None = None
        #: A connection does one thing at a time, and is not closed meanwhile.
        self._one = anyio.Lock()

    @property
    def url(self) -> str:
        return self._database.url

    async def rows(self, statement: str) -> Rows:
        async with self._one:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._database.dsn, timeout=10)
                return [tuple(row) for row in await self._connection.fetch(statement, timeout=30)]
            except asyncpg.UndefinedTableError as error:
                raise OSError(str(error)) from error
            except _AWAY as error:
                self._disconnect()
                raise OSError(str(error)) from error
            except BaseException:
                self._disconnect()
                raise

    async def facts(self) -> dict[str, str]:
        ((version,),) = await self.rows("SHOW server_version")
        return {"PostgreSQL": version.partition(" ")[0]}

    async def close(self) -> None:
        async with self._one:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def fill(self, pid: int) -> None:
        """Let no process of the server write: the first commit ends it, and it stays away."""
        for process in self._processes():
            _limit(process, 1)

    async def free(self, pid: int) -> None:
        for process in self._processes():
            _limit(process, None)
        await self._revive()

    async def restart(self, *, gently: bool) -> None:
        """End the server and start it again: as an upgrade does, or by ``kill -9`` of a backend."""
        await self.close()
        if gently:
            await anyio.to_thread.run_sync(self._server.stop)
            await anyio.sleep(1)
            await self._revive()
        else:
            # PostgreSQL ends every other backend, and recovers by itself.
            for process in self._processes()[1:]:
                if _command(process).startswith("postgres: postgres "):
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                    break

    async def lock(self, table: str, seconds: float) -> None:
        connection = await asyncpg.connect(self._database.dsn, timeout=10)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                await anyio.sleep(seconds)
        finally:
            await connection.close(timeout=10)

    async def _revive(self) -> None:
        """See to it that the server runs: one that could not write has ended, or is just ending."""
        for _ in range(20):
            await self.close()
            with suppress(subprocess.SubprocessError, AssertionError, OSError):
                await anyio.to_thread.run_sync(self._server.start)
                await self.rows("SELECT 1")
                return
            await anyio.sleep(0.5)

    def _processes(self) -> list[int]:
        """Give the postmaster and its children."""
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children")
        with suppress(OSError):
            return [self._server.pid, *(int(pid) for pid in children.read_text().split())]
        return []


def _limit(pid: int, size: int | None) -> None:
    """As :func:`limit`, for a process of the user that the server runs as when we are root."""
    try:
        limit(pid, size)
    except PermissionError:
        with suppress(FileNotFoundError):
            words = ["prlimit", "--pid", str(pid), f"--fsize={size or 'unlimited'}:"]
            user = Path(f"/proc/{pid}").stat().st_uid
            subprocess.run(words, user=user, check=False, capture_output=True)


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


@asynccontextmanager
async def opened() -> AsyncIterator[Postgres]:
    """Start a server, and leave nothing of it behind."""
    starting = start_postgres(_SETTINGS)
    server = await anyio.to_thread.run_sync(starting.__enter__)
    try:
        # Not dropped: it goes with its server, which may be recovering just when an episode fails.
        found = Postgres(server, server.create())
        try:
            yield found
        finally:
            await found.close()
    finally:
        await anyio.to_thread.run_sync(starting.__exit__, None, None, None)
