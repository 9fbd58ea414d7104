"""No tenant reaches another's things, whichever path is taken; and no token more than it may.

The cases are asked for by the table of routes: a new endpoint without one fails here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.integration.web.api_site import (
    DRAFT,
    ENDPOINTS,
    ESCALATION,
    REPLY,
    TICKET,
    Site,
    Things,
)


@dataclass(frozen=True)
class Case:
    """A request for somebody's thing.

    :param path: below the API's prefix, of the thing.
    :param texts: what a customer has to write for the thing to be there.
    :param before: what has to happen to it first.
    :param by_name: it names the thing: another tenant is told that there is none.
    :param other: what makes it another request; ``None`` where nothing can.
    """

    path: Callable[[Things], str]
    texts: tuple[str, ...] = (DRAFT,)
    body: dict[str, Any] | None = None
    before: str = ""
    by_name: bool = True
    other: dict[str, Any] | None = field(default_factory=lambda: {"by": "otra"})


def of(form: str) -> Callable[[Things], str]:
    """Give a path with a thing's names in it."""

    def path(things: Things) -> str:
        names = {key: quote(value, safe="") for key, value in vars(things).items()}
        return form.format(**names)

    return path


CASES = {
    ("GET", "/conversations"): Case(of("conversations"), by_name=False),
    ("GET", "/conversations/{id}"): Case(of("conversations/{address}")),
    ("GET", "/conversations/{id}/messages"): Case(of("conversations/{conversation}/messages")),
    ("POST", "/conversations/{id}/messages"): Case(
        of("conversations/{conversation}/messages"), body={"text": "Buenas, soy Ana."}
    ),
    ("POST", "/conversations/{id}/take"): Case(of("conversations/{conversation}/take")),
    ("POST", "/conversations/{id}/release"): Case(
        of("conversations/{conversation}/release"), before="take", other=None
    ),
    ("POST", "/conversations/start-post-call"): Case(
        of("conversations/start-post-call"),
        body={"phone_number": "+573009999999", "conversation_id": "conv_1"},
        by_name=False,
        other={"client_name": "Ana"},
    ),
    ("POST", "/conversations/{id}/close"): Case(of("conversations/{conversation}/close")),
    ("POST", "/conversations/{id}/opt-in"): Case(
        of("conversations/{address}/opt-in"), body={"because": "asked for it"}, before="opt_out"
    ),
    ("GET", "/contacts/{address}/export"): Case(of("contacts/{address}/export")),
    ("DELETE", "/contacts/{address}"): Case(of("contacts/{address}"), other=None),
    ("GET", "/erasures"): Case(of("erasures"), before="erase", by_name=False),
    ("GET", "/drafts"): Case(of("drafts?conversation={conversation}"), by_name=False),
    ("GET", "/drafts/{id}"): Case(of("drafts/{draft}")),
    ("POST", "/drafts/{id}/approve"): Case(of("drafts/{draft}/approve"), body={"text": "No."}),
    ("POST", "/drafts/{id}/reject"): Case(of("drafts/{draft}/reject")),
    ("GET", "/tickets"): Case(of("tickets?conversation={conversation}"), (TICKET,), by_name=False),
    ("GET", "/tickets/{id}"): Case(of("tickets/{ticket}"), (TICKET,)),
    ("PATCH", "/tickets/{id}"): Case(
        of("tickets/{ticket}"), (TICKET,), {"state": "RESOLVED", "assignee": "ana"}
    ),
    ("POST", "/tickets/{id}/notes"): Case(of("tickets/{ticket}/notes"), (TICKET,), {"text": "x"}),
    ("GET", "/escalations"): Case(of("escalations"), (ESCALATION,), by_name=False),
    ("GET", "/escalations/{id}"): Case(of("escalations/{escalation}"), (ESCALATION,)),
    ("POST", "/escalations/{id}/acknowledge"): Case(
        of("escalations/{escalation}/acknowledge"), (ESCALATION,)
    ),
    ("GET", "/events"): Case(of("events?conversation={conversation}"), by_name=False),
    ("GET", "/explain"): Case(of("explain?id={event}")),
    ("POST", "/events/{event:path}/retry"): Case(of("events/{event}/retry"), before="give_up"),
    ("POST", "/events/{event:path}/discard"): Case(
        of("events/{event}/discard"), body={"because": "spam"}, before="give_up"
    ),
    ("GET", "/events/{event:path}"): Case(of("events/{event}")),
    ("GET", "/outbox"): Case(of("outbox?conversation={conversation}"), (REPLY,), by_name=False),
    ("GET", "/outbox/{id}"): Case(of("outbox/{item}"), (REPLY,)),
    ("POST", "/outbox/{id}/resolve"): Case(
        of("outbox/{item}/resolve"), (REPLY,), {"verdict": "sent"}, before="lose"
    ),
    ("GET", "/calls"): Case(of("calls?conversation={conversation}"), before="call", by_name=False),
    ("GET", "/calls/{id}"): Case(of("calls/{call}"), before="call"),
    ("GET", "/call-batches"): Case(of("call-batches"), before="dial", by_name=False),
    ("GET", "/call-batches/{id}"): Case(of("call-batches/{batch}"), before="dial"),
    ("POST", "/call-batches"): Case(
        of("call-batches"),
        body={"recipients": [{"phone_number": "+573009999999"}]},
        by_name=False,
    ),
    ("POST", "/call-batches/{id}/cancel"): Case(of("call-batches/{batch}/cancel"), before="dial"),
    ("GET", "/stats"): Case(of("stats"), by_name=False),
    ("GET", "/status"): Case(of("status"), by_name=False),
    ("GET", "/token"): Case(of("token"), by_name=False),
}

#: Those whose answer is in numbers: nothing of a thing is in them for anybody.
NUMBERS = {"/stats": ("messages_in", 0), "/status": ("drafts", 0), "/token": ("tenant", "main")}

ROUTES = [(each.method, each.path) for each in ENDPOINTS]


async def asked(
    client: httpx.AsyncClient, method: str, case: Case, things: Things, **headers: str
) -> httpx.Response:
    return await client.request(method, case.path(things), json=case.body, headers=headers)


async def prepared(site: Site, case: Case, tenant: str = "clinica") -> Things:
    """Let a customer bring into being what a case asks for."""
    things = await site.said(*case.texts, tenant=tenant)
    if case.before == "take":
        async with site.client(tenant) as client:
            path = f"conversations/{things.conversation}/take"
            (await client.post(path)).raise_for_status()
    elif case.before == "call":
        await site.called(things, tenant)
    elif case.before == "dial":
        await site.dialled(things, tenant)
    elif case.before == "erase":
        await site.erase(things, tenant)
    elif case.before == "opt_out":
        await site.opt_out(things.address, tenant)
    elif case.before == "give_up":
        await site.give_up(things.event)
    elif case.before == "lose":
        await site.lose(things.item)
    return things


def test_every_route_has_a_case() -> None:
    assert sorted(CASES) == sorted(ROUTES)


async def test_nobody_reaches_what_is_another_tenants(site: Site) -> None:
    async with site.client("main") as stranger, site.client("clinica") as owner:
        for (method, path), case in CASES.items():
            things = await prepared(site, case)

            refused = await asked(stranger, method, case, things)
            granted = await asked(owner, method, case, things)

            where = f"{method} {path}"
            assert granted.is_success, (where, granted.text)
            private = [name for name in vars(things).values() if name]
            if case.by_name:
                assert refused.status_code == 404, (where, refused.text)
                assert "errors" not in refused.json()
            else:
                assert refused.is_success, (where, refused.text)
                assert not [name for name in private if name in refused.text], where
            if path in NUMBERS:
                key, value = NUMBERS[path]
                assert refused.json()[key] == value, where
                assert granted.json()[key] != value, where
            elif method == "GET":
                assert [name for name in private if name in granted.text], where


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_each_route_wants_a_token_and_its_scope(site: Site) -> None:
    things = await site.said(REPLY, DRAFT, TICKET, ESCALATION)
    await site.called(things)
    await site.dialled(things)
    tokens: dict[str, str] = {}
    async with site.daemon.client("203.0.113.7") as client:
        client.base_url = client.base_url.join("/api/v1/")
        for endpoint in ENDPOINTS:
            method, scope = endpoint.method, endpoint.scope
            case = CASES[method, endpoint.path]
            others = {each.scope for each in ENDPOINTS if each.scope} - {scope}
            for name in (scope or "stats:read", " ".join(sorted(others))):
                if name not in tokens:
                    tokens[name] = await site.token("main", *name.split())
            enough = {"Authorization": f"Bearer {tokens[scope or 'stats:read']}"}
            wrong = {"Authorization": f"Bearer {tokens[' '.join(sorted(others))]}"}

            without = await asked(client, method, case, things)
            with_others = await asked(client, method, case, things, **wrong)
            with_its_own = await asked(client, method, case, things, **enough)

            where = f"{method} {endpoint.path}"
            # The router's own machine is asked for by its address; this one is elsewhere.
            assert without.status_code == (403 if endpoint.open_here else 401), where
            assert with_its_own.status_code not in (401, 403), (where, with_its_own.text)
            if scope is None:
                assert with_others.is_success, where
            else:
                assert with_others.status_code == 403, where
                assert with_others.headers["www-authenticate"] == (
                    f'Bearer error="insufficient_scope", scope="{scope}"'
                )


async def test_each_write_with_a_key_is_done_once(site: Site) -> None:
    async with site.client("clinica") as client:
        for (method, path), case in CASES.items():
            if method == "GET":
                continue
            things = await prepared(site, case)
            key = {"Idempotency-Key": f"{method}{path}"}

            first = await asked(client, method, case, things, **key)
            again = await asked(client, method, case, things, **key)
            said = replace(case, body={**(case.body or {}), **(case.other or {})})
            other = await asked(client, method, said, things, **key)

            where = f"{method} {path}"
            assert first.is_success, (where, first.text)
            assert "idempotency-replayed" not in first.headers
            assert (again.status_code, again.text) == (first.status_code, first.text), where
            assert again.headers["idempotency-replayed"] == "true", where
            if case.other is not None:
                assert other.status_code == 422, (where, other.text)
                assert other.json()["errors"][0]["header"] == "Idempotency-Key", where
