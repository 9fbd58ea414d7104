"""Voicemail keeps the contract."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import httpx
from pydantic import SecretStr
from voicemail import VoicemailChannel, VoicemailConfig

from router import plugin
from router.plugin.testing import ChannelSuite, Expected, Poll, Receive, Respond

ANA = plugin.Address("tel", "+573001234567")
LEFT = b'{"id": "V1", "caller": "+573001234567", "text": "Llamen por favor."}'
MESSAGE = plugin.MessageReceived("V1", ANA, "Llamen por favor.")
PAGE = b'{"messages": [%s], "next": "17", "more": true}' % LEFT


class TestVoicemail(ChannelSuite):
    channel = VoicemailChannel
    config = VoicemailConfig(token=SecretStr("s3cret"))
    exempt: ClassVar[Mapping[str, str]] = {
        "tampered_body": "signs nothing; its token is in a header",
        "sends": "sends nothing",
        "provider_errors": "sends nothing",
    }

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        return replace(request, headers={"X-Token": "s3cret"})

    receives = (Receive("left", LEFT, expect=[MESSAGE]),)

    polls = (
        Poll(
            "one, and more",
            "missed",
            httpx.Response(200, content=PAGE),
            cursor="16",
            expect=plugin.Polled(events=[MESSAGE], cursor="17", again=True),
            requests=[Expected("GET", "https://voicemail.example/messages?after=16")],
        ),
    )

    responds = (
        Respond(
            "known",
            "ringing",
            b'{"caller": "+573001234567"}',
            people={ANA: plugin.Card(id="01k7", name="Ana")},
            json={"say": "Hola, Ana, deje su mensaje."},
        ),
        Respond("unknown", "ringing", b'{"caller": "+57"}', json={"say": "Hola, deje su mensaje."}),
    )
