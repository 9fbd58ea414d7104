"""Looking into the database from outside, whichever it is, whether or not anybody serves it."""

import resource
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio.to_thread

Rows = Sequence[tuple[Any, ...]]


class Database(ABC):
    """The database of one episode."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What router.toml says."""

    @abstractmethod
    async def rows(self, statement: str) -> Rows:
        """Ask it.

        :raises OSError: if it cannot be asked right now.
        """

    @abstractmethod
    async def facts(self) -> dict[str, str]:
        """Give what it is, for the report."""

    @abstractmethod
    async def fill(self, pid: int) -> None:
        """Let nothing more be written to its disk.

        :param pid: the node whose disk it is, where the node writes the files itself.
        """

    @abstractmethod
    async def restart(self, *, gently: bool) -> None:
        """End the server and start it again."""

    @abstractmethod
    async def lock(self, table: str, seconds: float) -> None:
        """Keep everybody out, as somebody does who works on it by hand.

        :param table: where a single one can be locked, only this one is.
        """

    @abstractmethod
    async def free(self, pid: int) -> None:
        """Let its disk be written again."""


class SQLiteDatabase(Database):
    """A file.

    :param path: need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def url(self) -> str:
        return f"sqlite+aiosqlite:///{self.path}"

    async def rows(self, statement: str) -> Rows:
        return await anyio.to_thread.run_sync(self._rows, statement)

    async def facts(self) -> dict[str, str]:
        return {"SQLite": sqlite3.sqlite_version}

    async def fill(self, pid: int) -> None:
        limit(pid, 1)

    async def free(self, pid: int) -> None:
        limit(pid, None)

    async def restart(self, *, gently: bool) -> None:
        raise NotImplementedError("there is no server")

    async def lock(self, table: str, seconds: float) -> None:
        await anyio.to_thread.run_sync(self._lock, seconds)

    def _lock(self, seconds: float) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    def _rows(self, statement: str) -> Rows:
        try:
            address = f"{self.path.as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
                found: Rows = connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from error
        return found


def limit(pid: int, size: int | None) -> None:
    """Let a process write nothing beyond so many bytes of a file; ``None``: let it."""
    with suppress(ProcessLookupError):  # it was killed meanwhile
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        soft = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
