"""AI backend for any server that speaks the chat-completions protocol."""

from router import plugin

router_api = (1, 0)


class ChatConfig(plugin.PluginConfig):
    url: str
    model: str


class ChatBackend(plugin.AIBackend[ChatConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        turns = [{"role": "system", "content": prompt.system}]
        turns += [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
        body = {"model": self.config.model, "messages": turns}
        response = await self.context.http.post(self.config.url, json=body)
        plugin.raise_for_status(response)
        return plugin.Completion(response.json()["choices"][0]["message"]["content"])


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.ai_backend("chat", ChatBackend, config=ChatConfig)
