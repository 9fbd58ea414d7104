"""A backup is one file with everything; bringing it back sends nothing that may have been sent."""

import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from router.domain.outbox import ItemKind
from router.errors import ActRefused, DatabaseLocked, SchemaMismatch, StorageError
from router.plugin.testing import FakeClock
from router.storage.database.backups import backup, restore
from router.storage.database.holding import Held
from router.storage.pollers import PollerKey, Taken, Wait, prepare, resume, take
from router.storage.sqlite.lock import DatabaseLock
from router.storage.tables import contact, inbox_event, lane, message, outbox, poller
from router.storage.tables import conversation as conversation_table
from tests.databases import Database
from tests.integration.test_moving import Filler, everything, one_contact, sqlite_url
from tests.postgres import PostgresDatabase, PostgresServer

NOW = FakeClock().now()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, migrated_sqlite: Path) -> str:
    """A database with every kind of value in it."""
    if request.param == "sqlite":
        path = tmp_path / "from.db"
        shutil.copyfile(migrated_sqlite, path)
        url = sqlite_url(path)
    else:
        url = request.getfixturevalue("migrated_postgres").url
    with Database(url) as database:
        database.run(lambda it: Filler(3).fill(it, 7))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where there is nothing yet."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "new" / "to.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as database:
        yield database.url


def test_what_is_backed_up_comes_back(url: str, target: str, tmp_path: Path) -> None:
    file = tmp_path / "backups" / "one.db"
    file.parent.mkdir()
    before = everything(url)

    backup(url, file)
    moved, held = restore(file, target, now=NOW, nothing_since=True)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir() if "lock" not in path.name] == ["one.db"]
    assert held == Held()
    assert sum(it.rows for it in moved) == sum(map(len, before.values()))
    assert everything(url) == before
    assert everything(target) == before


def test_nothing_is_polled_until_a_person_says_so(
    tmp_path: Path, migrated_sqlite: Path, target: str
) -> None:
    path = tmp_path / "from.db"
    shutil.copyfile(migrated_sqlite, path)
    key, later = PollerKey("main", "calls", "ended"), NOW + timedelta(hours=1)
    with Database(sqlite_url(path)) as database:
        database.run(lambda it: prepare(it, key, NOW, NOW))
        database.run(lambda it: it.execute(sa.update(poller).values(cursor="7", holder="x")))
    backup(sqlite_url(path), tmp_path / "one.db")

    restore(tmp_path / "one.db", target, now=NOW)

    def taken(connection: sa.Connection) -> Taken | Wait:
        every, until = timedelta(seconds=15), later + timedelta(minutes=1)
        return take(connection, key, holder="me", now=later, until=until, every=every)

    with Database(target) as database:
        held = database.run(taken)
        assert isinstance(held, Wait)
        assert held.until == later + timedelta(seconds=15)
        assert "restored from a backup" in str(held.held)
        view = database.run(lambda it: resume(it, "main", "calls/ended", later))
        assert (view.held, view.due_at) == (None, later)
        assert database.run(taken) == Taken(cursor="7", generation=1, failures=0)
        with pytest.raises(ActRefused, match='the poller "calls/ended" is not held'):
            database.run(lambda it: resume(it, "main", "calls/ended", later))


def test_a_backup_is_made_beside_a_running_router(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = tmp_path / "from.db"
    shutil.copyfile(migrated_sqlite, path)
    one_contact(sqlite_url(path))
    with DatabaseLock(path), closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM contact")

        backup(sqlite_url(path), tmp_path / "one.db")

    # What was not committed is not in it.
    assert len(everything(sqlite_url(tmp_path / "one.db"))["contact"]) == 1


def waiting(target: str) -> None:
    """Let a message wait, one be leaving, one be done, an action and a question wait.

    The question is about one event, and another has not been worked.
    """
    with Database(target) as database:
        database.insert(
            contact,
            {"id": "c", "tenant": "main", "key": "tel:+1", "created_at": NOW}
            | {"tags": [], "attributes": {}},
        )
        database.insert(
            conversation_table,
            {"id": "t", "tenant": "main", "contact": "c", "channel": "phone", "address": "tel:+1"}
            | {"status": "active", "source": "inbound", "owner": "bot", "tags": []}
            | {"attributes": {}, "created_at": NOW, "last_activity_at": NOW}
            | {"turn_from": 1, "pending_ask": "asks"},
        )
        for seq, outcome in ((1, "asking"), (2, None)):
            values = {"lane": "main/tel:+1", "seq": seq, "tenant": "main", "type": "message"}
            values |= {"source": "main/phone", "external_id": str(seq), "payload": "{}"}
            database.insert(inbox_event, values | {"received_at": NOW, "outcome": outcome})
        row = {"kind": "in", "key": "main/tel:+1", "tenant": "main", "ready_at": NOW}
        database.insert(lane, row | {"last_seq": 2, "done_seq": 1, "parked": False})
        kinds = [
            ("sent", ItemKind.MESSAGE, "done", "main/phone/tel:+1"),
            ("leaving", ItemKind.MESSAGE, "started", "main/phone/tel:+1"),
            ("waits", ItemKind.MESSAGE, "waiting", "main/phone/tel:+1"),
            ("pager", ItemKind.ACTION, "waiting", "item/pager"),
            ("asks", ItemKind.ASK, "waiting", "t"),
        ]
        for seq, (name, kind, state, key) in enumerate(kinds, 1):
            values = {"id": name, "tenant": "main", "lane": key, "seq": seq, "kind": kind}
            values |= {"author": "bot", "epoch": 0, "destination": "x", "body": "{}"}
            database.insert(outbox, values | {"state": state, "created_at": NOW})
            line = {"id": name, "tenant": "main", "conversation": "t", "direction": "out"}
            line |= {"author": "bot", "text": name, "channel": "phone", "address": "tel:+1"}
            if kind is ItemKind.MESSAGE:
                database.insert(message, line | {"status": "queued", "created_at": NOW})
        for key, seq in {key: seq for seq, (*_, key) in enumerate(kinds, 1)}.items():
            out = key.startswith("main/")
            row = {"kind": "out" if out else "job", "key": key, "tenant": "main", "last_seq": seq}
            database.insert(lane, row | {"done_seq": 0, "ready_at": NOW, "parked": False})


def test_what_may_have_been_sent_since_waits_for_a_persons_word(
    migrated_sqlite: Path, target: str, tmp_path: Path
) -> None:
    path = tmp_path / "from.db"
    shutil.copyfile(migrated_sqlite, path)
    waiting(sqlite_url(path))
    backup(sqlite_url(path), tmp_path / "one.db")

    _, held = restore(tmp_path / "one.db", target, now=NOW)

    assert held == Held(items=3, events=2)
    with Database(target) as database:
        states = {row.id: row.state for row in database.rows(outbox)}
        shown = {row.id: row.status for row in database.rows(message)}
        lanes = {row.key: (row.parked, row.ready_at) for row in database.rows(lane)}
        events = {row.seq: (row.outcome, row.dead_at) for row in database.rows(inbox_event)}
        cursor = next(row.done_seq for row in database.rows(lane) if row.kind == "in")
    assert states == {
        "sent": "done",
        "leaving": "unknown",
        "waits": "unknown",
        "pager": "unknown",
        "asks": "withdrawn",
    }
    assert shown == {"sent": "queued", "leaving": "unknown", "waits": "unknown"}
    assert lanes == {
        "main/phone/tel:+1": (True, None),
        "item/pager": (True, None),
        "t": (False, NOW),  # passes by what is withdrawn
        "main/tel:+1": (False, None),
    }
    assert events == {1: ("dead", NOW), 2: ("dead", NOW)}
    assert cursor == 2


def test_what_is_wrong_is_said(migrated_sqlite: Path, tmp_path: Path) -> None:
    url = sqlite_url(migrated_sqlite)
    file = tmp_path / "one.db"
    backup(url, file)

    with pytest.raises(StorageError, match="is there already"):
        backup(url, file)
    with pytest.raises(SchemaMismatch, match="is not there yet"):
        backup(sqlite_url(tmp_path / "nothing.db"), tmp_path / "two.db")
    with pytest.raises(StorageError, match="there is no backup"):
        restore(tmp_path / "nothing.db", sqlite_url(tmp_path / "new.db"), now=NOW)
    one_contact(sqlite_url(file))
    full = tmp_path / "full.db"
    shutil.copyfile(file, full)
    with pytest.raises(StorageError, match=r"rows\. It has to be a new database"):
        restore(file, sqlite_url(full), now=NOW)
    with DatabaseLock(full), pytest.raises(DatabaseLocked):
        restore(file, sqlite_url(full), now=NOW)
    assert not (tmp_path / "two.db").exists()


def test_a_folder_that_is_away_is_not_made(migrated_sqlite: Path, tmp_path: Path) -> None:
    away = tmp_path / "unmounted"

    with pytest.raises(StorageError, match=r"there is no folder .*unmounted. Make it, or mount"):
        backup(sqlite_url(migrated_sqlite), away / "one.db")

    assert not away.exists()


def test_the_commands(tmp_path: Path, postgres: PostgresDatabase, migrated_sqlite: Path) -> None:
    shutil.copyfile(migrated_sqlite, tmp_path / "from.db")
    waiting(sqlite_url(tmp_path / "from.db"))

    def run(database: str, *words: str) -> str:
        (tmp_path / "router.toml").write_text(f'[router]\ndatabase = "{database}"\n')
        group = [] if words[0] == "events" else ["db"]
        command = [sys.executable, "-m", "router", *group, *words]
        ran = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=150
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    made = run("sqlite:///from.db", "backup", "one.db")
    back = run(postgres.url, "restore", "one.db")
    ended = run(
        postgres.url, "events", "discard", "--restored", "--by", "ana", "--because", "answered"
    )
    moved = run("sqlite:///to.db", "restore", "one.db", "--nothing-since")

    assert made == "one.db holds everything as it was when this began.\n"
    assert "has 16 rows of one.db." in back
    assert "3 items of the outbox waited when the backup was made" in back
    assert "2 events waited when the backup was made and may have been answered since." in back
    assert "router events retry --restored\n" in back
    assert ended == (
        "main/tel:+1#1 is discarded, by ana: answered\n"
        "main/tel:+1#2 is discarded, by ana: answered\n"
    )
    assert moved == f"{tmp_path / 'to.db'} has 16 rows of one.db.\n"
