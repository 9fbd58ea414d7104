"""What channels declare that they send they do send: no file is queued to be refused by them."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import FakeContext
from router.rules.media import file_at
from router_builderbot import Builderbot, BuilderbotConfig
from router_telegram import Telegram, TelegramConfig
from router_twilio import TwilioConfig, TwilioWhatsApp
from router_waha import Waha, WahaConfig
from router_whatsapp_cloud import WhatsAppCloud, WhatsAppCloudConfig

SECRET = SecretStr("secret-of-nobody")
ANA = plugin.Address("tel", "+573001234567")
#: How names of files end, one for each type that the router knows by that.
SUFFIXES = [
    *("jpg", "png", "gif", "webp", "mp3", "m4a", "aac", "amr", "ogg", "wav", "mp4", "3gp", "mov"),
    *("webm", "pdf", "txt", "csv", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "zip", "xyz"),
]


def _twilio(context: FakeContext) -> TwilioWhatsApp:
    config = TwilioConfig(account_sid="AC1", auth_token=SECRET, sender="+14155550199")
    return TwilioWhatsApp(config, context)


def _meta(context: FakeContext) -> WhatsAppCloud:
    config = WhatsAppCloudConfig(
        phone_number_id="1", access_token=SECRET, app_secret=SECRET, verify_token=SECRET
    )
    return WhatsAppCloud(config, context)


def _telegram(context: FakeContext) -> Telegram:
    token = SecretStr("123456:token-of-nobody")
    return Telegram(TelegramConfig(token=token, secret_token=SECRET), context)


def _waha(context: FakeContext) -> Waha:
    return Waha(WahaConfig(base_url="http://waha.example:8080", hmac_key=SECRET), context)


def _builderbot(context: FakeContext) -> Builderbot:
    config = BuilderbotConfig(bot_id="0f8f-17", api_key=SECRET, account_key=SECRET)
    return Builderbot(config, context)


CHANNELS: dict[str, tuple[Callable[[FakeContext], Any], plugin.Address, dict[str, Any]]] = {
    "twilio": (_twilio, ANA, {"sid": "SM1", "status": "queued"}),
    "meta": (_meta, ANA, {"messages": [{"id": "wamid.1"}]}),
    "telegram": (
        _telegram,
        plugin.Address("telegram", "7"),
        {"ok": True, "result": {"message_id": 1, "chat": {"id": 7}}},
    ),
    "waha": (_waha, ANA, {"id": "true_573001234567@c.us_3EB0"}),
    "builderbot": (_builderbot, ANA, {}),
}


def _sent(name: str) -> list[plugin.Attachment]:
    """Give a file of each type that a channel declares."""
    types = CHANNELS[name][0](FakeContext()).capabilities.media_types
    files = [file_at(f"https://shop.example/precios.{suffix}") for suffix in SUFFIXES]
    return [it for it in files if types is None or it.content_type in types]


@pytest.mark.parametrize("name", CHANNELS)
async def test_a_file_of_a_type_that_is_declared_is_sent_by_its_address(name: str) -> None:
    make, recipient, reply = CHANNELS[name]
    files = _sent(name)
    replies = [httpx.Response(200, json=reply) for _ in files]

    async with FakeContext(*replies) as context:
        channel = make(context)
        for file in files:
            await channel.send(
                plugin.OutboundMessage(id="01k7a", recipient=recipient, media=(file,))
            )

    bodies = [request.content.decode() for request in context.requests]
    names = [file.name or "" for file in files]
    assert [name in body for name, body in zip(names, bodies, strict=True)] == [True] * len(files)


@pytest.mark.parametrize("name", CHANNELS)
def test_pictures_and_documents_are_among_what_every_channel_sends(name: str) -> None:
    types = CHANNELS[name][0](FakeContext()).capabilities.media_types

    assert types is None or {"image/jpeg", "image/png", "application/pdf"} <= types
