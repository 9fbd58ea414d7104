"""The channel behind the page ``/simulator``, and behind scripts that play the customer."""

import re
from collections.abc import Sequence
from typing import Annotated

import anyio
from pydantic import AfterValidator, BaseModel, Field

from router import plugin

_NUMBER = re.compile(r"\+?([0-9]{3,15})")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def _address(text: str) -> str:
    """Give ``scheme:value``; a bare telephone number gets the scheme ``tel``."""
    if number := _NUMBER.fullmatch(re.sub(r"[ ()-]", "", text)):
        return f"tel:+{number[1]}"
    scheme, _, value = text.partition(":")
    if not value or not _SCHEME.fullmatch(scheme.lower()):
        message = f"{text!r} is neither a telephone number nor scheme:value"
        raise ValueError(message)
    return f"{scheme.lower()}:{value}"


AddressText = Annotated[str, AfterValidator(_address)]


class SimulatorConfig(plugin.PluginConfig):
    """The simulator needs no configuration."""

    delay: plugin.Duration = Field(
        0.0, description="How long sending a message takes, as it would at a provider."
    )


class _Attachment(BaseModel):
    kind: str = Field(min_length=1)
    url: str | None = None
    content_type: str | None = None
    name: str | None = None
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)


class _Message(BaseModel):
    id: str = Field(min_length=1)
    sender: AddressText = Field(alias="from")
    text: str = ""
    name: str | None = None
    language: str | None = None
    attachments: tuple[_Attachment, ...] = ()


class _Echo(BaseModel):
    id: str = Field(min_length=1)
    to: AddressText
    text: str = ""
    attachments: tuple[_Attachment, ...] = ()


class _Delivery(BaseModel):
    message: str = Field(min_length=1)
    to: AddressText
    status: str = Field(min_length=1)
    code: str | None = None
    reason: str | None = None


class _Kind(BaseModel):
    """What tells the three sorts of webhook apart."""

    echo: bool = False
    status: str | None = None


class Simulator(plugin.Channel[SimulatorConfig]):
    """A channel whose customers are whoever sits at this machine.

    Its webhook takes one JSON object in a POST:

    - ``{"id", "from", "text"}``, optionally ``name``, ``language``, ``attachments``: a customer
      wrote. ``from`` is a telephone number, or ``scheme:value``.
    - ``{"id", "echo": true, "to", "text"}``: somebody of the business wrote, on their own phone.
    - ``{"status", "message", "to"}``, optionally ``code``, ``reason``: how far a message got.

    What the router sends goes nowhere: the host keeps each message, and the page shows it.
    """

    capabilities = plugin.Capabilities(
        local_only=True, media=True, receipts=True, idempotent_send=True
    )

    def verify(self, request: plugin.WebhookRequest) -> None:
        """Let everything pass.

        Nobody signs these requests. ``local_only`` makes the host refuse all that come neither
        from this machine nor from a person who is logged in.
        """

    def parse(self, request: plugin.WebhookRequest) -> Sequence[plugin.InboundEvent]:
        """Read the one event of a request."""
        kind = _Kind.model_validate_json(request.body)
        if kind.status is not None:
            report = _Delivery.model_validate_json(request.body)
            return [
                plugin.DeliveryReported(
                    report.message,
                    plugin.Address.from_text(report.to),
                    report.status,
                    code=report.code,
                    reason=report.reason,
                )
            ]
        if kind.echo:
            echo = _Echo.model_validate_json(request.body)
            return [
                plugin.MessageEchoed(
                    echo.id,
                    plugin.Address.from_text(echo.to),
                    echo.text,
                    attachments=_attachments(echo.attachments),
                )
            ]
        message = _Message.model_validate_json(request.body)
        return [
            plugin.MessageReceived(
                message.id,
                plugin.Address.from_text(message.sender),
                message.text,
                attachments=_attachments(message.attachments),
                name=message.name,
                language=message.language,
            )
        ]

    def acknowledge(self, request: plugin.WebhookRequest) -> plugin.WebhookAnswer | None:
        """Answer a POST with an empty JSON object, which scripts can read."""
        if request.method != "POST":
            return None
        return plugin.WebhookAnswer(body=b"{}", content_type="application/json")

    async def send(self, message: plugin.OutboundMessage) -> plugin.SendReceipt:
        """Take the message; its provider id follows from ours, so that a repeat is the same."""
        if self.config.delay:
            await anyio.sleep(self.config.delay)
        return plugin.SendReceipt(f"sim-{message.id}")


def _attachments(items: Sequence[_Attachment]) -> tuple[plugin.Attachment, ...]:
    return tuple(plugin.Attachment(**item.model_dump()) for item in items)


@plugin.hookimpl
def router_register(registry: plugin.Registry) -> None:
    """Declare the kind ``simulator``."""
    registry.channel("simulator", Simulator, config=SimulatorConfig)
