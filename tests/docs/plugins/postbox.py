"""Postbox: customers send letters and pictures of them."""

import hmac
from collections.abc import Sequence

from pydantic import BaseModel, Field

from router import plugin

router_api = (1, 1)


class PostboxConfig(plugin.PluginConfig):
    token: plugin.Secret
    base_url: str = "https://postbox.example"
    media_hosts: tuple[str, ...] = ("*.scans.example",)


class Letter(BaseModel):
    id: str = Field(min_length=1)
    sender: str = Field(min_length=1)
    text: str = ""
    scan: str | None = None


class PostboxChannel(plugin.Channel[PostboxConfig]):
    capabilities = plugin.Capabilities(fetch=True, sends=False)

    def verify(self, request: plugin.WebhookRequest) -> None:
        given, token = request.header("X-Token") or "", self.config.token.get_secret_value()
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise plugin.InvalidSignature("the X-Token header is missing or wrong")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        item = Letter.model_validate_json(request.body)
        scans = () if item.scan is None else (plugin.Attachment(kind="image", url=item.scan),)
        sender = plugin.Address("tel", item.sender)
        return [plugin.MessageReceived(item.id, sender, item.text, attachments=scans)]

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        url, config = attachment.url or "", self.config
        headers = {}
        if plugin.origin_of(url) == plugin.origin_of(config.base_url):
            headers["X-Token"] = config.token.get_secret_value()
        elif not plugin.is_trusted(url, config.media_hosts, config.base_url):
            raise plugin.Refused("the scan is not at Postbox. If that is right, see media_hosts")
        async with self.context.http.stream("GET", url, headers=headers) as response:
            plugin.raise_for_status(response)
            return await plugin.read_file(response, limit)

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("a postbox sends nothing")


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("postbox", PostboxChannel, config=PostboxConfig)
