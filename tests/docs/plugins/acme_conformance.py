"""Acme SMS keeps the contract."""

import hmac
from dataclasses import replace

import httpx
from acme import AcmeChannel, AcmeConfig
from pydantic import SecretStr

from router import plugin
from router.plugin.testing import ChannelSuite, Expected, Receive, Send

ANA = plugin.Address("tel", "+573001234567")
HELLO = plugin.OutboundMessage(id="01k7", recipient=ANA, text="hello")


class TestAcme(ChannelSuite):
    channel = AcmeChannel
    config = AcmeConfig(token=SecretStr("s3cret"), sender="+15550000")

    def sign(self, request: plugin.WebhookRequest) -> plugin.WebhookRequest:
        mac = hmac.new(b"s3cret", request.body, "sha256").hexdigest()
        return replace(request, headers={"X-Acme-Signature": mac})

    receives = (
        Receive(
            "text",
            b'{"id": "A1", "from": "+573001234567", "text": "hi"}',
            expect=[plugin.MessageReceived("A1", ANA, "hi")],
        ),
        Receive("not JSON", b"<xml/>", rejects=ValueError),
        Receive("not signed", b'{"id": "A1", "from": "+1"}', rejects=plugin.InvalidSignature),
    )

    sends = (
        Send(
            "accepted",
            HELLO,
            httpx.Response(201, json={"id": "A2"}),
            expect=plugin.SendReceipt("A2"),
            requests=[
                Expected(
                    "POST",
                    "https://api.acme.example/messages",
                    json={"from": "+15550000", "to": "+573001234567", "text": "hello"},
                )
            ],
        ),
        Send("blocked", HELLO, httpx.Response(403), raises=plugin.Refused(code="403")),
    )
