"""The phone page over HTTP, with the whole router behind it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from router.web.simulator.routes import Simulator
from tests.integration.web.daemon import CONFIG, Daemon, running

ANA = "+573001234567"
ANA_IN_A_QUERY = {"channel": "phone", "address": ANA}

Messages = list[dict[str, Any]]


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path) as daemon:
        yield daemon


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[httpx.AsyncClient]:
    async with daemon.client() as client:
        yield client


async def messages(
    client: httpx.AsyncClient,
    until: Callable[[Messages], bool] = bool,
    **query: str,
) -> Messages:
    """Ask for a customer's messages until they are as they should be."""
    found: Messages = []
    with anyio.move_on_after(40):
        while True:
            response = await client.get("/simulator/messages", params=ANA_IN_A_QUERY | query)
            assert response.status_code == 200
            found = response.json()["messages"]
            if until(found):
                return found
            await anyio.sleep(0.02)
    raise AssertionError(found)


async def test_phone_shows_nothing_that_its_number_said_elsewhere(tmp_path: Path) -> None:
    two = CONFIG.replace(
        "[tenants.clinica]\n", '[channels.otro]\ntype = "simulator"\n\n[tenants.clinica]\n'
    )
    async with running(tmp_path, config=two) as daemon, daemon.client() as client:
        said = {"id": "1", "from": ANA, "text": "gane dinero aqui"}
        assert (await client.post("/hooks/phone", json=said)).status_code == 200
        for number in range(205):  # more than are shown
            said = {"id": str(number), "from": ANA, "text": "gane dinero alla"}
            assert (await client.post("/hooks/otro", json=said)).status_code == 200
        here = await messages(client, all_decided)
        there = await messages(client, all_decided, channel="otro")
        page = (await client.get("/simulator", params=ANA_IN_A_QUERY)).text

    assert [it["text"] for it in here] == ["gane dinero aqui"]
    assert {it["text"] for it in there} == {"gane dinero alla"}
    assert "gane dinero aqui" in page
    assert "gane dinero alla" not in page


def all_decided(found: Messages) -> bool:
    return bool(found) and all(it["decision"] for it in found if it["direction"] == "in")


def all_sent(found: Messages) -> bool:
    sent = [it["status"] for it in found if it["direction"] == "out"]
    return bool(sent) and set(sent) <= {"sent"}


async def say(client: httpx.AsyncClient, text: str, **form: str) -> httpx.Response:
    data = {"channel": "phone", "address": ANA, "text": text} | form
    return await client.post("/simulator/send", data=data)


async def test_message_typed_on_the_page_is_answered_and_explained(
    client: httpx.AsyncClient,
) -> None:
    response = await say(client, "¿A qué horario\r\nabren?", lang="pt")

    assert response.status_code == 303
    assert response.headers["location"] == (
        "/simulator?channel=phone&address=%2B573001234567&lang=pt"
    )
    question, answer = await messages(client, lambda it: len(it) == 2 and all_sent(it))
    assert question == {
        "id": question["id"],
        "direction": "in",
        "author": "customer",
        "text": "¿A qué horario\nabren?",
        "at": question["at"],
        "status": "received",
        "decision": {
            "outcome": "reply",
            "rule": "horario",
            "category": "INFO",
            "event": "main/tel:+573001234567#1",
        },
    }
    assert answer == {
        "id": answer["id"],
        "direction": "out",
        "author": "rule",
        "text": "Abrimos de lunes a viernes, de 8:00 a 18:00.",
        "at": answer["at"],
        "status": "sent",
        "decision": None,
    }


async def test_request_of_the_page_by_script_gets_an_empty_notice(
    client: httpx.AsyncClient,
) -> None:
    data = {"channel": "phone", "address": ANA, "text": "hola"}
    response = await client.post("/simulator/send", data=data, headers={"HX-Request": "true"})

    assert (response.status_code, response.text) == (200, "")


async def test_repeat_of_a_webhook_is_one_message(client: httpx.AsyncClient) -> None:
    body = {"id": "m1", "from": ANA, "text": "gane dinero"}
    first = await client.post("/hooks/phone", json=body)
    second = await client.post("/hooks/phone", json=body)

    assert [first.status_code, second.status_code] == [200, 200]
    assert [it["text"] for it in await messages(client, all_decided)] == ["gane dinero"]


@pytest.mark.parametrize(
    "query",
    [
        "address=%2B573001234567",
        "address=+573001234567",
        "address=573001234567",
        "address=tel:%2B573001234567",
        "address=tel:+573001234567",
        "channel=phone&address=57%20300%20123-4567",
    ],
)
async def test_customer_is_found_however_the_number_is_written(
    client: httpx.AsyncClient, query: str
) -> None:
    await say(client, "gane dinero")
    await messages(client, all_decided)

    response = await client.get(f"/simulator/messages?{query}")
    assert [it["text"] for it in response.json()["messages"]] == ["gane dinero"]


async def test_customers_channels_and_tenants_are_kept_apart(client: httpx.AsyncClient) -> None:
    await say(client, "gane dinero")
    await say(client, "gane dinero, otra vez", address="+573007654321")
    await say(client, "gane dinero, na clínica", channel="clinica/telefono")

    def of(**query: str) -> Any:
        return messages(client, all_decided, **query)

    assert [it["text"] for it in await of()] == ["gane dinero"]
    assert [it["text"] for it in await of(address="+573007654321")] == ["gane dinero, otra vez"]
    found = await of(channel="clinica/telefono")
    assert [it["text"] for it in found] == ["gane dinero, na clínica"]
    page = (await client.get("/simulator")).text
    assert '<option value="+573007654321">' in page
    assert "otra vez" not in page


@pytest.mark.parametrize(
    "text, outcome, shown",
    [
        ("gane dinero", "ignore", ["Ignorado", "spam", "an advertisement"]),
        (
            "horario",
            "reply",
            ["Respuesta", "INFO", "bajo", "Abrimos de lunes", "» da la respuesta"],
        ),
        (
            "reembolso",
            "draft",
            ["Borrador pendiente:", "Le devolvemos el dinero.", "router drafts approve 01"],
        ),
        (
            "factura",
            "ticket",
            ["Ticket #1", "cola billing · nuevo", "Consulta de factura", "» abre un ticket"],
        ),
        ("abogado", "escalate", ["Escalado a legal:", "legal threat", "LEGAL", "alto"]),
    ],
)
async def test_decision_stands_beside_the_phone(
    client: httpx.AsyncClient, text: str, outcome: str, shown: list[str]
) -> None:
    await say(client, text)
    [asked, *_] = await messages(client, all_decided)
    page = (await client.get("/simulator")).text

    assert asked["decision"]["outcome"] == outcome
    assert [words for words in shown if words not in page] == []


async def test_answer_of_the_knowledge_base_shows_its_sources(client: httpx.AsyncClient) -> None:
    await say(client, "¿Cuánto tarda un envío?")
    [asked, *_] = await messages(client, all_decided)
    page = (await client.get("/simulator")).text

    assert asked["decision"]["rule"] is None
    assert '<dd class="sources">envios#' in page
    assert '<dd class="rule">ninguna: el valor por defecto</dd>' in page


async def test_whole_trace_is_a_fragment_for_the_page_and_a_page_of_its_own(
    client: httpx.AsyncClient,
) -> None:
    await say(client, "horario")
    [asked, *_] = await messages(client, all_decided)
    query = ANA_IN_A_QUERY | {"event": asked["decision"]["event"]}
    page = await client.get("/simulator/trace", params=query)
    fragment = await client.get("/simulator/trace", params=query, headers={"HX-Request": "true"})

    assert page.text.startswith("<!doctype html>")
    assert fragment.text.startswith("<pre")
    assert "horario  matched: " in fragment.text
    assert fragment.text.strip() in page.text


async def test_person_who_answers_from_the_phone_takes_the_conversation_over(
    client: httpx.AsyncClient,
) -> None:
    await say(client, "horario")
    await messages(client, all_sent)
    data = ANA_IN_A_QUERY | {"text": "Soy Marta"}
    response = await client.post("/simulator/echo", data=data)

    assert response.status_code == 303
    *_, echo = await messages(client, lambda it: len(it) == 3)
    assert (echo["direction"], echo["author"], echo["text"]) == ("out", "person", "Soy Marta")
    page = (await client.get("/simulator")).text
    assert 'data-owner="person">Atiende una persona' in page


@pytest.mark.parametrize(
    "report, status, words",
    [
        ("delivered", "delivered", "entregado"),
        ("read", "read", "leído"),
        ("failed", "failed", "falló"),
    ],
)
async def test_status_that_the_page_reports_shows_at_the_message(
    client: httpx.AsyncClient, report: str, status: str, words: str
) -> None:
    await say(client, "horario")
    _, answer = await messages(client, lambda it: len(it) == 2 and all_sent(it))
    data = ANA_IN_A_QUERY | {"message": f"sim-{answer['id']}", "status": report}
    response = await client.post("/simulator/status", data=data)

    assert response.status_code == 303
    await messages(client, lambda it: it[-1]["status"] == status)
    page = (await client.get("/simulator")).text
    assert f'data-status="{status}">{words}</span>' in page


@pytest.mark.parametrize(
    "path, data, status, text",
    [
        ("send", {"text": " \r\n"}, 422, "Escriba algo primero.\n"),
        ("send", {"text": "", "lang": "en"}, 422, "Write something first.\n"),
        ("send", {"text": "x", "address": "Ana"}, 422, "Ese número no se entiende. "),
        ("send", {"text": "x", "channel": "fax"}, 404, "No hay ningún canal simulador "),
        ("send", {"text": "x", "channel": "clinica/fax", "lang": "pt"}, 404, "Não há nenhum "),
        ("echo", {}, 422, "Escriba algo primero.\n"),
        ("status", {"status": "lost"}, 422, "Ese estado no existe.\n"),
        ("status", {"status": "read", "message": "nobody's"}, 422, "Ese mensaje no existe.\n"),
        ("send", {"text": "x" * (1 << 20)}, 413, "The request is too large.\n"),
    ],
)
async def test_mistake_is_told_in_a_sentence_and_stores_nothing(
    client: httpx.AsyncClient, path: str, data: dict[str, str], status: int, text: str
) -> None:
    response = await client.post(f"/simulator/{path}", data=data)

    assert response.status_code == status
    assert response.text.startswith(text)
    assert await messages(client, lambda it: not it) == []


@pytest.mark.parametrize(
    "body, status",
    [(b"text=%ff", 200), (b"text=\xff", 400), (b"&".join([b"a=b"] * 200), 400)],
)
async def test_form_of_any_bytes_is_read_or_refused(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    response = await client.post("/simulator/send", content=body, headers={"HX-Request": "true"})

    assert response.status_code == status


@pytest.mark.parametrize(
    "event", ["", "main/tel:+573001234567#1", "rubbish", "#1", "a#b", "a#" + "9" * 30, "a#²", "a#٣"]
)
async def test_trace_of_nothing_is_not_found(client: httpx.AsyncClient, event: str) -> None:
    response = await client.get("/simulator/trace", params=ANA_IN_A_QUERY | {"event": event})

    assert (response.status_code, response.text) == (404, "De ese evento no hay ninguna traza.\n")


async def test_trace_of_another_tenant_is_not_found(client: httpx.AsyncClient) -> None:
    await say(client, "horario")
    [asked, *_] = await messages(client, all_decided)
    query = {"channel": "clinica/telefono", "event": asked["decision"]["event"]}
    response = await client.get("/simulator/trace", params=query)

    assert response.status_code == 404


@pytest.mark.parametrize(
    "query, language, title",
    [
        ("", "es", "Simulador"),
        ("lang=en", "en", "Simulator"),
        ("lang=pt-BR", "pt", "Simulador"),
        ("lang=de", "es", "Simulador"),
        ("channel=clinica/telefono", "pt", "Simulador"),
        ("channel=clinica/telefono&lang=es", "es", "Simulador"),
    ],
)
async def test_page_speaks_the_language_asked_for_or_the_tenants(
    client: httpx.AsyncClient, query: str, language: str, title: str
) -> None:
    page = (await client.get(f"/simulator?{query}")).text

    assert f'<html lang="{language}">' in page
    assert f"<title>{title} · Channel Router</title>" in page


async def test_what_customers_write_is_text_and_nothing_else(client: httpx.AsyncClient) -> None:
    rubbish = "<img src=x onerror=alert(1)> horario \"'<script>alert(1)</script>"
    await say(client, rubbish)
    [asked, *_] = await messages(client, all_decided)
    query = ANA_IN_A_QUERY | {"event": asked["decision"]["event"]}
    pages = [
        (await client.get("/simulator")).text,
        (await client.get("/simulator/trace", params=query)).text,
    ]

    assert asked["text"] == rubbish
    for page in pages:
        assert "<img src=x" not in page
        assert "<script>" not in page
        assert "&lt;script&gt;" in page


async def test_every_page_forbids_what_is_inline_or_from_elsewhere(
    client: httpx.AsyncClient,
) -> None:
    paths = ["/simulator", "/simulator/messages", "/simulator/trace", "/static/simulator.css", "/x"]
    for path in paths:
        response = await client.get(path)
        assert response.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "same-origin"


async def test_every_path_of_the_simulator_is_served_to_this_machine_only(daemon: Daemon) -> None:
    async with daemon.client("203.0.113.7") as client:
        for route in Simulator(daemon.router).routes():
            method = "POST" if "POST" in (route.methods or ()) else "GET"
            response = await client.request(method, route.path)
            assert response.status_code == 403, route.path
        response = await client.post("/hooks/phone", json={"id": "1", "from": ANA, "text": "x"})
        assert response.status_code == 403
    async with daemon.client() as client:
        for path in ("/simulator/send", "/simulator/echo", "/simulator/status", "/hooks/phone"):
            response = await client.post(path, headers={"Origin": "https://evil.example"})
            assert response.status_code == 403, path
        response = await client.get("/simulator", headers={"Host": "evil.example"})
        assert response.status_code == 403


DEBOUNCED = CONFIG.replace('debounce = "0s"', 'debounce = "300ms"')


async def test_message_that_waits_has_no_decision_until_its_turn_is_decided(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, config=DEBOUNCED) as daemon, daemon.client() as client:
        await say(client, "hola")
        first = await messages(client)
        waiting = (await client.get("/simulator")).text
        await say(client, "¿cuánto tarda un envío?")
        found = await messages(
            client, lambda it: len([one for one in it if one["direction"] == "in"]) == 2
        )
        found = await messages(client, all_decided)
        page = (await client.get("/simulator")).text

    assert [it["decision"] for it in first] == [None]
    assert "Espera por si el cliente escribe algo más" in waiting
    asked = [it for it in found if it["direction"] == "in"]
    assert asked[0]["decision"] == asked[1]["decision"]
    assert page.count('<article class="card"') == 1
    assert "<blockquote><p>hola</p><p>¿cuánto tarda un envío?</p></blockquote>" in page


async def test_open_page_is_told_of_what_concerns_it_and_of_nothing_else(tmp_path: Path) -> None:
    async with (
        running(tmp_path, engine="hypercorn") as daemon,
        httpx.AsyncClient(base_url=daemon.url, timeout=40) as client,
        client.stream("GET", "/simulator/live", params=ANA_IN_A_QUERY) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = _events(stream)
        first = await anext(events)
        await say(client, "gane dinero, Ana", address="+573007654321")
        await messages(client, all_decided, address="+573007654321")
        await say(client, "gane dinero")
        second = await anext(events)
        daemon.router.draining = True
        rest = [event async for event in events]

    assert "Todavía no hay mensajes" in first
    assert "gane dinero" in second
    assert "Ana" not in second
    assert "</article>" in [second, *rest][-1]


async def _events(stream: httpx.Response) -> AsyncIterator[str]:
    lines: list[str] = []
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            lines.append(line.removeprefix("data: "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []
