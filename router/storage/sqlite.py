"""The store on SQLite: one process, one file, one writer that commits for everybody."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from router import __version__
from router.clock import Clock, from_micros, to_micros
from router.domain.event import ContactOptedOut, MessageEchoed
from router.domain.host_event import TimerFired
from router.domain.outbox import ItemState
from router.errors import StorageUnavailable
from router.storage import (
    sqlite_attempts,
    sqlite_commits,
    sqlite_inbox,
    sqlite_lanes,
    sqlite_outbox,
    sqlite_threads,
)
from router.storage.changes import Changes, Listener
from router.storage.lock import DatabaseLock
from router.storage.queued import Queued
from router.storage.ready import Alarm, Ready
from router.storage.sqlite_attempts import Attempt, End
from router.storage.sqlite_sync import to_disk
from router.storage.sqlite_threads import Cursor
from router.storage.sqlite_writer import Transaction, Writer, in_words
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
        queued = [Queued(item, tenant, conversation, epoch, decided) for item in items]
        self._store.put_items(self._transaction, queued)

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
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        path: Path,
        clock: Clock,
        *,
        prepare: Callable[[], None] = lambda: None,
        sync: Callable[[int], None] = to_disk,
    ) -> "SQLiteStore":
        """Take the database: lock it, void the leases of whoever held it before.

        :param prepare: called once the database is ours, before anything is read: the moment to
            bring its schema up to date. What it raises is raised, and the database let go of.
        :param sync: puts a file, given its descriptor, on disk.
        :raises DatabaseLocked: if another process owns it.
        :raises StorageUnavailable: if it cannot be opened.
        """
        store = cls(path, clock)
        store._lock.acquire()
        try:
            prepare()
            store._writer = Writer(path, store._publish, store._fail, sync=sync)
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

    def forget_aliases(self, tenant: str, addresses: Sequence[str]) -> None:
        for address in addresses:
            self._aliases.pop((tenant, address), None)

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        sql = any(isinstance(item.event, MessageEchoed | ContactOptedOut) for item in events)
        # An echo is told from a person's message by what was stored of our own before it came.
        first = not any(isinstance(item.event, MessageEchoed) for item in events)
        (accepted,) = await self._writer.run_batch(
            self._put_requests, [events], sql=sql, first=first
        )
        result: list[Accepted] = accepted
        return result

    def _put_requests(
        self, tx: Transaction, requests: list[Sequence[NewEvent]]
    ) -> list[list[Accepted]]:
        accepted = iter(self.put_events(tx, [event for events in requests for event in events]))
        return [list(islice(accepted, len(events))) for events in requests]

    def put_events(self, tx: Transaction, events: Sequence[NewEvent]) -> list[Accepted]:
        """Store events inside a transaction and offer what may be worked."""
        names = [sqlite_inbox.identity(item) for item in events]
        known = sqlite_inbox.known(tx.raw, names)
        fresh: dict[sqlite_inbox.Identity, NewEvent] = {}
        for name, item in zip(names, events, strict=True):
            if name not in known and name not in fresh:
                fresh[name] = self._fence(tx, item)
        now, room = to_micros(self.clock.now()), self._in.room
        offered = list(fresh.values())
        refs, works = sqlite_inbox.store(
            tx.raw, offered, me=self._me, room=room, now=now, era=tx.era
        )
        tx.published.extend(works)
        if room < len(offered):
            tx.published.append(self._in)
        known.update(zip(fresh, refs, strict=True))
        # Only the first of equals is new.
        return [Accepted(known[name], new=fresh.pop(name, None) is not None) for name in names]

    def _fence(self, tx: Transaction, item: NewEvent) -> NewEvent:
        """Let a person's word or an opt-out take effect with its acceptance, not in its turn."""
        event = item.event
        if not isinstance(event, MessageEchoed | ContactOptedOut):
            return item
        from router.storage import fence, refusals

        key = item.lane[len(item.tenant) + 1 :]
        if isinstance(event, ContactOptedOut):
            refusals.accept_opt_out(tx.sql, item.tenant, key, self.clock.now())
            tx.published.append(self._items[OUT])
            return item
        channel = item.source.split("/")[1]
        now = self.clock.now()
        stored = fence.accept_echo(tx.sql, item.tenant, key, channel, event, now)
        tx.published.append(self._items[OUT])
        return replace(item, event=stored)

    async def claim(self, limit: int) -> list[Work]:
        ready = self._in
        while ready.paused or not ready:
            if ready.unclaimed and not ready.paused:
                with ready.looking():
                    await self._writer.run(lambda tx: self._claim(tx, limit), kept=False)
            else:
                await ready.wait(self.clock.now)
        return ready.take(limit)

    def _claim(self, tx: Transaction, limit: int) -> None:
        now = to_micros(self.clock.now())
        claimed = sqlite_lanes.claim(tx.raw, IN, me=self._me, now=now, limit=limit)
        cursors = [Cursor(it.key, it.done_seq, it.attempts, it.crashes) for it in claimed]
        works = sqlite_threads.next_works(tx.raw, cursors, tx.era)
        for lane in claimed:
            if lane.key not in works:
                sqlite_lanes.idle(tx.raw, IN, lane.key, me=self._me)
        # Oldest first, as they were claimed.
        tx.published.extend(works[it.key] for it in claimed if it.key in works)
        tx.published.append(self._outlook(tx, IN, self._in, full=len(claimed) == limit))

    def _outlook(
        self, tx: Transaction, kind: str, ready: Ready[Any], *, full: bool
    ) -> Callable[[], None]:
        """Say after the commit whether the database holds more, and from when."""
        micros = sqlite_lanes.next_ready(tx.raw, kind)
        at = None if micros is None else from_micros(micros)
        return partial(ready.looked, more=full, next_at=at)

    async def complete(self, commits: Sequence[Commit]) -> None:
        sql = any(commit.effects for commit in commits)
        await self._writer.run_batch(self._settle, commits, sql=sql, kept=False)

    def _settle(self, tx: Transaction, commits: list[Commit]) -> list[None]:
        raw, me = tx.raw, self._me
        by_lane = {commit.work.ref.lane: commit for commit in reversed(commits)}
        if len(by_lane) < len(commits):
            # Somebody lost a lease: whoever comes first moves the cursor, the others are dropped.
            for commit in commits:
                self._settle(tx, [commit])
            return [None] * len(commits)
        # Where nothing else ran since, a thread is as its lane has left it.
        doubtful = [it for it in commits if tx.era == 0 or it.work.lease != tx.era]
        for lane in sqlite_commits.moved_on(raw, doubtful):
            self._offer_again(tx, by_lane.pop(lane))
        waiting = sqlite_lanes.advance(
            raw, IN, [commit.work.ref for commit in by_lane.values()], me=me
        )
        held = [commit for commit in by_lane.values() if commit.work.ref.lane in waiting]
        sqlite_commits.write(raw, held, to_micros(self.clock.now()))
        if any(map(_is_of_another, held)):
            tx.disturb()
        self.put_items(tx, [queued for commit in held for queued in _queued(commit)])
        self._take_effect(tx, held)
        self._go_on(tx, [commit.work.ref for commit in held if waiting[commit.work.ref.lane]])
        for commit in held:
            for timer in commit.timers:
                if timer.due_at is not None:
                    tx.published.append(partial(self._alarm.notice, timer.due_at))
            if commit.conversation is not None:
                tx.published.append(Change(commit.work.tenant, commit.conversation.id))
        return [None] * len(commits)

    def _offer_again(self, tx: Transaction, commit: Commit) -> None:
        """Offer work whose thread has changed since it was read, with the thread as it is now."""
        lane, seq = commit.work.ref
        if sqlite_lanes.holds(tx.raw, IN, lane, seq, me=self._me):
            cursor = Cursor(lane, seq - 1, commit.work.attempts)
            tx.published.extend(sqlite_threads.next_works(tx.raw, [cursor], tx.era).values())

    def _take_effect(self, tx: Transaction, commits: Sequence[Commit]) -> None:
        context = None
        for commit in commits:
            for effect in commit.effects:
                context = context or SQLiteTx(self, tx)
                effect(context)
        if context is not None:
            # A delivery report settles what was unknown, and what waited behind it may leave.
            tx.published.append(self._items[OUT])

    def _go_on(self, tx: Transaction, done: Sequence[EventRef]) -> None:
        """Offer the next event of lanes that hold more."""
        works = sqlite_threads.next_works(tx.raw, [Cursor(*ref) for ref in done], tx.era)
        tx.published.extend(works.values())
        for ref in done:
            if ref.lane not in works:
                sqlite_lanes.idle(tx.raw, IN, ref.lane, me=self._me)

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

    def put_items(self, tx: Transaction, queued: Sequence[Queued]) -> None:
        """Put items into the outbox inside a transaction, and offer those that may leave."""
        now = to_micros(self.clock.now())
        for kind, ready in self._items.items():
            some = [it for it in queued if it.item.lane_kind == kind]
            if some:
                handed = sqlite_outbox.put(
                    tx.raw, kind, some, me=self._me, room=ready.room, now=now
                )
                tx.published.extend(handed)
                if len(handed) < len(some):
                    tx.published.append(ready)

    async def claim_items(self, kind: LaneKind, limit: int) -> list[Item]:
        ready = self._items[kind]
        while ready.paused or not ready:
            if ready.unclaimed and not ready.paused:
                with ready.looking():
                    await self._writer.run(
                        lambda tx: self._claim_items(tx, kind, limit), kept=False
                    )
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

    async def start_attempt(self, item: Item, terms: Terms | None = None) -> Start:
        (start,) = await self._writer.run_batch(self._begin_attempts, [Attempt(item, terms)])
        result: Start = start
        return result

    def _begin_attempts(self, tx: Transaction, attempts: list[Attempt]) -> list[Start]:
        now = to_micros(self.clock.now())
        answers = sqlite_attempts.start(tx.raw, attempts, now, me=self._me)
        for (item, _), (start, following) in zip(attempts, answers, strict=True):
            self._follow(tx, item, following)
            if start is Start.NOT:
                tx.published.append(self._items[item.lane_kind])
        return [start for start, _ in answers]

    async def postpone(self, item: Item, until: datetime) -> None:
        def give_back(tx: Transaction) -> None:
            at = to_micros(until)
            sqlite_lanes.postpone(
                tx.raw, item.lane_kind, item.lane, item.seq, me=self._me, ready_at=at
            )
            tx.published.append(self._items[item.lane_kind])

        await self._writer.run(give_back)

    async def finish_attempt(self, item: Item, result: AttemptResult) -> None:
        sql = bool(result.effects)
        # A power cut that takes it leaves the attempt as unknown, as one before it would have.
        await self._writer.run_batch(self._end_attempts, [End(item, result)], sql=sql, kept=False)

    def _end_attempts(self, tx: Transaction, ends: list[End]) -> list[None]:
        now = to_micros(self.clock.now())
        answers = sqlite_attempts.finish(tx.raw, ends, now, me=self._me)
        for (item, result), (counted, following) in zip(ends, answers, strict=True):
            if counted:
                if result.events:
                    self.put_events(tx, result.events)
                for effect in result.effects:
                    effect(SQLiteTx(self, tx))
            self._follow(tx, item, following)
            if result.state is not ItemState.DONE:
                tx.published.append(self._items[item.lane_kind])
            if result.effects:
                # They may have woken lanes of any kind.
                tx.published.extend(self._items.values())
        return [None] * len(ends)

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

    async def failed(self) -> None:
        await asyncio.shield(self._failure)

    def _fail(self, error: StorageUnavailable) -> None:
        self._failure.set_exception(error)
        self._failure.exception()  # told to each who waits, and to those who look later

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
        return self.changes.subscribe()

    def _publish(self, published: list[Any]) -> None:
        """Hand out, in the event loop, what a commit has made possible."""
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


def _is_of_another(commit: Commit) -> bool:
    """Tell whether the thread that a commit writes belongs to another lane than its event."""
    thread, work = commit.conversation, commit.work
    return thread is not None and work.ref.lane != f"{work.tenant}/{thread.contact.key}"


def _queued(commit: Commit) -> list[Queued]:
    tenant, decided, thread = commit.work.tenant, commit.work.ref, commit.conversation
    name, epoch = (None, 0) if thread is None else (thread.id, thread.epoch)
    return [Queued(item, tenant, name, epoch, decided) for item in commit.items]
