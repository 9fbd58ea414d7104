"""Retention of what belongs to no conversation: it is deleted by its own age."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.storage.keyset import Order, behind, in_order
from router.storage.retention.deletion import delete_events
from router.storage.retention.threads import BEFORE, NAMES, NEWEST, TENANT, UNSETTLED, WORKED, none
from router.storage.tables import (
    Moment,
    conversation,
    decision,
    inbox_event,
    outbox,
    ticket,
    ticket_entry,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Tables with such rows and what their age is told by, each before those that it refers to.
STRAYS: Final[Mapping[sa.Table, sa.ColumnElement[datetime]]] = {
    usage: usage.c.created_at,
    ticket: ticket.c.updated_at,
    outbox: outbox.c.created_at,
    inbox_event: inbox_event.c.received_at,
}

#: What a decision puts into the outbox is written with it, by another look at the clock.
_SOON: Final = sa.bindparam("soon", type_=Moment)
_SLACK: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """What one look at old rows found.

    :param over: the keys of those that may go.
    :param staying: how many of no conversation stay: they are open, or something refers to them.
    :param place: where the next look begins; ``None``: there are no more.
    """

    over: tuple[tuple[Any, ...], ...]
    staying: int
    place: tuple[Any, ...] | None


_earlier = inbox_event.alias("earlier")
_its_decision: Final = (
    decision.c.lane == inbox_event.c.lane,
    decision.c.seq == inbox_event.c.seq,
)
#: Says of a row that it is not open, not younger, and that nothing stays which refers to it.
_IS_OVER: Final[Mapping[sa.Table, sa.ColumnElement[bool]]] = {
    usage: usage.c.created_at < BEFORE,
    ticket: sa.and_(
        ticket.c.state.not_in(WORKED),
        ticket.c.updated_at < BEFORE,
        ticket.c.number != NEWEST,
    ),
    outbox: sa.and_(
        outbox.c.state.not_in(UNSETTLED),
        outbox.c.created_at < BEFORE,
        sa.or_(outbox.c.finished_at.is_(None), outbox.c.finished_at < BEFORE),
    ),
    inbox_event: sa.and_(
        inbox_event.c.outcome.is_not(None),
        sa.or_(inbox_event.c.dead_at.is_(None), inbox_event.c.dead_at < BEFORE),
        none(decision, *_its_decision, decision.c.created_at >= BEFORE),
        # Only a decision settles earlier events of its lane, of which there may be very many.
        sa.or_(
            none(decision, *_its_decision),
            none(
                _earlier,
                _earlier.c.lane == inbox_event.c.lane,
                _earlier.c.seq < inbox_event.c.seq,
                _earlier.c.settled_seq == inbox_event.c.seq,
            ),
        ),
        none(
            ticket,
            ticket.c.event_lane == inbox_event.c.lane,
            ticket.c.event_seq == inbox_event.c.seq,
        ),
        none(
            outbox,
            outbox.c.state.in_(UNSETTLED),
            sa.text("outbox.state NOT IN ('done', 'withdrawn')"),  # as its index has it
            outbox.c.created_at < _SOON,
            outbox.c.decided_lane == inbox_event.c.lane,
            outbox.c.decided_seq == inbox_event.c.seq,
        ),
    ),
}
#: Says of a row that it belongs to no conversation, or to none that there still is.
_IS_STRAY: Final[Mapping[sa.Table, sa.ColumnElement[bool]]] = {
    **{table: table.c.conversation.is_(None) for table in (usage, ticket, outbox)},
    inbox_event: sa.or_(
        inbox_event.c.conversation.is_(None),
        none(conversation, conversation.c.id == inbox_event.c.conversation),
    ),
}
_ORDERS: Final[Mapping[sa.Table, Order]] = {
    table: ((moment, False), *((column, False) for column in table.primary_key.columns))
    for table, moment in STRAYS.items()
}
_OLD: Final = {
    table: sa.select(
        *(column for column, _ in _ORDERS[table]),
        _IS_STRAY[table].label("stray"),
        _IS_OVER[table].label("over"),
    )
    .where(table.c.tenant == TENANT, moment < BEFORE)
    .order_by(*in_order(_ORDERS[table]))
    .limit(sa.bindparam("limit", type_=sa.Integer))
    for table, moment in STRAYS.items()
}
_STILL_OVER: Final = {
    table: sa.select(table.c.id)
    .where(table.c.tenant == TENANT, table.c.id.in_(NAMES), _IS_STRAY[table], _IS_OVER[table])
    .with_for_update(skip_locked=True)
    for table in (usage, ticket, outbox)
}
_DELETED: Final = {table: sa.delete(table).where(table.c.id.in_(NAMES)) for table in _STILL_OVER}
_ENTRIES: Final = sa.delete(ticket_entry).where(ticket_entry.c.ticket.in_(NAMES))


def old_strays(
    connection: "Connection",
    tenant: str,
    table: sa.Table,
    before: datetime,
    *,
    place: Sequence[Any] | None = None,
    limit: int,
) -> Strays:
    """Look at the next rows of a table that are older than a moment, the oldest first.

    However many belong to conversations, no more are looked at than ``limit``.
    """
    statement = _OLD[table]
    if place is not None:
        statement = statement.where(behind(_ORDERS[table], place))
    values = {"tenant": tenant, "before": before, "soon": before + _SLACK, "limit": limit}
    rows = connection.execute(statement, values).all()
    over = tuple(tuple(row[1:-2]) for row in rows if row.stray and row.over)
    return Strays(
        over=over,
        staying=sum(bool(row.stray) for row in rows) - len(over),
        place=tuple(rows[-1][:-2]) if len(rows) == limit else None,
    )


def delete_strays(
    connection: "Connection",
    tenant: str,
    table: sa.Table,
    keys: Sequence[tuple[Any, ...]],
    before: datetime,
) -> Counter[str]:
    """Delete rows that :func:`old_strays` found; give how many of which table.

    Who has just been opened or tried again stays.
    """
    if table is inbox_event:
        # Nobody touches an event that is done, but to say that it was tried again.
        delete_events(connection, [(lane, seq) for lane, seq in keys])
        return Counter({table.name: len(keys)})
    values: dict[str, Any] = {"tenant": tenant, "before": before, "names": [key for (key,) in keys]}
    values["names"] = list(connection.scalars(_STILL_OVER[table], values))
    deleted: Counter[str] = Counter()
    if table is ticket:
        deleted[ticket_entry.name] = connection.execute(_ENTRIES, values).rowcount
    deleted[table.name] = connection.execute(_DELETED[table], values).rowcount
    return +deleted
