"""A disk that does not answer: whoever waits outside is told so, and all goes on when it does."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from router.errors import DatabaseLocked, StorageUnavailable
from router.plugin.testing import FakeClock
from router.storage.sqlite.store import SQLiteStore
from router.storage.tables import inbox_event
from tests.databases import empty_sqlite
from tests.integration.engine.harness import Engine, SQLiteDatabase
from tests.integration.engine.nodes import until
from tests.integration.engine.test_sqlite_sync import Disk

_AWAY = "SQLite: the disk does not answer"


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.let_go()


@pytest.fixture
async def engine(tmp_path: Path, disk: Disk) -> AsyncIterator[Engine]:
    path, clock = tmp_path / "router.db", FakeClock()
    empty_sqlite(path)
    store = await SQLiteStore.open(path, clock, sync=disk.sync, patience=2.0)
    yield Engine(SQLiteDatabase(tmp_path), clock, store)
    disk.let_go()
    await store.close()


async def test_who_offers_an_event_is_not_left_waiting_and_may_offer_it_again(
    engine: Engine, disk: Disk
) -> None:
    disk.hold()
    with anyio.fail_after(30), pytest.raises(StorageUnavailable, match=_AWAY):
        await engine.accept(engine.said("hola", id="A"))
    assert engine.store.trouble == [f"database: {_AWAY}"]

    disk.let_go()

    async def well() -> bool:
        return not engine.store.trouble

    await until(well)
    await engine.accept(engine.said("hola", id="A"))
    await engine.accept(engine.said("adiós", id="B"))
    stored = [event.external_id for event in await engine.rows(inbox_event)]
    assert stored == ["message:A", "message:B"]


async def test_meanwhile_nobody_begins_to_wait_though_decisions_are_still_taken_up(
    engine: Engine, disk: Disk
) -> None:
    await engine.accept(engine.said("hola"))
    work = await engine.claim_one()
    disk.hold()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            # It waits for nobody's answer, and does not hide that others wait.
            tasks.start_soon(engine.complete, engine.commit(work, "respuesta"))
            with pytest.raises(StorageUnavailable, match=_AWAY):
                await engine.accept(engine.said("¿y?"))
    asked = disk.asked

    with pytest.raises(StorageUnavailable, match=_AWAY):
        await engine.store.write(lambda _: None)
    with pytest.raises(StorageUnavailable, match=_AWAY):
        await engine.store.release_all()
    assert disk.asked == asked


async def test_the_store_is_closed_all_the_same_and_stays_locked_while_somebody_may_write(
    tmp_path: Path, disk: Disk
) -> None:
    path = tmp_path / "router.db"
    empty_sqlite(path)
    store = await SQLiteStore.open(path, FakeClock(), sync=disk.sync, patience=2.0)
    engine = Engine(SQLiteDatabase(tmp_path), FakeClock(), store)
    disk.hold()
    with pytest.raises(StorageUnavailable):
        await engine.accept(engine.said("hola"))

    with anyio.fail_after(30):
        await store.close()

    with pytest.raises(DatabaseLocked):
        await SQLiteStore.open(path, FakeClock())
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM inbox_event").fetchone() == (1,)
