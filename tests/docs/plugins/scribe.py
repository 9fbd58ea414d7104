"""AI backend for a server that sees pictures and writes down voice notes."""

import base64

from router import plugin

router_api = (1, 1)


class ScribeConfig(plugin.PluginConfig):
    url: str


class ScribeBackend(plugin.AIBackend[ScribeConfig]):
    accepts = frozenset({"image"})
    transcribes = True

    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        pictures = [base64.b64encode(file.data).decode() for file in prompt.files]
        body = {"turns": [turn.text for turn in prompt.turns], "pictures": pictures}
        response = await self.context.http.post(f"{self.config.url}/answer", json=body)
        plugin.raise_for_status(response)
        return plugin.Completion(response.json()["text"])

    async def transcribe(self, voice: plugin.File, language: str | None) -> plugin.Transcript:
        response = await self.context.http.post(
            f"{self.config.url}/transcript",
            data={} if language is None else {"language": language},
            files={"voice": ("voice", voice.data, voice.content_type)},
        )
        plugin.raise_for_status(response)
        return plugin.Transcript(response.json()["text"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.ai_backend("scribe", ScribeBackend, config=ScribeConfig)
