"""What comes in from a channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from router.domain.identity import Address
from router.domain.message import Attachment
from router.errors import Refusal


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A customer wrote.

    :param id: the provider's id of the message; the same message always brings the same one.
    :param sender: who wrote, exactly as answers must be addressed.
    :param text: as written, never trimmed; may be empty beside attachments.
    :param sent_at: the provider's time, if it gives one. Order is by arrival, not by this.
    :param name: what the customer calls themselves at the provider.
    :param language: a BCP 47 tag, if the provider tells.
    :param aliases: other addresses that the provider says are the same person.
    :param in_reply_to: the provider's id of the message that this answers.
    :param metadata: anything else worth a rule's or a person's look: a button's payload, an ad.
    """

    kind: ClassVar[str] = "message"

    id: str
    sender: Address
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    sent_at: datetime | None = None
    name: str | None = None
    language: str | None = None
    aliases: tuple[Address, ...] = ()
    in_reply_to: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        """Whose thread this belongs to."""
        return self.sender

    @property
    def dedupe_key(self) -> str:
        return f"message:{self.id}"


@dataclass(frozen=True, slots=True)
class MessageEchoed:
    """Somebody of the business wrote to a customer outside the router.

    From the phone, or in the provider's own app. Providers echo what the router itself sent, too;
    the host tells the two apart.

    :param recipient: the customer.
    :param provider_id: the provider's id of the message where it differs from ``id``.
    """

    kind: ClassVar[str] = "echo"

    id: str
    recipient: Address
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    sent_at: datetime | None = None
    provider_id: str | None = None

    @property
    def address(self) -> Address:
        """Whose thread this belongs to."""
        return self.recipient

    @property
    def dedupe_key(self) -> str:
        return f"echo:{self.id}"


@dataclass(frozen=True, slots=True)
class DeliveryReported:
    """The provider tells how far a message got.

    :param provider_id: the provider's id of the message.
    :param recipient: the customer.
    :param status: ``queued``, ``sent``, ``delivered``, ``read`` or ``failed``; any other word is
        stored and changes nothing.
    :param item: our id of the message, where the callback's URL carried it.
    :param code: the provider's error code of a failure.
    :param reason: its words for it.
    :param why: what the failure says about the customer; see :class:`~router.errors.Refusal`.
    """

    kind: ClassVar[str] = "delivery"

    provider_id: str
    recipient: Address
    status: str
    item: str | None = None
    code: str | None = None
    reason: str | None = None
    sent_at: datetime | None = None
    why: Refusal | None = None

    @property
    def address(self) -> Address:
        """Whose thread this belongs to."""
        return self.recipient

    @property
    def dedupe_key(self) -> str:
        return f"delivery:{self.provider_id}:{self.status}"


@dataclass(frozen=True, slots=True)
class CallTurn:
    """One thing that was said in a call.

    :param role: ``customer`` or ``agent``.
    :param at: how long after the call began.
    """

    role: str
    text: str
    at: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """A telephone call with a customer is over, or never came about.

    A call and a message of one person meet in one conversation. Rules see it as ``call.ended``,
    or as ``call.failed`` where nobody was reached.

    :param id: the provider's id of the call; every report of one call carries the same.
    :param party: the customer.
    :param direction: ``inbound``: the customer called; ``outbound``: they were called.
    :param status: ``done``, or ``failed`` where the two never spoke: busy, no answer.
    :param outcome: the agent's own judgement: ``success``, ``failure`` or ``unknown``.
    :param summary: what it was about, in a few sentences; empty where nobody says.
    :param data: what the agent was to find out, by name.
    :param agent: the provider's id of the agent that spoke.
    :param name: what the customer is called, where the report tells.
    :param language: a BCP 47 tag.
    :param reason: why it ended, or why it failed, in the provider's words.
    :param batch: the provider's id of the batch that it was part of.
    :param recording: where the provider keeps the recording, if there is one.
    :param origin: who reports it: its ``provider``, or another system through the ``api``.

    .. versionadded:: 1.1
    """

    kind: ClassVar[str] = "call"

    id: str
    party: Address
    direction: str = "outbound"
    status: str = "done"
    outcome: str = "unknown"
    started_at: datetime | None = None
    duration: timedelta | None = None
    summary: str = ""
    transcript: tuple[CallTurn, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    agent: str | None = None
    name: str | None = None
    language: str | None = None
    reason: str | None = None
    batch: str | None = None
    recording: Attachment | None = None
    origin: str = "provider"

    @property
    def address(self) -> Address:
        """Whose thread this belongs to."""
        return self.party

    @property
    def dedupe_key(self) -> str:
        return f"call:{self.id}"


@dataclass(frozen=True, slots=True)
class ContactOptedOut:
    """A customer told the provider that they want no messages of this sender: blocked it, say.

    The host marks the contact as soon as it accepts this, and withdraws what waits for them.
    Who writes again is answered.

    :param id: names this wish; each report of the same one carries the same.
    :param contact: the customer.
    :param reason: in a few words, for the operator.

    .. versionadded:: 1.1
    """

    kind: ClassVar[str] = "opt_out"

    id: str
    contact: Address
    reason: str | None = None
    sent_at: datetime | None = None

    @property
    def address(self) -> Address:
        """Whose thread this belongs to."""
        return self.contact

    @property
    def dedupe_key(self) -> str:
        return f"opt_out:{self.id}"


#: Everything a channel may report. Each kind carries ``address`` (whose thread it belongs to) and
#: ``dedupe_key`` (equal for every delivery of the same fact).
InboundEvent: TypeAlias = (
    MessageReceived | MessageEchoed | DeliveryReported | CallEnded | ContactOptedOut
)
