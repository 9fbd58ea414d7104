"""The rows of a conformance suite: what comes in, what goes out, what is expected."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import httpx

from router.domain.answer import Completion, Prompt, Transcript
from router.domain.event import InboundEvent
from router.domain.identity import Address
from router.domain.message import (
    Attachment,
    File,
    OutboundMessage,
    SendReceipt,
    SentMessage,
)
from router.errors import ProviderError
from router.plugin.action import ActionResult
from router.plugin.channel import WebhookAnswer, WebhookRequest
from router.plugin.people import Card
from router.plugin.polling import Polled
from router.plugin.templates import TemplateInfo
from router.plugin.testing.context import Reply
from router.plugin.testing.sockets import Dialogue

#: A failure that a row expects: a class, or an instance whose ``code`` and ``retry_after`` count.
Raises: TypeAlias = type[ProviderError] | ProviderError


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form of several parts.

    .. versionadded:: 1.1
    """

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """A request that a plugin has to make. What is left out is not looked at.

    :param url: the whole address, query included.
    :param headers: these have to be there, with these values.
    :param json: the body, read as JSON.
    :param form: the body, read as a form; every field, in any order.
    :param content: the body, byte for byte.
    :param multipart: the body, read as a form of several parts; every field, a text each or an
        :class:`Upload`, in any order; since 1.1.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    content: bytes | None = None
    multipart: Mapping[str, "str | Upload"] | None = None

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
        if self.multipart is not None:
            pairs.append(("parts", dict(self.multipart), _parts(request)))
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
class Poll:
    """One poll, the provider's replies to it in order, and what it finds.

    :param poller: its name.
    :param cursor: what the last poll gave.
    :param expect: what has to be found, cursor and all; looked at only if given.

    .. versionadded:: 1.1
    """

    label: str
    poller: str
    replies: tuple[Reply, ...]
    cursor: str | None
    expect: Polled | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        poller: str,
        *replies: Reply,
        cursor: str | None = None,
        expect: Polled | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class Respond:
    """A request that wants data at once, who is known, and the answer.

    The request is made as that of :class:`Receive` is, and signed by the suite's ``sign``.

    :param people: who is known, by address.
    :param expect: the answer, body and all. ``json`` in its place: what the body says as JSON.
    :param default: the answer that the channel makes without knowing anybody; looked at only if
        given.

    .. versionadded:: 1.1
    """

    label: str
    endpoint: str
    body: bytes
    replies: tuple[Reply, ...]
    people: Mapping[Address, Card]
    headers: Mapping[str, str]
    method: str
    query: Mapping[str, str]
    expect: WebhookAnswer | None
    json: Any
    default: WebhookAnswer | None

    def __init__(
        self,
        label: str,
        endpoint: str,
        body: bytes,
        *replies: Reply,
        people: Mapping[Address, Card] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
        expect: WebhookAnswer | None = None,
        json: Any = None,
        default: WebhookAnswer | None = None,
    ) -> None:
        _fill(self, locals())

    def as_receive(self) -> Receive:
        """Give the row whose request is this one's."""
        return Receive(
            self.label,
            self.body,
            endpoint=self.endpoint,
            headers=self.headers or {},
            method=self.method,
            query=self.query or {},
        )


@dataclass(frozen=True, init=False)
class Fetch:
    """A file that a customer sent, the provider's replies in order, and the file as fetched.

    :param limit: the most bytes that may be read.

    .. versionadded:: 1.1
    """

    label: str
    attachment: Attachment
    replies: tuple[Reply, ...]
    expect: File | None
    raises: Raises | None
    requests: Sequence[Expected] | None
    limit: int

    def __init__(
        self,
        label: str,
        attachment: Attachment,
        *replies: Reply,
        expect: File | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
        limit: int = 100_000,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class ListTemplates:
    """The provider's replies to a question for its templates, and what they come to.

    .. versionadded:: 1.1
    """

    label: str
    replies: tuple[Reply, ...]
    expect: Sequence[TemplateInfo] | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        *replies: Reply,
        expect: Sequence[TemplateInfo] | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class Transcribe:
    """A voice note, the provider's replies, and what is said in it.

    :param language: what the customer probably speaks.

    .. versionadded:: 1.1
    """

    label: str
    voice: File
    replies: tuple[Reply, ...]
    language: str | None
    expect: Transcript | None
    raises: Raises | None
    requests: Sequence[Expected] | None

    def __init__(
        self,
        label: str,
        voice: File,
        *replies: Reply,
        language: str | None = None,
        expect: Transcript | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
    ) -> None:
        _fill(self, locals())


@dataclass(frozen=True, init=False)
class Complete:
    """A prompt, the provider's replies, and the completion.

    :param sockets: what the provider does with each WebSocket in turn; since 1.1.
    """

    label: str
    prompt: Prompt
    replies: tuple[Reply, ...]
    expect: Completion | None
    raises: Raises | None
    requests: Sequence[Expected] | None
    sockets: Sequence[Dialogue]

    def __init__(
        self,
        label: str,
        prompt: Prompt,
        *replies: Reply,
        expect: Completion | None = None,
        raises: Raises | None = None,
        requests: Sequence[Expected] | None = None,
        sockets: Sequence[Dialogue] = (),
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


def _parts(request: httpx.Request) -> dict[str, str | Upload] | bytes:
    """Give the fields of a form of several parts, or the body where it is none."""
    from email.message import Message
    from email.parser import BytesParser

    declared = request.headers.get("Content-Type", "")
    if not declared.startswith("multipart/form-data"):
        return request.content
    head = f"Content-Type: {declared}\r\n\r\n".encode()
    whole: Message = BytesParser().parsebytes(head + request.content)
    found: dict[str, str | Upload] = {}
    for part in whole.get_payload() if whole.is_multipart() else ():
        if not isinstance(part, Message):
            continue
        name = part.get_param("name", "", "content-disposition")
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            continue
        file = part.get_filename()
        if file is None:
            found[str(name)] = data.decode("utf-8", "replace")
        else:
            found[str(name)] = Upload(file, part.get_content_type(), data)
    return found
