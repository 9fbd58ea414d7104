"""Registering the webhook at Meta, its signature, and what `router` asks Meta about the number."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import FakeContext
from router_whatsapp_cloud import WhatsAppCloud, WhatsAppCloudConfig

NUMBER_ID = "106540352242922"


def _channel(context: FakeContext, **changes: Any) -> WhatsAppCloud:
    values: dict[str, Any] = {
        "phone_number_id": NUMBER_ID,
        "access_token": SecretStr("token-of-nobody"),
        "app_secret": SecretStr("meta_app_secret_fictional"),
        "verify_token": SecretStr("palabras de nadie"),
    }
    return WhatsAppCloud(WhatsAppCloudConfig.model_validate({**values, **changes}), context)


def _asked(context: FakeContext, token: str | None, **more: str) -> plugin.WebhookRequest:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", **more}
    if token is not None:
        query["hub.verify_token"] = token
    return plugin.WebhookRequest(
        method="GET", url=context.webhook_url("", **query), received_at=context.clock.now()
    )


def test_the_challenge_is_answered_with_its_own_words() -> None:
    context = FakeContext()
    channel, request = _channel(context), _asked(context, "palabras de nadie")

    channel.verify(request)

    assert channel.acknowledge(request) == plugin.WebhookAnswer(
        body=b"1158201444", content_type="text/plain"
    )
    assert list(channel.parse(request)) == []


@pytest.mark.parametrize("token", ["palabras de Nadie", "", "ñ", None])
def test_a_challenge_with_other_words_is_refused(token: str | None) -> None:
    context = FakeContext()

    with pytest.raises(plugin.InvalidSignature):
        _channel(context).verify(_asked(context, token))


def test_a_get_that_is_no_challenge_is_refused_and_has_no_answer() -> None:
    context = FakeContext()
    channel = _channel(context)
    request = _asked(context, "palabras de nadie", **{"hub.mode": "unsubscribe"})

    with pytest.raises(plugin.InvalidSignature):
        channel.verify(request)
    assert channel.acknowledge(request) is None


def test_the_signature_is_made_from_the_raw_bytes() -> None:
    """A vector that was computed from the formula alone."""
    context = FakeContext()
    body = b'{"object":"whatsapp_business_account","entry":[]}'
    mac = "a3ce0d79087c11f20ad1f61cc8d6aa62a3c91f8463dbc42aca6ecca0b1f98dd1"
    request = plugin.WebhookRequest(
        url=context.webhook_url(),
        headers={"x-hub-signature-256": f"sha256={mac}"},
        body=body,
        received_at=context.clock.now(),
    )

    _channel(context).verify(request)


@pytest.mark.parametrize("number", ["999", ""])
def test_one_wrong_number_among_ours_loses_nothing(number: str) -> None:
    context = FakeContext()
    body = (
        b'{"entry": [{"changes": [{"field": "messages", "value": {"metadata": '
        b'{"phone_number_id": "%s"}}}]}]}' % number.encode()
    )
    request = plugin.WebhookRequest(
        url=context.webhook_url(), body=body, received_at=context.clock.now()
    )

    with pytest.raises(ValueError, match="another number than phone_number_id names"):
        _channel(context).parse(request)


async def test_the_number_is_asked_for() -> None:
    async with FakeContext(httpx.Response(200, json={"id": NUMBER_ID})) as context:
        await _channel(context).check()

    (request,) = context.requests
    assert str(request.url) == (
        f"https://graph.facebook.com/v25.0/{NUMBER_ID}?fields=display_phone_number,verified_name"
    )
    assert request.headers["Authorization"] == "Bearer token-of-nobody"


@pytest.mark.parametrize(
    "reply, kind, words",
    [
        (
            httpx.Response(401, json={"error": {"code": 190, "message": "expired"}}),
            plugin.Refused,
            "access token not accepted: It has expired or was taken back.",
        ),
        (
            httpx.Response(200, json={"id": "another"}),
            plugin.OutcomeUnknown,
            "graph.facebook.com does not answer as Meta does. Correct base_url",
        ),
        (
            httpx.Response(200, text="<html>"),
            plugin.OutcomeUnknown,
            "graph.facebook.com does not answer as Meta does. Correct base_url",
        ),
    ],
)
async def test_what_is_wrong_is_said(
    reply: httpx.Response, kind: type[plugin.ProviderError], words: str
) -> None:
    async with FakeContext(reply) as context:
        with pytest.raises(plugin.ProviderError) as caught:
            await _channel(context).check()

    assert type(caught.value) is kind
    assert str(caught.value).startswith(words)


def test_limits_are_set_from_the_table() -> None:
    context = FakeContext()

    chosen = _channel(context, messages_per_second=20, pair_interval="2s", pair_burst=9)

    assert chosen.capabilities.sender_limit == plugin.RateLimit(0.05, burst=2)
    assert chosen.capabilities.pair_limit == plugin.RateLimit(2.0, burst=9)
    assert chosen.capabilities.window is not None
    assert chosen.capabilities.window.total_seconds() == 86400
