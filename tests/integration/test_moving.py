"""A database that is carried from SQLite to PostgreSQL and back is the one that it was."""

import asyncio
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa

from router.clock import SystemClock
from router.errors import DatabaseLocked, SchemaMismatch, StorageError, StorageUnavailable
from router.storage.database.migrating import ensure
from router.storage.database.moving import Moved, move, shown
from router.storage.postgres.store import PostgresStore
from router.storage.sqlite.lock import DatabaseLock
from router.storage.store import Tx
from router.storage.tables import Moment, contact, metadata, node
from tests.databases import Database
from tests.integration.engine.harness import opened
from tests.postgres import PostgresDatabase

_TEXTS = (
    *("", " ", "hola", "¿Cuánto cuesta? ñandú", "\U0001f469\u200d\U0001f467 \u200f\u05e9"),
    *("a\n\tb\r\n", "'; DROP TABLE x; --", '{"no": "json"}', "\\u0000", "%_\\", "e\u0301"),
    *("\x01\x7f\u2028", "z" * 70_000),
)
_JSON: tuple[Any, ...] = (
    *([], {}, ["ñ", None, True, 0, -1], {"a": {"b": [1.5, 1e-7, 1e20, -0.0, 2**60]}}),
    *({"": ""}, {"z": 1, "a": 2}, [["👋"] * 5000], {str(n): n / 3 for n in range(3000)}),
)
_MOMENTS = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 2, 9, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1900, 1, 1, 0, 0, 0, 5, tzinfo=UTC),
)


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def empty(tmp_path: Path, migrated_sqlite: Path) -> Path:
    path = tmp_path / "from.db"
    shutil.copyfile(migrated_sqlite, path)
    return path


class Filler:
    """Fills every table, whatever its columns are: each kind of value, and nothing where it may."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.keys: dict[str, list[Any]] = {}

    def row(self, table: sa.Table, number: int) -> dict[str, Any]:
        unique = {
            column.name
            for constraint in table.constraints
            if isinstance(constraint, sa.UniqueConstraint)
            for column in constraint.columns
        }
        row = {}
        for column in table.columns:
            alone = column.primary_key or column.name in unique
            alone = alone or (table.name, column.name) == ("conversation", "contact")
            row[column.name] = self.value(column, number, alone=alone)
        if table is node:
            row["expires_at"] = _MOMENTS[0]  # else somebody works on it
        return row

    def value(self, column: sa.Column[Any], number: int, *, alone: bool) -> Any:
        if column.nullable and self.chance.random() < 0.3:
            return None
        for key in column.foreign_keys:
            known = self.keys[key.column.table.name]
            return known[number % len(known)] if alone else self.chance.choice(known)
        kind = column.type
        if isinstance(kind, Moment):
            late = timedelta(microseconds=self.chance.randrange(10**12))
            return self.chance.choice((*_MOMENTS, _MOMENTS[0] + late))
        if isinstance(kind, sa.Boolean):
            return self.chance.random() < 0.5
        if isinstance(kind, sa.LargeBinary):
            return self.chance.randbytes(self.chance.choice([0, 1, 300]))
        if isinstance(kind, sa.JSON):
            return self.chance.choice(_JSON)
        if isinstance(kind, sa.Integer):
            wide = isinstance(kind, sa.BigInteger) and not alone
            return number + 1 if alone else self.chance.choice([0, -1, 7, 2**62 if wide else 2**30])
        if alone:
            return f"{number}-{self.chance.choice(['a', 'Ñ', '_', '👋', 'á'])}"
        return self.chance.choice(_TEXTS)

    def fill(self, connection: sa.Connection, rows: int) -> None:
        for table in metadata.sorted_tables:
            made = [self.row(table, number) for number in range(rows)]
            for row in made:
                connection.execute(sa.insert(table), row)
            (first, *_) = table.primary_key
            self.keys[table.name] = [row[first.name] for row in made]


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Give every row of every table."""
    found = {}
    with Database(url) as database:
        for table in metadata.sorted_tables:
            rows = (tuple(row) for row in database.rows(table))
            found[table.name] = sorted(rows, key=repr)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_there_and_back_is_the_same(
    empty: Path, tmp_path: Path, postgres: PostgresDatabase, seed: int
) -> None:
    source, back = sqlite_url(empty), sqlite_url(tmp_path / "new" / "back.db")
    rows = [20, 3, 1][seed]
    with Database(source) as database:
        database.run(lambda it: Filler(seed).fill(it, rows))
    before = everything(source)
    steps: list[tuple[str, str, int, int]] = []

    there = move(source, postgres.url, lambda *step: steps.append(step))
    again = move(postgres.url, back)

    assert all(len(found) == rows for found in before.values())
    assert everything(postgres.url) == before
    assert everything(back) == before
    assert everything(source) == before
    assert there == again
    assert {moved.table: moved.rows for moved in there} == dict.fromkeys(metadata.tables, rows)
    assert ("copied", "contact", rows, rows) in steps
    assert ("verified", "contact", rows, rows) in steps


def test_more_than_a_page_of_rows_arrives(empty: Path, postgres: PostgresDatabase) -> None:
    def fill(connection: sa.Connection) -> None:
        now = SystemClock().now()
        rows = [
            {"id": f"{number:x}", "tenant": "main", "key": f"tel:+{number}", "created_at": now}
            | {"tags": [], "attributes": {}}
            for number in range(1201)
        ]
        connection.execute(sa.insert(contact), rows)

    with Database(sqlite_url(empty)) as database:
        database.run(fill)

    moved = {each.table: each.rows for each in move(sqlite_url(empty), postgres.url)}

    assert moved["contact"] == 1201
    assert everything(postgres.url) == everything(sqlite_url(empty))


def test_numbers_go_on_where_they_stopped(
    empty: Path, tmp_path: Path, postgres: PostgresDatabase
) -> None:
    now = SystemClock().now()
    row = {"started_at": now, "expires_at": now, "host": "h", "version": "1"}

    def add(url: str, *, gone: int = 0) -> int:
        def insert(connection: sa.Connection) -> int:
            numbers = [
                connection.execute(sa.insert(node).values(row).returning(node.c.id)).scalar_one()
                for _ in range(gone + 1)
            ]
            # A number that was given out is never given out again, even if its row is gone.
            connection.execute(sa.delete(node).where(node.c.id == numbers[-1]))
            return int(numbers[-1])

        with Database(url) as database:
            return database.run(insert)

    back = sqlite_url(tmp_path / "back.db")
    first = add(sqlite_url(empty), gone=4)
    move(sqlite_url(empty), postgres.url)
    second = add(postgres.url)
    move(postgres.url, back)
    third = add(back)

    assert (first, second, third) == (5, 6, 7)


def test_the_articles_are_found_after_the_move_back(
    empty: Path, tmp_path: Path, postgres: PostgresDatabase
) -> None:
    with closing(sqlite3.connect(empty)) as raw, raw:
        raw.execute(
            "INSERT INTO article (id, tenant, path, title, digest, updated_at) "
            "VALUES (3, 'main', 'a.md', 'A', 'x', 0)"
        )
        raw.execute(
            "INSERT INTO passage (id, tenant, article, ref, title, text, title_terms, text_terms) "
            "VALUES (7, 'main', 3, 'a#1', 'T', 'x', 'cambi', 'devolucion')"
        )
    back = tmp_path / "back.db"

    move(sqlite_url(empty), postgres.url)
    move(postgres.url, sqlite_url(back))

    with closing(sqlite3.connect(back)) as raw:
        found = raw.execute("SELECT rowid FROM passage_fts WHERE passage_fts MATCH 'devolucion'")
        assert found.fetchall() == [(7,)]


# What is refused ──────────────────────────────────────────────────────────────────────────────


def one_contact(url: str, **values: Any) -> None:
    row = {"id": "c1", "tenant": "main", "key": "tel:+1", "created_at": SystemClock().now()}
    with Database(url) as database:
        database.insert(contact, row | {"tags": [], "attributes": {}} | values)


def refused(source: str, destination: str, error: type[Exception] = StorageError) -> str:
    with pytest.raises(error) as caught:
        move(source, destination)
    return str(caught.value)


def test_a_source_that_is_in_use_is_refused(empty: Path, postgres: PostgresDatabase) -> None:
    with DatabaseLock(empty):
        said = refused(sqlite_url(empty), postgres.url, DatabaseLocked)

    assert said.startswith(f"{empty} is in use by process ")


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_postgresql_with_a_living_node_is_refused(
    empty: Path, tmp_path: Path, migrated_postgres: PostgresDatabase, side: str
) -> None:
    def live(connection: sa.Connection) -> None:
        now = sa.func.clock_timestamp()
        soon = now + sa.text("interval '15 s'")
        values = {"started_at": now, "expires_at": soon, "host": "web-2", "version": "1"}
        connection.execute(sa.insert(node).values(values))

    with Database(migrated_postgres.url) as database:
        database.run(live)
    other = sqlite_url(empty)
    urls = (migrated_postgres.url, sqlite_url(tmp_path / "new.db"))
    said = refused(*(urls if side == "source" else (other, migrated_postgres.url)))

    assert said == (
        f'the PostgreSQL database "{migrated_postgres.name}" is in use by node 1 on web-2. '
        "Stop it first; one that was killed counts for a quarter of a minute more"
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_destination_with_anything_in_it_is_refused(
    empty: Path, tmp_path: Path, migrated_postgres: PostgresDatabase, kind: str
) -> None:
    target = sqlite_url(tmp_path / "full.db")
    named = "the SQLite file"
    if kind == "postgresql":
        target = migrated_postgres.url
        named = f'the PostgreSQL database "{migrated_postgres.name}"'
    else:
        ensure(target)
    one_contact(target)
    before = everything(target)

    said = refused(sqlite_url(empty), target)

    assert (
        said == f'{named} is not empty: its table "contact" has rows. It has to be a new database'
    )
    assert everything(target) == before


def test_a_database_is_not_moved_to_itself(empty: Path) -> None:
    assert refused(sqlite_url(empty), sqlite_url(empty)) == f"{empty} cannot be moved to itself"


def test_a_source_without_a_schema_is_refused_and_makes_no_destination(tmp_path: Path) -> None:
    target = tmp_path / "b.db"

    said = refused(sqlite_url(tmp_path / "a.db"), sqlite_url(target), SchemaMismatch)

    assert "a.db is not there yet" in said
    assert not target.exists()


def test_a_server_that_is_away_is_said_so(empty: Path, tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://postgres:s3cret@/router?host={tmp_path}"

    said = refused(sqlite_url(empty), url, StorageUnavailable)

    assert said.startswith("PostgreSQL cannot be used: ")
    assert "s3cret" not in said + shown(url)


@pytest.mark.parametrize(
    "values, column",
    [
        ({"name": "a\0b"}, "name"),
        ({"attributes": {"k": ["a\0b"]}}, "attributes"),
        ({"tags": ["\ud800"]}, "tags"),
    ],
)
def test_what_postgresql_cannot_hold_is_named_and_nothing_is_kept(
    empty: Path, migrated_postgres: PostgresDatabase, values: dict[str, Any], column: str
) -> None:
    one_contact(sqlite_url(empty), **values)
    before = everything(migrated_postgres.url)

    said = refused(sqlite_url(empty), migrated_postgres.url)

    assert said.startswith(f'table "contact", row id=\'c1\': column "{column}" holds a NUL')
    assert said.endswith("Nothing was kept at the destination")
    assert everything(migrated_postgres.url) == before


def test_a_value_of_another_type_is_named(empty: Path, migrated_postgres: PostgresDatabase) -> None:
    one_contact(sqlite_url(empty))
    with closing(sqlite3.connect(empty)) as raw, raw:
        raw.execute("UPDATE contact SET key = X'ff'")

    said = refused(sqlite_url(empty), migrated_postgres.url)

    assert said.startswith("table \"contact\" cannot be written near the row id='c1': ")


# What is interrupted ──────────────────────────────────────────────────────────────────────────

_KILLED = """
import os, signal, sys
from router.storage.database.moving import move

def progress(what, table, rows, total):
    if (what, table) == (sys.argv[3], "conversation"):
        os.kill(os.getpid(), signal.SIGKILL)

move(sys.argv[1], sys.argv[2], progress)
"""


@pytest.mark.parametrize("moment", ["copied", "verified"])
@pytest.mark.parametrize("back", [False, True], ids=["to PostgreSQL", "to SQLite"])
def test_a_move_that_is_killed_leaves_nothing_and_goes_well_when_begun_again(
    empty: Path, tmp_path: Path, postgres: PostgresDatabase, moment: str, back: bool
) -> None:
    source, target = sqlite_url(empty), postgres.url
    with Database(source) as database:
        database.run(lambda it: Filler(9).fill(it, 5))
    if back:
        move(source, target)
        source, target = target, sqlite_url(tmp_path / "back.db")
    before = everything(source)

    words = [sys.executable, "-c", _KILLED, source, target, moment]
    died = subprocess.run(words, check=False, capture_output=True, timeout=150)

    assert died.returncode == -9, died.stderr
    assert not any(everything(target).values())
    assert everything(source) == before
    move(source, target)
    assert everything(target) == before


def test_an_exception_in_the_middle_leaves_nothing(
    empty: Path, migrated_postgres: PostgresDatabase
) -> None:
    one_contact(sqlite_url(empty))

    def stop(what: str, *_: object) -> None:
        if what == "verified":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(sqlite_url(empty), migrated_postgres.url, stop)

    assert not any(everything(migrated_postgres.url).values())


def test_a_row_that_arrives_as_another_is_noticed(
    empty: Path, migrated_postgres: PostgresDatabase
) -> None:
    one_contact(sqlite_url(empty), name="Ana")
    with Database(migrated_postgres.url) as database:
        database.run(
            lambda it: it.exec_driver_sql(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN NEW.name := 'Eva'; RETURN NEW; END$$"
            )
        )
        database.run(
            lambda it: it.exec_driver_sql(
                "CREATE TRIGGER spoil BEFORE INSERT ON contact FOR EACH ROW "
                "EXECUTE FUNCTION spoil()"
            )
        )

    said = refused(sqlite_url(empty), migrated_postgres.url)

    assert said.startswith('table "contact" did not arrive as it was: 1 rows with digest ')
    assert not any(everything(migrated_postgres.url).values())


def test_the_digest_does_not_depend_on_the_order() -> None:
    from router.storage.database.moving import _Digest

    rows: list[dict[str, Any]] = [
        {column.name: f"{column.name}{number}" for column in contact.columns} for number in range(3)
    ]

    def digest(*order: int) -> Moved:
        found = _Digest(contact)
        for number in order:
            found.add(rows[number])
        return found.moved()

    assert digest(0, 1, 2) == digest(2, 0, 1)
    assert digest(0, 1) != digest(0, 2)
    assert digest(0, 0, 1).digest != digest(1, 1, 0).digest


# With real stores ─────────────────────────────────────────────────────────────────────────────


async def test_what_a_killed_process_had_leased_is_worked_after_the_move(
    tmp_path: Path, postgres: PostgresDatabase
) -> None:
    async with opened("sqlite", tmp_path) as engine:
        await engine.accept(engine.said("hola"))
        await engine.claim_one()
        clock = engine.clock
    source = sqlite_url(tmp_path / "router.db")

    await anyio.to_thread.run_sync(move, source, postgres.url)
    store = await PostgresStore.open(postgres.url, clock)
    try:
        held = await anyio.to_thread.run_sync(
            refused, postgres.url, sqlite_url(tmp_path / "back.db")
        )
        with anyio.fail_after(30):
            (work,) = await store.claim(1)
    finally:
        await store.close()

    assert (work.event.kind, work.crashes) == ("message", 1)
    assert " is in use by node " in held


async def test_a_postgresql_with_a_frozen_node_is_refused_until_its_process_ends(
    tmp_path: Path, migrated_postgres: PostgresDatabase
) -> None:
    """It would go on with what it has when it wakes, and the new database's nodes would, too."""
    url, to = migrated_postgres.url, sqlite_url(tmp_path / "new.db")

    def age(tx: Tx) -> None:
        past = sa.func.clock_timestamp() - sa.text("interval '1 s'")
        tx.connection.execute(sa.update(node).values(expires_at=past))

    store = await PostgresStore.open(url, SystemClock())
    try:
        number, beating, raw = store._node.me, store._node._beating, store._node._raw
        assert beating is not None
        assert raw is not None
        beating.cancel()
        await asyncio.wait([beating])
        await store.write(age)
        said = await anyio.to_thread.run_sync(refused, url, to)
    finally:
        await store.close()

    assert said == (
        f'the PostgreSQL database "{migrated_postgres.name}" is in use by node {number} on '
        f"{socket.gethostname()}, which says nothing: it is frozen, cut off or just starting, and "
        "would go on with what is here. End its process first; if its machine is gone for good, "
        f"end the session that it left with SELECT pg_terminate_backend({raw.get_server_pid()})"
    )
    assert await anyio.to_thread.run_sync(move, url, to)


# The command ──────────────────────────────────────────────────────────────────────────────────


def router(folder: Path, *words: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "router", "-c", str(folder / "router.toml"), "db", "move", *words],
        cwd=folder,
        env={**os.environ, "NEW_DATABASE": os.environ.get("NEW_DATABASE", "")},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def site(empty: Path, tmp_path: Path) -> Path:
    (tmp_path / "router.toml").write_text('[router]\ndatabase = "sqlite:///from.db"\n')
    one_contact(sqlite_url(empty))
    return tmp_path


def test_the_command_moves_there_and_back(
    site: Path, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEW_DATABASE", postgres.url)

    status, out, err = router(site, "env:NEW_DATABASE")
    again = router(site, "--from", postgres.url, "sqlite:///back.db", "--json")

    assert status == 0, err
    assert "1 row, the same on both sides. Now name the new database in [router]:" in out
    assert "copied contact: 1\n" in err
    assert f"{site / 'from.db'} is as it was. Never start the router on it again" in out
    assert json.loads(again[1])["to"] == str(site / "back.db")
    assert everything(sqlite_url(site / "back.db")) == everything(sqlite_url(site / "from.db"))


def test_the_command_says_what_is_wrong(site: Path, postgres: PostgresDatabase) -> None:
    with DatabaseLock(site / "from.db"):
        held = router(site, postgres.url)
    wrong = router(site, "mysql://x")
    unset = router(site, "env:NOT_THERE")

    assert (held[0], held[2].startswith(f"{site / 'from.db'} is in use by process ")) == (1, True)
    assert (wrong[0], wrong[2].startswith("the database must be a URL such as ")) == (2, True)
    assert (unset[0], 'variable "NOT_THERE" is not set' in unset[2]) == (2, True)
