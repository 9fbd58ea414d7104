"""The store on SQLite: one process, one file, one writer that commits for everybody."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from router import __version__
from router.clock import Clock, from_micros, to_micros
from router.domain.event import MessageEchoed
from router.domain.host_event import TimerFired
from router.errors import StorageUnavailable
from router.storage import sqlite_inbox, sqlite_lanes, sqlite_outbox
from router.storage.changes import Changes, Listener
from router.storage.lock import DatabaseLock
from router.storage.ready import Alarm, Ready
from router.storage.sqlite_writer import Transaction, Writer
from router.storage.store import (
    IN,
    JOB,
    OUT,
    Accepted,
    AttemptResult,
    Change,
    Commit,
    EventRef,
    Item,
    LaneKind,
    NewEvent,
    NewItem,
    Store,
    Tx,
    Work,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

Result = TypeVar("Result")

_DUE = """
DELETE FROM timer WHERE (tenant, kind, key) IN (
  SELECT tenant, kind, key FROM timer WHERE due_at <= ? ORDER BY due_at LIMIT ?)
RETURNING tenant, kind, key, lane, generation, payload
"""

# A customer's turn never waits longer, whatever the clock said when its timer was set.
_TURNS_SOON = "UPDATE timer SET due_at = ? WHERE kind = 'turn' AND due_at > ?"
_LONGEST_TURN = 60_000_000
#: Starts that are remembered.
_NODES_KEPT = 1000


class SQLiteTx:
    """One transaction as the functions that write see it."""

    def __init__(self, store: "SQLiteStore", transaction: Transaction) -> None:
        self._store = store
        self._transaction = transaction
        self.now = store.clock.now()

    @property
    def connection(self) -> "Connection":
        return self._transaction.sql

    def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        return self._store.put_events(self._transaction, events)

    def send(
        self,
        items: Sequence[NewItem],
        *,
        tenant: str,
        conversation: str | None,
        epoch: int,
        decided: EventRef | None = None,
    ) -> None:
        for item in items:
            self._store.put_item(
                self._transaction,
                item,
                tenant=tenant,
                conversation=conversation,
                epoch=epoch,
                decided=decided,
            )

    def learn_alias(self, tenant: str, address: str, key: str) -> None:
        learnt = sqlite_inbox.learn_alias(
            self._transaction.raw, tenant, address, key, to_micros(self.now)
        )
        for known, person in learnt.items():
            mirror = partial(self._store.mirror_alias, tenant, known, person)
            self._transaction.published.append(mirror)


class SQLiteStore(Store):
    """A SQLite database, opened by the one process that owns it. See :class:`Store`.

    Use :meth:`open`; the schema must be there already.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.changes = Changes()
        self._aliases: dict[tuple[str, str], str] = {}
        self._in: Ready[Work] = Ready()
        self._items: dict[str, Ready[Item]] = {OUT: Ready(), JOB: Ready()}
        self._alarm = Alarm()
        self._engine: AsyncEngine | None = None
        self._reads: set[asyncio.Task[Any]] = set()
        self._lock = DatabaseLock(path)
        self._me = 0
        self._writer: Writer

    @classmethod
    async def open(
        cls, path: Path, clock: Clock, *, prepare: Callable[[], None] = lambda: None
    ) -> "SQLiteStore":
        """Take the database: lock it, void the leases of whoever held it before.

        :param prepare: called once the database is ours, before anything is read: the moment to
            bring its schema up to date. What it raises is raised, and the database let go of.
        :raises DatabaseLocked: if another process owns it.
        :raises StorageUnavailable: if it cannot be opened.
        """
        store = cls(path, clock)
        store._lock.acquire()
        try:
            prepare()
            store._writer = Writer(path, store._publish)
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
        sqlite_lanes.recover(tx.raw, now)
        tx.raw.execute(_TURNS_SOON, (now + _LONGEST_TURN, now + _LONGEST_TURN))
        row = tx.raw.execute(
            "INSERT INTO node (started_at, expires_at, host, version) VALUES (?, ?, ?, ?)"
            " RETURNING id",
            (now, now, "sqlite", __version__),
        ).fetchone()
        self._me = row[0]
        tx.raw.execute("DELETE FROM node WHERE id < ?", (self._me - _NODES_KEPT,))
        rows = tx.raw.execute("SELECT tenant, address, key FROM alias")
        self._aliases = {(tenant, address): key for tenant, address, key in rows}

    async def close(self) -> None:
        self.changes.close()
        if self._reads:
            await asyncio.wait(self._reads)
        if self._engine is not None:
            await self._engine.dispose()
        await self._writer.close()
        self._lock.release()

    # --- threads

    @property
    def aliases(self) -> Mapping[tuple[str, str], str]:
        return self._aliases

    def mirror_alias(self, tenant: str, address: str, key: str) -> None:
        """Take up an alias that was committed."""
        self._aliases[tenant, address] = key

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        sql = any(isinstance(item.event, MessageEchoed) for item in events)
        return await self._writer.run(lambda tx: self.put_events(tx, events), sql=sql)

    def put_events(self, tx: Transaction, events: Sequence[NewEvent]) -> list[Accepted]:
        """Store events inside a transaction and offer what may be worked."""
        now = to_micros(self.clock.now())
        accepted = []
        for item in events:
            offered = item
            if isinstance(item.event, MessageEchoed):
                offered = self._fence(tx, item, item.event)
            me = self._me if self._in.has_room else None
            result, handed = sqlite_inbox.store(tx.raw, offered, me=me, now=now)
            accepted.append(result)
            if handed:
                tx.published.append(sqlite_inbox.work_of(tx.raw, offered, result.ref))
            elif me is None:
                tx.published.append(self._in)
        return accepted

    def _fence(self, tx: Transaction, item: NewEvent, event: MessageEchoed) -> NewEvent:
        from router.storage import fence

        if sqlite_inbox.known(tx.raw, item.source, item.external_id):
            return item
        key = item.lane[len(item.tenant) + 1 :]
        channel = item.source.split("/")[1]
        now = self.clock.now()
        stored = fence.accept_echo(tx.sql, item.tenant, key, channel, event, now)
        tx.published.append(self._items[OUT])
        return replace(item, event=stored)

    async def claim(self, limit: int) -> list[Work]:
        ready = self._in
        while ready.paused or not ready:
            if ready.unclaimed and not ready.paused:
                await self._writer.run(lambda tx: self._claim(tx, limit))
            else:
                await ready.wait(self.clock.now)
        return ready.take(limit)

    def _claim(self, tx: Transaction, limit: int) -> None:
        now = to_micros(self.clock.now())
        claimed = sqlite_lanes.claim(tx.raw, IN, me=self._me, now=now, limit=limit)
        for lane in claimed:
            work = sqlite_inbox.next_work(
                tx.raw, lane.key, lane.done_seq, attempts=lane.attempts, crashes=lane.crashes
            )
            if work is None:
                sqlite_lanes.idle(tx.raw, IN, lane.key, me=self._me)
            else:
                tx.published.append(work)
        tx.published.append(self._outlook(tx, IN, self._in, full=len(claimed) == limit))

    def _outlook(
        self, tx: Transaction, kind: str, ready: Ready[Any], *, full: bool
    ) -> Callable[[], None]:
        """Say after the commit whether the database holds more, and from when."""
        micros = sqlite_lanes.next_ready(tx.raw, kind)
        at = None if micros is None else from_micros(micros)

        def note() -> None:
            ready.unclaimed, ready.next_at = full, at

        return note

    async def complete(self, commits: Sequence[Commit]) -> None:
        # One operation each: what one of them breaks is its own.
        if len(commits) == 1:
            await self._complete(commits[0])
            return
        results = await asyncio.gather(
            *(self._complete(commit) for commit in commits), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _complete(self, commit: Commit) -> None:
        await self._writer.run(lambda tx: self._settle(tx, commit), sql=bool(commit.effects))

    def _settle(self, tx: Transaction, commit: Commit) -> None:
        raw, work, me = tx.raw, commit.work, self._me
        lane, seq = work.ref
        if not sqlite_lanes.holds(raw, IN, lane, seq, me=me):
            return
        if sqlite_inbox.moved_on(raw, commit):
            again = sqlite_inbox.next_work(raw, lane, seq - 1, attempts=work.attempts)
            tx.published.append(again)
            return
        more = sqlite_lanes.advance(raw, IN, lane, seq, me=me)
        sqlite_inbox.write(raw, commit, to_micros(self.clock.now()))
        for timer in commit.timers:
            if timer.due_at is not None:
                tx.published.append(partial(self._alarm.notice, timer.due_at))
        conversation = commit.conversation
        for item in commit.items:
            self.put_item(
                tx,
                item,
                tenant=work.tenant,
                conversation=None if conversation is None else conversation.id,
                epoch=0 if conversation is None else conversation.epoch,
                decided=work.ref,
            )
        if commit.effects:
            context = SQLiteTx(self, tx)
            for effect in commit.effects:
                effect(context)
            # A delivery report settles what was unknown, and what waited behind it may leave.
            tx.published.append(self._items[OUT])
        if more:
            following = sqlite_inbox.next_work(raw, lane, seq)
            if following is None:
                sqlite_lanes.idle(raw, IN, lane, me=me)
            else:
                tx.published.append(following)
        if conversation is not None:
            tx.published.append(Change(work.tenant, conversation.id))

    async def fail(self, work: Work, error: str, retry_at: datetime) -> None:
        lane, seq = work.ref

        def give_back(tx: Transaction) -> None:
            sqlite_lanes.rest(
                tx.raw,
                IN,
                lane,
                seq=seq,
                me=self._me,
                ready_at=to_micros(retry_at),
                attempts=work.attempts + 1,
                error=error,
            )
            tx.published.append(self._in)

        await self._writer.run(give_back)

    async def suspect(self, work: Work) -> int:
        lane, seq = work.ref
        count = await self._writer.run(
            lambda tx: sqlite_lanes.suspect(tx.raw, IN, lane, seq, me=self._me)
        )
        return work.crashes if count is None else count

    # --- outbox

    def put_item(
        self,
        tx: Transaction,
        item: NewItem,
        *,
        tenant: str,
        conversation: str | None,
        epoch: int,
        decided: EventRef | None,
    ) -> None:
        """Put an item into the outbox inside a transaction and offer it if it may leave."""
        ready = self._items[item.lane_kind]
        me = self._me if ready.has_room else None
        handed = sqlite_outbox.put(
            tx.raw,
            item,
            tenant=tenant,
            conversation=conversation,
            epoch=epoch,
            decided=decided,
            me=me,
            now=to_micros(self.clock.now()),
        )
        tx.published.append(ready if handed is None else handed)

    async def claim_items(self, kind: LaneKind, limit: int) -> list[Item]:
        ready = self._items[kind]
        while ready.paused or not ready:
            if ready.unclaimed and not ready.paused:
                await self._writer.run(lambda tx: self._claim_items(tx, kind, limit))
            else:
                await ready.wait(self.clock.now)
        return ready.take(limit)

    def _claim_items(self, tx: Transaction, kind: str, limit: int) -> None:
        now = to_micros(self.clock.now())
        claimed = sqlite_lanes.claim(tx.raw, kind, me=self._me, now=now, limit=limit)
        for lane in claimed:
            item = sqlite_outbox.next_item(tx.raw, kind, lane.key, lane.done_seq, me=self._me)
            if item is not None:
                tx.published.append(item)
        ready = self._items[kind]
        tx.published.append(self._outlook(tx, kind, ready, full=len(claimed) == limit))

    async def start_attempt(self, item: Item) -> bool:
        def begin(tx: Transaction) -> bool:
            now = to_micros(self.clock.now())
            started, following = sqlite_outbox.start(tx.raw, item, now, me=self._me)
            self._follow(tx, item, following)
            return started

        return await self._writer.run(begin)

    async def finish_attempt(self, item: Item, result: AttemptResult) -> None:
        def end(tx: Transaction) -> None:
            now = to_micros(self.clock.now())
            counted, following = sqlite_outbox.finish(tx.raw, item, result, now, me=self._me)
            if counted:
                self.put_events(tx, result.events)
                context = SQLiteTx(self, tx)
                for effect in result.effects:
                    effect(context)
            self._follow(tx, item, following)
            tx.published.append(self._items[item.lane_kind])

        await self._writer.run(end, sql=bool(result.effects))

    def _follow(self, tx: Transaction, item: Item, following: Item | None) -> None:
        if following is not None:
            tx.published.append(following)
        if item.conversation is not None:
            tx.published.append(Change(item.tenant, item.conversation))

    async def release(self, items: Sequence[Item | Work]) -> None:
        def give_back(tx: Transaction) -> None:
            for item in items:
                if isinstance(item, Work):
                    sqlite_lanes.release(tx.raw, IN, *item.ref, me=self._me)
                else:
                    sqlite_lanes.release(tx.raw, item.lane_kind, item.lane, item.seq, me=self._me)
            tx.published.extend((self._in, *self._items.values()))

        if items:
            await self._writer.run(give_back)

    def pause(self) -> None:
        self._in.paused = True
        for ready in self._items.values():
            ready.paused = True

    @property
    def trouble(self) -> list[str]:
        error = self._writer.error
        return [] if error is None else [f"database: {error}"]

    async def release_all(self) -> None:
        self._in.clear()
        for ready in self._items.values():
            ready.clear()
        await self._writer.run(lambda tx: sqlite_lanes.release_all(tx.raw, me=self._me))

    # --- timers

    async def fire_timers(self, limit: int = 500) -> int:
        def fire(tx: Transaction) -> int:
            now = self.clock.now()
            rows = tx.raw.execute(_DUE, (to_micros(now), limit)).fetchall()
            events = []
            for tenant, kind, key, lane, generation, payload in rows:
                event = TimerFired(
                    timer=kind, key=key, generation=generation, payload=json.loads(payload)
                )
                events.append(
                    NewEvent(
                        lane=lane,
                        tenant=tenant,
                        source=f"{tenant}/timer",
                        external_id=f"timer:{kind}:{key}:{generation}",
                        event=event,
                        received_at=now,
                    )
                )
            self.put_events(tx, events)
            self._outlook_timers(tx)
            return len(rows)

        return await self._writer.run(fire)

    def _outlook_timers(self, tx: Transaction) -> None:
        micros: int | None = tx.raw.execute("SELECT min(due_at) FROM timer").fetchone()[0]
        due = None if micros is None else from_micros(micros)
        tx.published.append(partial(self._alarm.set, due))

    async def wait_timers(self) -> None:
        await self._alarm.wait(self.clock.now)

    # --- everything else

    async def write(self, function: Callable[[Tx], Result]) -> Result:
        def work(tx: Transaction) -> Result:
            result = function(SQLiteTx(self, tx))
            tx.published.extend((self._in, *self._items.values()))
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
            from router.storage.reading import async_reader

            self._engine = async_reader(self.path)
        from sqlalchemy.exc import OperationalError

        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(function)
        except OperationalError as error:
            raise StorageUnavailable(f"SQLite: {error.orig}") from error

    def subscribe(self) -> Listener:
        return self.changes.subscribe()

    def _publish(self, published: list[Any]) -> None:
        """Hand out, in the event loop, what a commit has put on disk."""
        changes = []
        for thing in published:
            if isinstance(thing, Work):
                self._in.offer(thing)
            elif isinstance(thing, Item):
                self._items[thing.lane_kind].offer(thing)
            elif isinstance(thing, Change):
                changes.append(thing)
            elif isinstance(thing, Ready):
                thing.look()
            elif callable(thing):
                thing()
        self.changes.publish(changes)
