"""Nobody is answered before the disk has it, and what nobody waits for does not wait for the disk.

The disk is real. A test only decides when it is asked to keep what was written, and whether it can.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from router.daemon import Router
from router.domain.identity import Address
from router.domain.outbox import ItemState
from router.errors import StorageUnavailable
from router.logs import Redaction, configure
from router.plugin.loading import load_plugins
from router.plugin.testing import FakeClock
from router.settings.loading import load_settings
from router.storage.sqlite.store import SQLiteStore
from router.storage.sqlite.writer import Transaction, Writer
from router.storage.store import AttemptResult, Start
from router.storage.tables import inbox_event
from tests.databases import empty_sqlite
from tests.integration.engine.harness import Engine, SQLiteDatabase

_REFUSAL = OSError(5, "Input/output error")


class Disk:
    """A disk that a test may hold up, or break."""

    def __init__(self) -> None:
        self.asked = 0
        #: What a power cut would leave of the log.
        self.log = b""
        self.error: OSError | None = None
        self._free = Event()
        self._free.set()
        self._lock = Lock()

    def sync(self, descriptor: int) -> None:
        with self._lock:
            self.asked += 1
        # What is written while it is busy may come to the disk, or not.
        written = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        self._free.wait(60)
        if self.error is not None:
            raise self.error
        os.fsync(descriptor)
        self.log = written

    def hold(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    async def is_asked(self, times: int) -> None:
        with anyio.fail_after(30):
            while self.asked < times:  # noqa: ASYNC110 - another thread counts
                await anyio.sleep(0.001)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.let_go()


@asynccontextmanager
async def _opened(folder: Path, disk: Disk) -> AsyncIterator[Engine]:
    path, clock = folder / "router.db", FakeClock()
    empty_sqlite(path)
    store = await SQLiteStore.open(path, clock, sync=disk.sync)
    try:
        yield Engine(SQLiteDatabase(folder), clock, store)
    finally:
        disk.let_go()
        await store.close()


@pytest.fixture
async def engine(tmp_path: Path, disk: Disk) -> AsyncIterator[Engine]:
    async with _opened(tmp_path, disk) as engine:
        yield engine


async def test_an_event_is_accepted_when_the_disk_has_it_and_worked_meanwhile(
    engine: Engine, disk: Disk
) -> None:
    answered: list[Any] = []

    async def accept() -> None:
        answered.append(await engine.accept(engine.said("hola")))

    disk.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept)
        with anyio.fail_after(30):
            work = await engine.claim_one()
            await engine.complete(engine.commit(work, "respuesta"))
            await engine.claim_item()
        assert answered == []

        disk.let_go()

    assert len(answered) == 1


async def test_nothing_leaves_before_the_disk_has_that_it_was_started(
    engine: Engine, disk: Disk
) -> None:
    await engine.answer("hola", "respuesta")
    item = await engine.claim_item()
    before, started = disk.asked, list[Start]()

    async def start() -> None:
        started.append(await engine.store.start_attempt(item))

    disk.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await disk.is_asked(before + 1)
        assert started == []

        disk.let_go()

    assert started == [Start.BEGUN]


async def test_a_power_cut_takes_nothing_that_was_answered(
    engine: Engine, disk: Disk, tmp_path: Path
) -> None:
    """Every answer is held against what the disk was sure to have when it was given."""
    answers: list[tuple[str, str, bytes]] = []

    async def talk(who: int) -> None:
        for number in range(12):
            name = f"{who}-{number}"
            sender = Address("tel", f"+5730012345{who:02}")
            await engine.accept(engine.said("hola", who=sender, id=name))
            answers.append(("event", f"message:{name}", disk.log))

    async def work() -> None:
        for _ in range(120):
            it = await engine.claim_one()
            await engine.complete(engine.commit(it, "respuesta"))

    async def send() -> None:
        for _ in range(120):
            item = await engine.claim_item()
            if await engine.store.start_attempt(item) is Start.BEGUN:
                answers.append(("attempt", item.id, disk.log))
            await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for who in range(10):
                tasks.start_soon(talk, who)
            tasks.start_soon(work)
            tasks.start_soon(send)

    assert {kind for kind, _, _ in answers} == {"event", "attempt"}
    for last in range(0, len(answers), 7):
        kept = _after_power_cut(tmp_path, answers[last][2])
        assert {answer[:2] for answer in answers[: last + 1]} <= kept


def _after_power_cut(folder: Path, log: bytes) -> set[tuple[str, str]]:
    """Give what a database still has that was left with such a log."""
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "router.db"
        shutil.copy(folder / "router.db", path)
        path.with_name("router.db-wal").write_bytes(log)
        raw = sqlite3.connect(path)
        events = raw.execute("SELECT external_id FROM inbox_event").fetchall()
        attempts = raw.execute("SELECT id FROM outbox WHERE state != 'waiting'").fetchall()
        raw.close()
    return {("event", row[0]) for row in events} | {("attempt", row[0]) for row in attempts}


async def test_what_was_committed_while_the_disk_was_busy_comes_to_it_at_once(
    engine: Engine, disk: Disk
) -> None:
    before = disk.asked
    disk.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.accept, engine.said("uno"))
        await disk.is_asked(before + 1)
        for number in range(20):
            tasks.start_soon(engine.accept, engine.said(f"{number}"))
            # Each a transaction of its own.
            with anyio.fail_after(30):
                while len(await engine.rows(inbox_event)) < number + 2:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
        assert disk.asked == before + 1

        disk.let_go()

    assert disk.asked == before + 2


async def test_what_nobody_waits_for_comes_to_the_disk_by_itself(
    engine: Engine, disk: Disk
) -> None:
    await engine.accept(engine.said("hola"))
    work = await engine.claim_one()
    await anyio.sleep(0.5)  # what it took to claim is there by then
    before = disk.asked

    await engine.complete(engine.commit(work, "respuesta"))

    await disk.is_asked(before + 1)


async def test_who_waited_for_a_disk_that_fails_is_told_and_nothing_is_done_any_more(
    engine: Engine, disk: Disk
) -> None:
    told: list[str] = []

    async def accept() -> None:
        with pytest.raises(StorageUnavailable) as refusal:
            await engine.accept(engine.said("hola"))
        told.append(str(refusal.value))

    disk.hold()
    disk.error = _REFUSAL
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(accept)
        await anyio.wait_all_tasks_blocked()
        disk.let_go()
    disk.error = None  # what a disk says after it has failed is worth nothing
    await accept()
    with anyio.fail_after(30), pytest.raises(StorageUnavailable):
        await engine.store.failed()

    words = "SQLite: the disk did not keep what was written: Input/output error"
    assert told == [words] * 4
    assert engine.store.trouble == [f"database: {words}"]


async def test_closing_waits_for_the_disk(tmp_path: Path, disk: Disk) -> None:
    closed: list[bool] = []
    async with _opened(tmp_path, disk) as engine:

        async def close() -> None:
            await engine.store.close()
            closed.append(True)

        async with anyio.create_task_group() as tasks:
            disk.hold()
            before = disk.asked
            tasks.start_soon(engine.accept, engine.said("hola"))
            await disk.is_asked(before + 1)
            tasks.start_soon(close)
            await anyio.wait_all_tasks_blocked()
            assert not closed
            disk.let_go()

    assert closed


async def test_the_router_ends_when_its_disk_fails(tmp_path: Path, disk: Disk) -> None:
    """What it would do next rests on what may not be there. A service manager starts it again."""
    (tmp_path / "rules").mkdir()
    config = tmp_path / "router.toml"
    config.write_text("[router]\n[channels.phone]\ntype = 'simulator'\n")
    registry = load_plugins([])
    settings = load_settings(config, registry, run=True)
    path = tmp_path / "router.db"
    empty_sqlite(path)
    store = await SQLiteStore.open(path, FakeClock(), sync=disk.sync)

    async def live() -> None:
        async with Router(settings, store, log=configure(Redaction())):
            disk.error = _REFUSAL
            with pytest.raises(StorageUnavailable):
                await store.write(lambda _: None)
            await anyio.sleep(60)

    try:
        with anyio.fail_after(30), pytest.RaisesGroup(StorageUnavailable, flatten_subgroups=True):
            await live()
    finally:
        await store.close()


async def test_whoever_waits_is_answered_even_if_what_was_published_cannot_be_handed_out(
    tmp_path: Path,
) -> None:
    path, told = tmp_path / "router.db", list[dict[str, Any]]()
    empty_sqlite(path)

    def publish(_: list[Any]) -> None:
        message = "broken"
        raise LookupError(message)

    def work(tx: Transaction) -> str:
        tx.published.append("something")
        return "done"

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    writer = Writer(path, publish, lambda _: None)
    try:
        with anyio.fail_after(30):
            assert await writer.run(work) == "done"
            assert await writer.run(work, kept=False) == "done"
    finally:
        await writer.close()
        loop.set_exception_handler(None)

    assert [str(context["exception"]) for context in told] == ["broken"] * 2
