"""The server of several nodes goes away and comes back: what was under way goes on."""

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest

from router.errors import StorageUnavailable
from router.storage.store import OUT
from router.storage.tables import lane
from tests.integration.engine.harness import PostgresDatabase
from tests.integration.engine.nodes import LONG, me, node_of, until
from tests.postgres import PostgresServer


async def test_after_a_restart_of_the_server_everything_goes_on(tmp_path: Path) -> None:
    from tests.postgres import start_postgres

    def start() -> tuple[Any, PostgresServer]:
        context = start_postgres()
        server = context.__enter__()
        server.prepare()
        return context, server

    context, server = await asyncio.to_thread(start)
    try:
        with server.database(migrated=True) as database:
            place = PostgresDatabase.__new__(PostgresDatabase)
            place.url = database.url
            async with node_of(place) as first, node_of(place) as second:
                number = me(first)
                await first.answer("hola", "uno")
                work = await first.claim_item()
                await asyncio.to_thread(server.stop)

                with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                    await first.accept(first.said("mientras"))
                assert first.store.trouble
                with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                    await first.rows(lane)
                with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                    await second.store.write(lambda _: None)
                await asyncio.to_thread(server.start)

                async def healthy() -> bool:
                    return not first.store.trouble and not second.store.trouble

                async def back() -> bool:
                    try:
                        await first.accept(first.said("después", id="D1"))
                    except StorageUnavailable:
                        return False
                    return True

                await until(back)
                await until(healthy)
                # Neither took the other for dead, and what was leased still is.
                assert me(first) == number
                assert await first.send(work)
                assert await first.states() == {"uno": "done"}
                with anyio.fail_after(LONG):
                    assert len(await first.store.claim(5)) == 1
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def test_while_the_server_cannot_write_it_is_away_and_then_everything_goes_on(
    tmp_path: Path,
) -> None:
    """On a full disk it ends, and gives an internal error of its own as the reason."""
    from tests.postgres import start_postgres
    from tests.proof.postgres import Postgres

    def start() -> tuple[Any, PostgresServer]:
        context = start_postgres("synchronous_commit = on\nmax_connections = 100\n")
        server = context.__enter__()
        server.prepare()
        return context, server

    context, server = await asyncio.to_thread(start)
    try:
        with server.database(migrated=True) as database:
            place = PostgresDatabase.__new__(PostgresDatabase)
            place.url = database.url
            disk = Postgres(server, database)
            async with node_of(place) as first:
                await first.answer("hola", "uno")
                work = await first.claim_item()

                await disk.fill(0)
                for number in range(3):
                    with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                        await first.accept(first.said(f"mientras {number}"))
                    with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                        await first.store.fire_timers()
                    with pytest.raises(StorageUnavailable, match="PostgreSQL"):
                        await first.store.write(lambda tx: tx.learn_alias("main", "tel:1", "tel:2"))
                await disk.free(0)

                async def back() -> bool:
                    try:
                        await first.accept(first.said("después", id="D1"))
                    except StorageUnavailable:
                        return False
                    return not first.store.trouble

                await until(back)
                # What it had leased it may have had to give up, to itself.
                with anyio.fail_after(LONG):
                    while not await first.send(work):
                        (work,) = await first.store.claim_items(OUT, 1)
                assert await first.states() == {"uno": "done"}
                with anyio.fail_after(LONG):
                    assert len(await first.store.claim(5)) == 1
            await disk.close()
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
