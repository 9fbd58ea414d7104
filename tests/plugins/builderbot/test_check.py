"""How the bot is: asked for, or told by webhooks; in words, and without a secret."""

import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import FakeContext
from router_builderbot import Builderbot, BuilderbotConfig

URL = "https://app.builderbot.cloud/api/v1/manager/deploys/0f8f-17"


def _channel(context: FakeContext, **changes: Any) -> Builderbot:
    values: dict[str, Any] = {
        "bot_id": "0f8f-17",
        "api_key": SecretStr("bb-key-of-nobody"),
        "account_key": SecretStr("account-key-of-nobody"),
    }
    return Builderbot(BuilderbotConfig.model_validate({**values, **changes}), context)


def _told(channel: Builderbot, context: FakeContext, event: str, **data: Any) -> None:
    body = json.dumps({"eventName": event, "data": data}).encode()
    request = plugin.WebhookRequest(
        url=context.webhook_url(), body=body, received_at=context.clock.now()
    )
    assert channel.acknowledge(request) == plugin.WebhookAnswer()


async def _trouble(channel: Builderbot) -> plugin.ProviderError:
    with pytest.raises(plugin.ProviderError) as caught:
        await channel.check()
    return caught.value


async def test_the_manager_is_asked_where_there_is_a_key_for_it() -> None:
    async with FakeContext(httpx.Response(200, json={"deploy": {"status": "ONLINE"}})) as context:
        await _channel(context, manager_key=SecretStr("bbc-key-of-nobody")).check()

    (request,) = context.requests
    assert str(request.url) == URL
    assert request.headers["x-api-builderbot"] == "bbc-key-of-nobody"


@pytest.mark.parametrize(
    "reply, kind, words",
    [
        (
            httpx.Response(200, json={"deploy": {"status": "PAUSED"}}),
            plugin.Unavailable,
            "BuilderBot says that the bot is 'PAUSED'",
        ),
        (
            httpx.Response(401),
            plugin.Refused,
            (
                "BuilderBot does not accept manager_key. It is the account's key, which begins "
                "with bbc-"
            ),
        ),
        (
            httpx.Response(200, text="<html>"),
            plugin.OutcomeUnknown,
            "BuilderBot does not say how the bot is. Correct deploy_path, or leave manager_key out",
        ),
        (
            httpx.Response(500),
            plugin.OutcomeUnknown,
            "app.builderbot.cloud answered 500 Internal Server Error",
        ),
    ],
)
async def test_what_is_wrong_is_said(
    reply: httpx.Response, kind: type[plugin.ProviderError], words: str
) -> None:
    async with FakeContext(reply) as context:
        error = await _trouble(_channel(context, manager_key=SecretStr("bbc-key-of-nobody")))

    assert (type(error), str(error)) == (kind, words)


async def test_a_status_event_is_logged_once_in_words_and_shown_until_the_bot_is_back() -> None:
    async with FakeContext() as context:
        channel = _channel(context)
        await channel.check()

        for _ in range(2):
            _told(channel, context, "status.disconnect", reason="logged out")
        lost = await _trouble(channel)
        _told(channel, context, "status.require_action")
        unlinked = await _trouble(channel)
        _told(channel, context, "status.ready")
        await channel.check()

    assert str(lost) == (
        "the bot lost its telephone. Open the project in BuilderBot and connect it again"
    )
    assert str(unlinked) == (
        "the bot waits for its QR code to be scanned. Open the project in BuilderBot and connect "
        "the telephone"
    )
    said = [(entry.level, entry.event) for entry in context.log.entries]
    assert said == [
        ("error", str(lost)),
        ("error", str(unlinked)),
        ("info", "the bot is connected"),
    ]
    assert context.log.entries[0].values == {"name": "status.disconnect", "reason": "logged out"}


async def test_a_name_that_nobody_knows_is_told_to_the_operator() -> None:
    async with FakeContext() as context:
        channel = _channel(context)
        _told(channel, context, "message.received", body="hola")
        _told(channel, context, "message.incoming", body="hola")

    (entry,) = context.log.entries
    assert entry.event == "an event of an unknown name; say in event_names what it means"
    assert entry.values == {"name": "message.received"}


async def test_a_body_that_is_no_event_is_acknowledged_all_the_same() -> None:
    async with FakeContext() as context:
        request = plugin.WebhookRequest(
            url=context.webhook_url(), body=b"<xml/>", received_at=context.clock.now()
        )

        assert _channel(context).acknowledge(request) == plugin.WebhookAnswer()


async def test_a_customer_on_the_blacklist_counts_as_opted_out() -> None:
    refusal = httpx.Response(200, json={"error": "The number is in the Blacklist"})
    message = plugin.OutboundMessage(
        id="01k7a", recipient=plugin.Address("tel", "+5491155550100"), text="hola"
    )
    async with FakeContext(refusal) as context:
        with pytest.raises(plugin.Refused) as caught:
            await _channel(context).send(message)

    assert caught.value.why is plugin.Refusal.OPTED_OUT
    assert str(caught.value) == "BuilderBot says: The number is in the Blacklist"


async def test_a_secret_in_an_error_is_blanked_out() -> None:
    refusal = httpx.Response(400, json={"error": "unknown key bb-key-of-nobody"})
    message = plugin.OutboundMessage(
        id="01k7a", recipient=plugin.Address("tel", "+5491155550100"), text="hola"
    )
    async with FakeContext(refusal) as context:
        with pytest.raises(plugin.Refused) as caught:
            await _channel(context).send(message)

    assert str(caught.value) == "BuilderBot says: unknown key ***"


async def test_where_both_secrets_are_set_both_are_checked() -> None:
    async with FakeContext() as context:
        channel = _channel(context, url_secret=SecretStr("url-secret"))
        url = context.webhook_url("", key="url-secret")
        headers = {"x-account-key": "account-key-of-nobody"}
        now = context.clock.now()

        channel.verify(plugin.WebhookRequest(url=url, headers=headers, received_at=now))
        for wrong in (
            plugin.WebhookRequest(url=url, received_at=now),
            plugin.WebhookRequest(url=context.webhook_url(), headers=headers, received_at=now),
            plugin.WebhookRequest(url=url + "x", headers=headers, received_at=now),
        ):
            with pytest.raises(plugin.InvalidSignature):
                channel.verify(wrong)


def test_limits_are_set_from_the_table() -> None:
    context = FakeContext()

    plain = _channel(context).capabilities
    chosen = _channel(context, window="24h", messages_per_second=2).capabilities

    assert (plain.window, plain.sender_limit) == (None, None)
    assert chosen.window is not None
    assert chosen.window.total_seconds() == 86400
    assert chosen.sender_limit == plugin.RateLimit(0.5, burst=1)
