"""A router of two businesses with customers who wrote, and the programs that ask about them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
import sqlalchemy as sa

from router.domain.outbox import ItemState
from router.pipeline.people.acts import perform
from router.storage.store import Tx
from router.storage.tables import contact, inbox_event, outbox
from router.web.api.app import resources
from router.web.api.endpoints import Endpoint
from tests.integration.web.daemon import CONFIG, Daemon, running

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PROBLEM = "application/problem+json"

#: Where customers write, by tenant.
HOOKS = {"main": "/hooks/phone", "clinica": "/hooks/clinica/telefono"}

#: What a customer writes, by what becomes of it.
DRAFT, TICKET, ESCALATION, REPLY = "reembolso", "factura", "mi abogado", "horario"

ENDPOINTS: Sequence[Endpoint] = [each for routes in resources() for each in routes.endpoints]


@dataclass
class Things:
    """One of each of what a business has, all of one customer of its own."""

    address: str
    conversation: str = ""
    draft: str = ""
    ticket: str = ""
    escalation: str = ""
    event: str = ""
    item: str = ""
    call: str = ""
    batch: str = ""
    erasure: str = ""


#: Scopes that are good for everything.
EVERYTHING: Final = ["read", "write", "contacts:read", "contacts:write"]


@dataclass
class Site:
    """The router, and ways to it."""

    daemon: Daemon
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def token(self, tenant: str = "main", *scopes: str, name: str = "crm") -> str:
        """Make a token; without scopes it is good for everything."""
        given: dict[str, Any] = {"scopes": list(scopes) or EVERYTHING, "expires": 3600.0}
        given |= {"tenant": tenant, "name": name, "by": "eva"}
        router = self.daemon.router
        made = await perform(router.store, "tokens.create", given, router.surroundings)
        return str(made["text"])

    @asynccontextmanager
    async def client(self, tenant: str = "main", *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client elsewhere that has a token."""
        async with self.daemon.client("203.0.113.7") as client:
            token = await self.token(tenant, *scopes)
            client.headers["Authorization"] = f"Bearer {token}"
            client.base_url = client.base_url.join("/api/v1/")
            yield client

    async def said(self, *texts: str, tenant: str = "main") -> Things:
        """Let a new customer write, and wait until it is decided; give what became of it."""
        number = next(self.numbers)
        things = Things(address=f"tel:+57300{number:07}")
        async with self.daemon.client() as phone, self.client(tenant) as client:
            for n, text in enumerate(texts):
                body = {"id": f"{number}-{n}", "from": things.address[4:], "text": text}
                (await phone.post(HOOKS[tenant], json=body)).raise_for_status()
            with anyio.fail_after(30):
                while (await client.get("events?open=true")).json()["items"]:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
            thread = (await client.get(f"conversations/{things.address}")).json()
            things.conversation = thread["id"]

            async def first(path: str, key: str = "id") -> str:
                listed = (await client.get(f"{path}")).json()["items"]
                mine = [it for it in listed if it["conversation"] == things.conversation]
                return mine[0][key] if mine else ""

            things.draft = await first("drafts")
            things.ticket = await first("tickets")
            things.escalation = await first("escalations")
            things.event = await first("events", "event")
            things.item = await first("outbox")
        return things

    async def write(self, change: Callable[[Tx], Any]) -> None:
        await self.daemon.router.store.write(change)

    async def lose(self, item: str) -> None:
        """Let nobody know whether an outbox item was sent."""
        under_way = sa.select(outbox.c.id).where(
            outbox.c.id == item, outbox.c.state.in_([ItemState.WAITING, ItemState.STARTED])
        )
        read = self.daemon.router.store.read
        with anyio.fail_after(30):
            # Else its delivery, which is just ending, knows better.
            while await read(lambda it: it.scalar(under_way)):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        statement = sa.update(outbox).where(outbox.c.id == item).values(state="unknown")
        await self.write(lambda tx: tx.connection.execute(statement))

    async def erase(self, things: Things, tenant: str = "main") -> None:
        """Let a customer be erased."""
        async with self.client(tenant) as client:
            answer = await client.delete(f"contacts/{things.address}")
            things.erasure = answer.raise_for_status().json()["erasure"]["id"]

    async def opt_out(self, address: str, tenant: str) -> None:
        """Let a customer want no more messages."""
        statement = sa.update(contact).where(contact.c.tenant == tenant, contact.c.key == address)
        await self.write(lambda tx: tx.connection.execute(statement.values(opted_out=True)))

    async def give_up(self, event: str) -> None:
        """Make an event a dead letter."""
        lane, _, seq = event.rpartition("#")
        columns = inbox_event.c
        statement = (
            sa.update(inbox_event)
            .where(columns.lane == lane, columns.seq == int(seq))
            .values(dead_error="it broke", outcome="dead")
        )
        await self.write(lambda tx: tx.connection.execute(statement.values(dead_at=tx.now)))

    async def called(self, things: Things, tenant: str = "main") -> None:
        """Let another system have called a customer."""
        things.call = f"call-{next(self.numbers)}"
        body = {"phone_number": things.address[4:], "conversation_id": things.call}
        async with self.client(tenant) as client:
            (await client.post("conversations/start-post-call", json=body)).raise_for_status()
            with anyio.fail_after(30):
                while (await client.get(f"calls/{things.call}")).is_error:  # noqa: ASYNC110
                    await anyio.sleep(0.02)

    async def dialled(self, things: Things, tenant: str = "main") -> str:
        """Let a batch of calls be taken by its provider; give the provider's id."""
        number = f"+57301{next(self.numbers):07}"
        async with self.client(tenant) as client:
            body = {"recipients": [{"phone_number": number}], "name": "Noviembre"}
            made = (await client.post("call-batches", json=body)).raise_for_status()
            things.batch = made.json()["batch"]["id"]
            with anyio.fail_after(30):
                while True:
                    batch = (await client.get(f"call-batches/{things.batch}")).json()
                    if batch["batch"] is not None:
                        return str(batch["batch"])
                    await anyio.sleep(0.02)


#: An action that begins batches of calls, and calls nobody.
DIALER = """
from router import plugin

router_api = (1, 1)


class DialParams(plugin.ActionParams):
    name: str = ""
    recipients: list[dict[str, object]] = []
    at: str | None = None
    cancel: str | None = None


class Dialer(plugin.Action[plugin.NoConfig]):
    async def run(self, call):
        return plugin.ActionResult("batch", {}, f"btcal_{call.id}")


@plugin.hookimpl
def router_register(registry):
    registry.action("dialer", Dialer, config=plugin.NoConfig, params=DialParams)
"""


@asynccontextmanager
async def opened(
    folder: Path, database: str | None = None, *, engine: str | None = None
) -> AsyncIterator[Site]:
    """Run a router, on SQLite or at a URL; with an engine it listens on a port of its own."""
    config = (
        CONFIG if database is None else CONFIG.replace("sqlite+aiosqlite:///router.db", database)
    )
    (folder / "dialer.py").write_text(DIALER)
    config = config.replace("[router]", '[router]\nplugins = ["dialer.py"]')
    config += '\n[actions.dial]\ntype = "dialer"\n'
    async with running(folder, engine=engine, config=config) as daemon:
        yield Site(daemon)


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Give a problem, checked to be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    found: dict[str, Any] = response.json()
    assert (found["type"], found["status"]) == ("about:blank", status)
    assert found["title"]
    assert found["detail"].endswith(".")
    return found


async def sent(site: Site, client: httpx.AsyncClient, conversation: str) -> list[str]:
    """Give what reached the customer, once nothing is on its way any more."""
    with anyio.fail_after(30):
        while True:
            listed = await client.get(f"outbox?conversation={conversation}&kind=message")
            items = listed.json()["items"]
            if not [it for it in items if it["state"] in ("waiting", "started")]:
                return [it["text"] for it in reversed(items) if it["state"] == "done"]
            await anyio.sleep(0.02)
