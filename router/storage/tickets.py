"""Tickets and escalations, with the trail of who did what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from router.domain.decision import EscalationRequest, TicketRequest
from router.domain.ticket import TicketState
from router.errors import ActRefused, NotFound
from router.ids import new_id
from router.storage.conflicts import insert_missing
from router.storage.keyset import behind, in_order
from router.storage.store import EventRef
from router.storage.tables import conversation as conversation_table
from router.storage.tables import escalation, ticket, ticket_entry

#: What a ticket may become. Steps may be left out; a resolved one may be opened again.
STEPS: Mapping[TicketState, tuple[TicketState, ...]] = {
    TicketState.NEW: (TicketState.IN_PROGRESS, TicketState.RESOLVED, TicketState.CLOSED),
    TicketState.IN_PROGRESS: (TicketState.RESOLVED, TicketState.CLOSED),
    TicketState.RESOLVED: (TicketState.IN_PROGRESS, TicketState.CLOSED),
    TicketState.CLOSED: (),
}
_WORKED = (TicketState.NEW, TicketState.IN_PROGRESS)
#: More digits than these are no number that a database has.
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEntry:
    """A line of a ticket's trail."""

    at: datetime
    author: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketView:
    """Something that a person of the business has to do.

    :param number: what people call it; counts from 1 in each tenant.
    :param event: the event that opened it.
    :param entries: who did what, oldest first; only where one ticket is shown.
    """

    number: int
    id: str
    tenant: str
    state: str
    priority: str
    queue: str
    title: str
    conversation: str | None
    event: EventRef | None
    assignee: str | None
    created_at: datetime
    updated_at: datetime
    entries: tuple[TicketEntry, ...] = ()


def open_ticket(
    connection: sa.Connection,
    *,
    id: str,
    tenant: str,
    conversation: str | None,
    event: EventRef | None,
    request: TicketRequest,
    author: str,
    now: datetime,
) -> int:
    """Open a ticket; give its number, which counts from 1 in each tenant.

    A conversation has one open ticket at a time: while it has one, what comes is added to it.
    """
    if conversation is not None:
        # Who opens one for the same conversation at this moment opens it before or after.
        connection.execute(
            sa.select(conversation_table.c.id)
            .where(conversation_table.c.id == conversation, conversation_table.c.tenant == tenant)
            .with_for_update()
        )
        found = connection.execute(
            sa.select(ticket.c.id, ticket.c.number, ticket.c.queue)
            .join(conversation_table, conversation_table.c.open_ticket == ticket.c.id)
            .where(conversation_table.c.id == conversation, conversation_table.c.tenant == tenant)
            .where(ticket.c.state.in_(_WORKED))
        ).first()
        if found is not None and found.queue == request.queue:
            note(
                connection,
                tenant=tenant,
                ticket=found.id,
                author=author,
                what=request.title,
                now=now,
            )
            connection.execute(
                sa.update(ticket)
                .where(ticket.c.id == found.id, ticket.c.tenant == tenant)
                .values(updated_at=now)
            )
            number: int = found.number
            return number
    latest = sa.select(sa.func.coalesce(sa.func.max(ticket.c.number), 0) + 1).where(
        ticket.c.tenant == tenant
    )
    lane, seq = event or (None, None)
    values = {
        "id": id,
        "tenant": tenant,
        "conversation": conversation,
        "event_lane": lane,
        "event_seq": seq,
        "queue": request.queue,
        "title": request.title,
        "priority": request.priority,
        "state": TicketState.NEW,
        "created_at": now,
        "updated_at": now,
    }
    key = ("tenant", "number")
    number = connection.execute(latest).scalar_one()
    while not insert_missing(connection, ticket, {**values, "number": number}, key=key):
        # Another node has taken the same number at the same moment: the next one is ours.
        number = connection.execute(latest).scalar_one()
    note(connection, tenant=tenant, ticket=id, author=author, what="opened", now=now)
    if conversation is not None:
        connection.execute(
            sa.update(conversation_table)
            .where(conversation_table.c.id == conversation, conversation_table.c.tenant == tenant)
            .values(open_ticket=id)
        )
    return number


def note(
    connection: sa.Connection, *, tenant: str, ticket: str, author: str, what: str, now: datetime
) -> None:
    """Add a line to a ticket's trail."""
    connection.execute(
        sa.insert(ticket_entry).values(
            id=new_id(), tenant=tenant, ticket=ticket, author=author, what=what, created_at=now
        )
    )


def open_escalation(
    connection: sa.Connection,
    *,
    id: str,
    tenant: str,
    conversation: str,
    event: EventRef,
    request: EscalationRequest,
    now: datetime,
) -> None:
    """Note that a person was called."""
    connection.execute(
        sa.insert(escalation).values(
            id=id,
            tenant=tenant,
            conversation=conversation,
            event_lane=event.lane,
            event_seq=event.seq,
            to=request.to,
            because=request.because,
            created_at=now,
        )
    )


def list_tickets(
    connection: sa.Connection,
    tenant: str,
    *,
    states: Sequence[str] = (),
    queue: str | None = None,
    conversation: str | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[TicketView]:
    """Give tickets, the last touched first.

    :param before: only those behind this place: ``updated_at`` and ``number`` of another one.
    """
    statement = sa.select(ticket).where(ticket.c.tenant == tenant)
    if states:
        statement = statement.where(ticket.c.state.in_(states))
    if queue is not None:
        statement = statement.where(ticket.c.queue == queue)
    if conversation is not None:
        statement = statement.where(ticket.c.conversation == conversation)
    order = ((ticket.c.updated_at, True), (ticket.c.number, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_ticket(row) for row in connection.execute(statement)]


def show_ticket(connection: sa.Connection, tenant: str, name: str) -> TicketView:
    """Give one ticket with its trail.

    :param name: its number or its id.
    :raises NotFound: if the tenant has none of this name.
    """
    number = name.removeprefix("#")
    which = ticket.c.number == int(number) if _NUMBER.fullmatch(number) else ticket.c.id == name
    row = connection.execute(sa.select(ticket).where(ticket.c.tenant == tenant, which)).first()
    if row is None:
        raise NotFound(f'there is no ticket "{name}"')
    entries = connection.execute(
        sa.select(ticket_entry)
        .where(ticket_entry.c.tenant == tenant, ticket_entry.c.ticket == row.id)
        .order_by(ticket_entry.c.created_at, ticket_entry.c.id)
    )
    trail = tuple(TicketEntry(at=it.created_at, author=it.author, what=it.what) for it in entries)
    return _ticket(row, trail)


def change_state(
    connection: sa.Connection, tenant: str, name: str, *, state: TicketState, by: str, now: datetime
) -> TicketView:
    """Take a ticket a step further, and note who did.

    :param name: its number or its id.
    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it cannot become that.
    """
    view = show_ticket(connection, tenant, name)
    connection.execute(
        sa.select(ticket.c.id)
        .where(ticket.c.id == view.id, ticket.c.tenant == tenant)
        .with_for_update()
    )
    view = show_ticket(connection, tenant, view.id)
    steps = STEPS[TicketState(view.state)]
    if state not in steps:
        may = f". It may become {' or '.join(steps)}" if steps else ""
        raise ActRefused(f"ticket {view.number} is {view.state} and cannot become {state}{may}")
    connection.execute(
        sa.update(ticket)
        .where(ticket.c.id == view.id, ticket.c.tenant == tenant)
        .values(state=state, updated_at=now)
    )
    note(
        connection,
        tenant=tenant,
        ticket=view.id,
        author=by,
        what=f"{view.state} → {state}",
        now=now,
    )
    opened = conversation_table.c.open_ticket
    if view.conversation is not None:
        of_it = sa.and_(
            conversation_table.c.id == view.conversation, conversation_table.c.tenant == tenant
        )
        if state in _WORKED:
            again = sa.update(conversation_table).where(of_it, opened.is_(None))
            connection.execute(again.values(open_ticket=view.id))
        else:
            done = sa.update(conversation_table).where(of_it, opened == view.id)
            connection.execute(done.values(open_ticket=None))
    return show_ticket(connection, tenant, view.id)


def assign_ticket(
    connection: sa.Connection,
    tenant: str,
    name: str,
    *,
    assignee: str | None,
    by: str,
    now: datetime,
) -> TicketView:
    """Give a ticket to a person, and note who did.

    :param name: its number or its id.
    :param assignee: ``None`` takes it from whoever has it.
    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it is closed, or the person's already.
    """
    view = show_ticket(connection, tenant, name)
    connection.execute(
        sa.select(ticket.c.id)
        .where(ticket.c.id == view.id, ticket.c.tenant == tenant)
        .with_for_update()
    )
    view = show_ticket(connection, tenant, view.id)
    if view.state == TicketState.CLOSED:
        raise ActRefused(f"ticket {view.number} is closed")
    if view.assignee == assignee:
        whose = "nobody's" if assignee is None else f"{assignee}'s"
        raise ActRefused(f"ticket {view.number} is {whose} already")
    connection.execute(
        sa.update(ticket)
        .where(ticket.c.id == view.id, ticket.c.tenant == tenant)
        .values(assignee=assignee, updated_at=now)
    )
    what = "assigned to nobody" if assignee is None else f"assigned to {assignee}"
    note(connection, tenant=tenant, ticket=view.id, author=by, what=what, now=now)
    return show_ticket(connection, tenant, view.id)


def add_note(
    connection: sa.Connection, tenant: str, name: str, *, text: str, by: str, now: datetime
) -> TicketView:
    """Add a person's line to a ticket's trail.

    :raises NotFound: if the tenant has none of this name.
    """
    view = show_ticket(connection, tenant, name)
    note(connection, tenant=tenant, ticket=view.id, author=by, what=text, now=now)
    connection.execute(
        sa.update(ticket)
        .where(ticket.c.id == view.id, ticket.c.tenant == tenant)
        .values(updated_at=now)
    )
    return show_ticket(connection, tenant, view.id)


def _ticket(row: sa.Row[Any], entries: tuple[TicketEntry, ...] = ()) -> TicketView:
    return TicketView(
        number=row.number,
        id=row.id,
        tenant=row.tenant,
        state=row.state,
        priority=row.priority,
        queue=row.queue,
        title=row.title,
        conversation=row.conversation,
        event=None if row.event_lane is None else EventRef(row.event_lane, row.event_seq),
        assignee=row.assignee,
        created_at=row.created_at,
        updated_at=row.updated_at,
        entries=entries,
    )
