"""Calls as people and programs see them: on the conversation's page, and through the API."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from router import plugin
from router.domain.identity import lane_key
from router.ids import new_secret
from router.pipeline.notices.notices import PATH
from router.pipeline.people.acts import perform
from router.storage.calls import list_calls
from router.storage.conversations import show_conversation
from router.storage.links import open_link
from router.storage.store import NewEvent, Tx
from tests.integration.web.daemon import CONFIG, Daemon, running

ANA = plugin.Address("tel", "+573001234567")
MORE = """
[queues.legal]
[queues.billing]
"""
CALL = plugin.CallEnded(
    id="conv_1",
    party=ANA,
    direction="inbound",
    outcome="success",
    duration=timedelta(seconds=65),
    summary="Quiere la factura <b>de marzo</b>",
    transcript=(plugin.CallTurn("customer", "La factura, por favor"),),
    data={"pedido": "A-17"},
)


async def report(daemon: Daemon, *events: plugin.CallEnded) -> None:
    router = daemon.router
    now = router.clock.now()
    await router.store.enqueue(
        [
            NewEvent(
                lane=lane_key("main", event.party),
                tenant="main",
                source="main/phone",
                external_id=event.dedupe_key,
                event=event,
                received_at=now,
            )
            for event in events
        ]
    )


async def page_of(daemon: Daemon, language: str) -> str:
    secret = new_secret()

    def link(tx: Tx) -> None:
        thread = show_conversation(tx.connection, "main", str(ANA))
        open_link(tx.connection, secret=secret, tenant="main", conversation=thread.id, now=tx.now)

    await daemon.router.store.write(link)
    async with daemon.client("203.0.113.9") as client:
        answer = await client.get(f"{PATH}{secret}", params={"lang": language})
    assert answer.status_code == 200
    return " ".join(answer.text.split())


async def known(daemon: Daemon, number: int) -> None:
    with anyio.fail_after(30):
        while True:
            calls = await daemon.router.store.read(lambda it: list_calls(it, "main"))
            if len(calls) == number:
                return
            await anyio.sleep(0.02)


async def test_the_page_of_a_conversation_shows_its_calls_among_the_messages(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, config=CONFIG + MORE) as daemon:
        failed = plugin.CallEnded(id="conv_2", party=ANA, status="failed", reason="busy")
        await report(daemon, CALL, failed)
        await known(daemon, 2)

        page = await page_of(daemon, "es")

        assert "<strong>Llamada recibida</strong>" in page
        assert "· 1:05 · lo logró" in page
        assert "Quiere la factura &lt;b&gt;de marzo&lt;/b&gt;" in page
        assert "<li>pedido: A-17</li>" in page
        assert "<summary>Lo que se dijo</summary>" in page
        assert "<strong>Cliente:</strong> La factura, por favor" in page
        assert "<strong>Llamada sin respuesta</strong>" in page
        assert "· busy" in page
        assert "Chamada recebida" in await page_of(daemon, "pt")
        assert "Call received" in await page_of(daemon, "en")


SNAKE = {
    "phone_number": "+57 300-123 4567",
    "client_name": "Ana",
    "call_summary": "Quiere la factura.",
    "agent_id": "agent_1",
    "conversation_id": "conv_1",
}
CAMEL = {
    "phoneNumber": "573001234567",
    "clientName": "Ana",
    "callSummary": "Quiere la factura.",
    "agentId": "agent_1",
    "conversationId": "conv_1",
    "somethingElse": {"a": [1]},
}


async def started(daemon: Daemon, *bodies: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    router = daemon.router
    given = {"name": "crm", "scopes": ["conversations:write"], "expires": 60.0, "by": "eva"}
    token = (await perform(router.store, "tokens.create", given, router.surroundings))["text"]
    headers = {"Authorization": f"Bearer {token}"}
    path = "/api/v1/conversations/start-post-call"
    async with daemon.client("203.0.113.9") as client:
        answers = [await client.post(path, json=body, headers=headers) for body in bodies]
    return [(answer.status_code, answer.json()) for answer in answers]


async def test_another_system_reports_a_call_in_either_spelling_once(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        answers = await started(daemon, SNAKE, CAMEL, {**SNAKE, "call_summary": "Otra cosa"})
        await known(daemon, 1)

        (kept,) = await daemon.router.store.read(lambda it: list_calls(it, "main"))
        event = "main/tel:+573001234567#1"
        assert answers == [(202, {"conversation_id": "conv_1", "event": event})] * 3
        assert (kept.party, kept.summary, kept.agent) == (
            str(ANA),
            SNAKE["call_summary"],
            "agent_1",
        )
        assert (kept.origin, kept.outcome) == ("api", "success")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**SNAKE, "phone_number": "no number"},
        {**SNAKE, "phone_number": "+0573001234567"},
        {**SNAKE, "conversation_id": " "},
        {"phone_number": "+573001234567"},
    ],
)
async def test_a_call_that_cannot_be_told_from_others_is_refused(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async with running(tmp_path) as daemon:
        ((status, _),) = await started(daemon, body)
        calls = await daemon.router.store.read(lambda it: list_calls(it, "main"))

        assert (status, calls) == (422, [])
