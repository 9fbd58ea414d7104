"""AI backend for an agent that is talked with over a WebSocket."""

import json

from router import plugin

router_api = (1, 1)


class ParleyConfig(plugin.PluginConfig):
    url: str
    token: plugin.Secret


class ParleyBackend(plugin.AIBackend[ParleyConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        headers = {"Authorization": f"Bearer {self.config.token.get_secret_value()}"}
        async with self.context.websocket(self.config.url, headers=headers) as socket:
            for turn in prompt.turns:
                await socket.send(json.dumps({"role": turn.role, "text": turn.text}))
            while True:
                match _read(await socket.receive()):
                    case {"ping": number}:
                        await socket.send(json.dumps({"pong": number}))
                    case {"answer": str(text)}:
                        return plugin.Completion(text)
                    case _:
                        continue  # what a later version may say, too


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise plugin.OutcomeUnknown("the agent said something that is not JSON") from None


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.ai_backend("parley", ParleyBackend, config=ParleyConfig)
