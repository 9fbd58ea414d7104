"""Events as people look them up: what came in or fell due, and what became of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from router.errors import NotFound
from router.storage.keyset import behind, in_order
from router.storage.store import IN, EventRef
from router.storage.tables import contact, inbox_event, message, outbox
from router.storage.tables import conversation as conversation_table
from router.storage.tables import lane as lane_table

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Kept as the outcome of an event that was put in again.
RETRIED = "retried"
#: Kept as the outcome of an event that nobody is going to work, or to read, any more.
DISCARDED = "discarded"
#: Why an event that was restored from a backup is a dead letter.
HELD_BACK = "it was restored from a backup, and may have been answered since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """That an event was discarded: when, by whom, and why."""

    at: datetime
    by: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """An event, and where it stands.

    :param event: its name, ``lane#seq``.
    :param external_id: with ``source`` the name by which a repeat is recognised.
    :param outcome: ``None`` while its turn has not come.
    :param settled_by: the later event whose decision settled this one, such as the answer that
        came back.
    :param text: what was said, for events that say something.
    :param dead_at: when it was given up; ``None`` for all that was not.
    :param discarded: that a person discarded it; see :mod:`router.storage.discarding`.
    :param payload: everything that the channel or the router knew.
    """

    event: EventRef
    tenant: str
    kind: str
    source: str
    external_id: str
    received_at: datetime
    conversation: str | None
    outcome: str | None
    text: str
    settled_by: EventRef | None = None
    dead_at: datetime | None = None
    dead_error: str | None = None
    discarded: Discard | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


def list_events(
    connection: "Connection",
    tenant: str,
    *,
    kinds: Sequence[str] = (),
    outcomes: Sequence[str] = (),
    dead: bool = False,
    open_only: bool = False,
    conversation: str | None = None,
    lane: str | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[EventView]:
    """Give events, the newest first.

    :param dead: only those that were given up, and neither tried again nor discarded.
    :param open_only: only those without an outcome.
    :param before: only those behind this place: ``received_at``, lane and number of another one.
    """
    statement = sa.select(inbox_event).where(inbox_event.c.tenant == tenant)
    if kinds:
        statement = statement.where(inbox_event.c.type.in_(kinds))
    if outcomes:
        statement = statement.where(inbox_event.c.outcome.in_(outcomes))
    if dead:
        statement = statement.where(inbox_event.c.dead_at.is_not(None))
    if open_only:
        statement = statement.where(inbox_event.c.outcome.is_(None), _unworked(tenant))
    if conversation is not None:
        statement = statement.where(
            inbox_event.c.conversation == conversation,
            inbox_event.c.lane.in_(_lanes(connection, tenant, conversation)),
        )
    if lane is not None:
        statement = statement.where(inbox_event.c.lane == lane)
    columns = inbox_event.c
    order = ((columns.received_at, True), (columns.lane, False), (columns.seq, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_view(row) for row in connection.execute(statement)]


def held_back(connection: "Connection", tenant: str) -> list[EventRef]:
    """Name the events that a restore held back, in the order in which they came."""
    columns = inbox_event.c
    rows = connection.execute(
        sa.select(columns.lane, columns.seq)
        .where(columns.tenant == tenant, columns.dead_at.is_not(None))
        .where(columns.dead_error == HELD_BACK)
        .order_by(columns.received_at, columns.lane, columns.seq)
    )
    return [EventRef(*row) for row in rows]


def _unworked(tenant: str) -> sa.ColumnElement[bool]:
    """Say that an event is behind the cursor of a lane that has something to do."""
    columns = sa.select(lane_table.c.key).where(
        lane_table.c.kind == IN, lane_table.c.tenant == tenant
    )
    # Two indexes, neither of which grows with the customers that there ever were.
    waiting = columns.where(
        lane_table.c.ready_at.is_not(None),
        lane_table.c.lease_owner.is_(None),
        sa.not_(lane_table.c.parked),
    )
    leased = columns.where(lane_table.c.lease_owner.is_not(None))
    parked = columns.where(sa.text("lane.parked"))  # as its index has it
    return inbox_event.c.lane.in_(sa.union_all(waiting, leased, parked))


def _lanes(connection: "Connection", tenant: str, conversation: str) -> list[str]:
    """Give the lanes in which events of a conversation may stand."""
    key = connection.scalar(
        sa.select(contact.c.key)
        .join(conversation_table, conversation_table.c.contact == contact.c.id)
        .where(conversation_table.c.id == conversation, conversation_table.c.tenant == tenant)
    )
    told = sa.select(message.c.event_lane).where(
        message.c.conversation == conversation,
        message.c.tenant == tenant,
        message.c.event_lane.is_not(None),
    )
    lanes = set(connection.execute(told.distinct()).scalars())
    return sorted(lanes if key is None else lanes | {f"{tenant}/{key}"})


def find_event(connection: "Connection", tenant: str, event: EventRef) -> EventView | None:
    """Give one event, or ``None``."""
    row = connection.execute(
        sa.select(inbox_event).where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane == event.lane,
            inbox_event.c.seq == event.seq,
        )
    ).first()
    return None if row is None else _view(row)


def show_event(connection: "Connection", tenant: str, event: EventRef) -> EventView:
    """Give one event.

    :raises NotFound: if the tenant has none of this name.
    """
    view = find_event(connection, tenant, event)
    if view is None:
        message = f'there is no event "{event}"'
        raise NotFound(message)
    return view


def find_meant(connection: "Connection", tenant: str, name: str) -> EventRef | str | None:
    """Find what people mean by an id.

    :param name: an event's ``lane#seq``, an outbox item's id, or a provider's id of a message
        or of a call.
    :return: the event, or the id of an outbox item, or ``None``.
    """
    if "#" in name:
        try:
            view = find_event(connection, tenant, EventRef.from_text(name))
        except ValueError:
            view = None
        if view is not None:
            return view.event
    # One question each: with OR, SQLite reads all that the tenant ever sent.
    for column in (outbox.c.id, outbox.c.provider_ref):
        item = connection.scalar(
            sa.select(outbox.c.id).where(outbox.c.tenant == tenant, column == name)
        )
        if item is not None:
            return str(item)
    row = connection.execute(
        sa.select(inbox_event.c.lane, inbox_event.c.seq)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.source.in_(sources(connection, tenant)),
            inbox_event.c.external_id.in_(
                [name, f"message:{name}", f"echo:{name}", f"call:{name}"]
            ),
        )
        .order_by(inbox_event.c.received_at.desc())
    ).first()
    lines = sa.select(message.c.event_lane, message.c.event_seq).where(
        message.c.tenant == tenant, message.c.event_lane.is_not(None)
    )
    if row is None:
        row = connection.execute(lines.where(message.c.id == name)).first()
    if row is None:
        by_person = sa.text("message.author = 'person'")  # as the index has it, not as a parameter
        row = connection.execute(lines.where(message.c.provider_id == name, by_person)).first()
    return None if row is None else EventRef(row[0], row[1])


def sources(connection: "Connection", tenant: str) -> list[str]:
    """Give the sources of a tenant's events, a jump through the index each."""
    found: list[str] = []
    column, last = inbox_event.c.source, ""
    while True:
        following = connection.scalar(
            sa.select(column).where(column > last).order_by(column).limit(1)
        )
        if following is None:
            return found
        # Not as a range: how "/" sorts is the business of the database's collation.
        if following.startswith(f"{tenant}/"):
            found.append(following)
        last = following


def retry_id(connection: "Connection", source: str, external_id: str) -> str:
    """Give the name under which an event is put in again: the first that is not taken."""
    for number in count(1):
        name = f"{external_id}~retry{number}"
        taken = connection.scalar(
            sa.select(inbox_event.c.seq).where(
                inbox_event.c.source == source, inbox_event.c.external_id == name
            )
        )
        if taken is None:
            return name
    raise AssertionError  # pragma: no cover - there is always another number


def mark_retried(
    connection: "Connection", tenant: str, seen: EventView, successors: Sequence[EventRef]
) -> bool:
    """Note that an event was put in again: it is no dead letter any more.

    :return: ``False`` if it was retried or discarded since it was seen; nothing was noted then.
    """
    names = ", ".join(str(successor) for successor in successors)
    why = sa.func.coalesce(inbox_event.c.dead_error + "; ", "") + f"tried again as {names}"
    done = connection.execute(
        sa.update(inbox_event)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane == seen.event.lane,
            inbox_event.c.seq == seen.event.seq,
            inbox_event.c.outcome.is_not_distinct_from(seen.outcome),
        )
        .values(outcome=RETRIED, dead_at=None, dead_error=why)
    )
    return bool(done.rowcount)


def _view(row: sa.Row[Any]) -> EventView:
    payload = json.loads(row.payload)
    return EventView(
        event=EventRef(row.lane, row.seq),
        tenant=row.tenant,
        kind=row.type,
        source=row.source,
        external_id=row.external_id,
        received_at=row.received_at,
        conversation=row.conversation,
        outcome=row.outcome,
        text=_text(row.type, payload),
        settled_by=None if row.settled_seq is None else EventRef(row.lane, row.settled_seq),
        dead_at=row.dead_at,
        dead_error=row.dead_error,
        discarded=_discard(row),
        payload=payload,
    )


def _discard(row: sa.Row[Any]) -> Discard | None:
    if row.discarded_at is None:
        return None
    return Discard(at=row.discarded_at, by=row.discarded_by, because=row.discarded_because)


def _text(kind: str, payload: Mapping[str, Any]) -> str:
    match kind:
        case "delivery":
            return str(payload.get("status", ""))
        case "answer":
            completion = payload.get("completion") or {}
            return str(completion.get("text") or payload.get("error") or "")
        case "timer":
            return str(payload.get("timer", ""))
        case "unparsed":
            return str(payload.get("error", ""))
        case "call":
            return str(payload.get("summary") or payload.get("reason") or "")
        case _:
            return str(payload.get("text", ""))
