"""Several groups under way at once on one node: what comes for a lane keeps its order.

A group begins beside another when enough waits for it: here, a crowd that speaks at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest

from router.errors import StorageUnavailable
from router.storage.postgres.engine import Transaction
from router.storage.postgres.sending import locks_of_item
from router.storage.postgres.work import locks_of
from router.storage.store import Accepted, NewEvent
from router.storage.tables import inbox_event, lane
from tests.integration.engine.harness import ANA, LUIS, Engine
from tests.integration.engine.nodes import place_dsn, store_of, waiting

_LONG = 40.0
_CROWD = 16


@pytest.fixture
async def engine(one: Engine) -> Engine:
    """Give a node whose two customers have written before, and are answered."""
    for who in (ANA, LUIS):
        await one.accept(one.said(who=who))
        await one.complete(one.commit(await one.claim_one()))
    return one


@asynccontextmanager
async def held(engine: Engine, *events: NewEvent) -> AsyncIterator[asyncpg.Connection]:
    """Hold the lanes of events: who writes to them waits until ``COMMIT``."""
    raw = await asyncpg.connect(place_dsn(engine))
    try:
        await raw.execute("BEGIN")
        lanes = [event.lane for event in events]
        await raw.fetch("SELECT 1 FROM lane WHERE key = ANY ($1::text[]) FOR UPDATE", lanes)
        yield raw
    finally:
        await raw.close()


def offer(engine: Engine, *events: NewEvent) -> "asyncio.Task[list[Accepted]]":
    return asyncio.ensure_future(engine.store.enqueue(events))


def crowd(engine: Engine, **options: Any) -> "asyncio.Future[list[list[Accepted]]]":
    """Offer enough for a group of its own."""
    events = [engine.said(**options) for _ in range(_CROWD)]
    return asyncio.gather(*(engine.store.enqueue([event]) for event in events))


async def numbers(engine: Engine, *events: NewEvent) -> list[int]:
    """Give the numbers that events have in their lanes."""
    rows = {row.external_id: row.seq for row in await engine.rows(inbox_event)}
    return [rows[event.external_id] for event in events]


async def test_what_comes_for_a_lane_under_way_waits_and_nothing_else_does(engine: Engine) -> None:
    first, second, third = (engine.said(text, who=ANA) for text in ("uno", "dos", "tres"))

    async with held(engine, first) as raw:
        offered = [offer(engine, first)]
        await waiting(engine, 1)
        offered += [offer(engine, second), offer(engine, third)]
        with anyio.fail_after(_LONG):
            accepted = await crowd(engine, who=LUIS)

        assert all(it.new for (it,) in accepted)
        assert not any(task.done() for task in offered)

        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            await asyncio.gather(*offered)

    assert await numbers(engine, first, second, third) == [2, 3, 4]
    worked: list[object] = []
    while len(worked) < 3:
        for work in await engine.claim():
            if work.ref.lane == first.lane:
                worked.append(work.event)
            await engine.complete(engine.commit(work))
    assert worked == [first.event, second.event, third.event]


async def test_a_request_for_several_lanes_waits_for_each_and_is_not_overtaken(
    engine: Engine,
) -> None:
    busy, both, after = engine.said(), (engine.said(), engine.said(who=LUIS)), engine.said(who=LUIS)

    async with held(engine, busy) as raw:
        offered = [offer(engine, busy)]
        await waiting(engine, 1)
        offered += [offer(engine, *both), offer(engine, after)]
        with anyio.fail_after(_LONG):
            # Somebody else's is stored meanwhile: the other session is there, and not for these.
            await crowd(engine, tenant="other")

        assert not any(task.done() for task in offered)

        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            await asyncio.gather(*offered)

    assert await numbers(engine, busy, *both, after) == [2, 3, 2, 3]


def fail(tx: Transaction, _parts: list[int]) -> list[Any]:
    return tx.rows("SELECT no_such_column")


async def test_a_group_that_fails_leaves_the_one_beside_it_alone(engine: Engine) -> None:
    good = engine.said(who=ANA)

    async with held(engine, good) as raw:
        storing = offer(engine, good)
        await waiting(engine, 1)
        with anyio.fail_after(_LONG), pytest.raises(asyncpg.UndefinedColumnError):
            await store_of(engine)._intake.run_batch(fail, range(_CROWD))
        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            (accepted,) = await storing

    assert accepted.new
    assert await numbers(engine, good) == [2]


async def test_closing_waits_for_all_that_is_under_way_and_all_that_waits(engine: Engine) -> None:
    first, last = engine.said(who=ANA), engine.said(who=ANA)

    async with held(engine, first, engine.said(who=LUIS)) as raw:
        offered = [offer(engine, first)]
        await waiting(engine, 1)
        beside = crowd(engine, who=LUIS)
        await waiting(engine, 2)
        offered.append(offer(engine, last))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store_of(engine)._intake.close())
        await asyncio.sleep(0)
        with pytest.raises(StorageUnavailable, match="closed"):
            await engine.store.enqueue([engine.said()])

        assert not closing.done()

        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            accepted = [*await asyncio.gather(*offered), *await beside]
            await closing

    assert all(it.new for (it,) in accepted)
    assert await numbers(engine, first, last) == [2, 3]


async def test_what_is_given_back_waits_for_every_lease_that_is_just_taken(engine: Engine) -> None:
    first = engine.said(who=ANA)

    async with held(engine, first, engine.said(who=LUIS)) as raw:
        offered = offer(engine, first)
        await waiting(engine, 1)
        beside = crowd(engine, who=LUIS)
        await waiting(engine, 2)
        engine.store.pause()
        releasing = asyncio.ensure_future(engine.store.release_all())
        await asyncio.sleep(0)
        behind = crowd(engine, tenant="other")
        with anyio.move_on_after(0.2):
            await asyncio.shield(releasing)

        assert not releasing.done()
        assert not behind.done()

        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            await asyncio.gather(releasing, behind, beside, offered)

    assert {row.lease_owner for row in await engine.rows(lane)} == {None}


async def test_a_session_that_is_lost_takes_only_its_own_group_along(engine: Engine) -> None:
    lost, kept = engine.said(who=ANA), engine.said(who=LUIS)

    async with held(engine, lost, kept) as raw:
        losing = offer(engine, lost)
        await waiting(engine, 1)
        keeping = crowd(engine, who=LUIS)
        await waiting(engine, 2)
        first, second = store_of(engine)._intake.sessions
        assert first.raw is not None
        assert second.raw is not None
        await raw.execute("SELECT pg_terminate_backend($1)", first.raw.get_server_pid())
        with anyio.fail_after(_LONG), pytest.raises(StorageUnavailable):
            await losing

        assert not keeping.done()

        await raw.execute("COMMIT")
        with anyio.fail_after(_LONG):
            accepted = await keeping
            (again,) = await engine.store.enqueue([lost])

    assert all(it.new for (it,) in accepted)
    assert again.new
    works = [await engine.claim_one(), await engine.claim_one()]
    assert {work.ref.lane for work in works} == {lost.lane, kept.lane}
    assert {work.crashes for work in works} == {0}


async def test_what_is_decided_and_what_leaves_never_wait_for_each_other_in_turn(
    engine: Engine,
) -> None:
    """A conversation is decided in one lane, and leaves by another."""
    store = store_of(engine)
    items, works = {}, {}
    for who in (ANA, LUIS):
        await engine.accept(engine.said(who=who))
        await engine.complete(engine.commit(await engine.claim_one(), "hola"))
        items[who] = await engine.claim_item()
        await engine.accept(engine.said(who=who))
        works[who] = await engine.claim_one()

    def decide(who: Any) -> Any:
        commits = [engine.commit(works[who])]
        return store._flusher.run_batch(store._inbox.settle, commits, locks_of(commits))

    def leave(who: Any) -> Any:
        item = items[who]
        return store._flusher.run_batch(store._outbox.start, [(item, None)], locks_of_item(item))

    def filled() -> list[Any]:
        naps = [store._flusher.run(lambda tx: tx.rows("SELECT pg_sleep(0.2)"))]
        return naps + [store._flusher.run(lambda _: None) for _ in range(_CROWD)]

    with anyio.fail_after(_LONG):
        await asyncio.gather(
            *(decide(ANA), *filled(), leave(LUIS)), *(decide(LUIS), *filled(), leave(ANA))
        )
        await asyncio.sleep(1.5)  # the server counts now and then

    raw = await asyncpg.connect(place_dsn(engine))
    try:
        counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert await raw.fetchval(counted) == 0
    finally:
        await raw.close()
