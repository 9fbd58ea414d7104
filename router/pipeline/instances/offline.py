"""Instances that decide like the real ones and tell nobody, for trying things out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from router.domain.event import InboundEvent
from router.domain.message import OutboundMessage, SendReceipt
from router.plugin.action import Action, ActionCall
from router.plugin.channel import Channel, WebhookAnswer, WebhookRequest
from router.plugin.people import People


class SilentChannel(Channel[Any]):
    """A channel whose messages go nowhere, and that polls nobody; else it is like the real one."""

    def __init__(self, real: Channel[Any]) -> None:
        super().__init__(real.config, real.context)
        self._real = real
        self.capabilities = replace(real.capabilities, fetch=False, lists_templates=False)

    def verify(self, request: WebhookRequest) -> None:
        self._real.verify(request)

    def parse(self, request: WebhookRequest) -> Sequence[InboundEvent]:
        return self._real.parse(request)

    def acknowledge(self, request: WebhookRequest) -> WebhookAnswer | None:
        return self._real.acknowledge(request)

    async def respond(self, request: WebhookRequest, people: People) -> WebhookAnswer:
        return await self._real.respond(request, people)

    def default_response(self, request: WebhookRequest) -> WebhookAnswer:
        return self._real.default_response(request)

    async def send(self, message: OutboundMessage) -> SendReceipt:
        return SendReceipt(f"silent-{message.id}")


class SilentAction(Action[Any]):
    """An action that does nothing, once."""

    idempotent = True

    def __init__(self, real: Action[Any]) -> None:
        super().__init__(real.config, real.context)

    async def run(self, call: ActionCall) -> None:
        """Do nothing."""
