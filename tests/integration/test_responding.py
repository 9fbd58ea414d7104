"""Answering on the spot: who calls is known, and whatever goes wrong, something is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa

from router import plugin
from router.daemon import Router, open_store
from router.errors import StorageUnavailable
from router.plugin.registry import Registry
from router.plugin.testing import RecordingLog
from router.settings.loading import load_settings
from router.storage.tables import contact, conversation, inbox_event, message, ticket
from router.web.app import build_app
from tests.blocking import Library, blocking
from tests.databases import empty_sqlite
from tests.postgres import PostgresDatabase

CONFIG = """
[router]
database = "{database}"
rules = ["rules.toml"]
language = "es"

[policy]
mode = "autopilot"
debounce = "0s"

[channels.phone]
type = "bell"

[tenants.clinica.channels.phone]
type = "bell"

[queues.orders]
title = "Pedidos"
"""
RULES = """
default.ignore = "not asked"

[[rule]]
id = "order"
when.text.words = "pedido"
then.ticket = { queue = "orders", title = "Pedido", say = "Lo revisamos, 123456." }
"""
DEFAULT = {"known": False, "turns": []}


class BellConfig(plugin.PluginConfig):
    """Nothing to set."""


@dataclass
class Behaviour:
    """What the channel does when it is asked.

    :ivar cards: what it was told of who calls.
    """

    cards: list[plugin.Card | None] = field(default_factory=list)
    raises: BaseException | None = None
    gives: Any = None
    sleeps: float = 0.0
    blocked: Library | None = None
    default_raises: BaseException | None = None
    parsed: int = 0


class Bell(plugin.Channel[BellConfig]):
    capabilities = plugin.Capabilities(responds=frozenset({"ringing"}))
    behaviour: Behaviour

    def verify(self, request: plugin.WebhookRequest) -> None:
        if request.header("x-key") != "ok":
            raise plugin.InvalidSignature("not signed")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        self.behaviour.parsed += 1
        values = request.json()
        sender = plugin.Address.from_text(values["from"])
        return [plugin.MessageReceived(values["id"], sender, values["text"], name="Ana")]

    async def respond(
        self, request: plugin.WebhookRequest, people: plugin.People
    ) -> plugin.WebhookAnswer:
        behaviour = self.behaviour
        if behaviour.raises is not None:
            raise behaviour.raises
        await anyio.sleep(behaviour.sleeps)
        if behaviour.blocked is not None:
            await behaviour.blocked.wait()
        if behaviour.gives is not None:
            answer: plugin.WebhookAnswer = behaviour.gives
            return answer
        card = await people.lookup(plugin.Address.from_text(request.body.decode()))
        behaviour.cards.append(card)
        return _said(card is not None, [] if card is None else [it.text for it in card.turns])

    def default_response(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer:
        if self.behaviour.default_raises is not None:
            raise self.behaviour.default_raises
        return _said(False, [])

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        return plugin.SendReceipt(message.id)


def _said(known: bool, turns: list[str]) -> plugin.WebhookAnswer:
    body = json.dumps({"known": known, "turns": turns}).encode()
    return plugin.WebhookAnswer(body=body, content_type="application/json")


@dataclass
class World:
    """A running router, and a way to ring."""

    router: Router
    behaviour: Behaviour
    log: RecordingLog
    web: httpx.AsyncClient

    async def ring(
        self, address: str = "tel:+573001", tenant: str = "", method: str = "POST"
    ) -> httpx.Response:
        path = f"/hooks/{tenant}{'/' if tenant else ''}phone/ringing"
        return await self.web.request(method, path, content=address, headers={"x-key": "ok"})

    async def write(self, id: str, text: str, who: str = "tel:+573001", tenant: str = "") -> None:
        """Let a customer write, and wait until that is worked."""
        path = f"/hooks/{tenant}{'/' if tenant else ''}phone"
        body = {"id": id, "from": who, "text": text}
        response = await self.web.post(path, json=body, headers={"x-key": "ok"})
        assert response.status_code == 200
        worked = sa.select(inbox_event.c.outcome).where(
            inbox_event.c.external_id == f"message:{id}"
        )
        with anyio.fail_after(30):
            while await self.router.store.read(lambda it: it.scalar(worked)) is None:  # noqa: ASYNC110 - work is done elsewhere
                await anyio.sleep(0.01)

    async def count(self, table: sa.Table) -> int:
        statement = sa.select(sa.func.count()).select_from(table)
        return await self.router.store.read(lambda it: it.execute(statement).scalar_one())

    def reasons(self) -> list[str]:
        return [
            each.values["reason"]
            for each in self.log.entries
            if each.event == "answered by default"
        ]

    def counted(self, outcome: str) -> float:
        return self.router.metrics.responses.values.get(("main", "phone", outcome), 0)


@asynccontextmanager
async def ringing(
    folder: Path, rules: str = RULES, *, database: str = "sqlite+aiosqlite:///router.db"
) -> AsyncIterator[World]:
    behaviour, kinds, log = Behaviour(), Registry(), RecordingLog()

    class Ours(Bell):
        pass

    Ours.behaviour = behaviour
    kinds.channel("bell", Ours, config=BellConfig)
    (folder / "router.toml").write_text(CONFIG.replace("{database}", database))
    (folder / "rules.toml").write_text(rules)
    if "///router.db" in database:
        empty_sqlite(folder / "router.db")
    settings = load_settings(folder / "router.toml", kinds, run=True, environ={})
    async with (
        open_store(settings) as store,
        Router(settings, store, log=log) as router,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=build_app(router)), base_url="http://router.example"
        ) as web,
    ):
        yield World(router, behaviour, log, web)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with ringing(tmp_path) as world:
        yield world


async def test_who_calls_is_known_with_their_history(world: World) -> None:
    await world.write("1", "¿Y mi pedido?")
    await world.write("2", "Hola de nuevo")

    response = await world.ring()

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    turns = ["¿Y mi pedido?", "Lo revisamos, 123456.", "Hola de nuevo"]
    assert response.json() == {"known": True, "turns": turns}
    (card,) = world.behaviour.cards
    assert card is not None
    assert (card.name, card.open_tickets, card.calls) == ("Ana", 1, ())
    assert [turn.author for turn in card.turns] == ["customer", "rule", "customer"]
    assert world.counted("answered") == 1


async def test_who_calls_is_known_on_postgresql_too(
    tmp_path: Path, migrated_postgres: PostgresDatabase
) -> None:
    async with ringing(tmp_path, database=migrated_postgres.url) as world:
        await world.write("1", "¿Y mi pedido?", who="tel:+5215512345678")
        await world.write("2", "Otra persona")

        response = await world.ring("tel:+525512345678")

    assert response.json() == {"known": True, "turns": ["¿Y mi pedido?", "Lo revisamos, 123456."]}
    (card,) = world.behaviour.cards
    assert card is not None
    assert (card.name, card.open_tickets) == ("Ana", 1)


async def test_nothing_is_stored_and_parse_is_not_called(world: World) -> None:
    tables = (inbox_event, contact, conversation, message, ticket)
    for method in ("POST", "GET"):
        assert (await world.ring(method=method)).json() == DEFAULT

    assert [await world.count(table) for table in tables] == [0] * 5
    assert world.behaviour.parsed == 0
    assert world.behaviour.cards == [None, None]


async def test_a_request_that_is_not_signed_learns_nothing(world: World) -> None:
    response = await world.web.post("/hooks/phone/ringing", content="tel:+573001")

    assert (response.status_code, response.content) == (403, b"")
    assert world.behaviour.cards == []


async def test_every_address_of_a_person_leads_to_them(world: World) -> None:
    await world.write("1", "hola", who="tel:+5215512345678")

    response = await world.ring("tel:+525512345678")

    assert response.json() == {"known": True, "turns": ["hola"]}


async def test_the_customers_of_another_tenant_are_strangers(world: World) -> None:
    await world.write("1", "hola", tenant="clinica")

    assert (await world.ring()).json() == DEFAULT
    assert (await world.ring(tenant="clinica")).json() == {"known": True, "turns": ["hola"]}


async def test_what_guardrails_keep_from_vendors_is_blanked_out(tmp_path: Path) -> None:
    guardrail = (
        '\n[[guardrail]]\nid = "pii"\nstage = "input"\nwhen.pii.present = true\n'
        'then.redact = ["email"]\n'
    )
    async with ringing(tmp_path, RULES + guardrail) as world:
        await world.write("1", "soy ana@example.com")

        turns = (await world.ring()).json()["turns"]

    assert turns == ["soy [email]"]


async def test_who_takes_longer_than_a_second_is_not_waited_for(world: World) -> None:
    world.behaviour.sleeps = 60.0

    with anyio.fail_after(30):
        response = await world.ring()

    assert (response.status_code, response.json()) == (200, DEFAULT)
    assert world.reasons() == ["not answered in 1 s"]
    assert world.counted("timeout") == 1


async def test_a_library_that_blocks_is_not_waited_for_either(world: World) -> None:
    with blocking() as world.behaviour.blocked:
        response = await world.ring()

        assert world.behaviour.blocked.came_back == 0
    assert (response.status_code, response.json()) == (200, DEFAULT)
    assert world.reasons() == ["not answered in 1 s"]


@pytest.mark.parametrize(
    "error, reason, outcome",
    [
        (ValueError("secret words of a customer"), "respond broke: ValueError in", "broke"),
        (plugin.Unavailable("down"), "respond broke: Unavailable in", "broke"),
        (asyncio.CancelledError(), "respond broke: SelfCancelled in", "broke"),
        (StorageUnavailable("the database is away"), "the database is away", "storage"),
    ],
)
async def test_whatever_breaks_the_default_is_answered(
    world: World, error: BaseException, reason: str, outcome: str
) -> None:
    world.behaviour.raises = error

    response = await world.ring()

    assert (response.status_code, response.json()) == (200, DEFAULT)
    assert world.reasons()[0].startswith(reason)
    assert "secret words" not in world.reasons()[0]
    assert world.counted(outcome) == 1


async def test_what_is_no_answer_counts_as_none(world: World) -> None:
    world.behaviour.gives = "hola"

    assert (await world.ring()).json() == DEFAULT
    assert world.reasons() == ["respond gave str, not a WebhookAnswer"]


async def test_a_channel_that_is_down_answers_by_default(world: World) -> None:
    live: Any = world.router.channel("main", "phone")
    live.up, live.error = False, "no line"

    assert (await world.ring()).json() == DEFAULT
    assert world.reasons() == ["the channel is down: no line"]


async def test_while_the_router_stops_the_default_is_answered(world: World) -> None:
    await world.router.drain()

    assert (await world.ring()).json() == DEFAULT
    assert world.reasons() == ["the router stops"]


@pytest.mark.parametrize(
    "error", [LookupError("a mistake of the plugin"), asyncio.CancelledError()], ids=repr
)
async def test_even_a_default_that_breaks_is_an_answer(world: World, error: BaseException) -> None:
    world.behaviour.raises, world.behaviour.default_raises = ValueError(), error

    response = await world.ring()

    assert (response.status_code, response.content) == (200, b"")
    assert world.log.entries[-1].event == "default_response broke"


async def test_other_endpoints_of_the_channel_are_stored_as_ever(world: World) -> None:
    await world.write("1", "hola")

    assert world.behaviour.parsed == 1
    assert await world.count(inbox_event) == 1
