"""A channel whose provider is a program of the tests, which remembers all that it was sent."""

from collections.abc import Mapping, Sequence
from typing import Any

from router import plugin

router_api = (1, 0)


class LedgerConfig(plugin.PluginConfig):
    base_url: str
    secret: plugin.Secret


class Ledger(plugin.Channel[LedgerConfig]):
    """Signed JSON in, JSON out.

    In: ``{"id", "from", "text"}``, optionally ``name``; ``{"id", "echo": true, "to", "text"}``;
    ``{"status", "message", "to"}``, optionally ``item``. One object is one event, always.
    """

    capabilities = plugin.Capabilities(receipts=True)

    def verify(self, request: plugin.WebhookRequest) -> None:
        plugin.verify_hmac_sha256(request, header="X-Ledger-Signature", key=self.config.secret)

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        # Python's own parser lets through what others refuse: lone surrogates, NaN, any integer.
        values = request.json()
        if not isinstance(values, dict):
            raise ValueError("not an object")  # noqa: TRY004 - what malformed requests raise
        if "status" in values:
            return [
                plugin.DeliveryReported(
                    _text(values, "message"),
                    plugin.Address.from_text(_text(values, "to")),
                    _text(values, "status"),
                    item=_text(values, "item") if "item" in values else None,
                )
            ]
        name, text = _text(values, "id"), _text(values, "text")
        if values.get("echo") is True:
            to = plugin.Address.from_text(_text(values, "to"))
            return [plugin.MessageEchoed(name, to, text)]
        sender = plugin.Address.from_text(_text(values, "from"))
        called = _text(values, "name") if "name" in values else None
        return [plugin.MessageReceived(name, sender, text, name=called)]

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        body = {
            "id": message.id,
            "to": str(message.recipient),
            "text": message.text,
            "in_reply_to": message.in_reply_to,
        }
        response = await self.context.http.post(f"{self.config.base_url}/messages", json=body)
        plugin.raise_for_status(response)
        return plugin.SendReceipt(response.json()["id"])


class IdempotentLedger(Ledger):
    """The same, of a provider that ignores a message whose id it has seen."""

    capabilities = plugin.Capabilities(receipts=True, idempotent_send=True)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")  # noqa: TRY004 - as above
    return value


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("ledger", Ledger, config=LedgerConfig)
    registry.channel("ledger_idempotent", IdempotentLedger, config=LedgerConfig)
