"""What type checkers have to accept and to reject; read by mypy in `make check`, never run.

An ignore that is not needed is an error there, so each line below proves a rejection.
"""

from collections.abc import Callable

from router import plugin
from router.plugin.context import PluginContext


class MineConfig(plugin.PluginConfig):
    mine: str


class OtherConfig(plugin.PluginConfig):
    other: str


class MyChannel(plugin.Channel[MineConfig]):
    def verify(self, request: plugin.WebhookRequest) -> None: ...

    def parse(self, request: plugin.WebhookRequest) -> list[plugin.InboundEvent]:
        return []

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        return plugin.SendReceipt(self.config.mine)


class MyBackend(plugin.AIBackend[MineConfig]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        return plugin.Completion(self.config.mine)


class MyAction(plugin.Action[MineConfig]):
    async def run(self, call: plugin.ActionCall) -> None: ...


def make(config: MineConfig, context: PluginContext) -> MyChannel:
    return MyChannel(config, context)


factory: Callable[[MineConfig, PluginContext], MyChannel] = make


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("mine", MyChannel, config=MineConfig)
    registry.channel("made", make, config=MineConfig)
    registry.channel("made_too", factory, config=MineConfig)
    registry.ai_backend("mine", MyBackend, config=MineConfig)
    registry.action("mine", MyAction, config=MineConfig)
    registry.action("params", MyAction, config=MineConfig, params=plugin.ActionParams)

    registry.channel("mine", MyChannel, config=OtherConfig)  # type: ignore[arg-type]
    registry.channel("mine", make, config=OtherConfig)  # type: ignore[arg-type]
    registry.channel("mine", MyBackend, config=MineConfig)  # type: ignore[arg-type]
    registry.ai_backend("mine", MyBackend, config=OtherConfig)  # type: ignore[arg-type]
    registry.action("mine", MyAction, config=OtherConfig)  # type: ignore[arg-type]
    registry.action("mine", MyAction, config=MineConfig, params=dict)  # type: ignore[arg-type]
    registry.channel("mine", MyChannel, config=MineConfig, params=plugin.NoticeParams)  # type: ignore[call-arg]
