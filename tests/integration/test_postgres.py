"""The PostgreSQL that the other tests stand on."""

import asyncpg
import pytest

from tests.postgres import PostgresDatabase, PostgresServer


@pytest.mark.parametrize("value", [1, 2])
async def test_each_test_has_an_empty_database_of_its_own(
    postgres: PostgresDatabase, value: int
) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        await connection.execute("CREATE TABLE seen (value int)")
        await connection.execute("INSERT INTO seen VALUES ($1)", value)

        assert await connection.fetchval("SELECT array_agg(value) FROM seen") == [value]
    finally:
        await connection.close()


async def test_sqlalchemy_reaches_the_same_database(postgres: PostgresDatabase) -> None:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(postgres.url)
    try:
        async with engine.connect() as connection:
            name = await connection.scalar(text("SELECT current_database()"))
    finally:
        await engine.dispose()

    assert name == postgres.name


async def test_a_database_goes_with_its_test_even_if_somebody_is_still_connected(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database() as database:
        connection = await asyncpg.connect(database.dsn)

    connection.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(database.dsn)


async def test_the_vector_extension_is_there(postgres: PostgresDatabase) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        await connection.execute("CREATE EXTENSION vector")

        assert await connection.fetchval("SELECT '[1,2]'::vector <-> '[1,2]'::vector") == 0
    finally:
        await connection.close()
