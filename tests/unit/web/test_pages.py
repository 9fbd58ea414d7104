from typing import ClassVar, cast

import pytest

from router.errors import StorageUnavailable
from router.plugin.channel import Capabilities
from router.web import asgi
from router.web.live import event
from router.web.simulator.view import read_address
from router.web.templates import render
from tests.unit.web.world import FakeChannel, FakeHost, RecordingIntake, Verdict


async def test_there_is_no_simulator_where_none_is_configured() -> None:
    async with FakeHost().client("127.0.0.1", "http://127.0.0.1:8000") as client:
        page = await client.get("/simulator")
        start = await client.get("/")

    assert (page.status_code, page.text) == (404, "No simulator channel is configured.\n")
    assert (start.status_code, start.text) == (404, "Not Found\n")


async def test_start_page_leads_to_the_simulator() -> None:
    host = FakeHost(channels=(FakeChannel("phone", kind="simulator"),))
    async with host.client() as client:
        response = await client.get("/")

    assert response.status_code == 303
    assert response.headers["location"] == "/simulator"


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/nothing", 404),
        ("GET", "/hooks", 404),
        ("GET", "/static/", 404),
        ("GET", "/static/nothing.js", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("POST", "/static/simulator.css", 405),
        ("POST", "/", 405),
    ],
)
async def test_error_is_a_plain_sentence(method: str, path: str, status: int) -> None:
    async with FakeHost().client() as client:
        response = await client.request(method, path)

    assert response.status_code == status
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert len(response.text) < 40


@pytest.mark.parametrize(
    "text, address",
    [
        ("+573001234567", "tel:+573001234567"),
        (" 573001234567", "tel:+573001234567"),
        ("57 300 (123) 45-67", "tel:+573001234567"),
        ("tel:+573001234567", "tel:+573001234567"),
        ("tel: 573001234567", "tel:+573001234567"),
        ("BSUID:US.13", "bsuid:US.13"),
        ("telegram:4711", "telegram:4711"),
    ],
)
def test_address_is_read_as_people_write_it(text: str, address: str) -> None:
    assert str(read_address(text)) == address


@pytest.mark.parametrize("text", ["", " ", "Ana", "12", "telegram:", ":x", "+57300123456789012"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a telephone number nor scheme:value"):
        read_address(text)


def test_stream_keeps_every_line_of_a_fragment() -> None:
    assert event("a\nb\r\nc\rd\u2028e") == "data: a\ndata: b\ndata: c\ndata: d\u2028e\n\n".encode()


def test_template_escapes_what_it_is_given() -> None:
    page = render("trace_fragment.html", trace="<script>alert(1)</script>")

    assert "<script>" not in page


def test_template_without_its_values_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("trace_fragment.html")


class AwayStore:
    """A database that cannot be reached."""

    aliases: ClassVar[dict[tuple[str, str], str]] = {}

    async def read(self, function: object) -> None:
        raise StorageUnavailable


@pytest.mark.parametrize(
    "ending", ["", "/", "%0A", "%0D%0A", "/%0A", "%0A/", "%00", "//", ";a", "x"]
)
@pytest.mark.parametrize(
    "path",
    [
        "/simulator",
        "/simulator/messages",
        "/simulator/live",
        "/simulator/trace",
        "/metrics",
        "/api/v1/stats",
        "/hooks/phone/test",
    ],
)
async def test_what_is_for_this_machine_is_kept_from_strangers_however_they_write_its_address(
    path: str, ending: str
) -> None:
    phone = FakeChannel("phone", kind="simulator", capabilities=Capabilities(local_only=True))
    query = "?channel=phone&address=%2B573001234567&event=a%231"
    async with FakeHost(channels=(phone,), store=AwayStore()).client() as client:
        answers = [await client.request(it, path + ending + query) for it in ("GET", "POST")]

    assert {it.status_code for it in answers} <= {401, 403, 404, 405}
    if path.startswith("/simulator"):
        assert {it.status_code for it in answers} == {403}


@pytest.mark.parametrize("path", ["/c/0123456789abcdefghijklmnopqrstuv/", "/simulator/", "/static"])
async def test_nobody_is_sent_on_to_another_spelling_of_an_address(path: str) -> None:
    host = FakeHost(channels=(FakeChannel("phone", kind="simulator"),))
    async with host.client("127.0.0.1", "http://127.0.0.1:8000") as client:
        response = await client.get(path)

    assert response.status_code == 404
    assert "location" not in response.headers


@pytest.mark.parametrize(
    "path", ["/simulator", "/simulator/messages", "/simulator/trace?event=a%231"]
)
async def test_page_without_its_database_says_so(path: str) -> None:
    host = FakeHost(channels=(FakeChannel("phone", kind="simulator"),), store=AwayStore())
    async with host.client("127.0.0.1", "http://127.0.0.1:8000") as client:
        response = await client.get(path)

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.text == "The database is away. Nothing was kept; try again in a moment.\n"


async def test_message_that_intake_refuses_is_an_error_on_the_page() -> None:
    host = FakeHost(
        channels=(FakeChannel("phone", kind="simulator"),),
        intake=RecordingIntake(Verdict(503, retry_after=5)),
    )
    async with host.client("127.0.0.1", "http://127.0.0.1:8000") as client:
        response = await client.post("/simulator/send", data={"text": "hola"})

    assert response.status_code == 503
    assert response.text.startswith("El router no aceptó el mensaje.")


async def test_channel_that_is_switched_off_has_no_page() -> None:
    host = FakeHost(channels=(FakeChannel("phone", kind="simulator"),))
    host.settings.tenants["main"].channels["phone"].enabled = False
    async with host.client("127.0.0.1", "http://127.0.0.1:8000") as client:
        response = await client.get("/simulator")

    assert response.status_code == 404


async def test_websocket_is_closed() -> None:
    sent = []

    async def receive() -> asgi.Message:
        return {"type": "websocket.connect"}

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    await FakeHost().app()({"type": "websocket", "path": "/simulator"}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_server_is_told_that_the_app_starts_and_stops() -> None:
    told = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive() -> asgi.Message:
        return cast("asgi.Message", told.pop(0))

    async def send(message: asgi.Message) -> None:
        sent.append(message["type"])

    await FakeHost().app()({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
