"""What a start says of a PostgreSQL that it cannot use: which one, why, and what helps."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from router.errors import StorageError
from router.storage.database.migrating import ensure, migrate
from tests.postgres import PostgresDatabase, PostgresServer


def told(url: str) -> str:
    with pytest.raises(StorageError) as caught:
        ensure(url)
    return str(caught.value)


def execute(dsn: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def stranger(postgres: PostgresDatabase) -> Iterator[str]:
    """A user who may make no tables in the database, as is usual since version 15."""
    execute(postgres.dsn, "DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN")
    yield postgres.url.replace("postgres@", "plain@")
    execute(postgres.dsn, "DROP OWNED BY plain", "DROP ROLE plain")


def test_a_database_that_is_not_there_is_named_with_how_to_make_it(
    postgres: PostgresDatabase,
) -> None:
    said = told(postgres.url.replace(f"/{postgres.name}", "/nope"))

    assert said == (
        f'PostgreSQL cannot be used: "nope" at {postgres.socket_folder}: database "nope" does not '
        "exist. Make it: CREATE DATABASE \"nope\" ENCODING 'UTF8' TEMPLATE template0."
    )


def test_a_user_who_may_make_no_tables_is_told_what_to_be_given(
    stranger: str, postgres: PostgresDatabase
) -> None:
    assert told(stranger) == (
        f'PostgreSQL cannot be used: "{postgres.name}" at {postgres.socket_folder}: permission '
        "denied for schema public. Let its user make tables: GRANT CREATE ON SCHEMA public TO "
        '"plain".'
    )


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("postgres:s3cret@127.0.0.1:1/router?host=", '"router" at 127.0.0.1:1: '),
        ("postgres:s3cret@db.invalid/router?host=", "Look at the host in [router] database."),
        ("nobody:s3cret@/router?host={folder}", "Look at the user and the password"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named_without_the_password(
    postgres: PostgresDatabase, there: str, words: str
) -> None:
    address = there.format(folder=postgres.socket_folder).removesuffix("?host=")

    said = told(f"postgresql+asyncpg://{address}")

    assert words in said
    assert "s3cret" not in said
    assert "sqlalchemy" not in said


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_keep_every_text_is_refused(
    postgres_server: PostgresServer, postgres: PostgresDatabase, encoding: str
) -> None:
    name = f"narrow_{encoding.lower()}"
    execute(
        postgres.dsn,
        f"DROP DATABASE IF EXISTS {name}",
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
    )
    url = postgres.url.replace(f"/{postgres.name}", f"/{name}")

    for attempt in (ensure, migrate):
        with pytest.raises(StorageError, match=f"encoding is {encoding}, .* TEMPLATE template0"):
            attempt(url)

    execute(postgres.dsn, f"DROP DATABASE {name}")
