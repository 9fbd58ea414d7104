"""The seam: what the pipeline asks of a database, and all that hides SQLite from PostgreSQL.

Everything else in this package is plain functions over a ``sqlalchemy.Connection``, written once.
A lane is a numbered log with a cursor. Lanes of kind ``in`` hold customers' threads, ``out`` hold
what goes to one address through one channel, ``job`` hold everything slow.
"""

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from router.ages import Ages
from router.clock import Clock
from router.domain.conversation import Contact, Conversation
from router.domain.decision import Decision
from router.domain.event import CallEnded, InboundEvent
from router.domain.host_event import HostEvent
from router.domain.identity import Address
from router.domain.limits import Bucket
from router.domain.message import Attachment, Author, Direction
from router.domain.outbox import ItemKind, ItemState
from router.domain.record import record

if TYPE_CHECKING:
    from sqlalchemy import Connection

Result = TypeVar("Result")

#: Whatever can stand in a thread's lane.
Event: TypeAlias = InboundEvent | HostEvent

IN: Final = "in"
OUT: Final = "out"
JOB: Final = "job"

#: Start of the lane of an item that waits for nobody. Such a lane is removed with its item.
OWN_LANE: Final = "item/"

#: More digits than these are no number that a database has.
_SEQ: Final = re.compile(r"[0-9]{1,18}")


class EventRef(NamedTuple):
    """An event's name: its lane and its number there. People see ``lane#seq``."""

    lane: str
    seq: int

    def __str__(self) -> str:
        return f"{self.lane}#{self.seq}"

    @classmethod
    def from_text(cls, text: str) -> "EventRef":
        """Read ``lane#seq`` back.

        :raises ValueError: if it is no such name.
        """
        lane, mark, seq = text.rpartition("#")
        if not mark or not lane or not _SEQ.fullmatch(seq):
            message = f"{text!r} is not an event; write LANE#NUMBER"
            raise ValueError(message)
        return cls(lane, int(seq))


@record(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that is to be stored.

    :param lane: ``<tenant>/<thread key>``, aliases already applied.
    :param source: ``<tenant>/<channel>[/<endpoint>]``; with ``external_id`` the idempotency key.
    """

    lane: str
    tenant: str
    source: str
    external_id: str
    event: Event
    received_at: datetime


@record(frozen=True, slots=True)
class Accepted:
    """What became of one event that was offered.

    :param new: ``False`` for a duplicate; ``ref`` then names the one stored before.
    """

    ref: EventRef
    new: bool


class Wrote(NamedTuple):
    """Where a customer last wrote on one channel, and when."""

    channel: str
    address: Address
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What more was known when a call was reported, which may be followed up on another channel.

    :param call: the call was reported before, by whichever way.
    :param wrote: on which channels the customer has ever written, in the order of their names.
    """

    call: bool = False
    wrote: tuple[Wrote, ...] = ()


@record(frozen=True, slots=True, kw_only=True)
class Work:
    """The next event of a lane, leased to this node, and the thread as it stood when it was read.

    :param contact: ``None`` where nobody of this address is known yet.
    :param conversation: ``None`` where the contact has no open conversation.
    :param attempts: how often working this event has failed.
    :param crashes: how many processes in a row died while they worked this event alone, and the
        one that died while it held the lane, if one did. What a process lived through ends no row
        and is not counted: a database that is away, an error.
    :param lease: under what it was claimed or read; the store's own.
    :param known: of a call, what more was known.
    """

    ref: EventRef
    tenant: str
    source: str
    event: Event
    received_at: datetime
    contact: Contact | None
    conversation: Conversation | None
    attempts: int = 0
    crashes: int = 0
    lease: int = 0
    known: Known | None = None

    @property
    def new_call(self) -> str | None:
        """The id of a call that nobody had told of when this was read."""
        if not isinstance(self.event, CallEnded) or self.known is None or self.known.call:
            return None
        return self.event.id


@record(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A line of the conversation as people read it."""

    id: str
    direction: Direction
    author: Author
    text: str
    channel: str
    address: Address
    attachments: tuple[Attachment, ...] = ()
    provider_id: str | None = None
    status: str | None = None


@record(frozen=True, slots=True, kw_only=True)
class NewItem:
    """Something that is to leave, once.

    :param lane: the order it keeps: ``<tenant>/<channel>/<address>`` for messages, the
        conversation for asks, ``item/<id>`` for what waits for nobody.
    :param destination: the instance that does it.
    :param body: JSON; what it holds depends on the kind.
    :param not_before: when it may leave at the earliest; ``None``: at once.
    """

    id: str
    kind: ItemKind
    lane: str
    author: Author
    destination: str
    body: str
    not_before: datetime | None = None

    @property
    def lane_kind(self) -> str:
        return OUT if self.kind is ItemKind.MESSAGE else JOB


@record(frozen=True, slots=True, kw_only=True)
class NewTimer:
    """A timer that is to be set; it replaces one of the same kind and key.

    :param due_at: ``None`` takes the timer away.
    """

    kind: str
    key: str
    due_at: datetime | None
    generation: int
    payload: Mapping[str, Any] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Commit:
    """Everything that working one event changes, written in one transaction with the cursor.

    :param outcome: the word kept with the event: an outcome's, or ``waiting``, ``asking``,
        ``superseded``, ``recorded``, ``dead``.
    :param conversation: the thread after the event. Written only while its epoch is still the one
        that was read, and no person has spoken since: else the work is offered again with the
        thread as it is now. If it is the very one that the work holds, the event changes nothing
        of it, and nothing is written. Work on a call that another lane has told of meanwhile is
        offered again as well.
    :param owner: the new owner, if the event changes it.
    :param settles: numbers of earlier events of the lane that waited for this decision; they get
        its outcome.
    :param effects: rarer writes, plain functions run inside the transaction.
    """

    work: Work
    outcome: str
    conversation: Conversation | None = None
    owner: str | None = None
    settles: tuple[int, ...] = ()
    messages: tuple[NewMessage, ...] = ()
    decision: Decision | None = None
    trace: bytes | None = None
    items: tuple[NewItem, ...] = ()
    timers: tuple[NewTimer, ...] = ()
    effects: tuple[Callable[["Tx"], None], ...] = ()
    dead_error: str | None = None


@record(frozen=True, slots=True, kw_only=True)
class Item:
    """The next outbox item of a lane, leased to this node.

    :param state: ``started`` means that a process died between the start and its result.
    :param attempt: attempts begun so far.
    :param created_at: when it was decided.
    :param started_at: when the last attempt began.
    :param lease: under what it was claimed, where several nodes work on one database.
    :param not_before: when it may leave at the earliest: the end of quiet hours, or when a person
        asked for another try.
    :param account: a digest of the account by which the last attempt was made, if that matters.
    """

    id: str
    tenant: str
    lane: str
    seq: int
    kind: ItemKind
    conversation: str | None
    decided: EventRef | None
    author: Author
    epoch: int
    destination: str
    body: str
    state: ItemState
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    lease: int = 0
    not_before: datetime | None = None
    account: str | None = None

    @property
    def ready_since(self) -> datetime:
        """When it could leave for the first time, or since a person asked for another try."""
        return max(self.created_at, self.not_before or self.created_at)

    @property
    def may_have_left(self) -> bool:
        """Whether an attempt that has begun may have been taken: nobody knows how it ended."""
        if self.state is ItemState.STARTED:
            return True
        return self.attempt > 0 and bool(json.loads(self.body).get("unknown"))

    @property
    def lane_kind(self) -> str:
        return OUT if self.kind is ItemKind.MESSAGE else JOB


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an attempt has to keep to before it may begin, and what is kept of it.

    :param buckets: each must have a token; their state is the store's. In the order of their keys.
    :param window: how long after the customer's last message it may leave; ``None``: always.
    :param barred: it must not leave, whatever else holds: the provider would refuse it.
    :param account: a digest of the account by which it is made.
    """

    buckets: tuple[Bucket, ...] = ()
    window: timedelta | None = None
    barred: bool = False
    account: str | None = None


class Start(Enum):
    """Whether an attempt may begin; true only where it may."""

    #: It has begun, and its end is to be told.
    BEGUN = "begun"
    #: It must not, or not yet; the store has seen to everything.
    NOT = "not"
    #: The channel's window is closed. The item is still leased, and is to be ended.
    CLOSED = "closed"
    #: The terms bar it. The item is still leased, and is to be ended.
    BARRED = "barred"
    #: The conversation was taken over, and an attempt before this one may have reached the
    #: customer. The item is still leased, and is to be ended as unknown.
    OVERTAKEN = "overtaken"

    def __bool__(self) -> bool:
        return self is Start.BEGUN


@record(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt ended.

    :param state: ``done``, ``refused``, ``unknown``, ``dead``, or ``waiting`` for another try.
    :param retry_at: when to try again, with ``waiting``.
    :param provider_ref: the provider's name for what it took.
    :param events: what it brought back, stored in the same transaction.
    """

    state: ItemState
    retry_at: datetime | None = None
    provider_ref: str | None = None
    code: str | None = None
    error: str | None = None
    events: tuple[NewEvent, ...] = ()
    effects: tuple[Callable[["Tx"], None], ...] = ()


class Tx(Protocol):
    """One transaction, as functions that write see it. They do no I/O but SQL, and never commit.

    They may run twice: keep no state outside.
    """

    @property
    def connection(self) -> "Connection": ...

    @property
    def now(self) -> datetime: ...

    @property
    def ages(self) -> Ages:
        """By what it is judged how old something is."""
        ...

    def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        """Store events and wake their lanes, as part of this transaction."""
        ...

    def send(
        self,
        items: Sequence[NewItem],
        *,
        tenant: str,
        conversation: str | None,
        epoch: int,
        decided: EventRef | None = None,
    ) -> None:
        """Put items into the outbox and wake their lanes, as part of this transaction."""
        ...

    def learn_alias(self, tenant: str, address: str, key: str) -> None:
        """Let events of another address of a person go to the person's lane from now on.

        :param address: the address's thread key.
        :param key: the key it counts as.
        """
        ...


@record(frozen=True, slots=True)
class Change:
    """Something was committed that a page may show."""

    tenant: str
    conversation: str


#: What a lane's claim waits for.
LaneKind: TypeAlias = Literal["in", "out", "job"]


class Store(ABC):
    """A database of the router, opened by one node.

    Every method that writes returns after the commit is on disk, or raises and has kept nothing.
    What :meth:`claim` and :meth:`claim_items` give and what :meth:`complete` and
    :meth:`finish_attempt` have written may still be on its way there: nothing that follows from it
    leaves before :meth:`start_attempt` returns, and all comes to the disk in the order of the
    commits.

    :raises StorageUnavailable: from any method, when the database is away or full.
    """

    #: What everybody goes by who works with this database.
    clock: Clock
    #: By what it is judged how old something is.
    ages: Ages

    @property
    @abstractmethod
    def aliases(self) -> Mapping[tuple[str, str], str]:
        """Learnt addresses, in memory: (tenant, thread key) → the key it counts as."""

    @abstractmethod
    def forget_aliases(self, tenant: str, addresses: Sequence[str]) -> None:
        """Let addresses whose person was erased stand for nobody any more, in memory."""

    @abstractmethod
    async def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        """Store the events of one request: all of them, or none.

        An event whose ``(source, external_id)`` is stored already changes nothing. An echo of a
        person, when new, raises the conversation's epoch in this same transaction.

        :raises StorageUnavailable: if the database is away. Where it does not answer, they may be
            stored all the same; then they change nothing when they come again.
        """

    @abstractmethod
    async def claim(self, limit: int) -> list[Work]:
        """Wait for events to work, and lease at most ``limit`` lanes to this node."""

    @abstractmethod
    async def claim_items(self, kind: LaneKind, limit: int) -> list[Item]:
        """Wait for outbox items to do, and lease at most ``limit`` lanes to this node."""

    @abstractmethod
    async def complete(self, commits: Sequence[Commit]) -> None:
        """Write what working events changed, each event alone or not at all.

        A lane with more to do stays leased and its next event is claimed from this node. What was
        worked under a lost lease is dropped.
        """

    @abstractmethod
    async def fail(self, work: Work, error: str, retry_at: datetime) -> None:
        """Give a lane back after an event could not be worked; its head is tried again then."""

    @abstractmethod
    async def suspect(self, work: Work) -> None:
        """Count this process as dead around an event, before it works it.

        It stands if the process does die; to complete, fail or release the work takes it back.
        """

    @abstractmethod
    async def start_attempt(self, item: Item, terms: Terms | None = None) -> Start:
        """Note that an item is about to leave, unless it must not.

        It must not when the lease is lost, or when the bot or a rule decided it under an older
        epoch of its conversation: then it becomes ``withdrawn`` right here. It must not yet before
        its ``not_before``, or when a bucket is empty: its lane then rests until that moment, or
        until there may be a token, which is no attempt.
        """

    @abstractmethod
    async def postpone(self, item: Item | Work, until: datetime) -> None:
        """Give a lane back whose head was not begun; it is claimed again then. No attempt."""

    @abstractmethod
    async def finish_attempt(self, item: Item, result: AttemptResult) -> None:
        """Note how an attempt ended, and store what it brought back."""

    @abstractmethod
    async def release(self, items: Sequence[Item | Work]) -> None:
        """Give back lanes that were claimed and not begun, as a drain does."""

    @abstractmethod
    def pause(self) -> None:
        """Give out nothing more: every claim waits from now on."""

    @abstractmethod
    async def release_all(self) -> None:
        """Give back everything that is leased to this node and was not begun."""

    @property
    @abstractmethod
    def trouble(self) -> list[str]:
        """What is wrong with the database right now, in words; empty if nothing is known."""

    async def failed(self) -> None:
        """Wait until it is not known any more what the database has kept; the process should end.

        Started again, it goes on with what is there.

        :raises StorageUnavailable: saying what happened; there is no other return.
        """
        await asyncio.Event().wait()

    @property
    def advice(self) -> list[str]:
        """What an operator should know of how the database is reached, in sentences."""
        return []

    @abstractmethod
    async def fire_timers(self, limit: int = 500) -> int:
        """Turn the timers that are due into events of their lanes; give how many there were."""

    @abstractmethod
    async def wait_timers(self) -> None:
        """Wait until a timer may be due; a few seconds at most."""

    @abstractmethod
    async def clock_set_back(self, back: timedelta) -> None:
        """Let nothing wait for a moment that was near before the clock was set back.

        What was ready is so still, and a customer's turn does not wait longer than turns do. What
        is to be tried again, and pollers, wait as long as they would have. Several nodes may say
        it of one step: they wait less long then.

        :param back: how far.
        """

    @property
    def shared(self) -> bool:
        """Whether other nodes may work on this database, now or in a moment, by other files."""
        return False  # the only node there is

    async def wait_lost(self) -> None:
        """Wait until this node was taken for dead: what it had leased has gone to others."""
        await asyncio.Event().wait()  # the only node there is

    async def is_eldest(self) -> bool:
        """Say whether no node that began before this one still lives.

        For what is to be said once. It is withheld that exactly one node believes it: while one is
        dying, none may, and of two whose clocks are read at different moments both.

        :raises StorageUnavailable: if the database is away.
        """
        return True  # the only node there is

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Do something on one node at a time; gives whether it is this one's turn.

        For what is done now and then, and would be done twice for nothing. There is no leader:
        each time, whichever node comes while no other is at it has the turn until the end of the
        context. If the database is lost meanwhile, or this process stands still for longer than a
        lease, so is the turn, and nobody says so.

        :param name: of what is done; one word of the program's.
        """
        yield True

    @abstractmethod
    async def write(self, function: Callable[[Tx], Result]) -> Result:
        """Run a synchronous function in a transaction of its own and commit it."""

    @abstractmethod
    async def read(self, function: "Callable[[Connection], Result]") -> Result:
        """Run a synchronous function on a read-only connection. Keep it short."""

    @abstractmethod
    def subscribe(self) -> "Subscription":
        """Listen to what this node commits, from now on. May drop under load; never blocks."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is being written, then let go of the database."""


class Subscription(Protocol):
    """Changes, as they are committed. Close it when done."""

    def __aiter__(self) -> "Subscription": ...

    async def __anext__(self) -> Change: ...

    def close(self) -> None: ...
