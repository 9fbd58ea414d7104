"""A world on a database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from tests.integration.engine.harness import DATABASES
from tests.integration.polling.world import CONFIG, RULES, Feed, FeedChannel, FeedConfig, World


@pytest.fixture(params=list(DATABASES))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    feed, kinds = Feed(), Registry()

    class OurFeed(FeedChannel):
        pass

    OurFeed.feed = feed
    kinds.channel("feed", OurFeed, config=FeedConfig)
    (tmp_path / "router.toml").write_text(CONFIG.replace("{timeout}", "20s"))
    (tmp_path / "rules.toml").write_text(RULES)
    database = DATABASES[request.param](tmp_path)
    looker = database.looker()
    try:
        yield World(tmp_path, database, feed, RecordingLog(), kinds, looker)
    finally:
        looker.dispose()
        database.close()
