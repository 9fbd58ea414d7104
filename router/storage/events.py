"""Events as people look them up: what came in or fell due, and what became of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from router.errors import NotFound
from router.storage.store import EventRef
from router.storage.tables import inbox_event, message, outbox

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Kept as the outcome of an event that was put in again.
RETRIED = "retried"


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
    limit: int = 50,
) -> list[EventView]:
    """Give events, the newest first.

    :param dead: only those that were given up and not tried again.
    :param open_only: only those without an outcome.
    """
    statement = sa.select(inbox_event).where(inbox_event.c.tenant == tenant)
    if kinds:
        statement = statement.where(inbox_event.c.type.in_(kinds))
    if outcomes:
        statement = statement.where(inbox_event.c.outcome.in_(outcomes))
    if dead:
        statement = statement.where(inbox_event.c.dead_at.is_not(None))
    if open_only:
        statement = statement.where(inbox_event.c.outcome.is_(None))
    if conversation is not None:
        statement = statement.where(inbox_event.c.conversation == conversation)
    if lane is not None:
        statement = statement.where(inbox_event.c.lane == lane)
    newest = (inbox_event.c.received_at.desc(), inbox_event.c.lane, inbox_event.c.seq.desc())
    rows = connection.execute(statement.order_by(*newest).limit(limit))
    return [_view(row) for row in rows]


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

    :param name: an event's ``lane#seq``, an outbox item's id, or a provider's id of a message.
    :return: the event, or the id of an outbox item, or ``None``.
    """
    if "#" in name:
        try:
            view = find_event(connection, tenant, EventRef.from_text(name))
        except ValueError:
            view = None
        if view is not None:
            return view.event
    item = connection.scalar(
        sa.select(outbox.c.id).where(
            outbox.c.tenant == tenant,
            sa.or_(outbox.c.id == name, outbox.c.provider_ref == name),
        )
    )
    if item is not None:
        return str(item)
    row = connection.execute(
        sa.select(inbox_event.c.lane, inbox_event.c.seq)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.external_id.in_([name, f"message:{name}", f"echo:{name}"]),
        )
        .order_by(inbox_event.c.received_at.desc())
    ).first()
    if row is None:
        row = connection.execute(
            sa.select(message.c.event_lane, message.c.event_seq)
            .where(message.c.tenant == tenant, message.c.event_lane.is_not(None))
            .where(sa.or_(message.c.id == name, message.c.provider_id == name))
        ).first()
    return None if row is None else EventRef(row[0], row[1])


def count_repeats(connection: "Connection", tenant: str, source: str, external_id: str) -> int:
    """Give how many events of a source have a name that begins like this one."""
    found: int = connection.execute(
        sa.select(sa.func.count())
        .select_from(inbox_event)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.source == source,
            inbox_event.c.external_id.startswith(external_id, autoescape=True),
        )
    ).scalar_one()
    return found


def mark_retried(
    connection: "Connection", tenant: str, event: EventRef, successors: Sequence[EventRef]
) -> None:
    """Note that an event was put in again: it is no dead letter any more."""
    names = ", ".join(str(successor) for successor in successors)
    why = sa.func.coalesce(inbox_event.c.dead_error + "; ", "") + f"tried again as {names}"
    connection.execute(
        sa.update(inbox_event)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane == event.lane,
            inbox_event.c.seq == event.seq,
        )
        .values(outcome=RETRIED, dead_at=None, dead_error=why)
    )


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
        payload=payload,
    )


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
        case _:
            return str(payload.get("text", ""))
