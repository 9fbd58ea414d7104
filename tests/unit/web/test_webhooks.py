from collections.abc import AsyncIterator

import anyio
import pytest

from router.plugin.channel import Capabilities, WebhookAnswer
from router.web import asgi
from tests.unit.web.world import NOON, FakeChannel, FakeHost, RecordingIntake, Verdict, settings

WHATSAPP = FakeChannel("whatsapp")
CLINIC = FakeChannel("whatsapp", tenant="clinica")

POST: asgi.Scope = {
    "type": "http",
    "method": "POST",
    "path": "/hooks/phone",
    "raw_path": b"/hooks/phone",
    "query_string": b"",
    "headers": [],
    "client": ("203.0.113.7", 5000),
}


@pytest.mark.parametrize(
    "path, channel, endpoint",
    [
        ("/hooks/whatsapp", WHATSAPP, ""),
        ("/hooks/whatsapp/", WHATSAPP, ""),
        ("/hooks/whatsapp/status", WHATSAPP, "status"),
        ("/hooks/clinica/whatsapp", CLINIC, ""),
        ("/hooks/clinica/whatsapp/status", CLINIC, "status"),
    ],
)
async def test_path_leads_to_the_channel_and_endpoint_that_the_configuration_means(
    path: str, channel: FakeChannel, endpoint: str
) -> None:
    host = FakeHost(channels=(WHATSAPP, CLINIC))
    async with host.client() as client:
        response = await client.post(path, content=b"x")

    assert response.status_code == 200
    [(found, request)] = host.intake.received
    assert (found, request.endpoint) == (channel, endpoint)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/hooks/",
        "/hooks/nobody",
        "/hooks/nobody/whatsapp",
        "/hooks/clinica",
        "/hooks/clinica/",
        "/hooks/clinica/sms",
        "/hooks/main/whatsapp",
        "/hooks/whatsapp//",
        "/hooks/whatsapp/status/more",
        "/hooks/clinica/whatsapp/status/more",
    ],
)
async def test_path_of_no_channel_is_not_found(method: str, path: str) -> None:
    host = FakeHost(channels=(WHATSAPP, CLINIC))
    async with host.client() as client:
        response = await client.request(method, path)

    assert response.status_code == 404
    assert response.text == "There is no such channel in router.toml.\n"
    assert host.intake.received == []


async def test_intake_sees_the_request_as_its_provider_signed_it() -> None:
    host = FakeHost()
    async with host.client() as client:
        await client.post(
            "/hooks/phone/st%61tus?b=2&a=%20+&b=",
            content=b"\xff\x00body",
            headers=[
                ("Host", "evil.example"),
                ("X-Signature", "abc"),
                ("X-Twice", "1"),
                ("x-twice", "2"),
            ],
        )

    [(_, request)] = host.intake.received
    assert request.url == "https://router.example/hooks/phone/st%61tus?b=2&a=%20+&b="
    assert request.method == "POST"
    assert request.endpoint == "status"
    assert request.body == b"\xff\x00body"
    assert request.received_at == NOON
    assert request.headers["x-signature"] == "abc"
    assert request.headers["x-twice"] == "1, 2"
    assert all(name == name.lower() for name in request.headers)


@pytest.mark.parametrize(
    "verdict, status, body, headers",
    [
        (Verdict(200), 200, b"", {}),
        (
            Verdict(200, WebhookAnswer(body=b"<R/>", content_type="application/xml")),
            200,
            b"<R/>",
            {"content-type": "application/xml"},
        ),
        (
            Verdict(200, WebhookAnswer(body=b"<b>challenge</b>")),
            200,
            b"<b>challenge</b>",
            {"content-type": "text/plain; charset=utf-8"},
        ),
        (Verdict(202, WebhookAnswer(status=202)), 202, b"", {}),
        (Verdict(403), 403, b"", {}),
        (Verdict(405), 405, b"", {"allow": "POST"}),
        (Verdict(503, retry_after=5), 503, b"", {"retry-after": "5"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_answer_is_what_intake_says(
    method: str, verdict: Verdict, status: int, body: bytes, headers: dict[str, str]
) -> None:
    host = FakeHost(intake=RecordingIntake(verdict))
    async with host.client() as client:
        response = await client.request(method, "/hooks/phone")

    assert (response.status_code, response.content) == (status, body)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    for name, value in headers.items():
        assert response.headers[name] == value


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_webhook_by_another_method_is_refused(method: str) -> None:
    host = FakeHost()
    async with host.client() as client:
        response = await client.request(method, "/hooks/phone")

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert host.intake.received == []


@pytest.mark.parametrize(
    "sizes, announced, status",
    [
        ([10], True, 200),
        ([11], True, 413),
        ([10], False, 200),
        ([4, 4, 2], False, 200),
        ([4, 4, 3], False, 413),
        ([11], False, 413),
        ([], False, 200),
    ],
)
async def test_body_is_counted_whatever_its_length_is_said_to_be(
    sizes: list[int], announced: bool, status: int
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for size in sizes:
            yield b"x" * size

    host = FakeHost(settings=settings([FakeChannel("phone")], max_body=10))
    async with host.client() as client:
        content = b"x" * sum(sizes) if announced else chunks()
        response = await client.post("/hooks/phone", content=content)

    assert response.status_code == status
    assert [request.body for _, request in host.intake.received] == (
        [b"x" * sum(sizes)] if status == 200 else []
    )


async def test_announced_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    async def receive() -> asgi.Message:
        raise AssertionError

    with pytest.raises(asgi.BodyTooLarge):
        await asgi.read_body(receive, announced="11", limit=10)


async def test_too_large_a_body_that_is_all_there_is_answered_at_once() -> None:
    host = FakeHost(settings=settings([FakeChannel("phone")], max_body=10))
    messages: list[asgi.Message] = [{"type": "http.request", "body": b"x" * 11}]
    sent: list[asgi.Message] = []

    async def receive() -> asgi.Message:
        return messages.pop(0)  # asking for more than there is would be an error

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    await host.app()(POST, receive, send)

    assert sent[0]["status"] == 413


async def test_request_that_breaks_off_is_neither_stored_nor_answered() -> None:
    host = FakeHost()
    messages: list[asgi.Message] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[asgi.Message] = []

    async def receive() -> asgi.Message:
        return messages.pop(0)

    async def send(message: asgi.Message) -> None:
        sent.append(message)

    await host.app()(POST, receive, send)

    assert (sent, host.intake.received) == ([], [])


async def test_request_that_never_ends_is_given_up() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        await anyio.sleep(30)

    host = FakeHost(patience=0.01)
    async with host.client() as client:
        response = await client.post("/hooks/phone", content=chunks())

    assert response.status_code == 408
    assert host.intake.received == []


@pytest.mark.parametrize("peer, status", [("127.0.0.1", 200), ("203.0.113.7", 403)])
async def test_channel_that_signs_nothing_is_served_to_this_machine_only(
    peer: str, status: int
) -> None:
    local = FakeChannel("phone", capabilities=Capabilities(local_only=True))
    host = FakeHost(channels=(local,))
    async with host.client(peer, "http://127.0.0.1:8000") as client:
        response = await client.post("/hooks/phone", content=b"{}")

    assert response.status_code == status
    assert len(host.intake.received) == (1 if status == 200 else 0)
    if status == 403:
        assert response.text == "This is served to the router's own machine only.\n"
