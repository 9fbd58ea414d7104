"""Numbers, counted from what an engine really keeps."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from router.domain.answer import Usage
from router.domain.outbox import ItemState
from router.storage import stats
from router.storage.database.migrating import ensure
from router.storage.database.reading import reader
from router.storage.status import LaneCounts, Queue
from router.storage.store import OUT
from router.storage.tables import inbox_event
from router.storage.usage import record
from router.web.stats import numbers
from tests.integration.engine.harness import ANA, LUIS, Engine, SQLiteDatabase, opened
from tests.postgres import PostgresDatabase


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened("sqlite", tmp_path) as engine:
        yield engine


async def count(engine: Engine, function: Any, scope: stats.Scope, *more: Any) -> Any:
    return await engine.store.read(lambda it: function(it, scope, *more))


ALL = stats.Scope()
MAIN = stats.Scope(tenant="main")


async def test_empty_database_counts_nothing(engine: Engine) -> None:
    lanes = await count(engine, stats.lanes, ALL, engine.clock.now())

    assert await count(engine, stats.conversations, ALL) == stats.Conversations(
        total=0, active=0, escalated=0, closed=0
    )
    assert await count(engine, stats.messages, ALL) == stats.Messages(inbound=0, outbound=0)
    assert await count(engine, stats.events, ALL) == {}
    assert await count(engine, stats.decisions, ALL) == {}
    assert await count(engine, stats.outbox_items, ALL) == {}
    assert await count(engine, stats.usage_by_backend, ALL) == {}
    assert lanes == {"in": LaneCounts(), "out": LaneCounts(), "job": LaneCounts()}
    assert stats.queue({}, {}, lanes) == Queue(
        waiting=0, active=0, completed=0, failed=0, late=0, parked=0
    )


async def test_one_thread_from_arrival_to_delivery(engine: Engine) -> None:
    await engine.answer("hola", "buenas", "¿qué tal?")
    await engine.accept(engine.said("otra cosa"))
    [first] = await engine.store.claim_items(OUT, 10)
    await engine.send(first)

    now = engine.clock.now()
    events = await count(engine, stats.events, MAIN)
    items = await count(engine, stats.outbox_items, MAIN)
    lanes = await count(engine, stats.lanes, MAIN, now)
    assert await count(engine, stats.conversations, MAIN) == stats.Conversations(
        total=1, active=1, escalated=0, closed=0
    )
    assert await count(engine, stats.messages, MAIN) == stats.Messages(inbound=0, outbound=2)
    assert events == {"message": {"pending": 1, "reply": 1}}
    assert items == {"message": {"done": 1, "waiting": 1}}
    assert await count(engine, stats.unsettled, MAIN) == {"waiting": 1}
    queue = stats.queue(events, items, lanes)
    assert (queue.completed, queue.failed) == (2, 0)
    assert queue.waiting + queue.active == 2


async def test_a_tenant_sees_its_own_and_the_sum_has_all(engine: Engine) -> None:
    await engine.answer("hola", "buenas")
    await engine.answer("olá", "boa tarde", tenant="clinica", who=LUIS)

    for scope, number in [
        (MAIN, 1),
        (stats.Scope(tenant="clinica"), 1),
        (stats.Scope(tenant="nobody"), 0),
        (ALL, 2),
    ]:
        assert (await count(engine, stats.conversations, scope)).total == number
        assert (await count(engine, stats.messages, scope)).outbound == number
        assert (await count(engine, stats.events, scope)).get("message", {}) == (
            {"reply": number} if number else {}
        )
        assert sum((await count(engine, stats.unsettled, scope)).values()) == number


async def test_what_is_older_is_left_out_and_the_present_is_not(engine: Engine) -> None:
    await engine.answer("hola", "buenas", who=ANA)
    engine.clock.advance(3600)
    await engine.answer("hola", "buenas", who=LUIS)

    scope = stats.Scope(since=engine.clock.now() - timedelta(seconds=60))
    assert (await count(engine, stats.conversations, scope)).total == 1
    assert (await count(engine, stats.messages, scope)).outbound == 1
    assert await count(engine, stats.events, scope) == {"message": {"reply": 1}}
    lanes = await count(engine, stats.lanes, scope, engine.clock.now())
    assert lanes["out"].waiting + lanes["out"].working == 2


async def test_lane_that_nobody_works_is_late_and_one_that_is_unknown_is_parked(
    engine: Engine,
) -> None:
    await engine.answer("hola", "buenas", who=ANA)
    [item] = await engine.store.claim_items(OUT, 10)
    await engine.attempt(item, ItemState.UNKNOWN)
    await engine.answer("hola", "buenas", who=LUIS)
    await engine.store.release_all()
    engine.clock.advance(60)

    lanes = await count(engine, stats.lanes, MAIN, engine.clock.now())
    assert lanes["out"] == LaneCounts(waiting=1, working=0, late=1, parked=1)
    queue = stats.queue({}, await count(engine, stats.outbox_items, MAIN), lanes)
    assert (queue.late, queue.parked) == (1, 1)


async def test_tokens_are_summed_by_backend(engine: Engine) -> None:
    def bill(tx: Any) -> None:
        for instance, taken, given in [("fast", 10, 1), ("fast", 20, 2), ("slow", 5, 5)]:
            record(
                tx.connection,
                tenant="main",
                conversation=None,
                event=None,
                instance=instance,
                used=Usage(input_tokens=taken, output_tokens=given),
                now=tx.now,
            )

    await engine.store.write(bill)

    assert await count(engine, stats.usage_by_backend, MAIN) == {
        "fast": stats.Usage(calls=2, input_tokens=30, output_tokens=3),
        "slow": stats.Usage(calls=1, input_tokens=5, output_tokens=5),
    }
    assert await count(engine, stats.usage_by_backend, stats.Scope(tenant="clinica")) == {}


async def test_numbers_are_of_one_moment(engine: Engine) -> None:
    await engine.answer("hola", "buenas")
    assert isinstance(engine.database, SQLiteDatabase)
    with reader(engine.database.path) as connection:
        stats.hold_still(connection)
        before = stats.messages(connection, ALL).outbound
        await engine.answer("hola", "¿qué tal?", who=LUIS)
        after = stats.messages(connection, ALL).outbound

    assert (before, after) == (1, 1)
    assert (await count(engine, stats.messages, ALL)).outbound == 2


async def test_postgresql_counts_with_the_same_statements(postgres: PostgresDatabase) -> None:
    await anyio.to_thread.run_sync(ensure, postgres.url)
    database = create_async_engine(postgres.url)

    def everything(connection: sa.Connection) -> dict[str, Any]:
        now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
        connection.execute(
            sa.insert(inbox_event),
            [
                {"lane": "main/a", "seq": seq, "tenant": "main", "source": "main/phone"}
                | {"external_id": str(seq), "type": "message", "payload": "{}"}
                | {"received_at": now, "outcome": outcome}
                for seq, outcome in [(1, "reply"), (2, None)]
            ],
        )
        connection.commit()
        return numbers(connection, "main", now - timedelta(hours=1), now, {})

    try:
        async with database.connect() as connection:
            answer = await connection.run_sync(everything)
    finally:
        await database.dispose()

    assert answer["events"] == {"message": {"pending": 1, "reply": 1}}
    assert answer["queue"] == {
        "waiting": 1,
        "active": 0,
        "completed": 1,
        "failed": 0,
        "late": 0,
        "parked": 0,
    }
    assert answer["lanes"]["in"]["waiting"] == 0
