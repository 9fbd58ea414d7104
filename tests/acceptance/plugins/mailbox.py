"""A channel that asks its provider, and sends nothing."""

from collections.abc import Sequence
from datetime import timedelta

from router import plugin

router_api = (1, 1)


class MailboxConfig(plugin.PluginConfig):
    base_url: str
    seconds: float = 0.05


class Letters(plugin.Poller):
    name = "letters"

    def __init__(self, channel: "Mailbox") -> None:
        self._channel = channel
        self.every = timedelta(seconds=channel.config.seconds)

    async def poll(self, cursor: str | None) -> plugin.Polled:
        url = f"{self._channel.config.base_url}/letters"
        response = await self._channel.context.http.get(url, params={"after": cursor or "0"})
        plugin.raise_for_status(response)
        page = response.json()
        events = [
            plugin.MessageReceived(each["id"], plugin.Address.from_text(each["from"]), each["text"])
            for each in page["letters"]
        ]
        return plugin.Polled(events=events, cursor=page["next"], again=page["more"])


class Mailbox(plugin.Channel[MailboxConfig]):
    def pollers(self) -> Sequence[plugin.Poller]:
        return [Letters(self)]

    def verify(self, request: plugin.WebhookRequest) -> None:
        raise plugin.InvalidSignature("it has no webhook")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return []

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("it sends nothing")


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("mailbox", Mailbox, config=MailboxConfig)
