"""Deleting what is kept no longer, a little at a time: what refers to something goes before it.

Whatever a crash leaves behind stands by itself, and goes the next time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.storage.retention.threads import (
    IS_IDLE,
    IS_OVER,
    NAMES,
    TENANT,
    Belonging,
    Thread,
    none,
)
from router.storage.store import IN, JOB
from router.storage.tables import (
    call,
    contact,
    conversation,
    decision,
    draft,
    escalation,
    first_message,
    inbox_event,
    lane,
    link,
    message,
    opt_in,
    outbox,
    ticket,
    ticket_entry,
    timer,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: The kinds of timers that are named after conversations.
TIMERS: Final = ("idle", "turn")


def _some(table: sa.Table, where: sa.ColumnElement[bool]) -> sa.Delete:
    """Delete so many of some rows as there is room for."""
    key = list(table.primary_key.columns)
    some = sa.select(*key).where(where).limit(sa.bindparam("room", type_=sa.Integer))
    which = key[0] if len(key) == 1 else sa.tuple_(*key)
    return sa.delete(table).where(which.in_(some))


_KIND: Final = sa.bindparam("kind", type_=sa.Text)
_LANES: Final = sa.select(lane.c.key).where(lane.c.kind == _KIND, lane.c.key.in_(NAMES))
_FREE_LANES: Final = _LANES.with_for_update(skip_locked=True)
_HELD: Final = (
    sa.select(conversation.c.id)
    .where(conversation.c.tenant == TENANT, conversation.c.id.in_(NAMES))
    .with_for_update(skip_locked=True)
)
_STILL_OVER: Final = (
    sa.select(conversation.c.id)
    .join(contact, contact.c.id == conversation.c.contact)
    .where(conversation.c.tenant == TENANT, conversation.c.id.in_(NAMES), IS_OVER)
)

# Each before those that it refers to; items before messages, as they are locked wherever the state
# of a message changes.
_TICKETS: Final = sa.select(ticket.c.id).where(ticket.c.conversation.in_(NAMES))
_BELONGINGS: Final[Mapping[str, sa.Delete]] = {
    table.name: _some(table, where)
    for table, where in (
        (first_message, first_message.c.conversation.in_(NAMES)),
        (link, link.c.conversation.in_(NAMES)),
        (ticket_entry, ticket_entry.c.ticket.in_(_TICKETS)),
        (ticket, ticket.c.conversation.in_(NAMES)),
        (escalation, escalation.c.conversation.in_(NAMES)),
        (draft, draft.c.conversation.in_(NAMES)),
        (usage, usage.c.conversation.in_(NAMES)),
        (call, sa.and_(call.c.tenant == TENANT, call.c.conversation.in_(NAMES))),
        (outbox, outbox.c.conversation.in_(NAMES)),
        (message, message.c.conversation.in_(NAMES)),
    )
}

_EVENT: Final = {
    table: sa.delete(table).where(
        table.c.lane == sa.bindparam("its_lane"), table.c.seq == sa.bindparam("its_seq")
    )
    for table in (decision, inbox_event)
}

#: What is left of conversations when nothing belongs to them any more.
_BARE: Final[Mapping[str, sa.Delete]] = {
    "timer": sa.delete(timer).where(
        timer.c.tenant == TENANT, timer.c.kind.in_(TIMERS), timer.c.key.in_(NAMES)
    ),
    "lane": sa.delete(lane).where(lane.c.kind == JOB, lane.c.key.in_(NAMES)),
    "conversation": sa.delete(conversation).where(
        conversation.c.tenant == TENANT, conversation.c.id.in_(NAMES)
    ),
}
_PEOPLE: Final = (
    sa.select(contact.c.id)
    .where(contact.c.tenant == TENANT, contact.c.key.in_(NAMES))
    .with_for_update(skip_locked=True)
)
#: Customers of whom nothing else is left, and who may be forgotten.
_STRANGERS: Final = sa.delete(contact).where(
    contact.c.tenant == TENANT,
    contact.c.id.in_(NAMES),
    sa.not_(contact.c.opted_out),
    IS_IDLE,
    none(conversation, conversation.c.contact == contact.c.id),
    none(opt_in, opt_in.c.contact == contact.c.id),
)


def delete_threads(
    connection: "Connection",
    tenant: str,
    threads: Sequence[Thread],
    lanes: Sequence[str],
    events: Sequence[Belonging],
    before: datetime,
    *,
    rows: int,
) -> tuple[Counter[str], bool]:
    """Delete conversations with all that belongs to them, or a part of it that stands by itself.

    Those that somebody is just working on, or has touched since they were looked at, are left.

    :param lanes: what :func:`~router.storage.retention.threads.lanes_of` gave before any of it was
        deleted.
    :param events: what :func:`~router.storage.retention.threads.events_of` gives with ``rows`` as
        its limit.
    :param rows: how many are deleted at most, give or take a few.
    :return: how many of which table, and whether nothing is left to do; call it again if not.
    """
    names, lanes = _held(connection, tenant, threads, lanes, before)
    values: dict[str, Any] = {"tenant": tenant, "names": names}
    deleted: Counter[str] = Counter()
    if not names:
        return deleted, True
    for table, statement in _BELONGINGS.items():
        room = rows - deleted.total()
        deleted[table] += connection.execute(statement, values | {"room": room}).rowcount
        if deleted.total() >= rows:
            return +deleted, False
    refs = [(it.lane, it.seq) for it in events if it.conversation in names]
    fitting = refs[: rows - deleted.total()]
    delete_events(connection, fitting)
    deleted["inbox_event"] += len(fitting)
    if len(events) >= rows or len(fitting) < len(refs):
        # Without any progress it is others who are in the way, and it is left for another time.
        return +deleted, not deleted.total()
    for table, statement in _BARE.items():
        deleted[table] += connection.execute(statement, values).rowcount
    # Of who turned out to be somebody else a contact is left that has had no conversation since.
    values["names"] = [lane.removeprefix(f"{tenant}/") for lane in lanes]
    values["names"] = list(connection.scalars(_PEOPLE, values))
    deleted["contact"] += connection.execute(_STRANGERS, values).rowcount
    return +deleted, True


def delete_events(connection: "Connection", events: Sequence[tuple[str, int]]) -> None:
    """Delete events with their decisions."""
    values = [{"its_lane": lane, "its_seq": seq} for lane, seq in events]
    for statement in _EVENT.values() if values else ():
        connection.execute(statement, values)


def _held(
    connection: "Connection",
    tenant: str,
    threads: Sequence[Thread],
    lanes: Sequence[str],
    before: datetime,
) -> tuple[list[str], Sequence[str]]:
    """Keep others away from conversations; give those that nobody is at, and that still may go.

    Beside them come the lanes that nobody is at.

    Waits for nobody: what somebody holds stays until the next time. Whoever works an event of the
    customer holds their lane, and knows them by what was read under it.
    """
    names = [it.id for it in threads]
    if connection.dialect.name == "postgresql":  # else there is one writer, which this is
        busy: set[str] = set()
        for kind, keys in ((IN, lanes), (JOB, names)):
            values: dict[str, Any] = {"kind": kind, "names": sorted(keys)}
            there = set(connection.scalars(_LANES, values))
            busy |= there - set(connection.scalars(_FREE_LANES, values))
        lanes = [it for it in lanes if it not in busy]
        free = [it.id for it in threads if it.id not in busy and it.lane not in busy]
        names = list(connection.scalars(_HELD, {"tenant": tenant, "names": free}))
    # A statement of its own: it sees what was committed before these were held.
    values = {"tenant": tenant, "names": names, "before": before}
    return list(connection.scalars(_STILL_OVER, values)), lanes
