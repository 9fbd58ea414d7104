"""Dead air: what came in and has had no outcome for too long, wherever it got stuck."""

from datetime import datetime

import sqlalchemy as sa

from router.domain.outbox import ItemKind, ItemState
from router.storage.store import IN, EventRef
from router.storage.tables import inbox_event, lane, outbox, timer

_MOST = 20


def unanswered(connection: sa.Connection, tenant: str, before: datetime) -> list[str]:
    """Name what has waited since before a moment, at most 20 of each kind.

    An event that was not worked, a question not answered, a turn whose timer never fired.
    """
    events = connection.execute(
        sa.select(inbox_event.c.lane, inbox_event.c.seq)
        .join(lane, sa.and_(lane.c.kind == IN, lane.c.key == inbox_event.c.lane))
        .where(
            lane.c.tenant == tenant,
            lane.c.ready_at <= before,
            inbox_event.c.seq == lane.c.done_seq + 1,
            inbox_event.c.received_at <= before,
        )
        .limit(_MOST)
    )
    questions = connection.execute(
        sa.select(outbox.c.decided_lane, outbox.c.decided_seq)
        .where(
            outbox.c.tenant == tenant,
            outbox.c.state.in_([ItemState.WAITING, ItemState.STARTED]),
            outbox.c.kind.in_([ItemKind.ASK, ItemKind.CLASSIFY]),
            outbox.c.created_at <= before,
        )
        .limit(_MOST)
    )
    turns = connection.execute(
        sa.select(timer.c.lane)
        .where(timer.c.tenant == tenant, timer.c.kind == "turn", timer.c.due_at <= before)
        .limit(_MOST)
    )
    found = [str(EventRef(row[0], row[1])) for row in (*events, *questions)]
    return [*dict.fromkeys(found), *(f"{row.lane} (its timer)" for row in turns)]
