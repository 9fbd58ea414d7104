"""Acme SMS: one signed JSON webhook in, one JSON call out."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from router import plugin

router_api = (1, 0)


class AcmeConfig(plugin.PluginConfig):
    token: plugin.Secret
    sender: str


class Inbound(BaseModel):
    id: str = Field(min_length=1)
    sender: str = Field(alias="from")
    text: str = ""


class AcmeChannel(plugin.Channel[AcmeConfig]):
    def verify(self, request: plugin.WebhookRequest) -> None:
        plugin.verify_hmac_sha256(request, header="X-Acme-Signature", key=self.config.token)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = Inbound.model_validate_json(request.body)
        return [plugin.MessageReceived(item.id, plugin.Address("tel", item.sender), item.text)]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        body = {"from": self.config.sender, "to": message.recipient.value, "text": message.text}
        response = await self.context.http.post("https://api.acme.example/messages", json=body)
        plugin.raise_for_status(response)
        return plugin.SendReceipt(response.json()["id"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("acme", AcmeChannel, config=AcmeConfig)
