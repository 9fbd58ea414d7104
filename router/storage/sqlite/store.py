"""The store on SQLite: one process, one file, one writer that commits for everybody."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from router import __version__
from router.clock import Clock, to_micros
from router.domain.event import MessageEchoed
from router.errors import StorageUnavailable
from router.storage.changes import Listener
from router.storage.dispatch import Dispatch
from router.storage.ready import Ready
from router.storage.sqlite import lanes
from router.storage.sqlite.attempts import Attempt, End
from router.storage.sqlite.lock import DatabaseLock
from router.storage.sqlite.sending import OutboxWork
from router.storage.sqlite.sync import to_disk
from router.storage.sqlite.tx import FENCED, SQLiteTx, Writing
from router.storage.sqlite.work import InboxWork
from router.storage.sqlite.writer import PATIENCE, Transaction, Writer, in_words
from router.storage.store import (
    IN,
    Accepted,
    AttemptResult,
    Commit,
    Item,
    LaneKind,
    NewEvent,
    Start,
    Store,
    Terms,
    Tx,
    Work,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

Result = TypeVar("Result")
Leased = TypeVar("Leased", Work, Item)

# A customer's turn never waits longer, whatever the clock said when its timer was set.
_TURNS_SOON = "UPDATE timer SET due_at = ? WHERE kind = 'turn' AND due_at > ?"
_LONGEST_TURN = 60_000_000
#: Starts that are remembered.
_NODES_KEPT = 1000


class SQLiteStore(Store):
    """A SQLite database, opened by the one process that owns it. See :class:`Store`.

    Use :meth:`open`; the schema must be there already.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._aliases: dict[tuple[str, str], str] = {}
        self._dispatch = Dispatch()
        self._writing = Writing(clock, self._dispatch, self._mirror_alias)
        self.ages = self._writing.ages
        self._inbox = InboxWork(self._writing)
        self._outbox = OutboxWork(self._writing)
        self._engine: AsyncEngine | None = None
        self._reads: set[asyncio.Task[Any]] = set()
        self._lock = DatabaseLock(path)
        self._writer: Writer
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        path: Path,
        clock: Clock,
        *,
        prepare: Callable[[], None] = lambda: None,
        sync: Callable[[int], None] = to_disk,
        patience: float = PATIENCE,
    ) -> "SQLiteStore":
        """Take the database: lock it, void the leases of whoever held it before.

        :param prepare: called once the database is ours, before anything is read: the moment to
            bring its schema up to date. What it raises is raised, and the database let go of.
        :param sync: puts a file, given its descriptor, on disk.
        :param patience: seconds after which a disk that answers nobody counts as away.
        :raises DatabaseLocked: if another process owns it.
        :raises StorageUnavailable: if it cannot be opened.
        """
        store = cls(path, clock)
        store._lock.acquire()
        try:
            prepare()
            store._writer = Writer(
                path, store._dispatch.publish, store._fail, sync=sync, patience=patience
            )
            try:
                await store._writer.run(store._begin)
            except BaseException:
                await store._writer.close()
                raise
        except BaseException:
            store._lock.release()
            raise
        return store

    def _begin(self, tx: Transaction) -> None:
        now = to_micros(self.clock.now())
        lanes.recover(tx.raw, now)
        self._turns_soon(tx, now)
        row = tx.raw.execute(
            "INSERT INTO node (started_at, expires_at, host, version) VALUES (?, ?, ?, ?)"
            " RETURNING id",
            (now, now, "sqlite", __version__),
        ).fetchone()
        me = self._writing.me = row[0]
        tx.raw.execute("DELETE FROM node WHERE id < ?", (me - _NODES_KEPT,))
        rows = tx.raw.execute("SELECT tenant, address, key FROM alias")
        self._aliases = {(tenant, address): key for tenant, address, key in rows}

    @staticmethod
    def _turns_soon(tx: Transaction, now: int) -> None:
        tx.raw.execute(_TURNS_SOON, (now + _LONGEST_TURN, now + _LONGEST_TURN))

    async def clock_set_back(self, back: timedelta) -> None:
        def look_again(tx: Transaction) -> None:
            now = self.clock.now()
            lanes.not_later(tx.raw, to_micros(now), back // timedelta(microseconds=1))
            self._turns_soon(tx, to_micros(now))
            tx.published.extend(self._dispatch.everything())
            tx.published.append(partial(self._dispatch.alarm.set, now))

        await self._writer.run(look_again)

    async def close(self) -> None:
        self._dispatch.changes.close()
        if self._reads:
            await asyncio.wait(self._reads)
        if self._engine is not None:
            await self._engine.dispose()
        if await self._writer.close():
            self._lock.release()

    # --- threads

    @property
    def aliases(self) -> Mapping[tuple[str, str], str]:
        return self._aliases

    def _mirror_alias(self, tenant: str, address: str, key: str) -> None:
        """Take up an alias that was committed."""
        self._aliases[tenant, address] = key

    def forget_aliases(self, tenant: str, addresses: Sequence[str]) -> None:
        for address in addresses:
            self._aliases.pop((tenant, address), None)

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        sql = any(isinstance(item.event, FENCED) for item in events)
        # An echo is told from a person's message by what was stored of our own before it came.
        first = not any(isinstance(item.event, MessageEchoed) for item in events)
        (accepted,) = await self._writer.run_batch(
            self._inbox.accept, [events], sql=sql, first=first, outside=True
        )
        result: list[Accepted] = accepted
        return result

    async def claim(self, limit: int) -> list[Work]:
        return await self._claim(
            self._dispatch.inbox, limit, lambda tx: self._inbox.claim(tx, limit)
        )

    async def _claim(
        self, ready: Ready[Leased], limit: int, claim: Callable[[Transaction], None]
    ) -> list[Leased]:
        while ready.paused or not ready:
            if ready.unclaimed and not ready.paused:
                with ready.looking():
                    await self._writer.run(claim, kept=False)
            else:
                await ready.wait(self.clock.now)
        return ready.take(limit)

    async def complete(self, commits: Sequence[Commit]) -> None:
        sql = any(commit.effects for commit in commits)
        await self._writer.run_batch(self._inbox.settle, commits, sql=sql, kept=False)

    async def fail(self, work: Work, error: str, retry_at: datetime) -> None:
        await self._writer.run(lambda tx: self._inbox.fail(tx, work, error, retry_at))

    async def suspect(self, work: Work) -> None:
        crashes, me = work.crashes + 1, self._writing.me
        await self._writer.run(lambda tx: lanes.suspect(tx.raw, IN, *work.ref, crashes, me=me))

    # --- outbox

    async def claim_items(self, kind: LaneKind, limit: int) -> list[Item]:
        return await self._claim(
            self._dispatch.items[kind], limit, lambda tx: self._outbox.claim(tx, kind, limit)
        )

    async def start_attempt(self, item: Item, terms: Terms | None = None) -> Start:
        (start,) = await self._writer.run_batch(self._outbox.start, [Attempt(item, terms)])
        result: Start = start
        return result

    async def postpone(self, item: Item | Work, until: datetime) -> None:
        await self._writer.run(lambda tx: self._outbox.postpone(tx, item, until))

    async def finish_attempt(self, item: Item, result: AttemptResult) -> None:
        sql = bool(result.effects)
        # A power cut that takes it leaves the attempt as unknown, as one before it would have.
        await self._writer.run_batch(self._outbox.finish, [End(item, result)], sql=sql, kept=False)

    async def release(self, items: Sequence[Item | Work]) -> None:
        me = self._writing.me

        def give_back(tx: Transaction) -> None:
            for item in items:
                if isinstance(item, Work):
                    lanes.release(tx.raw, IN, *item.ref, item.crashes, me=me)
                else:
                    lanes.release(tx.raw, item.lane_kind, item.lane, item.seq, 0, me=me)
            tx.published.extend(self._dispatch.everything())

        if items:
            await self._writer.run(give_back)

    def pause(self) -> None:
        self._dispatch.pause()

    @property
    def trouble(self) -> list[str]:
        error = self._writer.error
        return [] if error is None else [f"database: {error}"]

    async def failed(self) -> None:
        await asyncio.shield(self._failure)

    def _fail(self, error: StorageUnavailable) -> None:
        self._failure.set_exception(error)
        self._failure.exception()  # told to each who waits, and to those who look later

    async def release_all(self) -> None:
        self._dispatch.forget()
        await self._writer.run(lambda tx: lanes.release_all(tx.raw, me=self._writing.me))

    # --- timers

    async def fire_timers(self, limit: int = 500) -> int:
        return await self._writer.run(lambda tx: self._inbox.fire(tx, limit))

    async def wait_timers(self) -> None:
        await self._dispatch.alarm.wait(self.clock.now)

    # --- everything else

    async def write(self, function: Callable[[Tx], Result]) -> Result:
        def work(tx: Transaction) -> Result:
            result = function(SQLiteTx(self._writing, tx))
            tx.published.extend(self._dispatch.everything())
            return result

        return await self._writer.run(work, sql=True)

    async def read(self, function: "Callable[[Connection], Result]") -> Result:
        # In a task that nobody cancels: a connection of aiosqlite whose use is cancelled may never
        # be given back, and then the process does not end.
        task = asyncio.ensure_future(self._read(function))
        self._reads.add(task)
        task.add_done_callback(self._has_read)
        return await asyncio.shield(task)

    def _has_read(self, task: "asyncio.Task[Any]") -> None:
        self._reads.discard(task)
        if not task.cancelled():
            task.exception()  # seen by whoever waits; nobody does after a cancellation

    async def _read(self, function: "Callable[[Connection], Result]") -> Result:
        if self._engine is None:
            from router.storage.sqlite.reading import async_reader

            self._engine = async_reader(self.path)
        from sqlalchemy.exc import DBAPIError

        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(function)
        except DBAPIError as error:
            told = in_words(error)
            if told is error:
                raise
            raise told from error

    def subscribe(self) -> Listener:
        return self._dispatch.changes.subscribe()
