"""Messages as people read them: the thread of one customer, with what was decided about each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from router.domain.message import Attachment, Author, Direction
from router.storage.codec import decode_attachments
from router.storage.decisions import UNSETTLED, DecisionView, decisions_of
from router.storage.keyset import behind, in_order
from router.storage.store import EventRef
from router.storage.tables import contact, conversation, inbox_event, message, outbox

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMessage:
    """One line of a thread.

    :param event: what it came with or was decided for; ``None`` for what no event caused.
    :param outcome: the word that is kept with its event, such as ``waiting`` or ``asking``.
    :param ours: it left through the router; a person may also write past it.
    :param status: how far a message got; ``None`` for one that came in.
    :param failure: why it was not sent, for people.
    :param decision: of a message that came in: what was decided about the turn it belongs to;
        ``None`` while that is open.
    """

    id: str
    conversation: str
    direction: Direction
    author: Author
    text: str
    channel: str
    address: str
    at: datetime
    attachments: tuple[Attachment, ...] = ()
    event: EventRef | None = None
    outcome: str | None = None
    ours: bool = False
    provider_id: str | None = None
    status: str | None = None
    failure: str | None = None
    decision: DecisionView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSummary:
    """A customer who wrote on a channel."""

    key: str
    address: str
    name: str | None
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadState:
    """Where a customer's open conversation stands.

    :param owner: ``bot``, ``nobody`` or a person's name.
    :param asking: a backend has been asked and has not answered yet.
    """

    conversation: str
    status: str
    owner: str
    category: str | None
    asking: bool
    opted_out: bool
    name: str | None


def thread_state(connection: "Connection", tenant: str, key: str) -> ThreadState | None:
    """Give the state of a customer's newest conversation; ``None`` if there never was one."""
    row = connection.execute(
        sa.select(
            conversation.c.id,
            conversation.c.status,
            conversation.c.owner,
            conversation.c.category,
            conversation.c.pending_ask,
            contact.c.opted_out,
            contact.c.name,
        )
        .join(contact, contact.c.id == conversation.c.contact)
        .where(
            conversation.c.tenant == tenant,
            contact.c.tenant == tenant,
            contact.c.key == key,
        )
        .order_by(conversation.c.created_at.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return ThreadState(
        conversation=row.id,
        status=row.status,
        owner=row.owner,
        category=row.category,
        asking=row.pending_ask is not None,
        opted_out=row.opted_out,
        name=row.name,
    )


def thread(
    connection: "Connection", tenant: str, key: str, *, limit: int = 200
) -> list[ThreadMessage]:
    """Give the newest messages of one customer, oldest first, over all their conversations.

    :param key: the thread key, aliases already applied.
    """
    statement = (
        sa.select(
            message,
            inbox_event.c.outcome,
            inbox_event.c.settled_seq,
            outbox.c.id.label("item"),
        )
        .join(conversation, conversation.c.id == message.c.conversation)
        .join(contact, contact.c.id == conversation.c.contact)
        .outerjoin(
            inbox_event,
            sa.and_(
                inbox_event.c.lane == message.c.event_lane,
                inbox_event.c.seq == message.c.event_seq,
            ),
        )
        .outerjoin(outbox, outbox.c.id == message.c.id)
        .where(
            message.c.tenant == tenant,
            contact.c.tenant == tenant,
            contact.c.key == key,
        )
        # What an event brought stands before what was decided about it, in the same instant.
        .order_by(
            message.c.created_at.desc(),
            message.c.event_seq.desc().nulls_last(),
            message.c.direction.desc(),
            message.c.id.desc(),
        )
        .limit(limit)
    )
    messages: list[ThreadMessage] = []
    decided: dict[str, EventRef] = {}
    for row in connection.execute(statement).mappings():
        item = _message(row)
        messages.append(item)
        # A message that had to wait, or for which a backend was asked, has a decision of its own
        # that says no more than that; what settles it is a later event of its lane.
        if item.event is not None and item.author is Author.CUSTOMER:
            if row["settled_seq"] is not None:
                decided[item.id] = EventRef(item.event.lane, row["settled_seq"])
            elif item.outcome not in UNSETTLED:
                decided[item.id] = item.event
    messages.reverse()
    return _with_decisions(connection, tenant, messages, decided)


def list_messages(
    connection: "Connection",
    tenant: str,
    conversation_id: str,
    *,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[ThreadMessage]:
    """Give the messages of one conversation without their decisions, the newest first.

    :param before: only those behind this place, see :func:`message_place`.
    """
    columns = message.c
    # What an event brought stands before what was decided about it, in the same instant.
    order = (
        (columns.created_at, True),
        (sa.func.coalesce(columns.event_seq, 0), True),
        (columns.direction, True),
        (columns.id, True),
    )
    statement = (
        sa.select(message, inbox_event.c.outcome, outbox.c.id.label("item"))
        .outerjoin(
            inbox_event,
            sa.and_(
                inbox_event.c.lane == columns.event_lane, inbox_event.c.seq == columns.event_seq
            ),
        )
        .outerjoin(outbox, outbox.c.id == columns.id)
        .where(columns.tenant == tenant, columns.conversation == conversation_id)
    )
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_message(row) for row in connection.execute(statement).mappings()]


def message_place(line: ThreadMessage) -> tuple[Any, ...]:
    """Give where a message stands in its conversation."""
    seq = 0 if line.event is None else line.event.seq
    return (line.at, seq, str(line.direction), line.id)


def recent_threads(
    connection: "Connection", tenant: str, channel: str, *, limit: int = 20
) -> list[ThreadSummary]:
    """Give the customers who were last active on a channel, the newest first."""
    statement = (
        sa.select(
            contact.c.key,
            contact.c.name,
            conversation.c.address,
            conversation.c.last_activity_at,
        )
        .join(contact, contact.c.id == conversation.c.contact)
        .where(conversation.c.tenant == tenant, conversation.c.channel == channel)
        .order_by(conversation.c.last_activity_at.desc())
        .limit(limit * 4)  # one customer may have had several conversations
    )
    found: dict[str, ThreadSummary] = {}
    for row in connection.execute(statement):
        found.setdefault(
            row.key,
            ThreadSummary(
                key=row.key, address=row.address, name=row.name, last_at=row.last_activity_at
            ),
        )
    return list(found.values())[:limit]


def _message(row: sa.RowMapping) -> ThreadMessage:
    lane, seq = row["event_lane"], row["event_seq"]
    return ThreadMessage(
        id=row["id"],
        conversation=row["conversation"],
        direction=Direction(row["direction"]),
        author=Author(row["author"]),
        text=row["text"],
        channel=row["channel"],
        address=row["address"],
        at=row["created_at"],
        attachments=decode_attachments(row["attachments"]),
        event=None if lane is None else EventRef(lane, seq),
        outcome=row["outcome"],
        ours=row["item"] is not None,
        provider_id=row["provider_id"],
        status=row["status"],
        failure=row["failure"],
    )


def _with_decisions(
    connection: "Connection",
    tenant: str,
    messages: Sequence[ThreadMessage],
    decided: Mapping[str, EventRef],
) -> list[ThreadMessage]:
    """Join each message that came in with the decision that settled it."""
    by_lane: dict[str, list[int]] = {}
    for event in decided.values():
        by_lane.setdefault(event.lane, []).append(event.seq)
    found: dict[EventRef, DecisionView] = {}
    for lane, numbers in by_lane.items():
        found.update(decisions_of(connection, tenant, lane, numbers))
    return [
        replace(item, decision=found.get(decided[item.id])) if item.id in decided else item
        for item in messages
    ]
