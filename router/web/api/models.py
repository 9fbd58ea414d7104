"""What comes in and goes out as JSON: the promise that scripts rely on.

What goes out is made of what the database shows, by the names of its fields, and has nothing that
is not written here: a new column is not published by itself.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from router.storage.store import EventRef

Item = TypeVar("Item")


def _name_of_event(value: Any) -> Any:
    return str(value) if isinstance(value, EventRef) else value


#: A text with something to read in it, and without a NUL, which PostgreSQL takes nowhere. Not \S:
#: what that is differs from one regex dialect to the next.
FILLED = r"^[^\x00]*[^ \t\r\n\x00][^\x00]*$"

#: A text that somebody reads: not empty, and not only blanks.
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=50_000, pattern=FILLED)]
#: A public address of a file, which the channel's provider fetches.
FileUrl: TypeAlias = Annotated[
    str,
    Field(
        max_length=2_000,
        pattern=r"^https://[^\x00]*$",
        examples=["https://shop.example/a.pdf"],
    ),
]
#: A name that people know somebody or something by.
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=FILLED)]
#: An event's name, ``lane#number``.
EventName: TypeAlias = Annotated[
    str, BeforeValidator(_name_of_event), Field(examples=["main/tel:+573001234567#3"])
]


class Input(BaseModel):
    """What a client sends: nothing that is not known is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Signed(Input):
    """Who does something."""

    by: Name | None = Field(None, description="Who does it. Default: the name of the token.")


class Page(Output, Generic[Item]):
    """A part of a list."""

    items: list[Item] = Field(description="In order; the newest first, where nothing else is said.")
    next: str | None = Field(
        description="What to give as `cursor` for the next page; null at the end."
    )

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"{params[0].__name__}Page"


class Conversation(Output):
    """One thread with one customer, and where it stands."""

    id: str
    status: str = Field(description="`active`, `escalated` or `closed`.")
    owner: str = Field(description="`bot`, `nobody` (it waits for a person) or a person's name.")
    owner_since: datetime | None
    channel: str = Field(description="Where the customer last wrote; answers leave there.")
    address: str = Field(description="The customer's address on that channel.")
    contact: str | None = Field(description="The customer's name, if one is known.")
    opted_out: bool = Field(description="The customer wants no messages that they did not ask for.")
    category: str | None
    priority: str | None
    tags: list[str]
    open_ticket: str | None = Field(description="The id of the ticket that is open for it.")
    asking: bool = Field(description="An AI backend has been asked and has not answered yet.")
    created_at: datetime
    last_in_at: datetime | None = Field(description="When the customer last wrote.")
    last_activity_at: datetime


class Attachment(Output):
    """A file, place or card that came with a message."""

    kind: str = Field(description="Such as `image`, `audio`, `document` or `location`.")
    name: str | None
    content_type: str | None = Field(description="What its bytes say; before, its sender's word.")
    size: int | None = Field(description="In bytes; null while it is not here.")
    transcript: str | None = Field(description="What is said in a voice note.")
    problem: str | None = Field(description="Why it, or its transcript, is not here.")
    latitude: float | None
    longitude: float | None


class Message(Output):
    """One message of a conversation."""

    id: str
    conversation: str
    at: datetime
    direction: str = Field(description="`in` or `out`.")
    author: str = Field(description="`customer`, `bot`, `rule` or `person`.")
    text: str
    attachments: list[Attachment]
    channel: str
    address: str
    event: EventName | None = Field(description="What it came with, or was decided for.")
    provider_id: str | None
    status: str | None = Field(description="How far it got; null for one that came in.")
    failure: str | None


class Draft(Output):
    """A text that waits for a person's word, or that has had it."""

    id: str
    state: str = Field(description="`pending`, `approved`, `edited` or `discarded`.")
    conversation: str
    event: EventName = Field(description="The event that it answers.")
    channel: str
    address: str
    contact: str | None
    author: str
    text: str
    because: str = Field(description="Why it was not sent by itself.")
    sources: list[str] = Field(description="The passages that it rests on.")
    created_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    sent_text: str | None


class TicketEntry(Output):
    """A line of a ticket's trail."""

    at: datetime
    author: str
    what: str


class Ticket(Output):
    """Something that a person of the business has to do."""

    number: int = Field(description="What people call it; counts from 1.")
    id: str
    state: str = Field(description="`NEW`, `IN_PROGRESS`, `RESOLVED` or `CLOSED`.")
    priority: str
    queue: str
    title: str
    conversation: str | None
    event: EventName | None = Field(description="The event that opened it.")
    assignee: str | None
    created_at: datetime
    updated_at: datetime
    entries: list[TicketEntry] = Field(
        description="Who did what, oldest first; empty in a list of tickets."
    )


class Escalation(Output):
    """A call for a person."""

    id: str
    to: str = Field(description="The queue or the action that was told.")
    because: str
    conversation: str | None
    event: EventName
    created_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class EventDiscard(Output):
    """That an event was discarded."""

    at: datetime
    by: str
    because: str


class Event(Output):
    """Something that came in or fell due, and what became of it."""

    event: EventName
    kind: str
    source: str
    external_id: str = Field(description="The provider's id; with `source` it names a repeat.")
    received_at: datetime
    conversation: str | None
    outcome: str | None = Field(description="What became of it; null while its turn has not come.")
    text: str
    settled_by: EventName | None = Field(description="The later event that settled this one.")
    dead_at: datetime | None = Field(description="When it was given up.")
    dead_error: str | None
    discarded: EventDiscard | None = Field(
        description="That a person discarded it: it is neither worked nor read any more."
    )


class WholeEvent(Event):
    """An event with everything that the channel or the router knew."""

    payload: dict[str, Any]


class OutboxItem(Output):
    """Something that was decided to leave, and how far it got."""

    id: str
    kind: str = Field(description="`message`, `action`, or a question to an AI backend.")
    state: str = Field(
        description="`waiting`, `started`, `done`, `refused`, `unknown`, `withdrawn` or `dead`."
    )
    destination: str = Field(description="The channel, action or backend that does it.")
    text: str
    author: str
    conversation: str | None
    event: EventName | None = Field(description="The event whose decision it is.")
    attempt: int = Field(description="Attempts begun.")
    created_at: datetime
    not_before: datetime | None = Field(
        description="Until when quiet hours hold it back, or when a person asked for another try."
    )
    started_at: datetime | None
    finished_at: datetime | None
    provider_ref: str | None = Field(description="The provider's name for it.")
    code: str | None = Field(description="The provider's own error code.")
    error: str | None


class Decision(Output):
    """What was decided about an event."""

    event: EventName
    conversation: str | None
    outcome: str = Field(description="`ignore`, `reply`, `draft`, `ticket` or `escalate`.")
    rule: str | None
    because: str
    category: str | None
    risk: str | None
    sources: list[str]
    at: datetime


class Recording(Output):
    """The recording of a call."""

    content_type: str | None
    size: int | None = Field(description="In bytes; null while it is not kept here.")
    problem: str | None = Field(description="Why it is not kept here, where it was to be.")


class CallTurn(Output):
    """One thing that was said in a call."""

    role: str = Field(description="`customer` or `agent`.")
    text: str
    at: timedelta | None = Field(description="How long after the call began, ISO 8601.")


class PhoneCall(Output):
    """A telephone call that is over, or that never came about."""

    id: str = Field(description="The provider's id of it.")
    at: datetime = Field(description="When it began; when it was reported, where nobody tells.")
    conversation: str
    channel: str
    party: str = Field(description="The customer's address.")
    direction: str = Field(description="`inbound`: the customer called; `outbound`.")
    status: str = Field(description="`done`, or `failed`: nobody was reached.")
    outcome: str = Field(description="As the agent judges: `success`, `failure` or `unknown`.")
    origin: str = Field(description="Who reported it: its `provider`, or another system (`api`).")
    summary: str
    duration: timedelta | None = Field(description="ISO 8601, such as `PT42S`.")
    agent: str | None
    batch: str | None = Field(description="The provider's id of the batch that it was part of.")
    reason: str | None = Field(description="Why it ended, or why it failed, as the provider says.")
    data: dict[str, str] = Field(description="What the agent was to find out.")
    recording: Recording | None = Field(description="Null where there is none.")
    event: EventName | None = Field(description="The event that reported it first.")


class WholePhoneCall(PhoneCall):
    """A call with everything that was said in it."""

    transcript: list[CallTurn]


class CallBatch(Output):
    """A batch of calls, and how far it is."""

    id: str = Field(description="The id of the outbox item that it leaves as.")
    batch: str | None = Field(description="The provider's id; null until the provider has it.")
    action: str = Field(description="The action that makes the calls.")
    name: str
    state: str = Field(description="Of the outbox item; `done`: the provider has it.")
    recipients: int = Field(description="How many are to be called.")
    done: int = Field(description="Calls that came about, as far as they were reported.")
    failed: int = Field(description="Calls that reached nobody.")
    at: datetime | None = Field(description="When it was to begin; null: at once.")
    created_at: datetime
    finished_at: datetime | None
    error: str | None
    cancel: str | None = Field(description="The outbox item that ends it at the provider.")
    cancel_state: str | None = Field(description="How far that is; `done`: it is ended.")
