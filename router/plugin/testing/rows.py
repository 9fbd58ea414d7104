"""The rows of a conformance suite: what comes in, what goes out, what is expected."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import httpx

from router.domain.answer import Completion, Prompt
from router.domain.event import InboundEvent
from router.domain.message import OutboundMessage, SendReceipt, SentMessage
from router.errors import ProviderError
from router.plugin.action import ActionResult
from router.plugin.channel import WebhookAnswer, WebhookRequest
from router.plugin.testing.context import Reply

#: A failure that a row expects: a class, or an instance whose ``code`` and ``retry_after`` count.
Raises: TypeAlias = type[ProviderError] | ProviderError


@dataclass(frozen=True, slots=True)
class Expected:
    """A request that a plugin has to make. What is left out is not looked at.

    :param url: the whole address, query included.
    :param headers: these have to be there, with these values.
    :param json: the body, read as JSON.
    :param form: the body, read as a form; every field, in any order.
    :param content: the body, byte for byte.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    content: bytes | None = None

    def difference(self, request: httpx.Request) -> str | None:
        """Say how a request differs, or ``None``."""
        pairs: list[tuple[str, object, object]] = [
            ("method", self.method, request.method),
            ("URL", self.url, str(request.url)),
        ]
        for name, value in self.headers.items():
            pairs.append((f"header {name}", value, request.headers.get(name)))
        if self.json is not None:
            pairs.append(("JSON", self.json, _json(request.content)))
        if self.form is not None:
            fields = parse_qsl(request.content.decode("latin-1"), keep_blank_values=True)
            pairs.append(("form", sorted(self.form.items()), sorted(fields)))
        if self.content is not None:
            pairs.append(("body", self.content, request.content))
        for what, wanted, got in pairs:
            if wanted != got:
                return f"{what}: expected {wanted!r}, got {got!r}"
        return None


@dataclass(frozen=True)
class Receive:
    """A webhook, and what the channel makes of it.

    :param body: the body of a POST, or a whole request.
    :param expect: the events; an empty list means that the router has nothing to do with it.
    :param rejects: ``ValueError`` for what is malformed, ``InvalidSignature`` for what is not
        signed; such a request is not handed to ``sign``.
    :param answer: what the provider has to get back; looked at only if given.
    :param query: appended to the webhook's URL.
    """

    label: str
    body: bytes | WebhookRequest = b""
    expect: Sequence[InboundEvent] | None = None
    rejects: type[Exception] | None = None
    endpoint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    answer: WebhookAnswer | None = None


@dataclass(frozen=True, init=False)
class Send:
    """A message, the provider's replies to it in order, and what becomes of it.

    :param expect: the receipt; any will do if it is left out.
    :param requests: the requests that have to be made; looked at only if given.
    """

    label: str
    message: OutboundMessage
    replies: tuple[Reply, ...]
    expect: SendReceipt | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        message: OutboundMessage,
        *replies: Reply,
        expect: SendReceipt | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class Find:
    """A look-up of what was sent, for channels whose capabilities claim ``find_sent``."""

    label: str
    message: OutboundMessage
    since: datetime
    replies: tuple[Reply, ...]
    expect: Sequence[SentMessage] | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        message: OutboundMessage,
        since: datetime,
        *replies: Reply,
        expect: Sequence[SentMessage] | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class Complete:
    """A prompt, the provider's replies, and the completion."""

    label: str
    prompt: Prompt
    replies: tuple[Reply, ...]
    expect: Completion | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        prompt: Prompt,
        *replies: Reply,
        expect: Completion | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class Run:
    """An action's parameters, the provider's replies, and the result.

    :param params: checked by the suite's ``params`` model.
    """

    label: str
    params: Mapping[str, Any]
    replies: tuple[Reply, ...]
    expect: ActionResult | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        params: Mapping[str, Any],
        *replies: Reply,
        expect: ActionResult | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


def _fill(row: object, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name != "self":
            object.__setattr__(row, name, value)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content
