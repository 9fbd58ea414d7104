"""What is locked is locked in one order: two transactions never wait for each other in a circle.

The server would find the circle, after a second in which a whole node stands still. Here it looks
for none in time, so that a circle is a test that does not end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest
import sqlalchemy as sa

from router.domain.event import DeliveryReported
from router.domain.message import Author
from router.domain.outbox import ItemState
from router.storage.conversations import note_person, take_conversation
from router.storage.deliveries import apply_report
from router.storage.outbox import Verdict, resolve_item
from router.storage.store import AttemptResult, NewTimer, Start, Tx
from router.storage.tables import timer
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.integration.engine.nodes import node_of, place_dsn, waiting

#: How long both may take; a circle would be found later.
_LONG, _FOUND = 25.0, "40s"


@pytest.fixture
def place(place: PostgresDatabase) -> PostgresDatabase:
    """Give a database whose sessions look for circles late."""

    async def be_patient() -> None:
        raw = await asyncpg.connect(place.url.replace("+asyncpg", ""))
        name = await raw.fetchval("SELECT current_database()")
        await raw.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '{_FOUND}'")
        await raw.close()

    asyncio.run(be_patient())
    return place


@pytest.fixture
async def first(place: PostgresDatabase) -> AsyncIterator[Engine]:
    async with node_of(place, lease=300.0) as engine:
        yield engine


@pytest.fixture
async def second(place: PostgresDatabase) -> AsyncIterator[Engine]:
    async with node_of(place, lease=300.0) as engine:
        engine.numbers = iter(range(10_000, 20_000))  # type: ignore[assignment]
        yield engine


@asynccontextmanager
async def held(engine: Engine, table: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold all rows of a table for as long as it takes to bring two others into place."""
    raw = await asyncpg.connect(place_dsn(engine))
    try:
        await raw.execute("BEGIN")
        await raw.execute(f"SELECT * FROM {table} FOR UPDATE")  # noqa: S608 - a name of ours
        yield raw
    finally:
        await raw.close()


async def both(engine: Engine, table: str, one: Awaitable[Any], other: Awaitable[Any]) -> list[Any]:
    """Let one begin and wait for a table, let the other come in between; see both end."""
    async with held(engine, table) as raw:
        tasks = [asyncio.ensure_future(one)]
        await waiting(engine, 1)
        tasks.append(asyncio.ensure_future(other))
        await waiting(engine, 2)
        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            return list(await asyncio.gather(*tasks))


async def test_a_takeover_at_the_desk_and_the_start_of_an_attempt(first: Engine) -> None:
    await first.answer("hola", "uno")
    item = await first.claim_item()
    thread = (await first.conversation()).id

    def take(tx: Tx) -> None:
        take_conversation(tx.connection, "main", thread, by="eva", now=tx.now)

    _, start = await both(first, "outbox", first.store.write(take), first.store.start_attempt(item))

    assert start is Start.NOT
    assert await first.states() == {"uno": "withdrawn"}


async def test_an_echo_of_a_person_and_the_start_of_an_attempt(
    first: Engine, second: Engine
) -> None:
    await first.answer("hola", "uno")
    item = await first.claim_item()

    echo = second.accept(second.echoed("Le escribe Eva"))
    _, start = await both(first, "outbox", echo, first.store.start_attempt(item))

    assert start is Start.NOT
    assert await first.states() == {"uno": "withdrawn"}


async def test_an_echo_of_a_person_and_the_end_of_an_event(first: Engine, second: Engine) -> None:
    await first.answer("hola", "uno")
    await first.accept(first.said("otra"))
    work = await first.claim_one()

    echo = second.accept(second.echoed("Le escribe Eva"))
    await both(first, "outbox", echo, first.complete(first.commit(work, "dos")))

    assert await first.states() == {"uno": "withdrawn"}
    assert (await first.claim_one()).conversation is not None


async def test_our_own_echo_and_the_end_of_its_attempt(first: Engine, second: Engine) -> None:
    await first.answer("hola", "uno")
    item = await first.claim_item()
    assert await first.store.start_attempt(item)

    sent = AttemptResult(state=ItemState.DONE, provider_ref="ref-1")
    echo = second.accept(second.echoed("uno", provider_id="ref-1"))
    await both(first, "outbox", echo, first.store.finish_attempt(item, sent))

    assert await first.states() == {"uno": "done"}
    assert (await first.lane("out")).ready_at is None


async def test_a_report_and_the_end_of_the_attempt_that_it_is_about(
    first: Engine, second: Engine
) -> None:
    await first.answer("hola", "uno")
    item = await first.claim_item()
    assert await first.store.start_attempt(item)
    report = second.reported("ref-1", "delivered", item=item.id).event
    assert isinstance(report, DeliveryReported)

    def tell(tx: Tx) -> None:
        apply_report(tx.connection, "main", "phone", report, tx.now)

    sent = AttemptResult(state=ItemState.DONE, provider_ref="ref-1")
    await both(first, "outbox", second.store.write(tell), first.store.finish_attempt(item, sent))

    assert await first.states() == {"uno": "done"}
    assert (await first.line(item.id)).status == "delivered"
    assert (await first.lane("out")).ready_at is None


async def test_the_end_of_an_event_and_the_start_of_an_attempt(
    first: Engine, second: Engine
) -> None:
    await first.answer("hola", "uno")
    item = await first.claim_item()
    await second.accept(second.said("otra"))
    work = await second.claim_one()

    end = second.complete(second.commit(work, "dos"))
    _, start = await both(first, "inbox_event", end, first.store.start_attempt(item))

    assert start is Start.BEGUN
    assert await first.states() == {"uno": "started", "dos": "waiting"}


async def test_the_end_of_an_event_and_a_persons_message(first: Engine) -> None:
    await first.answer("hola", "uno")
    await first.accept(first.said("otra"))
    work = await first.claim_one()
    thread = await first.conversation()
    item = first.message("dos", thread, Author.PERSON)

    def write(tx: Tx) -> None:
        tx.send([item], tenant="main", conversation=thread.id, epoch=thread.epoch)
        note_person(tx.connection, "main", thread.id, now=tx.now)

    end = first.complete(first.commit(work, "tres"))
    await both(first, "inbox_event", end, first.store.write(write))

    assert await first.states() == {"uno": "waiting", "tres": "waiting", "dos": "waiting"}


async def test_what_an_attempt_brings_back_and_the_end_of_an_event(
    first: Engine, second: Engine
) -> None:
    job = replace(first.action(), lane="shared")
    await first.accept(first.said())
    await first.complete(first.commit(await first.claim_one(), items=[job]))
    item = await first.claim_item("job")
    assert await first.store.start_attempt(item)
    await second.accept(second.said("otra"))
    work = await second.claim_one()

    brought = AttemptResult(state=ItemState.DONE, events=(first.said("respuesta"),))
    end = second.complete(second.commit(work, items=[replace(second.action(), lane="shared")]))
    await both(first, "outbox", first.store.finish_attempt(item, brought), end)

    assert await first.outcomes() == ["ignore", "ignore", None]


async def test_the_end_of_an_event_that_sets_a_timer_anew_and_the_sweep_of_timers(
    first: Engine, second: Engine
) -> None:
    def at(seconds: float, generation: int) -> NewTimer:
        due = first.clock.now() + timedelta(seconds=seconds)
        return NewTimer(kind="turn", key="ana", due_at=due, generation=generation)

    later = (at(9, 2),)
    await second.accept(second.said("hola"))
    await second.complete(second.commit(await second.claim_one(), timers=(at(1, 1),)))
    await second.accept(second.said("otra"))
    work = await second.claim_one()
    first.clock.advance(timedelta(seconds=2))

    async with held(first, "inbox_event") as raw:
        end = asyncio.ensure_future(second.complete(second.commit(work, timers=later)))
        await waiting(first, 1)
        with anyio.fail_after(_LONG):
            # The lane is held: its timer is left for the next sweep, and nobody waits.
            assert await first.store.fire_timers() == 0
            await raw.execute("COMMIT")
            await end

    assert [row.generation for row in await first.rows(timer)] == [2]


async def test_what_is_settled_while_the_lane_is_just_parked_wakes_it_all_the_same(
    first: Engine,
) -> None:
    await first.answer("hola", "uno", "dos")
    lost = await first.claim_item()
    await first.attempt(lost, ItemState.UNKNOWN)
    await first.answer("otra")
    await first.person_writes("tres", (await first.conversation()).id)
    await first.answer("otra más", "cuatro")
    written = await first.claim_item()
    assert await first.store.start_attempt(written)

    def settle(tx: Tx) -> None:
        resolve_item(tx.connection, "main", lost.id, verdict=Verdict.SENT, by="eva", now=tx.now)
        tx.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(1)))

    sent = AttemptResult(state=ItemState.DONE, provider_ref="ref-3")
    raw = await asyncpg.connect(place_dsn(first))
    try:
        await raw.execute("SELECT pg_advisory_lock(1)")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.store.write, settle)
            await waiting(first, 1)
            tasks.start_soon(first.store.finish_attempt, written, sent)
            with anyio.move_on_after(0.5):
                await waiting(first, 2)
            await raw.execute("SELECT pg_advisory_unlock(1)")
    finally:
        await raw.close()

    assert await first.send(await first.claim_item())
    states = {"uno": "done", "dos": "withdrawn", "tres": "done", "cuatro": "done"}
    assert await first.states() == states
