"""Templates in a running router: listed, remembered, and not sent where they would be refused."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from router import plugin
from router.clock import SystemClock
from router.daemon import Router
from router.logs import Redaction
from router.pipeline.outbound.approvals import Approvals
from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from router.schedule.listing import Listed, Listings, TemplatePoller
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.tables import outbox, template_listing, ticket
from tests.integration.engine.harness import DATABASES, Database

CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"
rules = ["rules.toml"]

[channels.shop]
type = "shop"
templates_every = "1h"
"""
RULES = """
[default]
reply = { template = "aviso" }

[template.aviso]
ref = "HX1"
text = "Hola"
instead = "otro"

[template.otro]
ref = "HX2"
text = "Buenas"
"""


@dataclass
class Provider:
    """Somebody else's server: what it has approved, and what it was asked."""

    templates: list[plugin.TemplateInfo] = field(default_factory=list)
    away: bool = False
    #: It answers once this happens, and what it had when it was asked.
    thinks: anyio.Event | None = None
    asked: int = 0
    sent: list[plugin.OutboundMessage] = field(default_factory=list)


class ShopChannel(plugin.Channel[plugin.NoConfig]):
    provider: Provider

    def verify(self, request: plugin.WebhookRequest) -> None: ...

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        name = request.body.decode()
        return [plugin.MessageReceived(name, plugin.Address("tel", "+573001234567"), name)]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        self.provider.sent.append(message)
        return plugin.SendReceipt(message.id)

    async def templates(self) -> Sequence[plugin.TemplateInfo]:
        self.provider.asked += 1
        if self.provider.away:
            raise plugin.Unavailable("it sleeps")
        found = list(self.provider.templates)
        if self.provider.thinks is not None:
            await self.provider.thinks.wait()
        return found


def info(ref: str, status: str) -> plugin.TemplateInfo:
    return plugin.TemplateInfo(ref=ref, name=ref.lower(), language="es", status=status)


@dataclass
class World:
    """A router, its provider and its database."""

    folder: Path
    database: Database
    provider: Provider
    log: RecordingLog
    kinds: Registry
    looker: Any

    def load(self) -> Settings:
        return load_settings(self.folder / "router.toml", self.kinds, run=True, environ={})

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        path.write_text(path.read_text().replace(old, new))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Router]:
        settings = self.load()
        store = await self.database.open(SystemClock())
        try:
            async with Router(
                settings, store, log=self.log, load=self.load, redaction=Redaction(())
            ) as router:
                yield router
        finally:
            await store.close()

    def rows(self, table: sa.Table) -> list[Any]:
        return list(self.looker.connect().execute(sa.select(table)))

    def queued(self) -> list[str | None]:
        """Give the template of each message that was queued; ``None`` for a text."""
        kept = [row.body for row in self.rows(outbox) if row.kind == "message"]
        bodies = [json.loads(it) if isinstance(it, str) else it for it in kept]
        return [body.get("template", {}).get("ref") for body in bodies]

    async def says(self, router: Router, id: str) -> None:
        live = router.channel("main", "shop")
        assert live is not None
        request = plugin.WebhookRequest(
            url="http://x/", body=id.encode(), received_at=router.clock.now()
        )
        assert (await router.intake.receive(live, request)).status == 200


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not happened():  # noqa: ASYNC110 - what is waited for is another process's doing
            await anyio.sleep(0.02)


def listed(router: Router) -> bool:
    (standing,) = router.status()["templates"]
    return standing["listed_at"] is not None


@pytest.fixture(params=list(DATABASES))
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    provider, kinds = Provider(), Registry()

    class OurChannel(ShopChannel):
        # A window that is shut at once: there is no way but by template.
        capabilities = plugin.Capabilities(lists_templates=True, window=timedelta(microseconds=1))

    OurChannel.provider = provider
    kinds.channel("shop", OurChannel, config=plugin.NoConfig)
    (tmp_path / "router.toml").write_text(CONFIG)
    (tmp_path / "rules.toml").write_text(RULES)
    database = DATABASES[request.param](tmp_path)
    looker = database.looker()
    try:
        yield World(tmp_path, database, provider, RecordingLog(), kinds, looker)
    finally:
        looker.dispose()
        database.close()


one_database = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


async def test_a_refused_template_is_replaced_before_it_is_queued(world: World) -> None:
    world.provider.templates = [info("HX1", "paused"), info("HX2", "approved")]
    async with world.running() as router:
        await until(lambda: listed(router))
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)
        trouble = router.status()["trouble"]

    assert world.queued() == ["HX2"]
    assert trouble == [
        'template "aviso" of main: the template "hx1" is not approved: paused',
    ]


async def test_a_restart_knows_what_was_listed_though_the_provider_is_away(world: World) -> None:
    world.provider.templates = [info("HX1", "rejected"), info("HX2", "approved")]
    async with world.running() as router:
        await until(lambda: listed(router))
    world.provider.away = True
    before = world.provider.asked

    async with world.running() as router:
        assert listed(router)
        await until(lambda: world.provider.asked > before)
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)

    assert world.queued() == ["HX2"]
    assert [row.channel for row in world.rows(template_listing)] == ["shop"]


async def test_a_reason_that_no_database_takes_and_nobody_can_read_does_no_harm(
    world: World,
) -> None:
    world.change("rules.toml", 'instead = "otro"\n', "")
    reason = "\ud800\x00" + "no " * 500_000
    paused = replace(info("HX1", "paused"), reason=reason, name="av\nis\x1bo\udfff")
    world.provider.templates = [paused]
    async with world.running() as router:
        await until(lambda: listed(router))
        await world.says(router, "1")
        await until(lambda: len(world.rows(ticket)) == 1)
        trouble = router.status()["trouble"]

    (made,) = world.rows(ticket)
    assert made.title.startswith("No se pudo escribir por «shop»: la plantilla «av is")
    assert made.title.isprintable()
    assert max(map(len, [made.title, *trouble])) < 1_000
    assert world.queued() == []


@one_database
async def test_what_a_provider_said_days_ago_holds_nothing_back(world: World) -> None:
    world.change("rules.toml", 'instead = "otro"\n', "")
    world.provider.templates = [info("HX1", "paused"), info("HX2", "approved")]
    async with world.running() as router:
        await until(lambda: listed(router))
    world.provider.away = True
    long_ago = SystemClock().now() - timedelta(days=2)
    with world.looker.begin() as connection:
        connection.execute(sa.update(template_listing).values(listed_at=long_ago))

    async with world.running() as router:
        assert listed(router)
        assert not any("not approved" in it for it in router.status()["trouble"])
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)

    assert world.queued() == ["HX1"]


@one_database
async def test_what_nobody_knows_is_sent(world: World) -> None:
    world.provider.away = True
    async with world.running() as router:
        await until(lambda: world.provider.asked > 0)
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)

    assert world.queued() == ["HX1"]
    assert world.rows(ticket) == []


@one_database
async def test_a_reload_asks_again_and_the_new_answer_counts(world: World) -> None:
    world.provider.templates = [info("HX1", "approved"), info("HX2", "approved")]
    async with world.running() as router:
        await until(lambda: listed(router))
        before = world.provider.asked
        world.provider.templates = [info("HX3", "paused"), info("HX2", "approved")]
        world.change("rules.toml", '"HX1"', '"HX3"')
        assert (await router.reloader.reload("test")).applied
        await until(lambda: world.provider.asked > before)
        await until(lambda: bool(router.status()["trouble"]))
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)

    assert world.queued() == ["HX2"]


@one_database
async def test_what_was_made_while_the_provider_answered_is_not_taken_for_missing(
    world: World,
) -> None:
    world.provider.templates = [info("HX1", "approved"), info("HX2", "approved")]
    world.provider.thinks = thinks = anyio.Event()
    async with world.running() as router:
        await until(lambda: world.provider.asked == 1)
        world.change("rules.toml", '"HX1"', '"HX3"')
        assert (await router.reloader.reload("test")).applied
        world.provider.away = True
        thinks.set()
        await until(lambda: listed(router))
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)

    assert world.queued() == ["HX3"]


@one_database
async def test_who_is_never_to_be_asked_is_not_and_nothing_is_held_against_it(
    world: World,
) -> None:
    world.provider.templates = [info("HX1", "paused")]
    world.change("router.toml", '"1h"', '"never"')
    async with world.running() as router:
        await world.says(router, "1")
        await until(lambda: len(world.provider.sent) == 1)
        assert router.status()["templates"] == []
        (standing,) = router.status()["pollers"]
        assert (standing["every"], standing["due_at"]) == (None, None)

    assert world.queued() == ["HX1"]
    assert world.provider.asked == 0


@one_database
async def test_what_is_no_list_of_templates_is_a_failed_poll(world: World) -> None:
    world.provider.templates = ["HX1"]  # type: ignore[list-item]
    async with world.running() as router:
        await until(lambda: any(entry.event == "poll failed" for entry in world.log.entries))
        assert not listed(router)

    (entry,) = [it for it in world.log.entries if it.event == "poll failed"][:1]
    assert entry.values["poller"] == "templates"
    assert "templates() has to give TemplateInfos, not str" in entry.values["reason"]


def asking(world: World, router: Router) -> tuple[Listings, TemplatePoller]:
    """Give what asks the shop's provider, as a process would that has just been started."""
    clock = router.clock
    listings = Listings(
        router.store, lambda: router.configuration, Approvals(clock.now()), clock, world.log
    )
    live = router.channel("main", "shop")
    assert live is not None
    (poller,) = listings.pollers(live)
    return listings, poller


@one_database
@pytest.mark.parametrize(
    "status, every, pause",
    [
        ("approved", "1h", timedelta(hours=1)),
        ("paused", "1h", timedelta(minutes=2)),
        ("paused", "1m", timedelta(minutes=1)),
    ],
)
async def test_a_provider_that_would_refuse_a_template_is_asked_again_soon(
    world: World, status: str, every: str, pause: timedelta
) -> None:
    world.change("router.toml", "1h", every)
    world.provider.templates = [info("HX1", status), info("HX2", "approved")]
    async with world.running() as router:
        _, poller = asking(world, router)

        assert poller.pause(await poller.poll(None)) == pause


@one_database
async def test_what_was_listed_is_learned(world: World) -> None:
    world.provider.templates = [info("HX1", "paused"), info("HX2", "approved")]
    async with world.running() as router:
        listings, poller = asking(world, router)
        listed = await poller.poll(None)
        assert isinstance(listed, Listed)
        assert listings.refused() == []
        poller.learn(listed)

        assert [it.name for it in listings.refused()] == ["aviso"]
        assert [it["templates"] for it in listings.standing()] == [2]


@one_database
async def test_a_listing_hurries_once_after_each_load_unless_it_is_newer(world: World) -> None:
    async with world.running() as router:
        listings, poller = asking(world, router)
        assert poller.hurries
        poller.hurried()
        assert not poller.hurries

        listings.renewed()
        assert poller.hurries
        poller.learn(await poller.poll(None))
        assert not poller.hurries


@one_database
async def test_a_provider_that_lists_nothing_is_asked_for_nothing(world: World) -> None:
    class Silent(ShopChannel):
        provider = world.provider

    world.kinds.channel("silent", Silent, config=plugin.NoConfig)
    world.change("router.toml", '"shop"', '"silent"')
    async with world.running() as router:
        await until(lambda: bool(router.status()["instances"]))
        live = router.channel("main", "shop")
        assert live is not None
        await until(lambda: live.up)
        assert router.status()["pollers"] == []

    assert world.provider.asked == 0


@one_database
async def test_a_listing_counts_as_a_poll_that_found_something(world: World) -> None:
    async with world.running() as router:
        await until(lambda: bool(router.metrics.polls.values))

        assert list(router.metrics.polls.values) == [("main", "shop", "templates", "found")]
