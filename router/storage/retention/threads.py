"""Retention: which conversations were over longer ago than ``[policy] keep`` says.

A conversation goes whole, and only once nothing of it is open or younger. This module looks, on
connections that only read; :mod:`router.storage.retention.deletion` deletes, and looks once more at
what may have changed since.

Statements are built once: that takes longer than to run them, and while one deletes on SQLite
nobody else writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from router.domain.conversation import ConversationStatus
from router.domain.draft import DraftState
from router.domain.outbox import ItemState
from router.domain.ticket import TicketState
from router.storage.keyset import Order, behind, in_order
from router.storage.store import IN, JOB
from router.storage.tables import (
    Moment,
    call,
    contact,
    conversation,
    draft,
    escalation,
    inbox_event,
    lane,
    link,
    message,
    outbox,
    ticket,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: States of what may still leave, and of a ticket that somebody has to work.
UNSETTLED: Final = (ItemState.WAITING, ItemState.STARTED, ItemState.UNKNOWN)
WORKED: Final = (TicketState.NEW, TicketState.IN_PROGRESS)

#: Parameters of the statements here and of those that delete.
TENANT: Final = sa.bindparam("tenant", type_=sa.Text)
BEFORE: Final = sa.bindparam("before", type_=Moment)
NAMES: Final = sa.bindparam("names", type_=sa.Text, expanding=True)
_LANES: Final = sa.bindparam("lanes", type_=sa.Text, expanding=True)
_LIMIT: Final = sa.bindparam("limit", type_=sa.Integer)


class Thread(NamedTuple):
    """A conversation that may go, and the lane of its customer."""

    id: str
    lane: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """What one look at old conversations found.

    :param over: those that may go.
    :param staying: how many stay: something of them is open, or younger.
    :param place: where the next look begins; ``None``: there are no more.
    """

    over: tuple[Thread, ...]
    staying: int
    place: tuple[Any, ...] | None


class Belonging(NamedTuple):
    """An event of a conversation."""

    lane: str
    seq: int
    conversation: str


def none(
    table: sa.FromClause, *where: "sa.ColumnExpressionArgument[bool]"
) -> sa.ColumnElement[bool]:
    """Say that a table has no such row, with what the statement around it is about.

    Not as NOT EXISTS: that PostgreSQL may answer by reading the table from one end to the other.
    """
    found = sa.select(sa.literal_column("1", sa.Integer)).select_from(table).where(*where).limit(1)
    return found.correlate_except(table).scalar_subquery().is_(None)


def _nothing(table: sa.Table, *stirring: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Say of a conversation that none of its rows in a table is so, or so."""
    return none(table, table.c.conversation == conversation.c.id, sa.or_(*stirring))


#: The number at which tickets go on to be counted: whoever has it stays.
NEWEST: Final = (
    sa.select(sa.func.max(ticket.c.number))
    .where(ticket.c.tenant == TENANT)
    .correlate(None)
    .scalar_subquery()
)
_lane: Final = TENANT + sa.literal("/") + contact.c.key
_working: Final = sa.or_(
    lane.c.ready_at.is_not(None), lane.c.lease_owner.is_not(None), lane.c.parked
)
#: Says of a contact that nothing of theirs is being worked, or waits to be.
IS_IDLE: Final = none(lane, lane.c.kind == IN, lane.c.key == _lane, _working)

#: Says of a conversation, beside its contact, that nothing of it is open or younger.
IS_OVER: Final = sa.and_(
    conversation.c.status == ConversationStatus.CLOSED,
    conversation.c.last_activity_at < BEFORE,
    IS_IDLE,
    none(lane, lane.c.kind == JOB, lane.c.key == conversation.c.id, _working),
    _nothing(message, message.c.created_at >= BEFORE),
    _nothing(
        outbox,
        outbox.c.state.in_(UNSETTLED),
        outbox.c.created_at >= BEFORE,
        outbox.c.finished_at >= BEFORE,
    ),
    _nothing(
        draft,
        draft.c.state == DraftState.PENDING,
        draft.c.created_at >= BEFORE,
        draft.c.resolved_at >= BEFORE,
    ),
    _nothing(
        ticket,
        ticket.c.state.in_(WORKED),
        ticket.c.updated_at >= BEFORE,
        ticket.c.number == NEWEST,
    ),
    _nothing(
        escalation,
        escalation.c.acknowledged_at.is_(None),
        escalation.c.acknowledged_at >= BEFORE,
    ),
    _nothing(link, link.c.created_at >= BEFORE),
    _nothing(usage, usage.c.created_at >= BEFORE),
    none(
        call,
        call.c.tenant == TENANT,  # as its index begins
        call.c.conversation == conversation.c.id,
        call.c.created_at >= BEFORE,
    ),
)

_ORDER: Final[Order] = ((conversation.c.last_activity_at, False), (conversation.c.id, False))
_OLD: Final = (
    sa.select(
        conversation.c.last_activity_at,
        conversation.c.id,
        _lane.label("lane"),
        IS_OVER.label("over"),
    )
    .join(contact, contact.c.id == conversation.c.contact)
    .where(conversation.c.tenant == TENANT, conversation.c.last_activity_at < BEFORE)
    .order_by(*in_order(_ORDER))
    .limit(_LIMIT)
)
_TOLD: Final = (
    sa.select(message.c.event_lane)
    .where(message.c.conversation.in_(NAMES), message.c.event_lane.is_not(None))
    .distinct()
)
#: Says of an event that it belongs to conversations, in lanes that are known.
THEIRS: Final = (inbox_event.c.lane.in_(_LANES), inbox_event.c.conversation.in_(NAMES))
_EVENTS: Final = (
    sa.select(inbox_event.c.lane, inbox_event.c.seq, inbox_event.c.conversation)
    .where(*THEIRS)
    .order_by(inbox_event.c.lane, inbox_event.c.seq)
    .limit(_LIMIT)
)
_STIRRING: Final = (
    sa.select(inbox_event.c.conversation)
    .where(
        *THEIRS,
        sa.or_(
            inbox_event.c.outcome.is_(None),
            inbox_event.c.received_at >= BEFORE,
            inbox_event.c.dead_at >= BEFORE,
        ),
    )
    .distinct()
)


def old_threads(
    connection: "Connection",
    tenant: str,
    before: datetime,
    *,
    place: Sequence[Any] | None = None,
    limit: int,
) -> Threads:
    """Look at the next conversations that were last active before a moment, the oldest first."""
    statement = _OLD if place is None else _OLD.where(behind(_ORDER, place))
    values = {"tenant": tenant, "before": before, "limit": limit}
    rows = connection.execute(statement, values).all()
    over = [Thread(row.id, row.lane) for row in rows if row.over]
    if over:
        names, lanes = [thread.id for thread in over], lanes_of(connection, over)
        values = {"names": names, "lanes": lanes, "before": before}
        stirring = set(connection.scalars(_STIRRING, values))
        over = [thread for thread in over if thread.id not in stirring]
    return Threads(
        over=tuple(over),
        staying=len(rows) - len(over),
        place=tuple(rows[-1][:2]) if len(rows) == limit else None,
    )


def lanes_of(connection: "Connection", threads: Sequence[Thread]) -> list[str]:
    """Give the lanes in which events of conversations stand: a person may have had several."""
    told = connection.scalars(_TOLD, {"names": [thread.id for thread in threads]})
    return sorted({thread.lane for thread in threads}.union(told))


def events_of(
    connection: "Connection", threads: Sequence[Thread], lanes: Sequence[str], *, limit: int
) -> list[Belonging]:
    """Give events of conversations, each before the one that settled it."""
    values = {"names": [thread.id for thread in threads], "lanes": list(lanes), "limit": limit}
    return [Belonging(*row) for row in connection.execute(_EVENTS, values)]
