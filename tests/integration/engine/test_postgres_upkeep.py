"""Whoever looks after the server locks tables, restores a backup, and counts sessions."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest
import sqlalchemy as sa

from router.errors import StorageUnavailable
from tests.integration.engine.harness import PostgresDatabase
from tests.integration.engine.nodes import LEASE, node_of, place_dsn, store_of, until
from tests.postgres import PostgresDatabase as PostgresDatabase_
from tests.postgres import PostgresServer

#: Longer than anybody waits for a lock, shorter than a statement may take.
_SOON = 30.0
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


@pytest.fixture
def place(postgres_server: PostgresServer) -> PostgresDatabase:
    found = PostgresDatabase.__new__(PostgresDatabase)
    found._database = postgres_server.database(migrated=True)
    found.url = found._database.__enter__().url
    return found


@pytest.fixture(autouse=True)
async def _dropped(place: PostgresDatabase) -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(place.close)


@pytest.mark.parametrize("table", ["lane", "node"])
async def test_a_locked_table_is_named_to_who_offers_something_and_leaves_no_sessions_behind(
    place: PostgresDatabase, table: str
) -> None:
    async with node_of(place) as first:
        await first.accept(first.said("antes"))
        watcher = await asyncpg.connect(place_dsn(first))
        before = await watcher.fetchval(_SESSIONS)
        await watcher.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

        since = time.monotonic()
        with pytest.raises(StorageUnavailable, match="lock timeout"):
            await first.accept(first.said("mientras", id="M1"))

        assert time.monotonic() - since < _SOON
        assert any("lock timeout" in words for words in first.store.trouble)
        await asyncio.sleep(3)
        assert await watcher.fetchval(_SESSIONS) <= before + 2
        await watcher.execute("COMMIT")

        async def healthy() -> bool:
            return not first.store.trouble

        # Nobody offers anything meanwhile: who is not ready is sent nothing.
        await until(healthy)
        await first.accept(first.said("después", id="D1"))
        await watcher.close()


async def test_tables_that_are_away_for_a_restore_are_waited_for(place: PostgresDatabase) -> None:
    async with node_of(place) as first:
        connection = await asyncpg.connect(place_dsn(first))
        await connection.execute("ALTER TABLE lane RENAME TO elsewhere")

        with pytest.raises(StorageUnavailable, match="does not exist"):
            await first.accept(first.said("mientras"))
        with pytest.raises(StorageUnavailable, match="does not exist"):
            await first.store.write(lambda tx: tx.connection.execute(sa.text("TABLE lane")))
        await connection.execute("ALTER TABLE elsewhere RENAME TO lane")
        await connection.close()

        await first.accept(first.said("después", id="D1"))


async def test_a_node_that_gets_too_few_sessions_does_not_start(place: PostgresDatabase) -> None:
    connection = await asyncpg.connect(place.url.replace("+asyncpg", ""))
    await connection.execute(
        "DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN CONNECTION LIMIT 1;"
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO few;"
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few"
    )
    place.url = place.url.replace("postgres@", "few@")

    with pytest.raises(StorageUnavailable, match='too many connections for role "few"'):
        async with node_of(place):
            pass

    await connection.execute("DROP OWNED BY few; DROP ROLE few")
    await connection.close()


async def test_what_cannot_be_taken_in_is_trouble_whatever_else_is_committed(
    place: PostgresDatabase,
) -> None:
    async with node_of(place) as first:
        store = store_of(first)
        watcher = await asyncpg.connect(place_dsn(first))
        await watcher.execute("BEGIN; LOCK TABLE inbox_event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StorageUnavailable):
            await first.accept(first.said("mientras"))

        await store.write(lambda tx: tx.learn_alias("main", "tel:1", "tel:2"))

        assert store.trouble
        await watcher.execute("ROLLBACK")
        await watcher.close()


async def test_what_the_role_says_of_nulls_in_arrays_changes_nothing(
    place: PostgresDatabase,
) -> None:
    connection = await asyncpg.connect(place.url.replace("+asyncpg", ""))
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET array_nulls = off')
    await connection.close()

    async with node_of(place) as first:
        await first.answer("hola", "uno")
        assert await first.states() == {"uno": "waiting"}


async def test_a_database_that_takes_no_connections_for_a_while_is_ready_by_itself_again(
    place: PostgresDatabase, postgres: PostgresDatabase_
) -> None:
    async with node_of(place) as first:
        elsewhere = await asyncpg.connect(postgres.dsn)
        name = store_of(first)._engine.url.database
        await elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
        await elsewhere.fetch(end, name)
        with pytest.raises(StorageUnavailable):
            await first.accept(first.said("mientras"))
        await asyncio.sleep(3)  # so that it was tried again meanwhile
        assert first.store.trouble
        await elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await elsewhere.close()

        async def healthy() -> bool:
            return not first.store.trouble

        await until(healthy)


async def test_a_row_that_a_frozen_process_holds_costs_nobody_else_an_answer(
    place: PostgresDatabase,
) -> None:
    async with node_of(place) as first:
        await first.accept(first.said("antes"))
        frozen = await asyncpg.connect(place_dsn(first))
        await frozen.execute("BEGIN; SELECT 1 FROM lane FOR UPDATE")
        event = first.said("mientras", id="M1")
        offered = asyncio.create_task(first.accept(event))

        await asyncio.sleep(LEASE)
        await frozen.execute("ROLLBACK")
        await frozen.close()

        await offered
        assert not first.store.trouble


class _Confused:
    """A driver's connection that a cancelled statement has left busy."""

    closed = False

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True

    async def execute(self, statement: str) -> None:
        if statement == "ROLLBACK":
            message = "cannot perform operation: another operation is in progress"
            raise asyncpg.InterfaceError(message)


async def test_a_node_that_is_to_leave_is_not_kept_by_what_its_driver_says(
    place: PostgresDatabase,
) -> None:
    async with node_of(place) as first:
        heart = store_of(first)._node
        raw = _Confused()
        with pytest.raises(asyncio.CancelledError):
            async with heart._transaction(cast("Any", raw)):
                raise asyncio.CancelledError
        assert raw.closed
