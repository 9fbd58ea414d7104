"""What migrations build, on both databases."""

import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from router.data import data_path
from router.errors import SchemaMismatch, StorageUnavailable
from router.storage.database.migrating import (
    HEAD,
    _on_postgresql,
    current,
    ensure,
    include_name,
    migrate,
    revisions,
)
from router.storage.tables import metadata

if TYPE_CHECKING:
    from tests.postgres import PostgresDatabase

Inspect = Callable[[sa.Connection], Any]

INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
}


class Database:
    """A database of either kind, empty at first."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, function: Inspect) -> Any:
        if self.url.startswith("postgresql"):
            return _on_postgresql(self.url, function)
        engine = sa.create_engine(self.url.replace("+aiosqlite", ""))
        try:
            with engine.begin() as connection:
                return function(connection)
        finally:
            engine.dispose()

    def execute(self, statement: str) -> None:
        self.run(lambda connection: connection.exec_driver_sql(statement).close())


def sqlite_at(path: Path) -> Database:
    return Database(f"sqlite+aiosqlite:///{path}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return sqlite_at(tmp_path / "router.db")
    postgres: PostgresDatabase = request.getfixturevalue("postgres")
    return Database(postgres.url)


def differences(connection: sa.Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"include_name": include_name, "compare_server_default": True}
    )
    return list(compare_metadata(context, metadata))


def indexes(connection: sa.Connection) -> dict[str, str]:
    rows = connection.exec_driver_sql(INDEXES[connection.dialect.name])
    return {name: sql for name, sql in rows if include_name(name, "index", {})}


def test_an_upgrade_from_nothing_builds_the_tables_and_no_difference(database: Database) -> None:
    migrate(database.url)

    assert database.run(differences) == []
    assert database.run(current) == HEAD


def test_an_upgrade_from_nothing_builds_the_indexes_with_their_conditions(
    database: Database,
) -> None:
    migrate(database.url)
    migrated = database.run(indexes)

    def direct(connection: sa.Connection) -> dict[str, str]:
        connection.exec_driver_sql("DROP TABLE alembic_version")
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TABLE passage_fts")
        metadata.drop_all(connection)
        metadata.create_all(connection)
        return indexes(connection)

    expected = database.run(direct)
    assert migrated == expected | {
        name: sql for name, sql in migrated.items() if name == "alembic_version_pkc"
    }


def test_a_lane_has_no_row_number_on_sqlite(tmp_path: Path) -> None:
    database = sqlite_at(tmp_path / "router.db")
    migrate(database.url)

    tables = database.run(
        lambda connection: dict(
            connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").fetchall()
        )
    )

    assert tables["lane"].rstrip().endswith("WITHOUT ROWID")
    assert "AUTOINCREMENT" in tables["node"]


def test_ensure_builds_once_and_then_does_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(database.url)
    # From here on alembic could not be imported.
    for name in [name for name in sys.modules if name.partition(".")[0] == "alembic"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "alembic", None)

    ensure(database.url, migrate=False)
    ensure(database.url)

    assert database.run(current) == HEAD


def test_a_database_without_a_schema_is_refused_where_migrating_is_not_allowed(
    database: Database,
) -> None:
    database.execute("CREATE TABLE other (id INTEGER)")

    with pytest.raises(SchemaMismatch) as caught:
        ensure(database.url, migrate=False)

    assert str(caught.value) == (
        f"the database has no schema yet; this version needs {HEAD}. Run `router db migrate`"
    )


@pytest.mark.parametrize("call", [ensure, migrate])
def test_a_newer_schema_is_refused(database: Database, call: Callable[[str], None]) -> None:
    migrate(database.url)
    database.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaMismatch) as caught:
        call(database.url)

    assert str(caught.value) == (
        "the database's schema 9999 is newer than this version of the router, which knows "
        f"{HEAD}. Install the version that wrote it, or restore an older backup"
    )


def test_the_head_that_the_code_names_is_the_last_file(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(data_path("migrations")))
    script = ScriptDirectory.from_config(config)

    assert script.get_current_head() == HEAD
    assert tuple(reversed([found.revision for found in script.walk_revisions()])) == revisions()


def test_a_migration_that_breaks_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ticket (mine)")

    with pytest.raises(StorageUnavailable) as caught:
        ensure(path)

    assert str(caught.value) == f"{path} cannot be used: table ticket already exists"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("ticket",)]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    path.write_text("not a database, but long enough to look like one" * 30)

    with pytest.raises(StorageUnavailable) as caught:
        ensure(path)

    assert str(caught.value) == (
        f"{path} cannot be used: file is not a database. Restore a backup (`router db restore`) in "
        "a new place, and keep this one for a look"
    )


def test_a_postgresql_that_is_away_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match=r"^PostgreSQL cannot be used: "):
        ensure(f"postgresql+asyncpg://postgres@/router?host={tmp_path}")


def test_a_postgresql_that_says_nothing_more_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_greet_and_be_silent, args=(listener,), daemon=True).start()

        with pytest.raises(StorageUnavailable) as caught:
            ensure(f"postgresql+asyncpg://postgres@127.0.0.1:{port}/router?ssl=disable")

    assert str(caught.value) == (
        f'PostgreSQL cannot be used: "router" at 127.0.0.1:{port}: it does not answer'
    )


def _greet_and_be_silent(listener: socket.socket) -> None:
    """Let somebody in as PostgreSQL does, and answer nothing that is asked."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!I", len(body) + 4) + body

    connection = listener.accept()[0]
    with connection:
        connection.recv(1 << 16)
        connection.sendall(
            message(b"R", struct.pack("!I", 0))  # no password is wanted
            + message(b"S", b"server_version\x0018.0\x00")
            + message(b"S", b"client_encoding\x00UTF8\x00")
            + message(b"K", struct.pack("!II", 1, 2))
            + message(b"Z", b"I")
        )
        while connection.recv(1 << 16):
            pass


async def test_a_migration_waits_for_nobody_who_holds_a_table(
    postgres: "PostgresDatabase",
) -> None:
    other = await asyncpg.connect(postgres.dsn)
    try:
        await other.execute("BEGIN; CREATE TABLE ticket (mine int)")

        with pytest.raises(StorageUnavailable, match="lock timeout"):
            await anyio.to_thread.run_sync(ensure, postgres.url)

        await other.execute("ROLLBACK")
        await anyio.to_thread.run_sync(ensure, postgres.url)
    finally:
        await other.close()


def test_an_address_may_say_what_hosted_databases_write(postgres: "PostgresDatabase") -> None:
    ensure(f"{postgres.url}&sslmode=disable&channel_binding=prefer")

    assert Database(postgres.url).run(current) == HEAD


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "50% more" / "router.db"

    ensure(path)

    assert sqlite_at(path).run(current) == HEAD


def test_a_second_start_needs_no_alembic(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    ensure(path)

    probe = (
        "import sys; from router.storage.database.migrating import ensure; ensure(sys.argv[1]); "
        "print([m for m in ('alembic', 'asyncpg', 'sqlalchemy.ext.asyncio') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, f"sqlite+aiosqlite:///{path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_the_full_text_index_follows_the_passages_on_sqlite(tmp_path: Path) -> None:
    database = sqlite_at(tmp_path / "router.db")
    migrate(database.url)

    def write(connection: sa.Connection) -> list[list[int]]:
        def found(word: str) -> list[int]:
            statement = "SELECT rowid FROM passage_fts WHERE passage_fts MATCH ?"
            return list(connection.exec_driver_sql(statement, (word,)).scalars())

        run = connection.exec_driver_sql
        run(
            "INSERT INTO article (id, tenant, path, title, digest, updated_at) "
            "VALUES (1, 'main', 'a.md', 'A', 'x', 0)"
        )
        run(
            "INSERT INTO passage (id, tenant, article, ref, title, text, title_terms, text_terms) "
            "VALUES (7, 'main', 1, 'a#1', 'T', 'x', 'cambi', 'devolucion')"
        )
        seen = [found("devolucion")]
        run("UPDATE passage SET text_terms = 'garanti'")
        seen += [found("devolucion"), found("garanti"), found("cambi")]
        run("DELETE FROM passage")
        seen += [found("cambi"), found("garanti")]
        run("INSERT INTO passage_fts (passage_fts, rank) VALUES ('integrity-check', 1)")
        return seen

    assert database.run(write) == [[7], [], [7], [7], [], []]
