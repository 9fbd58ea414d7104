"""What the tests of engines outside tests/integration/engine need as well."""

import pytest

from tests.integration.engine.harness import PostgresDatabase


@pytest.fixture(autouse=True)
def engine_server(request: pytest.FixtureRequest) -> None:
    """Start PostgreSQL for a test whose engine runs on it, outside of the test's event loop."""
    chosen = getattr(request.node, "callspec", None)
    if chosen is not None and "postgres" in chosen.params.values():
        PostgresDatabase.server = request.getfixturevalue("postgres_server")
        PostgresDatabase.server.prepare()
