"""Dead air: what came in and has had no outcome for too long, wherever it got stuck."""

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from router.clock import EPOCH
from router.storage.store import IN, EventRef
from router.storage.tables import contact, conversation, inbox_event, lane

#: So many are read of each kind: more than any list of them, and less than a flood.
_MOST: Final = 10_000


def unanswered(
    connection: sa.Connection, tenant: str, before: datetime, now: datetime
) -> dict[str, datetime]:
    """Name the events that have waited since before a moment, and when each came, the oldest first.

    At most 10,000 of each kind; of more, any. Those that came in the future, as it seems since the
    clock was set back, are among them.

    Those that nobody has worked yet, whether their lane waits, is leased, or tries again later; and
    the first message of each turn that nobody has answered: its timer never fired, its question was
    never put, or its answer never came.
    """
    came = inbox_event.c.received_at
    long_ago = sa.or_(came <= before, came > now)
    found = [*_unworked(connection, tenant, long_ago), *_open_turns(connection, tenant, long_ago)]
    # Sorted here: a database asked for the oldest may walk through every event that there ever was.
    found.sort(key=lambda row: (row.received_at, row.lane, row.seq))
    return {str(EventRef(row.lane, row.seq)): row.received_at for row in found}


def _unworked(
    connection: sa.Connection, tenant: str, long_ago: sa.ColumnElement[bool]
) -> list[Any]:
    # As two queries, each with its own index: all lanes are as many as there are customers. And by
    # the lanes' tenant alone: by the events' own, SQLite would look through all that ever came, as
    # it would through all lanes where it may look for the leased ones by their kind.
    where = (
        sa.and_(lane.c.kind == IN, lane.c.lease_owner.is_(None), sa.not_(lane.c.parked)),
        sa.and_(lane.c.kind.concat("") == IN, lane.c.lease_owner > 0),
    )
    heads = (
        sa.select(inbox_event.c.lane, inbox_event.c.seq, inbox_event.c.received_at)
        .join(lane, lane.c.key == inbox_event.c.lane)
        .where(
            lane.c.tenant == tenant,
            lane.c.ready_at >= EPOCH,  # those that have anything to do
            inbox_event.c.seq > lane.c.done_seq,
            inbox_event.c.outcome.is_(None),
            long_ago,
        )
        .limit(_MOST)
    )
    return [row for condition in where for row in connection.execute(heads.where(condition))]


def _open_turns(
    connection: sa.Connection, tenant: str, long_ago: sa.ColumnElement[bool]
) -> list[Any]:
    key = sa.literal(f"{tenant}/") + contact.c.key
    turns = (
        sa.select(inbox_event.c.lane, inbox_event.c.seq, inbox_event.c.received_at)
        .select_from(conversation)
        .join(contact, contact.c.id == conversation.c.contact)
        .join(
            inbox_event,
            sa.and_(inbox_event.c.lane == key, inbox_event.c.seq == conversation.c.turn_from),
        )
        .where(
            conversation.c.tenant == tenant,
            conversation.c.turn_from.is_not(None),
            contact.c.tenant == tenant,
            inbox_event.c.tenant == tenant,
            long_ago,
        )
        .limit(_MOST)
    )
    return list(connection.execute(turns))
