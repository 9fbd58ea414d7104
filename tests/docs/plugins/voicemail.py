"""Voicemail: messages told by webhook or found by asking, and callers greeted by name."""

import hmac
import json
from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel, Field

from router import plugin

router_api = (1, 1)


class VoicemailConfig(plugin.PluginConfig):
    token: plugin.Secret
    base_url: str = "https://voicemail.example"


class Left(BaseModel):
    id: str = Field(min_length=1)
    caller: str = Field(min_length=1)
    text: str = ""

    def as_event(self) -> plugin.MessageReceived:
        return plugin.MessageReceived(self.id, plugin.Address("tel", self.caller), self.text)


class Page(BaseModel):
    messages: list[Left]
    next: str
    more: bool = False


class Missed(plugin.Poller):
    """Finds what was left while no webhook came."""

    name = "missed"
    every = timedelta(minutes=1)

    def __init__(self, channel: "VoicemailChannel") -> None:
        self._channel = channel

    async def poll(self, cursor: str | None) -> plugin.Polled:
        url = f"{self._channel.config.base_url}/messages"
        parameters = {} if cursor is None else {"after": cursor}
        response = await self._channel.context.http.get(url, params=parameters)
        plugin.raise_for_status(response)
        page = Page.model_validate_json(response.content)
        events = [each.as_event() for each in page.messages]
        return plugin.Polled(events=events, cursor=page.next, again=page.more)


class VoicemailChannel(plugin.Channel[VoicemailConfig]):
    capabilities = plugin.Capabilities(responds=frozenset({"ringing"}))

    def verify(self, request: plugin.WebhookRequest) -> None:
        given, token = request.header("X-Token") or "", self.config.token.get_secret_value()
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise plugin.InvalidSignature("the X-Token header is missing or wrong")

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        return [Left.model_validate_json(request.body).as_event()]

    def pollers(self) -> Sequence[plugin.Poller]:
        return [Missed(self)]

    async def respond(
        self, request: plugin.WebhookRequest, people: plugin.People
    ) -> plugin.WebhookAnswer:
        try:
            caller = Left.model_validate({"id": "-", **request.json()}).caller
        except (TypeError, ValueError):
            return self.default_response(request)
        card = await people.lookup(plugin.Address("tel", caller))
        return self._greeting(None if card is None else card.name)

    def default_response(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer:
        return self._greeting(None)

    @staticmethod
    def _greeting(name: str | None) -> plugin.WebhookAnswer:
        hello = "Hola" if name is None else f"Hola, {name}"
        body = json.dumps({"say": f"{hello}, deje su mensaje."}).encode()
        return plugin.WebhookAnswer(body=body, content_type="application/json")

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        raise plugin.Refused("a voicemail takes no messages")


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    registry.channel("voicemail", VoicemailChannel, config=VoicemailConfig)
