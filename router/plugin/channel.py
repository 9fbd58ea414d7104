"""Channel: what brings customers' messages in and takes answers out."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from router.domain.event import InboundEvent
from router.domain.limits import RateLimit
from router.domain.message import (
    Attachment,
    File,
    OutboundMessage,
    SendReceipt,
    SentMessage,
)
from router.plugin.instance import ConfigT, Instance
from router.plugin.people import People
from router.plugin.polling import Poller
from router.plugin.templates import TemplateInfo


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """One HTTP request as the provider made it.

    :param method: upper case.
    :param url: built from ``[router] public_url`` with the path and query exactly as sent, never
        from a ``Host`` header: it is what providers sign.
    :param headers: names lower case; a repeated header is joined with ``", "``.
    :param body: the raw bytes, at most ``[server] max_body``.
    :param received_at: when the host took it, so that age limits need no clock.
    :param endpoint: the last part of ``/hooks/{channel}/{endpoint}``; empty where the path ends
        with the channel.
    """

    method: str = "POST"
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received_at: datetime
    endpoint: str = ""

    def header(self, name: str) -> str | None:
        """Give a header whatever the case of its name, or ``None``."""
        return self.headers.get(name.lower())

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The URL's query, decoded, in order, empty values kept."""
        return tuple(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @cached_property
    def form(self) -> tuple[tuple[str, str], ...]:
        """The body as a form, decoded, in order, empty values kept.

        :raises ValueError: if it is not UTF-8.
        """
        text = self.body.decode("utf-8")
        return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=1000, errors="strict"))

    def json(self) -> Any:
        """Give the body as JSON.

        :raises ValueError: if it is none.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """What the provider gets back."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None


#: What the length of a text is counted in: what Python calls characters, units of UTF-16 (an emoji
#: is two or more), or bytes of UTF-8.
TextUnit: TypeAlias = Literal["characters", "utf16", "bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can do. The conformance suite tests exactly what is claimed here.

    :param max_text: the longest text of one message; the host splits longer ones.
    :param text_unit: what ``max_text`` counts: ``characters``, units of ``utf16``, or ``bytes``
        of UTF-8; since 1.1.
    :param media: attachments may be sent, at least one a message, by their public addresses. The
        host sends one a message, and no text with it.
    :param media_types: the content types that may be sent, such as ``image/jpeg``; ``None``: any.
        The host sends the address of anything else as a text; since 1.1.
    :param own_echoes: what the host sends comes back as a ``MessageEchoed``, too. The host tells
        it from a person's by the id that :meth:`Channel.send` gave, else by its words, or its file
        where it has none. Declare it, or a file that came back without words counts as a person's
        unless it has the address that was sent; since 1.1.
    :param receipts: delivery reports come in.
    :param idempotent_send: the provider ignores a repeat of the same ``message.id``, so that an
        unknown outcome may simply be sent again.
    :param find_sent: :meth:`Channel.find_sent` is implemented.
    :param complete_listing: what ``find_sent`` does not list was certainly not sent.
    :param sender_limit: how fast messages may leave, all customers together; ``None``: as they
        come. An instance may set it from its config, with ``dataclasses.replace``.
    :param pair_limit: how fast messages may leave for one and the same customer.
    :param window: how long after a customer's last message free text may be sent to them; a
        template may be sent at any time. ``None``: there is no such limit.
    :param local_only: the host serves its webhooks to this machine (or a logged-in person) only.
    :param responds: the endpoints that answer with data, by :meth:`Channel.respond`; since 1.1.
    :param fetch: :meth:`Channel.fetch` is implemented; since 1.1.
    :param recordings: the recordings of calls are fetched and kept, too. An instance sets it from
        its config, because a deployer may well not want them; needs ``fetch``; since 1.1.
    :param sends: messages may be sent at all; ``False``: what would be is a ticket; since 1.1.
    :param lists_templates: :meth:`Channel.templates` is implemented; since 1.1.
    """

    max_text: int = 4096
    text_unit: TextUnit = "characters"
    media: bool = False
    media_types: frozenset[str] | None = None
    own_echoes: bool = False
    receipts: bool = False
    idempotent_send: bool = False
    find_sent: bool = False
    complete_listing: bool = False
    sender_limit: RateLimit | None = None
    pair_limit: RateLimit | None = None
    window: timedelta | None = None
    local_only: bool = False
    responds: frozenset[str] = frozenset()
    fetch: bool = False
    recordings: bool = False
    sends: bool = True
    lists_templates: bool = False


class Channel(Instance[ConfigT]):
    """A way to customers and back.

    .. versionadded:: 1.0
    """

    capabilities: Capabilities = Capabilities()

    @abstractmethod
    def verify(self, request: WebhookRequest) -> None:
        """Make sure that the provider sent this request. Synchronous and pure.

        The host SHALL call this before anything else, for every method and endpoint; nothing is
        stored or parsed if it raises, or gives anything but ``None``. Compare in constant time,
        accept several secrets (rotation). A provider that signs nothing is checked by a secret in
        the URL.

        :raises InvalidSignature: and nothing else; the sender gets 403.
        """

    @abstractmethod
    def parse(self, request: WebhookRequest) -> Sequence[InboundEvent]:
        """Read the events in a verified request. Synchronous and pure: no I/O, no clock.

        It may run again years later, on the stored body. An empty sequence means that there is
        nothing in it for the router; the host then stores nothing.

        :raises ValueError: if the request is malformed. The host keeps it as *unparsed*.
        """

    def acknowledge(self, request: WebhookRequest) -> WebhookAnswer | None:
        """Give the HTTP answer to a verified request; ``None`` means none for this method.

        For a POST it is called after the events are stored. A GET (a challenge, say) stores
        nothing; the default has no answer to it, and the host says 405.
        """
        return WebhookAnswer() if request.method == "POST" else None

    @abstractmethod
    async def send(self, message: OutboundMessage) -> SendReceipt:
        """Make one attempt to send one message.

        The host retries, and keeps to the limits that are declared; a plugin does neither. At most
        one attempt per recipient is under way at a time. A 200 that carries an error is an error.
        httpx's errors may escape, they are classified by the host; see
        :func:`router.plugin.classify`.

        :raises Unavailable: certainly not taken.
        :raises Refused: certainly not taken, and never will be.
        :raises OutcomeUnknown: what any other exception counts as, too.
        """

    async def find_sent(self, message: OutboundMessage, since: datetime) -> Sequence[SentMessage]:
        """List what the provider sent since then that could be this message.

        Optional; declare ``capabilities.find_sent``. Recipient and text must match. The host asks
        when nobody knows whether an attempt was taken: seconds after it, and twice more once a
        minute has passed. It leaves out ids that it knows to be other messages'. That nothing is
        listed counts only where ``capabilities.complete_listing`` is declared.

        :param since: when the attempt began, by the host's clock; leave room for the provider's.
        :raises ProviderError: if the provider cannot be asked now, or its listing does not tell.
        """
        raise NotImplementedError

    async def fetch(self, attachment: Attachment, limit: int) -> File:
        """Fetch a file that a customer sent, or the recording of a call.

        Optional; declare ``capabilities.fetch``. The host calls it as soon as a message with an
        attachment that has a ``url`` is accepted, keeps the file, and looks by itself at what its
        bytes are. Its address came from outside: give credentials to the provider's own hosts
        only, follow no redirect unseen, and read no more than ``limit`` bytes.

        :param limit: the most bytes to read; a larger file is ``Refused``.
        :raises Unavailable: it may be there later; the host asks again.
        :raises Refused: it never will be: expired, too large, or at an address that is not trusted.

        .. versionadded:: 1.1
        """
        raise NotImplementedError

    async def templates(self) -> Sequence[TemplateInfo]:
        """List the templates that the provider has, whatever their approval.

        Optional; declare ``capabilities.lists_templates``. Asked at each start, and then every
        ``templates_every`` of the channel's table, on one node at a time; the host queues nothing
        that by the last listing would be refused. So give all of them, or raise: what is left out
        counts as not there.

        :raises ProviderError: if the provider cannot be asked now, or its answer does not tell.

        .. versionadded:: 1.1
        """
        raise NotImplementedError

    def pollers(self) -> Sequence[Poller]:
        """Give what the host should ask the provider for, again and again. The default: nothing.

        Called once, as soon as the channel is inside its lifespan; the pollers live as long as
        that. A channel that overrides this has one key for each fact, whichever of its endpoints
        or pollers brings it; see :class:`Poller`.

        .. versionadded:: 1.1
        """
        return ()

    async def respond(self, request: WebhookRequest, people: People) -> WebhookAnswer:
        """Answer a request that wants data at once, such as that of a ringing call.

        For the endpoints in ``capabilities.responds``; :meth:`verify` is called first, nothing is
        stored, and neither :meth:`parse` nor :meth:`acknowledge` is called. It has one second. Do
        nothing but look things up: the provider may ask again, or not wait for the answer.

        :param people: who calls; see :meth:`People.lookup`.
        :raises Exception: any; the host then gives the answer of :meth:`default_response`, as it
            does after a second, while it stops, and while the channel is down.

        .. versionadded:: 1.1
        """
        raise NotImplementedError

    def default_response(self, request: WebhookRequest) -> WebhookAnswer:
        """Give the answer to a request of which nothing more is known. Synchronous and pure.

        It must answer whatever verified request comes, also where :meth:`respond` is not able to.

        :raises Exception: none.

        .. versionadded:: 1.1
        """
        return WebhookAnswer()
