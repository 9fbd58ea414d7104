"""What Telegram has registered, compared with what it should have; and what a block means."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import router_telegram
from router import plugin
from router.plugin.testing import FakeContext
from router_telegram import Telegram, TelegramConfig

TOKEN = "123456:token-of-nobody"
OURS = "https://router.example/hooks/test"
HELLO = plugin.OutboundMessage(id="1", recipient=plugin.Address("telegram", "77"), text="hola")


def _channel(context: FakeContext, **changes: Any) -> Telegram:
    values: dict[str, Any] = {"token": SecretStr(TOKEN), "secret_token": SecretStr("s3cret")}
    return Telegram(TelegramConfig.model_validate({**values, **changes}), context)


def _info(**info: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": info})


@pytest.mark.parametrize(
    "allowed", [{}, {"allowed_updates": []}, {"allowed_updates": ["message", "my_chat_member"]}]
)
async def test_a_webhook_that_comes_here_is_fine(allowed: dict[str, Any]) -> None:
    async with FakeContext(_info(url=OURS, pending_update_count=0, **allowed)) as context:
        await _channel(context).check()

    (request,) = context.requests
    assert str(request.url) == f"https://api.telegram.org/bot{TOKEN}/getWebhookInfo"


@pytest.mark.parametrize(
    "reply, kind, words",
    [
        (
            _info(url=""),
            plugin.Refused,
            (
                "Telegram knows no webhook of the bot. Register it with setWebhook, as the "
                "plugin's README says"
            ),
        ),
        (
            _info(url="https://me:pw@old.example/hooks/test?key=s3cret"),
            plugin.Refused,
            (
                "Telegram sends updates to 'https://old.example/hooks/test', and not to "
                "'https://router.example/hooks/test'. Register the webhook again with setWebhook"
            ),
        ),
        (
            _info(url="https://[::1"),
            plugin.Refused,
            (
                "Telegram sends updates to another address, and not to "
                "'https://router.example/hooks/test'. Register the webhook again with setWebhook"
            ),
        ),
        (
            _info(url=OURS, allowed_updates=["callback_query"]),
            plugin.Refused,
            (
                "the webhook leaves out message and my_chat_member. Register it again with these "
                "among allowed_updates"
            ),
        ),
        (
            httpx.Response(401, json={"ok": False, "description": f"Unauthorized {TOKEN}"}),
            plugin.Refused,
            "Telegram does not accept token. Compare it with what @BotFather shows",
        ),
        (
            httpx.Response(200, json={"ok": True, "result": True}),
            plugin.OutcomeUnknown,
            "api.telegram.org does not answer as Telegram does. Correct base_url",
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


@pytest.mark.parametrize(
    "description, why",
    [
        ("Forbidden: bot was blocked by the user", plugin.Refusal.OPTED_OUT),
        ("Forbidden: user is deactivated", None),
        ("Forbidden: bot can't initiate conversation with a user", None),
        ("Forbidden: something new", None),
    ],
)
async def test_only_a_block_says_that_the_customer_wants_no_more(
    description: str, why: plugin.Refusal | None
) -> None:
    body = {"ok": False, "error_code": 403, "description": description}
    async with FakeContext(httpx.Response(403, json=body)) as context:
        with pytest.raises(plugin.Refused) as caught:
            await _channel(context).send(HELLO)

    assert caught.value.why is why


async def test_a_secret_in_telegrams_words_is_blanked_out() -> None:
    body = {"ok": False, "error_code": 400, "description": f"Bad Request: {TOKEN}"}
    async with FakeContext(httpx.Response(400, json=body)) as context:
        with pytest.raises(plugin.Refused) as caught:
            await _channel(context).send(HELLO)

    assert str(caught.value) == "Telegram says: Bad Request: ***"


@pytest.mark.parametrize("wait", [-1, 1e9, "soon", True, None])
async def test_a_time_to_wait_that_is_none_is_left_to_the_router(wait: object) -> None:
    body = {"ok": False, "error_code": 429, "parameters": {"retry_after": wait}}
    async with FakeContext(httpx.Response(429, json=body)) as context:
        with pytest.raises(plugin.Unavailable) as caught:
            await _channel(context).send(HELLO)

    assert caught.value.retry_after is None


def test_limits_are_set_from_the_table() -> None:
    chosen = _channel(FakeContext(), messages_per_second=10, pair_interval="2s", pair_burst=9)

    assert chosen.capabilities.sender_limit == plugin.RateLimit(0.1, burst=1)
    assert chosen.capabilities.pair_limit == plugin.RateLimit(2.0, burst=9)


async def test_what_the_readme_registers_is_what_the_check_wants() -> None:
    readme = Path(router_telegram.__file__).with_name("README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```\n(curl .*?)^```$", readme, re.MULTILINE | re.DOTALL)
    words = shlex.split(command.replace("\\\n", " "))
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    allowed = json.loads(fields["allowed_updates"])

    assert words[1] == "https://api.telegram.org/bot$TELEGRAM_TOKEN/setWebhook"
    assert fields["secret_token"] == "$TELEGRAM_SECRET_TOKEN"
    async with FakeContext(_info(url=OURS, allowed_updates=allowed)) as context:
        await _channel(context).check()
