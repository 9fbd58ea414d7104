"""Postbox keeps the contract."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import httpx
from postbox import PostboxChannel, PostboxConfig
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import ChannelSuite, Expected, Fetch, Receive

ANA = plugin.Address("tel", "+573001234567")
AT_POSTBOX = plugin.Attachment(kind="image", url="https://postbox.example/scans/1")
IN_STORE = plugin.Attachment(kind="image", url="https://eu.scans.example/1")
JPEG = httpx.Response(200, headers={"Content-Type": "image/jpeg"}, content=b"\xff\xd8\xff")
SCAN = plugin.File("image/jpeg", b"\xff\xd8\xff")


class TestPostbox(ChannelSuite):
    channel = PostboxChannel
    config = PostboxConfig(token=SecretStr("s3cret"))
    credential_hosts = ("postbox.example",)
    exempt: ClassVar[Mapping[str, str]] = {
        "tampered_body": "signs nothing; its token is in a header",
        "sends": "sends nothing",
        "provider_errors": "sends nothing",
    }

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        return replace(request, headers={"X-Token": "s3cret"})

    receives = (
        Receive(
            "a letter and its scan",
            b'{"id": "L1", "sender": "+573001234567", "scan": "https://eu.scans.example/1"}',
            expect=[plugin.MessageReceived("L1", ANA, "", attachments=(IN_STORE,))],
        ),
    )

    fetches = (
        Fetch(
            "at Postbox",
            AT_POSTBOX,
            JPEG,
            expect=SCAN,
            requests=[Expected("GET", AT_POSTBOX.url or "", headers={"X-Token": "s3cret"})],
        ),
        Fetch("in its store", IN_STORE, JPEG, expect=SCAN),
        Fetch("expired", IN_STORE, httpx.Response(410), raises=plugin.Refused(code="410")),
    )
