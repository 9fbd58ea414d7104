"""A person at work on an empty database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.storage.database.health import damage
from tests.integration.acts.desk import Channels, Desk
from tests.integration.engine.harness import DATABASES, Engine, opened


@pytest.fixture
def channels() -> Channels:
    return Channels()


@pytest.fixture(params=list(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened(request.param, tmp_path) as engine:
        yield engine
        assert await engine.store.read(damage) == []


@pytest.fixture
def desk(engine: Engine, channels: Channels) -> Desk:
    return Desk(engine, channels)
