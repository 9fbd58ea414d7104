"""A node behind a transaction pooler: it is noticed, and work is found by looking for it."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from router.plugin.testing import FakeClock
from router.storage.postgres.node import is_pooled
from router.storage.postgres.store import PostgresStore
from router.storage.store import Commit
from router.storage.tables import node
from tests.integration.engine.harness import Engine, PostgresDatabase
from tests.pooler import Pooler, pooler

_LONG = 40.0


@pytest.fixture
async def between(place: PostgresDatabase) -> AsyncIterator[Pooler]:
    """A pooler between us and the server."""
    # A socket's path may not be long.
    with tempfile.TemporaryDirectory(prefix="pool-") as folder:
        async with pooler(Path(place.url.partition("host=")[2]), Path(folder)) as it:
            yield it


def behind(place: PostgresDatabase, between: Pooler) -> str:
    return f"{place.url.partition('host=')[0]}host={between.socket_folder}"


@pytest.fixture
async def engine(place: PostgresDatabase, between: Pooler) -> AsyncIterator[Engine]:
    clock = FakeClock()
    url = behind(place, between)
    store = await PostgresStore.open(url, clock, lease=2.0, heartbeat=0.2)
    yield Engine(place, clock, store)
    await store.close()


async def test_a_pooler_is_noticed_and_a_server_is_not_taken_for_one(
    place: PostgresDatabase, between: Pooler
) -> None:
    assert await is_pooled(behind(place, between))
    assert not await is_pooled(place.url)


async def test_whoever_runs_a_node_behind_a_pooler_is_told(
    place: PostgresDatabase, engine: Engine
) -> None:
    (sentence,) = engine.store.advice
    assert "transaction pooler" in sentence

    direct = await PostgresStore.open(place.url, engine.clock)
    try:
        assert direct.advice == []
    finally:
        await direct.close()


async def test_a_thread_is_worked_behind_a_pooler_from_end_to_end(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    await engine.accept(engine.echoed("de una persona", id="E1"))

    assert await engine.states() == {"uno": "withdrawn", "dos": "withdrawn"}
    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(engine.accept, engine.said(id=f"A{number}", lane=f"main/{number}"))
            tasks.start_soon(engine.rows, node)
    left = 31
    while left:
        works = await engine.claim()
        await engine.complete(*(Commit(work=work, outcome="ignore") for work in works))
        left -= len(works)
    assert (await engine.outcomes()).count("ignore") == 31


async def test_work_of_another_node_is_found_by_looking(
    place: PostgresDatabase, engine: Engine
) -> None:
    other = await PostgresStore.open(place.url, engine.clock)
    try:
        other.pause()
        claimed: list[Any] = []

        async def wait() -> None:
            claimed.extend(await engine.store.claim(10))

        with anyio.fail_after(4):  # sooner than the safety net
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.sleep(0.2)
                await other.enqueue([engine.said()])
    finally:
        await other.close()

    assert len(claimed) == 1


async def test_a_node_that_polls_is_not_taken_for_dead_and_its_expiry_counts(
    place: PostgresDatabase, engine: Engine
) -> None:
    assert isinstance(engine.store, PostgresStore)
    await engine.accept(engine.said())
    work = await engine.claim_one()
    other = await PostgresStore.open(place.url, engine.clock, lease=2.0, heartbeat=0.1)
    try:
        await anyio.sleep(0.5)  # many looks of the other
        (row,) = [it for it in await engine.rows(node) if it.id == engine.store._node.me]
        assert row.polls
        assert (await engine.lane()).lease_owner == row.id

        beating = engine.store._node._beating
        assert beating is not None
        beating.cancel()
        with anyio.fail_after(_LONG):
            (taken,) = await other.claim(1)
        assert (taken.ref, taken.crashes) == (work.ref, 1)
    finally:
        await other.close()


async def test_nothing_stays_behind_in_a_session(place: PostgresDatabase, engine: Engine) -> None:
    await engine.answer("hola", "uno")

    def names(connection: sa.Connection) -> tuple[int, str]:
        statements = "SELECT count(*) FROM pg_prepared_statements"
        return (
            connection.execute(sa.text(statements)).scalar_one(),
            connection.execute(sa.text("SHOW enable_seqscan")).scalar_one(),
        )

    for _ in range(8):  # each session of the pooler, twice
        assert await engine.store.read(names) == (0, "on")


async def test_a_turn_behind_a_pooler_lasts_as_long_as_what_it_is_for(
    place: PostgresDatabase, engine: Engine
) -> None:
    direct = await PostgresStore.open(place.url, engine.clock)
    try:
        async with engine.store.alone("sweep") as mine:
            assert mine
            await anyio.sleep(3.0)  # a lease is 2 s
            async with direct.alone("sweep") as theirs:
                assert not theirs
        async with direct.alone("sweep") as theirs:
            assert theirs
    finally:
        await direct.close()
