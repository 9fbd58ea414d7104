"""How the gateway's session is: asked for, told by webhooks, in words; and its signature."""

import hmac
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import router_waha
from router import plugin
from router.plugin.testing import FakeContext
from router_waha import Waha, WahaConfig

KEY = "hmac-key-of-nobody"
SCAN = (
    "the session 'default' has to be linked again. Open WAHA's dashboard, and scan its QR code "
    "with the telephone (WhatsApp: linked devices)"
)
FAILED = (
    "the session 'default' has failed. Restart it in WAHA; if that does not help, log it out and "
    "scan its QR code again"
)


def _channel(context: FakeContext, **changes: Any) -> Waha:
    values: dict[str, Any] = {
        "base_url": "http://waha.example:3000",
        "hmac_key": SecretStr(KEY),
        "api_key": SecretStr("api-key-of-nobody"),
    }
    return Waha(WahaConfig.model_validate({**values, **changes}), context)


def _request(context: FakeContext, body: bytes, **headers: str) -> plugin.WebhookRequest:
    return plugin.WebhookRequest(
        url=context.webhook_url(), headers=headers, body=body, received_at=context.clock.now()
    )


def _told(
    channel: Waha, context: FakeContext, status: Any, session: str = "default", **more: Any
) -> None:
    body = {
        "event": "session.status",
        "session": session,
        "payload": {"name": session, "status": status},
        **more,
    }
    request = _request(context, json.dumps(body).encode())
    assert list(channel.parse(request)) == []
    assert channel.acknowledge(request) == plugin.WebhookAnswer()


async def test_a_session_that_works_is_fine() -> None:
    reply = httpx.Response(200, json={"name": "default", "status": "WORKING"})
    async with FakeContext(reply) as context:
        await _channel(context).check()

    (request,) = context.requests
    assert str(request.url) == "http://waha.example:3000/api/sessions/default"
    assert request.headers["X-Api-Key"] == "api-key-of-nobody"


async def test_without_a_key_none_is_sent() -> None:
    reply = httpx.Response(200, json={"status": "WORKING"})
    async with FakeContext(reply) as context:
        await _channel(context, api_key=None).check()

    assert "X-Api-Key" not in context.requests[0].headers


@pytest.mark.parametrize(
    "reply, kind, words",
    [
        (httpx.Response(200, json={"status": "SCAN_QR_CODE"}), plugin.Unavailable, SCAN),
        (httpx.Response(200, json={"status": "FAILED"}), plugin.Unavailable, FAILED),
        (
            httpx.Response(200, json={"status": "STOPPED"}),
            plugin.Unavailable,
            "the session 'default' is stopped. Start it in WAHA",
        ),
        (
            httpx.Response(200, json={"status": "STARTING"}),
            plugin.Unavailable,
            "the session 'default' is starting",
        ),
        (
            httpx.Response(200, json={"status": "NEW"}),
            plugin.Unavailable,
            "the session 'default' is 'NEW'",
        ),
        (
            httpx.Response(401),
            plugin.Refused,
            "WAHA does not accept api_key. Compare it with WAHA_API_KEY of the gateway",
        ),
        (
            httpx.Response(404),
            plugin.Refused,
            "WAHA has no session 'default'. Correct session, or start it in WAHA",
        ),
        (
            httpx.Response(200, text="<html>"),
            plugin.OutcomeUnknown,
            "waha.example does not answer as WAHA does. Correct base_url",
        ),
        (
            httpx.Response(503),
            plugin.Unavailable,
            "waha.example answered 503 Service Unavailable",
        ),
    ],
)
async def test_what_is_wrong_is_said(
    reply: httpx.Response, kind: type[plugin.ProviderError], words: str
) -> None:
    async with FakeContext(reply) as context:
        with pytest.raises(plugin.ProviderError) as caught:
            await _channel(context).check()

    assert (type(caught.value), str(caught.value)) == (kind, words)


async def test_a_lost_telephone_is_an_error_in_the_log_at_once_and_once() -> None:
    async with FakeContext() as context:
        channel = _channel(context)
        for status in ("WORKING", "SCAN_QR_CODE", "SCAN_QR_CODE", "STARTING", "FAILED", "WORKING"):
            _told(channel, context, status)

    assert [(entry.level, entry.event) for entry in context.log.entries] == [
        ("error", SCAN),
        ("info", "the session 'default' is starting"),
        ("error", FAILED),
        ("info", "the session works"),
    ]


@pytest.mark.parametrize(
    "status, more",
    [
        ("FAILED", {"session": "another"}),
        ("FAILED", {"event": "session.status.other"}),
        (None, {}),
        ("", {}),
    ],
)
async def test_what_is_not_about_this_session_is_not_told(
    status: Any, more: dict[str, Any]
) -> None:
    async with FakeContext() as context:
        _told(_channel(context), context, status, **more)

    assert context.log.entries == []


@pytest.mark.parametrize("body", [b"session.status", b'{"event": "session.status"}'])
def test_a_body_that_is_none_is_acknowledged_all_the_same(body: bytes) -> None:
    context = FakeContext()

    assert _channel(context).acknowledge(_request(context, body)) == plugin.WebhookAnswer()


def test_the_signature_is_the_hex_of_sha_512_over_the_raw_body() -> None:
    context = FakeContext()
    body = '{"event": "message", "payload": "ñ"}'.encode()
    mac = hmac.new(KEY.encode(), body, "sha512").hexdigest()
    channel = _channel(context)

    channel.verify(_request(context, body, **{"x-webhook-hmac": mac}))
    for headers in (
        {"x-webhook-hmac": mac, "x-webhook-hmac-algorithm": "sha256"},
        {"x-webhook-hmac": hmac.new(KEY.encode(), body, "sha256").hexdigest()},
        {"x-webhook-hmac": mac[:64]},
        {"x-webhook-hmac": ""},
        {},
    ):
        with pytest.raises(plugin.InvalidSignature):
            channel.verify(_request(context, body, **headers))


async def test_a_secret_in_wahas_words_is_blanked_out() -> None:
    message = plugin.OutboundMessage(id="1", recipient=plugin.Address("tel", "+54911"), text="x")
    reply = httpx.Response(400, json={"message": "no api-key-of-nobody here"})
    async with FakeContext(reply) as context:
        with pytest.raises(plugin.Refused) as caught:
            await _channel(context).send(message)

    assert str(caught.value) == "WAHA says: no *** here"


def test_the_readme_subscribes_what_the_channel_reads() -> None:
    readme = Path(router_waha.__file__).with_name("README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (webhook,) = json.loads(block)["config"]["webhooks"]

    assert set(webhook["events"]) == {"message", "message.any", "message.ack", "session.status"}
    assert webhook["hmac"]["key"]
