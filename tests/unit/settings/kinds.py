"""Kinds for the tests of settings: every sort of key that a plugin may have."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from router import plugin
from router.plugin.registry import Source


class Agent(BaseModel):
    """Somebody who answers."""

    model_config = ConfigDict(extra="forbid")

    name: str
    key: plugin.Secret | None = None


class AcmeConfig(plugin.PluginConfig):
    """Acme SMS."""

    account: str
    token: plugin.Secret
    spare_tokens: list[plugin.Secret] = Field(default_factory=list)
    headers: dict[str, plugin.Secret] = Field(default_factory=dict)
    agents: list[Agent] = Field(default_factory=list)
    poll: plugin.Duration = 15.0
    level: int = Field(1, ge=1, le=9, description="How loud.")
    size: Literal["small", "large"] = "small"
    limit: int | Literal["none"] = "none"
    proxy: str | plugin.Secret | None = None
    keys: Annotated[tuple[str, plugin.Secret] | dict[str, plugin.Secret], Field()] | None = None
    start: date | None = None
    even: int = Field(0, multiple_of=2)

    @field_validator("account")
    @classmethod
    def _begins_with_ac(cls, value: str) -> str:
        if not value.startswith("AC"):
            message = "an account begins with AC"
            raise ValueError(message)
        return value

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, value: plugin.Secret) -> plugin.Secret:
        if " " in value.get_secret_value():
            # Careless on purpose: a plugin that quotes what it was given.
            message = f"{value.get_secret_value()} has a space in it"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _proxy_or_keys(self) -> Self:
        if self.proxy is not None and self.keys is not None:
            message = "proxy and keys exclude each other"
            raise ValueError(message)
        return self


class Acme(plugin.Channel[Any]):
    def verify(self, request: plugin.WebhookRequest) -> None:
        raise plugin.InvalidSignature

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return []

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused


class Chat(plugin.AIBackend[Any]):
    async def complete(self, prompt: plugin.Prompt) -> plugin.Completion:
        raise plugin.Refused


class Caller(Chat):
    calls_tools = True


class WebhookConfig(plugin.PluginConfig):
    url: str
    secret: plugin.Secret | None = None


class Webhook(plugin.Action[Any]):
    async def run(self, call: plugin.ActionCall) -> plugin.ActionResult | None:
        raise plugin.Refused


class Lookup(Webhook):
    reads_only = True


def kinds(*, lost: bool = False) -> plugin.Registry:
    """Give a registry with these kinds.

    :param lost: there is a plugin that could not be loaded, too.
    """
    registry = plugin.Registry()
    with registry.registering(Source(plugin="acme")):
        registry.channel("acme", Acme, config=AcmeConfig)
        registry.channel("simulator", Acme, config=plugin.NoConfig)
        registry.ai_backend("answers", Chat, config=plugin.NoConfig)
        registry.ai_backend("caller", Caller, config=plugin.NoConfig)
        registry.action("webhook", Webhook, config=WebhookConfig)
        registry.action("lookup", Lookup, config=WebhookConfig)
    if lost:
        pigeon = Source(plugin="pigeon", distribution="router-pigeon", version="0.3")
        registry.failed(pigeon, ImportError("No module named 'coop'"))
    return registry
