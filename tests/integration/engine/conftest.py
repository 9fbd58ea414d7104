"""One engine per test, on every store that gives the guarantees."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.engine.harness import DATABASES, Engine, PostgresDatabase, opened
from tests.integration.engine.nodes import node_of


@pytest.fixture(autouse=True)
def server(request: pytest.FixtureRequest) -> None:
    """Start PostgreSQL for a test that runs on it, outside of the test's event loop."""
    chosen = getattr(request.node, "callspec", None)
    if chosen is not None and "postgres" in chosen.params.values():
        PostgresDatabase.server = request.getfixturevalue("postgres_server")
        PostgresDatabase.server.prepare()


@pytest.fixture(params=list(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on an empty database."""
    async with opened(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture(params=["postgres"])
def place(server: None, tmp_path: Path) -> Iterator[PostgresDatabase]:
    """Give a PostgreSQL database that several nodes may open."""
    database = PostgresDatabase(tmp_path)
    yield database
    database.close()


@pytest.fixture
async def one(place: PostgresDatabase) -> AsyncIterator[Engine]:
    """Open a node that nobody declares dead, however long it says nothing."""
    async with node_of(place, lease=300.0) as engine:
        yield engine


@pytest.fixture
async def first(place: PostgresDatabase) -> AsyncIterator[Engine]:
    """Open a node that says often that it lives."""
    async with node_of(place) as engine:
        yield engine


@pytest.fixture
async def second(place: PostgresDatabase) -> AsyncIterator[Engine]:
    """Open a node beside it, whose ids are others."""
    async with node_of(place) as engine:
        engine.numbers = iter(range(10_000, 20_000))  # type: ignore[assignment]
        yield engine
