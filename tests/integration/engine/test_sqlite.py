"""What is SQLite's own: one writer that commits for everybody, one process, what fails and how."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa

from router.errors import DatabaseLocked, SchemaMismatch, StorageUnavailable
from router.plugin.testing import FakeClock
from router.storage import fence
from router.storage.database.migrating import ensure
from router.storage.sqlite.store import SQLiteStore
from router.storage.sqlite.writer import Transaction, Writer
from router.storage.store import Change, Tx
from router.storage.tables import alias, contact, inbox_event, outbox
from tests.integration.engine.harness import ANA, LUIS, Engine, SQLiteDatabase, opened


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened("sqlite", tmp_path) as engine:
        yield engine


def _store(engine: Engine) -> SQLiteStore:
    return cast("SQLiteStore", engine.store)


async def _pragma(engine: Engine, name: str, value: object = None) -> Any:
    text = f"PRAGMA {name}" if value is None else f"PRAGMA {name} = {value}"

    def ask(tx: Transaction) -> Any:
        row = tx.raw.execute(text).fetchone()
        return row and row[0]

    return await _store(engine)._writer.run(ask)


# --- settings of the connections


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        # The rest is the syncer's: see test_sqlite_sync.py.
        ("synchronous", 1),
        ("wal_autocheckpoint", 4000),
        ("foreign_keys", 1),
    ],
)
async def test_the_writer_keeps_what_it_promises(engine: Engine, name: str, value: object) -> None:
    assert await _pragma(engine, name) == value


async def test_reading_sees_what_was_committed_and_can_write_nothing(engine: Engine) -> None:
    await engine.accept(engine.said())

    assert len(await engine.rows(inbox_event)) == 1
    with pytest.raises(StorageUnavailable, match="readonly"):
        await engine.store.read(lambda it: it.execute(sa.delete(inbox_event)))
    assert len(await engine.rows(inbox_event)) == 1


async def test_a_reader_that_takes_its_time_holds_no_writer_up(engine: Engine) -> None:
    await engine.accept(engine.said())

    def slow(connection: sa.Connection) -> int:
        before = connection.execute(
            sa.select(sa.func.count()).select_from(inbox_event)
        ).scalar_one()
        return int(before)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(engine.store.read, slow)
        with anyio.fail_after(20):
            await engine.accept(engine.said())

    assert await engine.store.read(slow) == 2


@pytest.mark.parametrize("name", ["with space", "per%20cent", "hash#tag", "why?", "año"])
async def test_a_database_may_lie_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    async with opened("sqlite", folder) as engine:
        await engine.accept(engine.said())

        assert len(await engine.rows(inbox_event)) == 1


# --- one process


async def test_a_second_opening_is_refused_and_told_who_holds_it(engine: Engine) -> None:
    path = _store(engine).path

    with pytest.raises(DatabaseLocked, match=str(path)):
        await SQLiteStore.open(path, FakeClock())


async def test_nothing_is_prepared_while_another_has_the_database(engine: Engine) -> None:
    prepared: list[str] = []

    with pytest.raises(DatabaseLocked):
        await SQLiteStore.open(
            _store(engine).path, FakeClock(), prepare=lambda: prepared.append("migrated")
        )

    assert prepared == []


async def test_a_database_that_cannot_be_prepared_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "router.db"

    def refuse() -> None:
        ensure(path, migrate=False)

    for _ in range(2):
        with pytest.raises(SchemaMismatch, match="is not there yet"):
            await SQLiteStore.open(path, FakeClock(), prepare=refuse)
    store = await SQLiteStore.open(path, FakeClock(), prepare=lambda: ensure(path))
    await store.close()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    ensure(path)
    script = (
        "import sys; from pathlib import Path\n"
        "from router.storage.sqlite.lock import DatabaseLock\n"
        "lock = DatabaseLock(Path(sys.argv[1])); lock.acquire()\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"

        with pytest.raises(DatabaseLocked) as refusal:
            anyio.run(_open_and_close, path)

        assert str(refusal.value) == (
            f"{path} is in use by process {holder.pid}. "
            "Stop it first, or use PostgreSQL to run several nodes"
        )
        holder.kill()

    anyio.run(_open_and_close, path)


async def _open_and_close(path: Path) -> None:
    store = await SQLiteStore.open(path, FakeClock())
    await store.close()


async def test_a_database_that_cannot_be_opened_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    sqlite3.connect(path).close()  # no schema

    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="no such table"):
            await SQLiteStore.open(path, FakeClock())


async def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    path.write_bytes(b"x" * 5000)

    with pytest.raises(StorageUnavailable, match="not a database"):
        await SQLiteStore.open(path, FakeClock())


async def test_each_start_has_a_number_of_its_own(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path)
    numbers = set()
    for _ in range(3):
        store = await SQLiteStore.open(database.path, FakeClock())
        numbers.add(store._writing.me)
        await store.close()

    assert len(numbers) == 3


# --- writing


def _add(name: str, tenant: str = "main") -> Any:
    def add(tx: Tx) -> str:
        values = {"id": name, "tenant": tenant, "key": name, "tags": [], "attributes": {}}
        tx.connection.execute(sa.insert(contact).values(created_at=tx.now, **values))
        return name

    return add


async def test_a_function_writes_and_its_value_comes_back(engine: Engine) -> None:
    assert await engine.store.write(_add("ana")) == "ana"
    assert [row.id for row in await engine.rows(contact)] == ["ana"]


@pytest.mark.parametrize("act", ["commit", "rollback", "begin", "begin_nested", "close"])
async def test_a_function_that_writes_may_not_end_the_transaction(engine: Engine, act: str) -> None:
    def end(tx: Tx) -> None:
        _add("ana")(tx)
        getattr(tx.connection, act)()

    with pytest.raises(RuntimeError, match="the writer commits"):
        await engine.store.write(end)

    assert await engine.rows(contact) == []
    await engine.store.write(_add("eva"))


async def test_what_a_bad_function_wrote_is_taken_back_and_the_others_of_its_group_stay(
    engine: Engine,
) -> None:
    failed: list[str] = []

    def bad(tx: Tx) -> None:
        _add("mala")(tx)
        message = "no"
        raise ValueError(message)

    async def write(function: Any) -> None:
        try:
            await engine.store.write(function)
        except ValueError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(write, bad if number == 4 else _add(f"{number}"))

    assert failed == ["no"]
    assert len(await engine.rows(contact)) == 9
    assert engine.store.trouble == []


async def test_a_write_that_was_begun_is_committed_even_if_its_caller_goes(engine: Engine) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await engine.store.write(_add("ana"))

    await engine.store.write(_add("eva"))

    assert {row.id for row in await engine.rows(contact)} == {"ana", "eva"}


async def test_a_failing_commit_fails_everybody_who_waited_for_it(engine: Engine) -> None:
    def later_broken(tx: Tx) -> None:
        tx.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        tx.connection.exec_driver_sql(
            "INSERT INTO message (id, tenant, conversation, direction, author, text, channel,"
            " address, created_at) VALUES ('m', 'main', 'nobody', 'in', 'bot', '', 'x', 'y', 0)"
        )

    errors: list[Exception] = []

    async def write(function: Any) -> None:
        try:
            await engine.store.write(function)
        except StorageUnavailable as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(write, later_broken if number == 2 else _add(f"{number}"))

    kept = len(await engine.rows(contact))
    assert (len(errors) + kept, "FOREIGN KEY" in str(errors[0])) == (5, True)
    assert engine.store.trouble == ["database: SQLite: FOREIGN KEY constraint failed"]
    await engine.store.write(_add("después"))
    assert engine.store.trouble == []


async def test_a_connection_that_breaks_fails_everybody_and_ends_nobodys_wait(
    engine: Engine,
) -> None:
    """Not even a rollback is possible then; the writer goes on to answer."""
    writer = _store(engine)._writer
    failed: list[str] = []

    async def write() -> None:
        with pytest.raises(StorageUnavailable) as caught:
            await writer.run(lambda tx: tx.raw.execute("SELECT 1").fetchone())
        failed.append(str(caught.value))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_breaks, writer)
            for _ in range(3):
                tasks.start_soon(write)
        await write()
        with pytest.raises(StorageUnavailable):
            await engine.accept(engine.said())

    assert all(words.startswith("SQLite: ") for words in failed)
    assert engine.store.trouble


async def _breaks(writer: Writer) -> None:
    with pytest.raises(StorageUnavailable):
        await writer.run(lambda tx: tx.raw.close())


async def test_a_full_disk_is_said_and_passes(engine: Engine) -> None:
    pages = await _pragma(engine, "page_count")
    await _pragma(engine, "max_page_count", pages)

    async def fill() -> None:
        for number in range(1000):
            await engine.accept(engine.said("x" * 2000, id=f"A{number}"))

    with pytest.raises(StorageUnavailable, match="full"):
        await fill()
    kept = len(await engine.rows(inbox_event))
    assert engine.store.trouble == ["database: SQLite: database or disk is full"]

    await _pragma(engine, "max_page_count", 10_000_000)
    await engine.accept(engine.said())
    assert engine.store.trouble == []
    assert len(await engine.rows(inbox_event)) == kept + 1
    assert len(await engine.claim()) == 1  # and nothing was handed out that was not kept


async def test_a_database_that_somebody_else_writes_to_is_away_until_they_have_done(
    engine: Engine,
) -> None:
    await _pragma(engine, "busy_timeout", 20)
    stranger = sqlite3.connect(_store(engine).path, isolation_level=None)
    try:
        stranger.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageUnavailable, match="locked"):
            await engine.accept(engine.said())
        assert engine.store.trouble

        stranger.execute("ROLLBACK")
        await engine.accept(engine.said())
        assert engine.store.trouble == []
    finally:
        stranger.close()


async def test_a_page_that_cannot_be_read_is_the_databases_trouble(engine: Engine) -> None:
    store = _store(engine)

    await store.write(_add("ana"))
    raw = sqlite3.connect(store.path)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    (size,) = raw.execute("PRAGMA page_size").fetchone()
    (root,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'article'").fetchone()
    raw.close()
    with store.path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)

    with pytest.raises(StorageUnavailable, match="malformed"):
        await store.read(lambda it: it.exec_driver_sql("SELECT * FROM article").fetchall())

    assert len(await engine.rows(contact)) == 1


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as engine:
        pass

    with pytest.raises(StorageUnavailable, match="closed"):
        await engine.accept(engine.said())


async def test_closing_finishes_what_was_queued(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as engine:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(engine.accept, engine.said(id=f"A{number}"))
            await anyio.lowlevel.checkpoint()
            await engine.store.close()
        engine.store = await engine.database.open(engine.clock)

        assert len(await engine.rows(inbox_event)) == 50


# --- who goes first


@pytest.fixture
def gate() -> Iterator[Event]:
    """Give what a writer waits for who is to find more than one operation in its next group."""
    gate = Event()
    yield gate
    gate.set()


@pytest.mark.parametrize(
    ("sizes", "firsts", "groups"),
    [
        ((1, 1, 1), 1, [["first", "work", "work", "work"]]),
        ((64, 64, 64), 1, [["first", "work", "work"], ["work"]]),
        ((500, 1), 1, [["first", "work"], ["work"]]),
        ((1,), 1000, [[*["first"] * 1000, "work"]]),
    ],
)
async def test_what_somebody_outside_waits_for_goes_before_work_and_much_work_is_done_in_pieces(
    engine: Engine, gate: Event, sizes: tuple[int, ...], firsts: int, groups: list[list[str]]
) -> None:
    writer, seen = _store(engine)._writer, list[list[str]]()

    def work(_: Transaction, parts: list[str]) -> list[None]:
        seen.append([part for part in parts if part])
        return [None] * len(parts)

    async def queue(name: str, size: int) -> None:
        await writer.run_batch(work, [name, *[""] * (size - 1)], first=name == "first")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run, lambda _: gate.wait(60))
        await anyio.sleep(0.05)
        for size in sizes:
            tasks.start_soon(queue, "work", size)
        for _ in range(firsts):
            tasks.start_soon(queue, "first", 1)
        await anyio.wait_all_tasks_blocked()
        gate.set()

    assert seen == groups


@pytest.mark.parametrize("webhook", ["message", "echo"])
async def test_a_webhook_is_stored_before_what_others_write_and_an_echo_in_its_turn(
    engine: Engine, gate: Event, webhook: str
) -> None:
    done: list[str] = []

    async def write(name: str) -> None:
        await engine.store.write(_add(name))
        done.append(name)

    async def accept() -> None:
        # What tells an echo of ours from a person's message may still wait to be written.
        event = engine.said("hola") if webhook == "message" else engine.echoed("hola")
        await engine.accept(event)
        done.append(webhook)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_store(engine)._writer.run, lambda _: gate.wait(60))
        await anyio.sleep(0.05)
        for number in range(200):
            tasks.start_soon(write, f"{number}")
        tasks.start_soon(accept)
        await anyio.wait_all_tasks_blocked()
        gate.set()

    others = [f"{number}" for number in range(200)]
    assert done == ([webhook, *others] if webhook == "message" else [*others, webhook])


# --- threads that others change


async def test_a_thread_that_a_person_takes_in_the_group_of_its_decision_is_decided_again(
    engine: Engine, gate: Event
) -> None:
    await engine.answer("uno")
    await engine.accept(engine.said("dos"))
    work = await engine.claim_one()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_store(engine)._writer.run, lambda _: gate.wait(10))
        await anyio.sleep(0.05)
        tasks.start_soon(engine.accept, engine.echoed("yo me encargo"))
        tasks.start_soon(engine.accept, engine.said("hola", who=LUIS))
        tasks.start_soon(engine.complete, engine.commit(work, "respuesta del bot"))
        await anyio.sleep(0.05)
        gate.set()

    again = {work.ref.lane: work for work in await engine.claim()}
    assert set(again) == {f"main/{ANA}", f"main/{LUIS}"}
    assert again[work.ref.lane].ref == work.ref
    assert (await engine.conversation()).owner == "person"
    assert await engine.rows(outbox) == []


async def test_what_was_read_beside_a_function_is_looked_at_again_before_it_is_decided(
    engine: Engine,
) -> None:
    await engine.answer("uno")
    known = (await engine.conversation()).id

    def both(tx: Tx) -> None:
        tx.enqueue([engine.said("dos")])
        fence.raise_epoch(tx.connection, "main", known, "eva", tx.now)

    await engine.store.write(both)
    work = await engine.claim_one()
    assert work.conversation is not None
    assert work.conversation.epoch == 0

    await engine.complete(engine.commit(work, "respuesta del bot"))

    again = await engine.claim_one()
    assert again.conversation is not None
    assert (again.ref, again.conversation.owner) == (work.ref, "eva")
    assert await engine.rows(outbox) == []


async def test_a_thread_that_another_lane_has_changed_is_decided_again(engine: Engine) -> None:
    await engine.answer("uno")
    await engine.answer("uno", who=LUIS)
    await engine.accept(engine.said("dos"))
    work = await engine.claim_one()
    await engine.accept(engine.said("dos", who=LUIS))
    other = await engine.claim_one()
    assert work.conversation is not None
    changed = replace(work.conversation, epoch=1)

    await engine.complete(engine.commit(other, conversation=changed))
    await engine.complete(engine.commit(work, "respuesta del bot"))

    again = await engine.claim_one()
    assert again.conversation is not None
    assert (again.ref, again.conversation.epoch) == (work.ref, 1)
    assert await engine.rows(outbox) == []


async def test_a_thread_that_an_event_leaves_as_it_was_is_not_written(engine: Engine) -> None:
    await engine.answer("uno")
    before = await engine.conversation()
    await engine.accept(engine.said("dos"))
    work = await engine.claim_one()
    engine.clock.advance(60)

    await engine.complete(engine.commit(work, "respuesta", conversation=work.conversation))

    assert await engine.conversation() == before
    assert list(await engine.states()) == ["respuesta"]


# --- telling pages


async def test_a_page_is_told_what_was_committed(engine: Engine) -> None:
    changes = engine.store.subscribe()

    await engine.answer("hola", "uno")
    thread = (await engine.conversation()).id
    with anyio.fail_after(20):
        assert await anext(changes) == Change("main", thread)
    await engine.send(await engine.claim_item())
    with anyio.fail_after(20):
        assert await anext(changes) == Change("main", thread)

    changes.close()
    with anyio.fail_after(20):
        async for _ in changes:
            pass


async def test_a_page_that_does_not_listen_holds_nobody_up(engine: Engine) -> None:
    changes = engine.store.subscribe()
    await engine.answer("hola")
    thread = (await engine.conversation()).id
    hub = _store(engine)._dispatch.changes
    for number in range(3000):
        hub.publish([Change("main", f"{number}")])

    seen = 0
    changes.close()
    async for change in changes:
        seen += 1
        assert change.conversation != thread  # the oldest were dropped

    assert seen < 1001


async def test_closing_the_store_ends_every_subscription(engine: Engine) -> None:
    changes = engine.store.subscribe()
    await engine.store.close()

    with anyio.fail_after(20), pytest.raises(StopAsyncIteration):
        await anext(changes)


# --- aliases


async def test_an_alias_is_a_row(engine: Engine) -> None:
    await engine.store.write(lambda tx: tx.learn_alias("main", "bsuid:1", "tel:+57300"))

    (row,) = await engine.rows(alias)
    assert (row.tenant, row.address, row.key) == ("main", "bsuid:1", "tel:+57300")
