"""Turns that people end: what the customer wrote, and nobody has answered, waits no longer."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from router.rules.trace import packed, unpacked
from router.storage.tables import conversation, decision, inbox_event

if TYPE_CHECKING:
    from sqlalchemy import Connection


def end_turn(connection: "Connection", tenant: str, id: str, lane: str, why: str) -> None:
    """End the turn of a conversation, and tell with each of its events why nothing came of it.

    An answer that is still to come finds that nobody waits for it.

    :param lane: the customer's.
    """
    here = sa.and_(conversation.c.id == id, conversation.c.tenant == tenant)
    first = connection.scalar(sa.select(conversation.c.turn_from).where(here))
    connection.execute(sa.update(conversation).where(here).values(turn_from=None, pending_ask=None))
    if first is None:
        return
    ended = connection.scalars(
        sa.update(inbox_event)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane == lane,
            inbox_event.c.seq >= first,
            inbox_event.c.outcome.in_(["waiting", "asking"]),
        )
        .values(outcome="superseded")
        .returning(inbox_event.c.seq)
    ).all()
    for seq in ended:
        _tell(connection, tenant, lane, seq, why)


def _tell(connection: "Connection", tenant: str, lane: str, seq: int, why: str) -> None:
    """Add to a decision, which was to wait, why it waits no longer."""
    here = sa.and_(decision.c.tenant == tenant, decision.c.lane == lane, decision.c.seq == seq)
    row = connection.execute(sa.select(decision.c.body, decision.c.trace).where(here)).first()
    if row is None:
        return
    trace = unpacked(row.trace) if row.trace else {}
    trace["steps"] = [*trace.get("steps", ()), f"superseded: {why}"]
    connection.execute(
        sa.update(decision)
        .where(here)
        .values(body={**row.body, "because": why}, trace=packed(trace))
    )
