"""From a notice to the page that its link opens, with the whole router behind it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
import sqlalchemy as sa
from pytest_httpserver import HTTPServer

from router.domain.decision import DraftRequest
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.storage.drafts import open_draft
from router.storage.refusals import accept_opt_out
from router.storage.store import EventRef, Tx
from router.storage.tables import conversation, link, message
from tests.integration.web.daemon import CONFIG, Daemon, running

ANA = "+573001234567"
SAID = "Voy a hablar con mi abogado <b>mañana</b>"

MORE = """
[queues.legal]
notify = ["pager"]

[queues.billing]
notify = ["pager"]

[actions.pager]
type = "webhook"
url = "{url}"
"""


class World:
    """A router, and the server that its notices go to."""

    def __init__(self, daemon: Daemon, pager: HTTPServer) -> None:
        self.daemon = daemon
        self.pager = pager

    async def say(self, text: str, *, id: str = "m1", hook: str = "phone") -> None:
        async with self.daemon.client() as client:
            body = {"id": id, "from": ANA, "text": text}
            assert (await client.post(f"/hooks/{hook}", json=body)).status_code == 200

    async def notices(self, number: int = 1) -> list[dict[str, Any]]:
        """Wait for so many notices; give what each said."""
        for _ in range(2000):
            if len(self.pager.log) >= number:
                break
            await anyio.sleep(0.02)
        return [json.loads(request.data)["params"] for request, _ in self.pager.log]

    async def called(self, text: str = SAID, *, hook: str = "phone") -> str:
        """Let a customer write what calls a person; give the path of the link."""
        before = len(self.pager.log)
        await self.say(text, hook=hook, id=f"m{before}")
        notice = (await self.notices(before + 1))[before]
        return str(urlsplit(notice["url"]).path)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Open a page from a telephone somewhere."""
        async with self.daemon.client(peer="203.0.113.9") as client:
            return await client.get(path, **options)

    async def write(self, function: Callable[[Tx], Any]) -> None:
        def quietly(tx: Tx) -> None:
            function(tx)

        await self.daemon.router.store.write(quietly)

    async def act(self, name: str, **arguments: Any) -> None:
        router = self.daemon.router
        around = Configured(lambda: router.configuration)
        await perform(router.store, name, {"by": "luis", **arguments}, around)

    async def age(self, hours: float) -> None:
        """Let every link be older than it is."""
        longer = timedelta(hours=hours)

        def write(tx: Tx) -> None:
            for row in tx.connection.execute(sa.select(link)).all():
                tx.connection.execute(
                    sa.update(link)
                    .where(link.c.secret == row.secret)
                    .values(created_at=row.created_at - longer)
                )

        await self.write(write)

    async def rows(self, table: sa.Table) -> list[Any]:
        return await self.daemon.router.store.read(
            lambda it: list(it.execute(sa.select(table)).all())
        )


@asynccontextmanager
async def opened(folder: Path, pager: HTTPServer, config: str = CONFIG) -> AsyncIterator[World]:
    pager.expect_request("/notice").respond_with_data("")
    async with running(folder, config=config + MORE.format(url=pager.url_for("/notice"))) as it:
        yield World(it, pager)


@pytest.fixture
async def world(tmp_path: Path, httpserver: HTTPServer) -> AsyncIterator[World]:
    async with opened(tmp_path, httpserver) as world:
        yield world


async def test_notice_of_an_escalation_leads_to_its_conversation(world: World) -> None:
    await world.say("¿Qué horario tienen?", id="m0")
    await world.say(SAID)
    (notice,) = await world.notices()

    assert notice == {
        "title": f"{ANA}: legal threat",
        "text": SAID,
        "url": notice["url"],
        "data": {},
    }
    assert notice["url"].startswith("http://127.0.0.1:8000/c/")
    page = await world.get(notice["url"])
    assert page.status_code == 200
    assert '<html lang="es">' in page.text
    (call,) = (await calls_by_link(world)).values()
    for words in (
        ANA,
        f'href="tel:{ANA}"',
        "legal threat",
        "¿Qué horario tienen?",
        "Abrimos de lunes a viernes",
        "mi abogado &lt;b&gt;mañana&lt;/b&gt;",
        "No atiende nadie: espera a una persona",
        f"router escalations ack {call}",
    ):
        assert words in page.text
    assert page.text.index("¿Qué horario") < page.text.index("Abrimos de lunes")
    assert page.text.index("¿Qué horario") < page.text.index("&lt;b&gt;")


async def test_page_says_who_let_a_customer_in_again(world: World) -> None:
    path = await world.called()
    await world.write(lambda tx: accept_opt_out(tx.connection, "main", f"tel:{ANA}", tx.now))

    before = (await world.get(path)).text
    await world.act("conversations.opt_in", id=f"tel:{ANA}", because="pidió <volver>")
    after = (await world.get(path)).text

    assert "no quiere mensajes" in before
    assert "data-opt-in" not in before
    assert "no quiere mensajes" not in after
    assert "Se le puede volver a escribir, según luis" in after
    assert "pidió &lt;volver&gt;" in after


async def calls_by_link(world: World) -> dict[str, str]:
    return {row.secret: row.escalation for row in await world.rows(link)}


async def test_page_keeps_its_address_to_itself(world: World) -> None:
    for path, status in ((await world.called(), 200), ("/c/nothing", 404)):
        page = await world.get(path)

        assert page.status_code == status
        for name, value in {
            "content-security-policy": (
                "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; "
                "base-uri 'none'; frame-ancestors 'none'"
            ),
            "referrer-policy": "no-referrer",
            "x-robots-tag": "noindex, nofollow, noarchive, nosnippet",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }.items():
            assert page.headers.get_list(name) == [value]
        assert "set-cookie" not in page.headers
        assert "<script" not in page.text
        # What previews of links quote.
        head = page.text.split("</head>")[0]
        assert ANA not in head
        assert 'content="noindex, nofollow"' in head


async def expired(world: World, path: str) -> str:
    await world.age(72)
    return path


async def heard_yesterday(world: World, path: str) -> str:
    (call,) = (await calls_by_link(world)).values()
    await world.act("escalations.ack", id=call)
    await world.write(
        lambda tx: tx.connection.execute(
            sa.text("UPDATE escalation SET acknowledged_at = acknowledged_at - 86400000000")
        )
    )
    return path


async def of_another_tenant(world: World, path: str) -> str:
    await world.write(lambda tx: tx.connection.execute(sa.update(link).values(tenant="clinica")))
    return path


async def of_a_tenant_that_left(world: World, path: str) -> str:
    for table in (link, conversation):
        await world.write(
            lambda tx, table=table: tx.connection.execute(  # type: ignore[misc]
                sa.update(table).values(tenant="gone")
            )
        )
    return path


async def turned_off(world: World, path: str) -> str:
    configuration = world.daemon.router.configuration
    settings = configuration.settings
    main = settings.tenants["main"]
    quiet = replace(main, policy=replace(main.policy, notice_links=False))
    world.daemon.router.configuration = replace(
        configuration, settings=replace(settings, tenants={**settings.tenants, "main": quiet})
    )
    return path


async def guessed(world: World, path: str) -> str:
    return f"/c/{'0' * 32}"


async def cut_short(world: World, path: str) -> str:
    return path[:-1]


async def in_capitals(world: World, path: str) -> str:
    return f"/c/{path.removeprefix('/c/').upper()}"


async def of_another_sort(world: World, path: str) -> str:
    return "/c/%00%F0%9F%98%80'--"


@pytest.mark.parametrize(
    "spoil",
    [
        expired,
        heard_yesterday,
        of_another_tenant,
        of_a_tenant_that_left,
        turned_off,
        guessed,
        cut_short,
        in_capitals,
        of_another_sort,
    ],
)
async def test_every_link_that_opens_nothing_says_the_same(
    world: World, spoil: Callable[[World, str], Any]
) -> None:
    path = await world.called()
    assert (await world.get(path)).status_code == 200
    reference = await world.get("/c/never-was")

    page = await world.get(await spoil(world, path))

    assert (page.status_code, page.text) == (404, reference.text)
    same = {name: value for name, value in page.headers.items() if name != "date"}
    assert same == {name: value for name, value in reference.headers.items() if name != "date"}
    assert "Este enlace no abre nada" in page.text


async def test_link_shows_nothing_of_another_tenant_or_conversation(world: World) -> None:
    theirs = await world.called("o meu abogado da clínica", hook="clinica/telefono")
    ours = await world.called("el abogado de la tienda")

    page, other = (await world.get(ours)).text, (await world.get(theirs)).text
    assert ("el abogado de la tienda" in page, "o meu abogado da clínica" in page) == (True, False)
    assert ("el abogado de la tienda" in other, "o meu abogado da clínica" in other) == (
        False,
        True,
    )


@pytest.mark.parametrize(
    "hook, query, language, words",
    [
        ("phone", "", "es", "Nadie ha confirmado todavía"),
        ("phone", "?lang=pt", "pt", "Ninguém confirmou ainda"),
        ("phone", "?lang=en", "en", "Nobody has acknowledged it yet"),
        ("phone", "?lang=de", "es", "Nadie ha confirmado todavía"),
        ("clinica/telefono", "", "pt", "Ninguém confirmou ainda"),
        ("clinica/telefono", "?lang=es", "es", "Nadie ha confirmado todavía"),
    ],
)
async def test_page_speaks_the_readers_language(
    world: World, hook: str, query: str, language: str, words: str
) -> None:
    page = await world.get(await world.called(hook=hook) + query)

    assert f'<html lang="{language}">' in page.text
    assert words in page.text


@pytest.mark.parametrize(
    "query, words",
    [
        ("", "Este enlace no abre nada"),
        ("?lang=pt", "Este link não abre nada"),
        ("?lang=en", "This link opens nothing"),
    ],
)
async def test_page_of_a_link_that_opens_nothing_speaks_the_readers_language(
    world: World, query: str, words: str
) -> None:
    assert words in (await world.get(f"/c/nothing{query}")).text


async def test_page_says_who_took_the_call(world: World) -> None:
    path = await world.called()
    (call,) = (await calls_by_link(world)).values()
    await world.act("escalations.ack", id=call)

    page = (await world.get(path)).text
    assert "Lo atiende luis" in page
    assert "router escalations ack" not in page


async def test_page_shows_drafts_that_wait_and_no_others(world: World) -> None:
    path = await world.called()
    (thread,) = {row.conversation for row in await world.rows(link)}

    def write(tx: Tx, draft: str, text: str) -> None:
        open_draft(
            tx.connection,
            id=draft,
            tenant="main",
            conversation=thread,
            event=EventRef(f"main/tel:{ANA}", 1),
            request=DraftRequest(text=text, because="a rule wants a person's word"),
            now=tx.now,
        )

    for draft, text in (("d0", "Quizá."), ("d2", "Ni hablar.")):
        await world.write(partial(write, draft=draft, text=text))
    await world.act("drafts.reject", id="d2")
    await world.write(partial(write, draft="d1", text="Le devolvemos todo."))

    page = (await world.get(path)).text
    assert "Le devolvemos todo." in page
    assert "router drafts approve d1" in page
    assert "una regla pide que lo apruebe una persona" in page
    assert "Ni hablar." not in page
    assert "Quizá." not in page  # the next one took its place


async def test_every_notice_about_one_ticket_leads_to_it(world: World) -> None:
    first = await world.called("Quiero mi factura")
    second = await world.called("¿Y mi factura?")

    assert first != second
    for path in (first, second):
        page = (await world.get(path)).text
        assert "Ticket #1" in page
        assert "router tickets state 1 in_progress" in page
        assert "¿Y mi factura?" in page


@pytest.mark.parametrize(
    "query, words",
    [
        ("", ("cola billing · nuevo", ">No atiende nadie: espera a una persona<")),
        ("?lang=pt", ("fila billing · novo", ">Ninguém atende: espera uma pessoa<")),
        ("?lang=en", ("queue billing · new", ">Served by nobody: waits for a person<")),
    ],
)
async def test_page_tells_in_the_readers_language_how_things_stand(
    world: World, query: str, words: tuple[str, ...]
) -> None:
    path = await world.called("Quiero mi factura")
    await world.called()

    page = (await world.get(path + query)).text

    assert [said for said in words if said not in page] == []


async def test_notice_about_a_conversation_that_waits_for_a_person_leads_to_it(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    everything = '\n[queues.default]\nnotify = ["pager"]\n'
    async with opened(tmp_path, httpserver, CONFIG + everything) as world:
        await world.called()
        page = await world.get(await world.called("¿Hay alguien?"))

    assert page.status_code == 200
    assert "¿Hay alguien?" in page.text


async def test_page_of_an_escalation_names_the_ticket_that_was_open(world: World) -> None:
    await world.called("Quiero mi factura")
    page = (await world.get(await world.called())).text

    assert "Ticket #1" in page
    assert "router tickets state" not in page
    assert "router escalations ack" in page


async def test_long_conversation_shows_its_newest_messages(world: World) -> None:
    path = await world.called()
    (row,) = await world.rows(message)
    # Around noon where the business is, so that all of it is one day whenever this runs.
    before = (row.created_at - timedelta(days=2)).replace(hour=18, minute=0)

    def write(tx: Tx) -> None:
        earlier = [
            {
                **row._mapping,
                "id": f"old-{number:03}",
                "text": f"viejo {number:03}",
                "created_at": before - timedelta(minutes=number),
            }
            for number in range(120)
        ]
        tx.connection.execute(sa.insert(message), earlier)

    await world.write(write)

    page = (await world.get(path)).text
    assert page.count('class="bubble') == 100
    assert page.count('class="day"') == 2
    assert "Solo se muestran los últimos mensajes." in page
    assert ("viejo 098" in page, "viejo 099" in page) == (True, False)
    assert page.index("viejo 098") < page.index("viejo 000") < page.index('id="newest"')


@pytest.mark.parametrize(
    "config",
    [
        CONFIG.replace('debounce = "0s"', 'debounce = "0s"\nnotice_links = false'),
        CONFIG + "\n[server]\nport = 0\n",
    ],
    ids=["turned off", "nobody knows the port"],
)
async def test_notice_without_a_link_is_a_notice_all_the_same(
    tmp_path: Path, httpserver: HTTPServer, config: str
) -> None:
    async with opened(tmp_path, httpserver, config) as world:
        await world.say(SAID)
        (notice,) = await world.notices()

        assert notice == {"title": f"{ANA}: legal threat", "text": SAID, "url": None, "data": {}}
        assert await world.rows(link) == []


async def test_link_begins_with_the_public_address(tmp_path: Path, httpserver: HTTPServer) -> None:
    config = CONFIG.replace("[router]", '[router]\npublic_url = "https://example.org/router/"')
    async with opened(tmp_path, httpserver, config) as world:
        await world.say(SAID)
        (notice,) = await world.notices()

        assert notice["url"].startswith("https://example.org/router/c/")
        # Nothing on the page starts at the root: a proxy may have a path of its own in front.
        page = (await world.get(urlsplit(notice["url"]).path.removeprefix("/router"))).text
        assert 'href="/' not in page
        assert 'src="/' not in page


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_page_can_only_be_read(world: World, method: str) -> None:
    path = await world.called()
    async with world.daemon.client(peer="203.0.113.9") as client:
        assert (await client.request(method, path)).status_code == 405
        head = await client.head(path)

    assert (head.status_code, head.text) == (200, "")
