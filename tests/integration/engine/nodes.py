"""Nodes on one PostgreSQL: how they end, and a look at what their sessions wait for."""

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import sqlalchemy as sa

from router.plugin.testing import FakeClock
from router.storage.postgres import statements
from router.storage.postgres.store import PostgresStore
from router.storage.store import Tx
from router.storage.tables import node
from tests.integration.engine.harness import Engine, PostgresDatabase

#: Seconds of a lease, and between two heartbeats, in these tests.
LEASE, BEAT = 5.0, 0.1
#: How long anything is waited for.
LONG = 40.0
#: The hot statements, by their names.
STATEMENTS = {
    name: value
    for module in pkgutil.iter_modules(statements.__path__, f"{statements.__name__}.")
    for name, value in vars(importlib.import_module(module.name)).items()
    if name.isupper() and isinstance(value, str)
}


@asynccontextmanager
async def node_of(
    place: PostgresDatabase, clock: Any = None, **options: Any
) -> AsyncIterator[Engine]:
    """Open one more node, by a clock that stands still unless another is given."""
    clock = clock or FakeClock()
    options = {"lease": LEASE, "heartbeat": BEAT, **options}
    store = await PostgresStore.open(place.url, clock, **options)
    engine = Engine(place, clock, store)
    try:
        yield engine
    finally:
        await engine.store.close()


def store_of(engine: Engine) -> PostgresStore:
    assert isinstance(engine.store, PostgresStore)
    return engine.store


def place_dsn(engine: Engine) -> str:
    assert isinstance(engine.database, PostgresDatabase)
    return engine.database.url.replace("+asyncpg", "")


def me(engine: Engine) -> int:
    number = store_of(engine)._node.me
    assert number is not None
    return number


async def freeze(engine: Engine) -> None:
    """Let a node say nothing any more, its sessions open, as SIGSTOP does."""
    store = store_of(engine)
    assert store._node._beating is not None
    store._node._beating.cancel()
    await asyncio.wait([store._node._beating])


async def kill(engine: Engine) -> None:
    """Let a node's sockets close without a word, as the kernel does for a killed process."""
    await freeze(engine)
    store = store_of(engine)
    sessions = (*store._intake.sessions, *store._flusher.sessions)
    for raw in (store._node._raw, *(session.raw for session in sessions)):
        if raw is not None:
            raw.terminate()


async def expire(engine: Engine, dead: int) -> None:
    """Let a node's time be over."""

    def age(tx: Tx) -> None:
        past = sa.func.clock_timestamp() - timedelta(seconds=1)
        tx.connection.execute(sa.update(node).where(node.c.id == dead).values(expires_at=past))

    await engine.store.write(age)


async def gone(engine: Engine, number: int) -> bool:
    return await engine.rows(node, id=number) == []


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(LONG):
        while not await condition():  # noqa: ASYNC110 - what is waited for is another's doing
            await anyio.sleep(0.02)


async def waiting(engine: Engine, many: int) -> None:
    """Wait until so many sessions wait for a lock."""
    raw = await asyncpg.connect(place_dsn(engine))
    count = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    try:
        with anyio.fail_after(LONG):
            while await raw.fetchval(count) < many:  # noqa: ASYNC110 - another process's doing
                await anyio.sleep(0.02)
    finally:
        await raw.close()
