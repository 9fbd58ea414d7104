"""The engine by hand: a real store, a clock that stands still, every step the test's choice."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import anyio
import sqlalchemy as sa
from anyio.from_thread import start_blocking_portal
from sqlalchemy.ext.asyncio import create_async_engine

from router.clock import Clock
from router.domain.conversation import Contact, Conversation
from router.domain.event import DeliveryReported, InboundEvent, MessageEchoed, MessageReceived
from router.domain.identity import Address, lane_key, thread_key
from router.domain.message import Author, Direction
from router.domain.outbox import ItemKind, ItemState
from router.plugin.testing import FakeClock
from router.storage.sqlite.store import SQLiteStore
from router.storage.store import (
    IN,
    OWN_LANE,
    Accepted,
    AttemptResult,
    Commit,
    EventRef,
    Item,
    LaneKind,
    NewEvent,
    NewItem,
    NewMessage,
    Store,
    Tx,
    Work,
)
from router.storage.tables import conversation, inbox_event, lane, message, metadata, node, outbox
from tests.databases import empty_sqlite
from tests.postgres import PostgresServer

ANA = Address("tel", "+573001234567")
LUIS = Address("tel", "+573009876543")

#: Seconds in which a worker is woken; one whose wake-up was lost looks by itself after five.
BEFORE_LOOKING = 4.0

#: How long a claim that finds nothing is watched.
_GLANCE = 0.03


class SQLiteDatabase:
    """A SQLite file with the schema in it. Another store brings a class of the same shape."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "router.db"
        if not self.path.exists():
            empty_sqlite(self.path)

    async def open(self, clock: Clock) -> Store:
        return await SQLiteStore.open(self.path, clock)

    def looker(self) -> sa.Engine:
        """Give a quick way to look in beside the store."""
        return sa.create_engine(f"sqlite:///{self.path}", poolclass=sa.pool.StaticPool)

    def close(self) -> None:
        """The folder goes with the test."""


class PostgresDatabase:
    """A database of a PostgreSQL server, with the schema in it."""

    #: Set before a test that runs on PostgreSQL begins.
    server: ClassVar[PostgresServer]

    def __init__(self, _: Path) -> None:
        self._database = self.server.database(migrated=True)
        self.url = self._database.__enter__().url

    async def open(self, clock: Clock, **options: Any) -> Store:
        from router.storage.postgres.store import PostgresStore

        return await PostgresStore.open(self.url, clock, **options)

    def looker(self) -> "Looker":
        """Give a quick way to look in beside the store."""
        return Looker(self.url)

    def clear(self) -> None:
        """Take every row away."""
        looker = Looker(self.url)
        for table in reversed(metadata.sorted_tables):
            looker.execute(sa.delete(table))
        looker.dispose()

    def close(self) -> None:
        self._database.__exit__(None, None, None)


class Looker:
    """A PostgreSQL database for whoever has no time for a loop: its own turns in a thread."""

    def __init__(self, url: str) -> None:
        self._portal = start_blocking_portal()
        self._run = self._portal.__enter__().call
        self._engine = create_async_engine(url, isolation_level="AUTOCOMMIT")

    def connect(self) -> Self:
        return self

    def execution_options(self, **_: Any) -> Any:
        return self

    def execute(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        return self._run(self._execute, statement)

    async def _execute(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return result.all() if result.returns_rows else ()

    def dispose(self) -> None:
        self._run(self._engine.dispose)
        self._portal.__exit__(None, None, None)


Database: TypeAlias = SQLiteDatabase | PostgresDatabase

#: Every store that gives the guarantees, by name.
DATABASES: dict[str, Callable[[Path], Database]] = {
    "sqlite": SQLiteDatabase,
    "postgres": PostgresDatabase,
}


@dataclass
class Engine:
    """A store and what tests do with it."""

    database: Database
    clock: FakeClock
    store: Store
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    others: bool = False

    # --- starting and stopping

    async def crash(self) -> None:
        """Lose the process: what it held leased is not given back. Other nodes die with it."""
        if self.others:
            self.others = False
            await self.store.write(_others_die)
        await self.store.close()
        self.store = await self.database.open(self.clock)

    async def restart(self) -> None:
        """Stop in order and start again."""
        self.store.pause()
        await self.store.release_all()
        await self.crash()

    async def another_node_takes(self, item: Work | Item) -> None:
        """Let a lane that this node leased be leased by another, as after an expiry."""
        key, kind = (item.ref.lane, IN) if isinstance(item, Work) else (item.lane, item.lane_kind)

        def take(tx: Tx) -> None:
            another = tx.connection.execute(
                sa.update(lane)
                .where(lane.c.kind == kind, lane.c.key == key)
                .values(lease_owner=lane.c.lease_owner + 1000)
                .returning(lane.c.lease_owner)
            ).scalar_one()
            here = datetime.now(UTC)
            values = {"id": another, "started_at": here, "expires_at": here + timedelta(days=1)}
            tx.connection.execute(
                sa.insert(node).values(**values, host="another", version="1", polls=True)
            )

        await self.store.write(take)
        self.others = True

    # --- what comes in

    def said(
        self,
        text: str = "hola",
        *,
        id: str | None = None,
        who: Address = ANA,
        tenant: str = "main",
        channel: str = "phone",
        aliases: Sequence[Address] = (),
        lane: str | None = None,
    ) -> NewEvent:
        event = MessageReceived(id or f"in-{next(self.numbers)}", who, text, aliases=tuple(aliases))
        return self.event(event, tenant=tenant, channel=channel, lane=lane)

    def echoed(
        self,
        text: str,
        *,
        id: str | None = None,
        provider_id: str | None = None,
        who: Address = ANA,
        tenant: str = "main",
        channel: str = "phone",
    ) -> NewEvent:
        event = MessageEchoed(
            id or f"echo-{next(self.numbers)}", who, text, provider_id=provider_id
        )
        return self.event(event, tenant=tenant, channel=channel)

    def reported(
        self,
        provider_id: str,
        status: str,
        *,
        item: str | None = None,
        code: str | None = None,
        tenant: str = "main",
        channel: str = "phone",
    ) -> NewEvent:
        event = DeliveryReported(provider_id, ANA, status, item, code)
        return self.event(event, tenant=tenant, channel=f"{channel}/status")

    def event(
        self,
        event: InboundEvent,
        *,
        tenant: str = "main",
        channel: str = "phone",
        lane: str | None = None,
    ) -> NewEvent:
        return NewEvent(
            lane=lane or lane_key(tenant, event.address),
            tenant=tenant,
            source=f"{tenant}/{channel}",
            external_id=event.dedupe_key,
            event=event,
            received_at=self.clock.now(),
        )

    async def accept(self, *events: NewEvent) -> list[Accepted]:
        return await self.store.enqueue(events)

    # --- working

    async def claim(self, limit: int = 100) -> list[Work]:
        with anyio.fail_after(30):
            return await self.store.claim(limit)

    async def claim_one(self) -> Work:
        (work,) = await self.claim(1)
        return work

    async def claim_items(self, kind: LaneKind = "out", limit: int = 100) -> list[Item]:
        with anyio.fail_after(30):
            return await self.store.claim_items(kind, limit)

    async def claim_item(self, kind: LaneKind = "out") -> Item:
        (item,) = await self.claim_items(kind, 1)
        return item

    async def idle(self, kind: LaneKind = IN) -> bool:
        """Tell whether there is nothing to claim."""
        with anyio.move_on_after(_GLANCE):
            if kind == IN:
                await self.store.release(await self.store.claim(1))
            else:
                await self.store.release(await self.store.claim_items(kind, 1))
            return False
        return True

    def commit(
        self,
        work: Work,
        *replies: str,
        author: Author = Author.BOT,
        items: Sequence[NewItem] = (),
        outcome: str | None = None,
        **changes: Any,
    ) -> Commit:
        """Give the commit that a decision to reply makes; to an event of nobody, a bare one."""
        thread = self.thread(work)
        outcome = outcome or ("reply" if replies else "ignore")
        if thread is None:
            return replace(Commit(work=work, outcome=outcome, items=tuple(items)), **changes)
        messages = [self.message(reply, thread, author) for reply in replies]
        lines = []
        for item, reply in zip(messages, replies, strict=True):
            line = NewMessage(
                id=item.id,
                direction=Direction.OUT,
                author=author,
                text=reply,
                channel=thread.channel,
                address=thread.address,
                status="queued",
            )
            lines.append(line)
        commit = Commit(
            work=work,
            outcome=outcome,
            conversation=thread,
            messages=tuple(lines),
            items=(*messages, *items),
        )
        return replace(commit, **changes)

    def thread(self, work: Work) -> Conversation | None:
        if work.conversation is not None or not isinstance(work.event, MessageReceived):
            return work.conversation
        person = work.contact or Contact(
            id=self.name("contact"), key=thread_key(work.event.sender), name=work.event.name
        )
        return Conversation(
            id=self.name("conversation"),
            contact=person,
            channel=work.source.split("/")[1],
            address=work.event.sender,
        )

    def message(
        self, text: str, thread: Conversation, author: Author = Author.BOT, tenant: str = "main"
    ) -> NewItem:
        return NewItem(
            id=self.name("item"),
            kind=ItemKind.MESSAGE,
            lane=f"{tenant}/{thread.channel}/{thread.address}",
            author=author,
            destination=thread.channel,
            body=f'{{"text": "{text}", "recipient": "{thread.address}"}}',
        )

    def action(self, to: str = "pager") -> NewItem:
        name = self.name("item")
        return NewItem(
            id=name,
            kind=ItemKind.ACTION,
            lane=OWN_LANE + name,
            author=Author.RULE,
            destination=to,
            body="{}",
        )

    def name(self, what: str) -> str:
        return f"{what}-{next(self.numbers)}"

    async def complete(self, *commits: Commit) -> None:
        await self.store.complete(commits)

    async def answer(self, text: str = "hola", *replies: str, **options: Any) -> Work:
        """Let a customer write, and answer it; the answers stand in the outbox."""
        await self.accept(self.said(text, **options))
        work = await self.claim_one()
        await self.complete(self.commit(work, *replies))
        return work

    async def send(self, item: Item, provider_ref: str | None = None) -> bool:
        """Make an attempt that succeeds."""
        if not await self.store.start_attempt(item):
            return False
        result = AttemptResult(state=ItemState.DONE, provider_ref=provider_ref or f"ref-{item.id}")
        await self.store.finish_attempt(item, result)
        return True

    async def attempt(
        self, item: Item, state: ItemState, error: str = "broken", retry_in: float | None = None
    ) -> None:
        """Make an attempt that ends as it is told."""
        assert await self.store.start_attempt(item)
        later = None
        if retry_in is not None:
            later = self.clock.now() + timedelta(seconds=retry_in)
        result = AttemptResult(state=state, error=error, retry_at=later)
        await self.store.finish_attempt(item, result)

    async def person_writes(self, text: str, thread: str) -> str:
        """Put a person's message into the outbox, as an act at the desk does; give its id."""
        name = self.name("item")

        def put(tx: Tx) -> None:
            row = tx.connection.execute(
                sa.select(conversation).where(conversation.c.id == thread)
            ).one()
            item = NewItem(
                id=name,
                kind=ItemKind.MESSAGE,
                lane=f"{row.tenant}/{row.channel}/{row.address}",
                author=Author.PERSON,
                destination=row.channel,
                body=f'{{"text": "{text}", "recipient": "{row.address}"}}',
            )
            tx.send([item], tenant=row.tenant, conversation=thread, epoch=row.epoch)

        await self.store.write(put)
        return name

    # --- looking

    async def rows(self, table: sa.Table, **where: Any) -> list[Any]:
        statement = sa.select(table)
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        statement = statement.order_by(*table.primary_key)
        return await self.store.read(lambda it: list(it.execute(statement)))

    async def outcomes(self, lane: str | None = None) -> list[str | None]:
        where = {} if lane is None else {"lane": lane}
        return [row.outcome for row in await self.rows(inbox_event, **where)]

    async def states(self) -> dict[str, str]:
        """Give each message's text and the state of its item, in the order of its lane."""
        import json

        rows = sorted(await self.rows(outbox), key=lambda row: (row.lane, row.seq))
        return {json.loads(row.body)["text"]: row.state for row in rows if row.kind == "message"}

    async def state(self, id: str) -> str:
        (row,) = await self.rows(outbox, id=id)
        state: str = row.state
        return state

    async def line(self, id: str) -> Any:
        (row,) = await self.rows(message, id=id)
        return row

    async def conversation(self) -> Any:
        (row,) = await self.rows(conversation)
        return row

    async def lane(self, kind: str = IN, key: str | None = None) -> Any:
        rows = await self.rows(lane, kind=kind, **({} if key is None else {"key": key}))
        (row,) = rows
        return row


def _others_die(tx: Tx) -> None:
    """Do to the nodes that tests made up what survivors do to dead ones."""
    dead = list(
        tx.connection.execute(sa.select(node.c.id).where(node.c.host == "another")).scalars()
    )
    tx.connection.execute(sa.delete(node).where(node.c.id.in_(dead)))
    tx.connection.execute(
        sa.update(lane).where(lane.c.lease_owner.in_(dead)).values(lease_owner=None, crashes=1)
    )


def ref(number: int, who: Address = ANA, tenant: str = "main") -> EventRef:
    return EventRef(lane_key(tenant, who), number)


@asynccontextmanager
async def opened(name: str, folder: Path) -> AsyncIterator[Engine]:
    """Open an engine on an empty database."""
    clock = FakeClock()
    database = DATABASES[name](folder)
    try:
        engine = Engine(database, clock, await database.open(clock))
        try:
            yield engine
        finally:
            await engine.store.close()
    finally:
        database.close()
