"""Decisions as people read them, and the trace that says why."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.rules.trace import unpacked
from router.storage.store import EventRef
from router.storage.tables import decision, draft, escalation, ticket

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Outcomes of events whose decision says only that the real one is still to come, or came too late.
UNSETTLED: Final = frozenset({"waiting", "asking", "superseded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNote:
    """A text that waits, or waited, for a person's word."""

    id: str
    text: str
    because: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketNote:
    """A ticket that a decision opened."""

    id: str
    number: int
    queue: str
    title: str
    priority: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationNote:
    """A call for a person."""

    to: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """A decision and what it brought into being.

    :param event: the event whose working decided.
    :param body: everything that was decided, as ``router.storage.codec.decision_values`` gives it.
    """

    event: EventRef
    conversation: str | None
    outcome: str
    rule: str | None
    because: str
    category: str | None
    risk: str | None
    sources: tuple[str, ...]
    body: Mapping[str, Any]
    at: datetime
    drafts: tuple[DraftNote, ...] = ()
    tickets: tuple[TicketNote, ...] = ()
    escalations: tuple[EscalationNote, ...] = ()


def load_trace(connection: "Connection", tenant: str, event: EventRef) -> dict[str, Any] | None:
    """Give the trace of a decision; ``None`` if nothing was decided there."""
    data = connection.scalar(
        sa.select(decision.c.trace).where(
            decision.c.tenant == tenant,
            decision.c.lane == event.lane,
            decision.c.seq == event.seq,
        )
    )
    if not data:
        return None
    return unpacked(data)


def decisions_of(
    connection: "Connection", tenant: str, lane: str, numbers: Collection[int]
) -> dict[EventRef, DecisionView]:
    """Give what was decided about some events of a lane, in order."""
    statement = (
        sa.select(*(column for column in decision.c if column.name != "trace"))
        .where(
            decision.c.tenant == tenant,
            decision.c.lane == lane,
            decision.c.seq.in_(numbers),
        )
        .order_by(decision.c.seq)
    )
    rows = connection.execute(statement).all()
    if not rows:
        return {}
    drafts = _notes(connection, draft, tenant, lane, numbers)
    tickets = _notes(connection, ticket, tenant, lane, numbers)
    escalations = _notes(connection, escalation, tenant, lane, numbers)
    return {
        EventRef(row.lane, row.seq): DecisionView(
            event=EventRef(row.lane, row.seq),
            conversation=row.conversation,
            outcome=row.outcome,
            rule=row.rule,
            because=row.body.get("because", ""),
            category=row.body.get("category"),
            risk=row.body.get("risk"),
            sources=tuple(row.body.get("sources", ())),
            body=row.body,
            at=row.created_at,
            drafts=tuple(
                DraftNote(id=it.id, text=it.text, because=it.because, state=it.state)
                for it in drafts.get(row.seq, ())
            ),
            tickets=tuple(
                TicketNote(
                    id=it.id,
                    number=it.number,
                    queue=it.queue,
                    title=it.title,
                    priority=it.priority,
                    state=it.state,
                )
                for it in tickets.get(row.seq, ())
            ),
            escalations=tuple(
                EscalationNote(to=it.to, because=it.because) for it in escalations.get(row.seq, ())
            ),
        )
        for row in rows
    }


def _notes(
    connection: "Connection", table: sa.Table, tenant: str, lane: str, numbers: Collection[int]
) -> dict[int, list[Any]]:
    statement = (
        sa.select(table)
        .where(table.c.tenant == tenant, table.c.event_lane == lane, table.c.event_seq.in_(numbers))
        .order_by(table.c.created_at, table.c.id)
    )
    notes: dict[int, list[Any]] = {}
    for row in connection.execute(statement):
        notes.setdefault(row.event_seq, []).append(row)
    return notes
