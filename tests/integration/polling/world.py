"""Routers on one database, and the provider that they ask."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from router import plugin
from router.clock import Clock, SystemClock
from router.daemon import Router
from router.logs import Redaction
from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.pollers import PollerView, pollers
from router.storage.tables import inbox_event
from tests.blocking import Library
from tests.integration.engine.harness import Database

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]

[policy]
mode = "autopilot"
debounce = "0s"

[channels.calls]
type = "feed"
timeout = "{timeout}"
"""
RULES = 'default.ignore = "counted"\n'
TICK = timedelta(milliseconds=20)


class FeedConfig(plugin.PluginConfig):
    """A provider that is asked."""

    number: int = 1
    start: str = "well"


@dataclass
class Feed:
    """Somebody else's server: what it has, and how the next polls end.

    :ivar polls: which instance asked, after which cursor.
    :ivar under_way: how many polls there are now, and the most that there were at once.
    :ivar pause: what a poll waits for.
    """

    found: list[Any] = field(default_factory=list)
    script: list[BaseException] = field(default_factory=list)
    polls: list[tuple[int, str | None]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    page: int = 100
    every: timedelta = TICK
    pause: anyio.Event | Library | None = None
    answer: Callable[[str | None], Any] | None = None

    def leave(self, *ids: str) -> None:
        self.found += [message(each) for each in ids]

    def cursors(self, number: int = 1) -> list[str | None]:
        return [cursor for asker, cursor in self.polls if asker == number]


def message(id: str) -> plugin.MessageReceived:
    return plugin.MessageReceived(id, plugin.Address("tel", f"+57300{id}"), f"text {id}")


class News(plugin.Poller):
    name = "news"

    def __init__(self, channel: "FeedChannel") -> None:
        self.channel = channel
        self.every = channel.feed.every

    async def poll(self, cursor: str | None) -> plugin.Polled:
        feed = self.channel.feed
        feed.polls.append((self.channel.config.number, cursor))
        feed.under_way += 1
        feed.most = max(feed.most, feed.under_way)
        try:
            if feed.pause is not None:
                await feed.pause.wait()
            await anyio.sleep(0.002)
            if feed.script:
                raise feed.script.pop(0)
            if feed.answer is not None:
                answer: plugin.Polled = feed.answer(cursor)
                return answer
            begin = int(cursor or 0)
            events = feed.found[begin : begin + feed.page]
            end = begin + len(events)
            return plugin.Polled(events=events, cursor=str(end), again=end < len(feed.found))
        finally:
            feed.under_way -= 1


class FeedChannel(plugin.Channel[FeedConfig]):
    feed: Feed

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self.config.start == "badly":
            raise plugin.Refused("it does not start")
        yield

    def pollers(self) -> Sequence[plugin.Poller]:
        return [News(self)]

    def verify(self, request: plugin.WebhookRequest) -> None: ...

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return [message(request.body.decode())]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("it sends nothing")


@dataclass
class World:
    """Routers on one database, and what they ask."""

    folder: Path
    database: Database
    feed: Feed
    log: RecordingLog
    kinds: Registry
    looker: Any

    def load(self) -> Settings:
        return load_settings(self.folder / "router.toml", self.kinds, run=True, environ={})

    def change(self, old: str, new: str) -> None:
        path = self.folder / "router.toml"
        path.write_text(path.read_text().replace(old, new))

    @asynccontextmanager
    async def running(self, clock: Clock | None = None) -> AsyncIterator[Router]:
        settings = self.load()
        store = await self.database.open(clock or SystemClock())
        try:
            redaction = Redaction(())
            async with Router(
                settings, store, log=self.log, load=self.load, redaction=redaction
            ) as router:
                yield router
        finally:
            await store.close()

    def rows(self, table: sa.Table) -> list[Any]:
        return list(self.looker.connect().execute(sa.select(table)))

    def outcomes(self) -> dict[str, str | None]:
        """Give what became of each event, by its id at the provider."""
        return {row.external_id: row.outcome for row in self.rows(inbox_event)}

    def said(self, event: str) -> list[dict[str, Any]]:
        return [entry.values for entry in self.log.entries if entry.event == event]

    async def view(self, router: Router) -> PollerView:
        (view,) = await router.store.read(lambda connection: pollers(connection, "main"))
        return view


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(40):
        while not happened():  # noqa: ASYNC110 - what is waited for is a scripted feed's doing
            await anyio.sleep(0.02)


one_database = pytest.mark.parametrize("world", ["sqlite"], indirect=True)
