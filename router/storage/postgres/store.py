"""The store on PostgreSQL: many nodes on one database, each with two flushers for everybody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from router.clock import Clock, FollowingClock
from router.domain.limits import CLOCKS_APART, LONGEST_RETRY
from router.errors import StorageUnavailable
from router.storage.changes import Listener
from router.storage.conflicts import number_of
from router.storage.postgres import lanes
from router.storage.postgres.dispatch import NodeDispatch
from router.storage.postgres.engine import (
    Sessions,
    Transaction,
    begin,
    connected,
    in_transaction,
    in_words,
    is_away,
    keep_open,
    make_engine,
    may_go_well,
)
from router.storage.postgres.node import Node, is_pooled
from router.storage.postgres.sending import OutboxWork, locks_of_item
from router.storage.postgres.session import Session
from router.storage.postgres.statements.aliases import ALIASES
from router.storage.postgres.statements.clocks import (
    AFTER,
    NO_QUEUE,
    NO_SUCH_RETRY,
    NOT_LATER,
    POLLERS_NOT_LATER,
    TURNS_SOON,
)
from router.storage.postgres.statements.lanes import RELEASE_ALL
from router.storage.postgres.statements.locks import TURN
from router.storage.postgres.tx import PostgresTx, Writing, has_echo
from router.storage.postgres.work import InboxWork, locks_of
from router.storage.postgres.writer import Flusher
from router.storage.ready import Ready
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

Result = TypeVar("Result")
Leased = TypeVar("Leased")

_LONGEST_TURN = timedelta(seconds=60)
#: Connections for reading and for what people do.
_CONNECTIONS = 5
#: Of each flusher: the server works on one group while the next is made up here.
_SESSIONS = 2
#: How often an act is tried that others were in the way of.
_TRIES = 10
#: Seconds between two looks for work where nobody tells us, and between two for learnt aliases.
_POLL = 0.25
_ALIASES = 30.0
#: Seconds between two tries of what could not be committed.
_PROBE = 1.0


class PostgresStore(Store):
    """A PostgreSQL database, opened by one of its nodes. See :class:`Store`.

    Use :meth:`open`; the schema must be there already.
    """

    def __init__(
        self, url: str, clock: Clock, *, pooled: bool, lease: float, heartbeat: float
    ) -> None:
        self.clock = clock
        #: A transaction pooler is in between: work of other nodes is found by looking.
        self.pooled = pooled
        self._aliases: dict[tuple[str, str], str] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.Task[None] | None = None
        #: Why the last group of a flusher could not be committed; ``None`` once one could.
        self._errors: dict[str, str | None] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._closing = False
        # A process that freezes in the middle gives its locks back when its lease is over.
        self._lease = lease
        self._act = begin(lease)
        self._glance = begin(lease, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._sessions = Sessions()
        self._single = self._sessions.of(make_engine(url, pooled=pooled))
        self._engine = self._sessions.of(make_engine(url, pooled=pooled, connections=_CONNECTIONS))
        self._reader = self._engine.execution_options(postgresql_readonly=True)
        self._dispatch = NodeDispatch()
        self._writing = Writing(clock, self._dispatch, self._mirror_alias)
        self.ages = self._writing.ages
        self._inbox = InboxWork(self._writing)
        self._outbox = OutboxWork(self._writing, self._inbox)
        self._node = self._dispatch.node = Node(
            self._single,
            clock,
            pooled=pooled,
            lease=lease,
            tick=heartbeat,
            heard=self._hear,
            changed=self._dispatch.forget,
            freed=self._dispatch.look,
            silent=self._sessions.cut,
        )
        session = partial(
            Session,
            self._single,
            pooled=pooled,
            node=lambda: self._node.me,
            lost=self._node.abandon,
            patience=lease,
        )
        flusher = partial(Flusher, publish=self._dispatch.publish, report=self._report)
        # Two, so that who offers an event does not wait for what others have decided. What comes
        # in locks nothing but lanes, in their order; so the two never wait for each other in turn.
        work = [session() for _ in range(_SESSIONS)]
        self._flusher: Flusher = flusher(work, name="work")
        intake = [session(single=self._inbox.accept) for _ in range(_SESSIONS)]
        self._intake: Flusher = flusher(intake, name="intake", behind=self._flusher)

    @classmethod
    async def open(
        cls, url: str, clock: Clock, *, lease: float = 15.0, heartbeat: float = 1.0
    ) -> "PostgresStore":
        """Join the nodes of a database, and free what dead ones held.

        :param url: with or without the driver's name.
        :param lease: seconds after which a node that says nothing counts as dead.
        :param heartbeat: seconds between two signs of life.
        :raises StorageUnavailable: if the database cannot be reached.
        :raises StorageError: if the URL has options that mean nothing here.
        """
        pooled = await is_pooled(url)
        store = cls(url, clock, pooled=pooled, lease=lease, heartbeat=heartbeat)
        try:
            # First, because from then on this clock is right.
            await store._node.begin()
            await store._flusher.run(store._begin)
            # Who may open too few sessions learns it now, and not at the first webhook.
            await store._intake.run(lambda _: None)
        except BaseException:
            await store.close()
            raise
        store._looking = asyncio.create_task(store._look_around(), name="postgres-look")
        return store

    def _begin(self, tx: Transaction) -> None:
        now = self.clock.now()
        # Without a reason, who waits for a sender would lose its place to those behind it.
        ((newest,),) = tx.rows(AFTER, now + CLOCKS_APART)
        if newest is not None:
            back = newest - now
            # So far back that it was another time, which every start since has seen: what is left
            # of that time is brought in by itself.
            self._not_later(tx, now, back if back <= LONGEST_RETRY else timedelta())
        tx.rows(NO_SUCH_RETRY, now, now + LONGEST_RETRY)
        tx.rows(TURNS_SOON, now + _LONGEST_TURN)
        self._read_aliases(tx)

    @staticmethod
    def _not_later(tx: Transaction, now: datetime, back: timedelta) -> None:
        # Before the lanes: a poll that found something locks them in this order, too.
        tx.rows(POLLERS_NOT_LATER, now, back)
        tx.rows(NOT_LATER, now, back)
        tx.rows(NO_QUEUE)

    async def clock_set_back(self, back: timedelta) -> None:
        def look_again(tx: Transaction) -> None:
            now = self.clock.now()
            self._not_later(tx, now, back)
            tx.rows(TURNS_SOON, now + _LONGEST_TURN)
            tx.published.extend(self._dispatch.everything())
            tx.published.append(partial(self._dispatch.alarm.set, now))

        # Which lanes it changes is known only when it runs.
        await self._flusher.run(look_again, alone=True)

    async def close(self) -> None:
        self._dispatch.changes.close()
        self._closing = True
        tasks = [*self._probes.values(), *([] if self._looking is None else [self._looking])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._intake.close()
        await self._flusher.close()
        await self._node.close()
        await self._engine.dispose()
        await self._single.dispose()

    def _report(self, name: str, error: str | None) -> None:
        self._errors[name] = error
        if error is not None and name not in self._probes and not self._closing:
            self._probes[name] = asyncio.create_task(self._probe(name), name="postgres-probe")

    async def _probe(self, name: str) -> None:
        """Find out when a flusher can commit again: who is not ready is sent no webhook to try."""
        flusher = self._intake if name == "intake" else self._flusher
        while self._errors[name] is not None:
            await asyncio.sleep(_PROBE)
            with suppress(Exception):  # it has reported it, and comes again
                await flusher.run(lambda _: None)
        del self._probes[name]

    # --- threads

    @property
    def aliases(self) -> Mapping[tuple[str, str], str]:
        return self._aliases

    def _mirror_alias(self, tenant: str, address: str, key: str) -> None:
        """Take up an alias that was committed here, and tell the other nodes."""
        self._aliases[tenant, address] = key
        self._node.notify({"alias": [tenant, address, key]})

    def forget_aliases(self, tenant: str, addresses: Sequence[str]) -> None:
        for address in addresses:
            if self._aliases.pop((tenant, address), None) is not None:
                self._node.notify({"alias": [tenant, address, None]})

    def _read_aliases(self, tx: Transaction) -> None:
        # The same object: others hold it.
        known = set(self._aliases)
        rows = tx.rows(ALIASES)
        self._aliases.update({(tenant, address): key for tenant, address, key in rows})
        # Of people who were erased. One that was learnt meanwhile is found the next time.
        for gone in known.difference((tenant, address) for tenant, address, _ in rows):
            self._aliases.pop(gone, None)

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        locks = [(IN, event.lane) for event in events]
        # An echo locks more than lanes: it takes the conversation over.
        echo = has_echo(events)
        flusher = self._flusher if echo else self._intake
        (accepted,) = await flusher.run_batch(self._inbox.accept, [events], locks, wide=echo)
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
                    await self._flusher.run(claim)
            else:
                await ready.wait(self.clock.now)
        return ready.take(limit)

    async def complete(self, commits: Sequence[Commit]) -> None:
        wide = any(commit.effects for commit in commits)
        await self._flusher.run_batch(self._inbox.settle, commits, locks_of(commits), wide=wide)

    async def fail(self, work: Work, error: str, retry_at: datetime) -> None:
        await self._flusher.run(
            lambda tx: self._inbox.fail(tx, work, error, retry_at), [(IN, work.ref.lane)]
        )

    async def suspect(self, work: Work) -> None:
        leased = _leased(work)
        await self._flusher.run(
            lambda tx: lanes.suspect(tx, *leased, work.crashes + 1), [leased[:2]]
        )

    # --- outbox

    async def claim_items(self, kind: LaneKind, limit: int) -> list[Item]:
        return await self._claim(
            self._dispatch.items[kind], limit, lambda tx: self._outbox.claim(tx, kind, limit)
        )

    async def start_attempt(self, item: Item, terms: Terms | None = None) -> Start:
        parts = [(item, terms)]
        (start,) = await self._flusher.run_batch(self._outbox.start, parts, locks_of_item(item))
        return Start(start)

    async def postpone(self, item: Item | Work, until: datetime) -> None:
        lane = lanes.Later(*_leased(item), until)
        await self._flusher.run(lambda tx: self._outbox.postpone(tx, lane), [(lane.kind, lane.key)])

    async def finish_attempt(self, item: Item, result: AttemptResult) -> None:
        locks = [*locks_of_item(item), *((IN, event.lane) for event in result.events)]
        wide = bool(result.effects) or has_echo(result.events)
        await self._flusher.run_batch(self._outbox.finish, [(item, result)], locks, wide=wide)

    async def release(self, items: Sequence[Item | Work]) -> None:
        leased = [(*_leased(it), it.crashes if isinstance(it, Work) else 0) for it in items]

        def give_back(tx: Transaction) -> None:
            lanes.release(tx, leased)
            tx.published.extend(self._dispatch.everything())

        if items:
            await self._flusher.run(give_back, [lane[:2] for lane in leased])

    def pause(self) -> None:
        self._dispatch.pause()

    async def release_all(self) -> None:
        # What is on its way may lease lanes; what comes after a pause leases none.
        await self._intake.run(lambda _: None, alone=True)
        self._dispatch.forget()

        def give_back(tx: Transaction) -> None:
            if self._node.me is not None:
                tx.rows(RELEASE_ALL, self._node.me)
            tx.published.extend(self._dispatch.everything())

        await self._flusher.run(give_back, alone=True)

    # --- timers

    async def fire_timers(self, limit: int = 500) -> int:
        # Which lanes its events go to is known only when it runs.
        return await self._flusher.run(lambda tx: self._inbox.fire(tx, limit), alone=True)

    async def wait_timers(self) -> None:
        await self._dispatch.alarm.wait(self.clock.now)

    # --- other nodes' turns

    @property
    def shared(self) -> bool:
        return True  # even while this node is alone: another may be starting again

    async def wait_lost(self) -> None:
        await self._node.lost.wait()

    async def is_eldest(self) -> bool:
        from router.storage.status import living_nodes

        nodes = await self.read(living_nodes)
        return bool(nodes) and nodes[0].id == self._node.me

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        async with AsyncExitStack() as stack:
            try:
                # A connection of its own: what is done may need all of the others.
                _, raw = await stack.enter_async_context(connected(self._single))
                await raw.execute(self._act)
                mine = bool(await raw.fetchval(TURN, number_of("turn", name)))
            except Exception as error:
                if is_away(error):
                    raise in_words(error) from error
                raise
            over = asyncio.Event()
            kept = asyncio.create_task(keep_open(raw, over, self._lease / 3), name="postgres-turn")
            try:
                yield mine
            finally:
                over.set()
                with suppress(Exception):  # it goes with the connection, too
                    await kept
                    await raw.execute("ROLLBACK")

    # --- everything else

    @property
    def trouble(self) -> list[str]:
        errors = dict.fromkeys([*self._errors.values(), self._node.error])
        return [f"database: {error}" for error in errors if error is not None]

    @property
    def advice(self) -> list[str]:
        return [*self._of_the_clock(), *self._of_a_pooler()]

    def _of_the_clock(self) -> list[str]:
        ahead = self.clock.ahead if isinstance(self.clock, FollowingClock) else timedelta(0)
        if abs(ahead) <= CLOCKS_APART:
            return []
        where = "ahead of" if ahead > timedelta(0) else "behind"
        sentence = (
            f"this machine's clock is {abs(ahead).total_seconds():.0f} s {where} the database "
            "server's, which the router goes by instead: let both machines keep their time by NTP "
            "(timedatectl set-ntp true)"
        )
        return [sentence]

    def _of_a_pooler(self) -> list[str]:
        if not self.pooled:
            return []
        sentence = (
            "the database is reached through a transaction pooler such as pgbouncer, where LISTEN "
            "and session locks mean nothing: other nodes' work is found by looking four times a "
            "second, and a killed node is noticed only after its lease. Give the router a URL that "
            "leads to the server itself"
        )
        return [sentence]

    async def write(self, function: Callable[[Tx], Result]) -> Result:
        # In a task that nobody cancels: what was begun is committed.
        return await self._in_a_task(self._write(function))

    async def _write(self, function: Callable[[Tx], Result]) -> Result:
        def work(tx: Transaction) -> Result:
            return function(PostgresTx(self._writing, tx))

        for attempt in range(_TRIES):
            try:
                result, tx = await in_transaction(self._engine, work, self._act)
            except Exception as error:
                if is_away(error):
                    raise in_words(error) from error
                if attempt + 1 == _TRIES or not may_go_well(error):
                    raise
                # Whoever was in the way has committed, and is seen now.
                await asyncio.sleep(0.005 * attempt)
            else:
                self._dispatch.publish([*tx.published, *self._dispatch.everything()])
                return result
        raise AssertionError

    async def read(self, function: "Callable[[Connection], Result]") -> Result:
        return await self._in_a_task(self._read(function))

    async def _read(self, function: "Callable[[Connection], Result]") -> Result:
        try:
            async with connected(self._reader) as (connection, raw):
                # One snapshot for everything that is looked at.
                await raw.execute(self._glance)
                try:
                    return await connection.run_sync(function)
                finally:
                    if not raw.is_closed():
                        await raw.execute("ROLLBACK")
        except Exception as error:
            if is_away(error):
                raise in_words(error) from error
            raise

    async def _in_a_task(self, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._has_done)
        return await asyncio.shield(task)

    def _has_done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen by whoever waits; nobody does after a cancellation

    def subscribe(self) -> Listener:
        return self._dispatch.changes.subscribe()

    # --- other nodes

    def _hear(self, what: Any) -> None:
        """Take a hint of another node."""
        if isinstance(what, dict):
            tenant, address, key = what["alias"]
            if key is None:  # the person was erased
                self._aliases.pop((tenant, address), None)
            else:
                self._aliases[tenant, address] = key
        else:
            self._dispatch.hear(what)

    async def _look_around(self) -> None:
        """Look for what nobody tells: aliases of other nodes, and their work where we poll."""
        passed = 0.0
        while True:
            await asyncio.sleep(_POLL if self.pooled else _ALIASES)
            passed += _POLL if self.pooled else _ALIASES
            if self.pooled:
                self._dispatch.look()
            if passed >= _ALIASES:
                passed = 0.0
                try:
                    await self._flusher.run(self._read_aliases)
                except StorageUnavailable:
                    pass  # the flusher has reported it
                except Exception as error:  # noqa: BLE001 - it is looked at again
                    self._errors["aliases"] = str(error)
                else:
                    self._errors["aliases"] = None


def _leased(it: Item | Work) -> tuple[str, str, int, int]:
    """Give the lane of what is leased: kind, key, lease and number."""
    if isinstance(it, Work):
        return IN, it.ref.lane, it.lease, it.ref.seq
    return it.lane_kind, it.lane, it.lease, it.seq
