"""A channel that brings voice notes and sends nothing, and a backend that writes them down."""

from collections.abc import Sequence

from router import plugin

router_api = (1, 1)


class ProviderConfig(plugin.PluginConfig):
    base_url: str


class Voices(plugin.Channel[ProviderConfig]):
    """In: ``{"id", "from", "url"}``, unsigned."""

    capabilities = plugin.Capabilities(fetch=True)

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Take whatever comes: the tests only ever call it themselves."""

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        values = request.json()
        note = plugin.Attachment(kind="audio", url=values["url"], content_type="audio/ogg")
        sender = plugin.Address.from_text(values["from"])
        return [plugin.MessageReceived(values["id"], sender, "", attachments=(note,))]

    async def fetch(self, attachment: plugin.Attachment, limit: int) -> plugin.File:
        response = await self.context.http.get(f"{self.config.base_url}{attachment.url}")
        plugin.raise_for_status(response)
        return plugin.File("audio/ogg", response.content[:limit])

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("it sends nothing")


class Ears(plugin.AIBackend[ProviderConfig]):
    transcribes = True

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        raise plugin.Refused("it only listens")

    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        url = f"{self.config.base_url}/heard"
        response = await self.context.http.post(url, content=voice.data)
        plugin.raise_for_status(response)
        return plugin.Transcript(response.text)


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("voices", Voices, config=ProviderConfig)
    registry.ai_backend("ears", Ears, config=ProviderConfig)
