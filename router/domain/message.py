"""Messages, what they carry, and how far they got."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from router.domain.identity import Address


class Direction(StrEnum):
    """Which way a message went."""

    IN = "in"
    OUT = "out"


class Author(StrEnum):
    """Who wrote a message. What a rule states literally was written by a person beforehand."""

    CUSTOMER = "customer"
    BOT = "bot"
    RULE = "rule"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file, place or card that came with a message, by reference.

    :param kind: ``image``, ``audio``, ``video``, ``document``, ``sticker``, ``location`` or
        ``contact``; anything else a provider invents is kept as it came.
    :param url: where the provider keeps the file; may need the channel's credentials and expire.
    :param content_type: the provider's word for it; once the file is here, what its bytes say.
    :param digest: the file as the host keeps it; set by the host alone, as are the next three.
    :param size: in bytes.
    :param transcript: what is said in a voice note.
    :param problem: why the file, or its transcript, is not here.
    """

    kind: str
    url: str | None = None
    content_type: str | None = None
    name: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    digest: str | None = None
    size: int | None = None
    transcript: str | None = None
    problem: str | None = None

    @property
    def is_voice(self) -> bool:
        """Whether it is something that is listened to."""
        return self.kind == "audio"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was fetched.

    :param content_type: what whoever had it called it, not checked; empty where nobody says.

    .. versionadded:: 1.1
    """

    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Template:
    """A message text that the provider has approved beforehand.

    :param ref: the provider's reference.
    :param variables: values for its placeholders.
    """

    ref: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """One provider message that is to be sent once.

    :param id: ours; the idempotency key, and what a status-callback URL carries as ``?item=``.
    :param recipient: the address exactly as the customer's message brought it.
    :param text: at most the channel's ``capabilities.max_text``; empty only with a template
        or media.
    :param in_reply_to: the provider's id of the message that this answers, if any.
    """

    id: str
    recipient: Address
    text: str = ""
    template: Template | None = None
    media: tuple[Attachment, ...] = ()
    in_reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class SendReceipt:
    """The provider took a message.

    :param provider_id: its name for the message; ``None`` where it gives none.
    """

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that a provider lists as sent, found by ``Channel.find_sent``."""

    provider_id: str
    sent_at: datetime | None = None


class DeliveryStatus(StrEnum):
    """How far a message got. It only moves forward; failure is a fact of its own."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"

    def advance(self, reported: "DeliveryStatus") -> "DeliveryStatus":
        """Give the later of the two: callbacks arrive doubled and out of order."""
        return max(self, reported, key=_STEPS.index)


_STEPS = tuple(DeliveryStatus)
