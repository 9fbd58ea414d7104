"""The channel that is measured: a signed JSON webhook in, a JSON call to a provider out."""

import asyncio
import json
from collections.abc import Sequence

from pydantic import BaseModel, Field

from router import plugin

router_api = (1, 0)


class BenchConfig(plugin.PluginConfig):
    """The provider's address, and the secret that it signs with."""

    url: str
    secret: plugin.Secret


class Inbound(BaseModel):
    """One message as the provider sends it."""

    id: str
    sender: str = Field(alias="from")
    text: str


class BenchChannel(plugin.Channel[BenchConfig]):
    """As small as an honest channel can be."""

    def verify(self, request: plugin.WebhookRequest) -> None:
        plugin.verify_hmac_sha256(request, header="X-Bench-Signature", key=self.config.secret)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = Inbound.model_validate_json(request.body)
        return [plugin.MessageReceived(item.id, plugin.Address("tel", item.sender), item.text)]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        body = {"id": message.id, "to": message.recipient.value, "text": message.text}
        response = await self.context.http.post(self.config.url, json=body)
        plugin.raise_for_status(response)
        return plugin.SendReceipt(f"p-{message.id}")


class SteadyChannel(BenchChannel):
    """One that is measured for a long time: a repeat does nothing, and a GET tells of the process.

    An unknown outcome is tried again, so that nothing waits for a person.
    """

    capabilities = plugin.Capabilities(idempotent_send=True)

    def verify(self, request: plugin.WebhookRequest) -> None:
        if request.method != "GET":
            super().verify(request)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return [] if request.method == "GET" else super().parse(request)

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        if request.method != "GET":
            return super().acknowledge(request)
        body = json.dumps({"tasks": len(asyncio.all_tasks())}).encode()
        return plugin.WebhookAnswer(body=body, content_type="application/json")


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("bench", BenchChannel, config=BenchConfig)
    registry.channel("bench_steady", SteadyChannel, config=BenchConfig)
