"""The handover fence: what happens the moment it is accepted that a person spoke.

An echo of a person changes owner and epoch in the very transaction that stores it, before its
turn comes, so that nothing the bot decided earlier can leave after it.
"""

from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from router.domain.conversation import SOMEBODY, ConversationStatus
from router.domain.event import MessageEchoed
from router.domain.host_event import OwnEcho
from router.domain.outbox import ItemKind, ItemState
from router.ids import new_id
from router.storage.conflicts import insert_missing
from router.storage.drafts import discard_drafts
from router.storage.echoes import likeness
from router.storage.store import OUT
from router.storage.tables import contact, conversation, lane, message, outbox

#: States of a message that was tried, and of which nobody has proved yet that it was sent.
UNPROVED = (ItemState.STARTED, ItemState.UNKNOWN, ItemState.WAITING)

#: How long after its sending an echo may still be our own.
OWN_ECHO_WINDOW = timedelta(minutes=10)


def accept_echo(
    connection: sa.Connection,
    tenant: str,
    key: str,
    channel: str,
    event: MessageEchoed,
    now: datetime,
) -> MessageEchoed | OwnEcho:
    """Tell our own echo from a person's; a person's takes the conversation over, now.

    :param key: the contact's thread key.
    :return: the event as it is to be stored.
    """
    own = _own(connection, tenant, key, channel, event, now)
    if own is not None:
        return OwnEcho(item=own, provider_id=event.provider_id or event.id)
    _open(connection, tenant, key, channel, event, now)
    row = connection.execute(_open_conversation(tenant, key)).one()
    raise_epoch(connection, tenant, row.id, SOMEBODY, now)
    why = "a person wrote to the customer"
    discard_drafts(connection, tenant, row.id, because=why, now=now)
    return event


def raise_epoch(
    connection: sa.Connection, tenant: str, conversation_id: str, owner: str, now: datetime
) -> int:
    """Give a conversation to a person: raise its epoch and withdraw what the bot has not sent.

    :return: the new epoch.
    """
    row = connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
        .values(owner=owner, owner_since=now, last_person_at=now, epoch=conversation.c.epoch + 1)
        .returning(conversation.c.epoch, conversation.c.contact)
    ).one()
    why = f"{owner} took the conversation over before it was sent"
    withdraw(connection, tenant, conversation_id, row.epoch, why, now)
    withdraw_closed(connection, tenant, row.contact, why, now)
    epoch: int = row.epoch
    return epoch


def withdraw_closed(
    connection: sa.Connection, tenant: str, contact_id: str, why: str, now: datetime
) -> None:
    """Withdraw what waits in conversations of a customer that were closed before it left.

    Whoever reads a message does not see that it belongs to another conversation than the last.
    """
    waits = sa.exists().where(
        outbox.c.conversation == conversation.c.id,
        outbox.c.kind == ItemKind.MESSAGE,
        outbox.c.state == ItemState.WAITING,
        outbox.c.author != "person",
    )
    rows = connection.execute(
        sa.update(conversation)
        .where(
            conversation.c.contact == contact_id,
            conversation.c.status == ConversationStatus.CLOSED,
            waits,
        )
        .values(epoch=conversation.c.epoch + 1)
        .returning(conversation.c.id, conversation.c.epoch)
    ).all()
    for row in rows:
        withdraw(connection, tenant, row.id, row.epoch, why, now)


def withdraw(
    connection: sa.Connection,
    tenant: str,
    conversation_id: str,
    epoch: int,
    why: str,
    now: datetime,
) -> None:
    """Withdraw what the bot or a rule decided under an older epoch and has not begun to send.

    What was tried before may have left; its next start finds out whether it is withdrawn.
    """
    stale = sa.and_(
        outbox.c.conversation == conversation_id,
        outbox.c.kind == ItemKind.MESSAGE,
        outbox.c.state == ItemState.WAITING,
        outbox.c.author != "person",
        outbox.c.epoch < epoch,
    )
    tried = connection.execute(
        sa.select(outbox.c.lane).where(stale, outbox.c.attempt > 0)
    ).scalars()
    lanes = set(tried)
    withdrawn = connection.execute(
        sa.update(outbox)
        .where(stale, outbox.c.attempt == 0)
        .values(state=ItemState.WITHDRAWN, finished_at=now, error=why)
        .returning(outbox.c.id, outbox.c.lane)
    ).all()
    if withdrawn:
        connection.execute(
            sa.update(message)
            .where(message.c.id.in_([row.id for row in withdrawn]), message.c.tenant == tenant)
            .values(status=ItemState.WITHDRAWN, failure=why)
        )
    # What a person writes now must not wait for the next attempt of what is withdrawn.
    for key in sorted(lanes.union(row.lane for row in withdrawn)):
        wake_lane(connection, tenant, key, now)


def withdraw_held(
    connection: sa.Connection, tenant: str, conversation_id: str, why: str, now: datetime
) -> None:
    """Withdraw what the bot or a rule began and quiet hours still hold back.

    Whoever writes first has made it moot, and the answer must not wait behind it.
    """
    withdrawn = connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.conversation == conversation_id,
            outbox.c.kind == ItemKind.MESSAGE,
            outbox.c.state == ItemState.WAITING,
            outbox.c.author != "person",
            outbox.c.attempt == 0,
            outbox.c.not_before > now,
        )
        .values(state=ItemState.WITHDRAWN, finished_at=now, error=why)
        .returning(outbox.c.id, outbox.c.lane)
    ).all()
    if not withdrawn:
        return
    connection.execute(
        sa.update(message)
        .where(message.c.id.in_([row.id for row in withdrawn]), message.c.tenant == tenant)
        .values(status=ItemState.WITHDRAWN, failure=why)
    )
    for key in sorted({row.lane for row in withdrawn}):
        wake_lane(connection, tenant, key, now)


def prove(
    connection: sa.Connection, tenant: str, item: str, key: str, provider_ref: str, now: datetime
) -> None:
    """Settle a message that its provider turns out to have: it is done, and is not sent again."""
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.id == item, outbox.c.tenant == tenant)
        .values(
            state=ItemState.DONE,
            finished_at=now,
            error=None,
            provider_ref=sa.func.coalesce(outbox.c.provider_ref, provider_ref),
        )
    )
    wake_lane(connection, tenant, key, now)


def wake_lane(connection: sa.Connection, tenant: str, key: str, now: datetime) -> None:
    """Let an out lane be claimed now that was parked, or that waits for another attempt.

    If it waited for a sender's token it gives its place up, and the next in the queue is called.
    """
    here = sa.and_(lane.c.kind == OUT, lane.c.key == key, lane.c.tenant == tenant)
    queue = connection.execute(sa.select(lane.c.queue).where(here)).scalar_one_or_none()
    connection.execute(
        sa.update(lane)
        .where(here, lane.c.lease_owner.is_(None), lane.c.done_seq < lane.c.last_seq)
        .values(parked=False, ready_at=now, queue=None, place=None)
    )
    if queue is not None:
        _call_next(connection, tenant, queue, now)


def _call_next(connection: sa.Connection, tenant: str, queue: str, now: datetime) -> None:
    """Let the first of a queue look now; its start finds out when there is a token."""
    # One that somebody has locked is being claimed, or grows; it keeps its moment.
    first = (
        sa.select(lane.c.key)
        .where(lane.c.tenant == tenant, lane.c.queue == queue, lane.c.ready_at.is_not(None))
        .order_by(lane.c.place)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    connection.execute(
        sa.update(lane)
        .where(lane.c.kind == OUT, lane.c.key == first.scalar_subquery())
        .where(lane.c.lease_owner.is_(None), lane.c.ready_at > now)
        .values(ready_at=now)
    )


def _open_conversation(tenant: str, key: str) -> sa.Select[tuple[str]]:
    return (
        sa.select(conversation.c.id)
        .join(contact, contact.c.id == conversation.c.contact)
        .where(contact.c.tenant == tenant, contact.c.key == key)
        .where(conversation.c.status != "closed")
    )


def _own(
    connection: sa.Connection,
    tenant: str,
    key: str,
    channel: str,
    event: MessageEchoed,
    now: datetime,
) -> str | None:
    rows = connection.execute(
        sa.select(outbox.c.id, outbox.c.lane, outbox.c.body, outbox.c.state, outbox.c.provider_ref)
        .join(conversation, conversation.c.id == outbox.c.conversation)
        .join(contact, contact.c.id == conversation.c.contact)
        .where(
            contact.c.tenant == tenant,
            contact.c.key == key,
            outbox.c.tenant == tenant,
            outbox.c.kind == ItemKind.MESSAGE,
            outbox.c.destination == channel,
            # One that waits was tried: nothing else has a moment of its start.
            outbox.c.state.in_([*UNPROVED, ItemState.DONE]),
            outbox.c.echo.is_(None),
            outbox.c.started_at >= now - OWN_ECHO_WINDOW,
        )
        # What one decision queued has one moment.
        .order_by(outbox.c.created_at, outbox.c.seq)
    ).all()
    name = event.provider_id or event.id
    ids = {event.id, name}
    by_id = [row for row in rows if row.provider_ref in ids]
    likenesses = [(likeness(row.body, event), row) for row in rows]
    alike = sorted(((how, row) for how, row in likenesses if how is not None), key=itemgetter(0))
    for row in (*by_id, *(row for _, row in alike)):
        matched = connection.execute(
            sa.update(outbox)
            .where(outbox.c.id == row.id, outbox.c.tenant == tenant, outbox.c.echo.is_(None))
            .values(echo=event.id)
        )
        if not matched.rowcount:
            continue  # another echo was quicker, on another node
        if row.state in UNPROVED:
            # The provider shows it as sent: that settles it.
            connection.execute(
                sa.update(message)
                .where(message.c.id == row.id, message.c.tenant == tenant)
                .values(
                    status="sent",
                    failure=None,
                    provider_id=sa.func.coalesce(message.c.provider_id, name),
                )
            )
            prove(connection, tenant, row.id, row.lane, name, now)
        found: str = row.id
        return found
    return None


def _open(
    connection: sa.Connection,
    tenant: str,
    key: str,
    channel: str,
    event: MessageEchoed,
    now: datetime,
) -> None:
    """Open what is missing, so that there is a conversation to own."""
    if connection.execute(_open_conversation(tenant, key)).first() is not None:
        return
    known = sa.select(contact.c.id).where(contact.c.tenant == tenant, contact.c.key == key)
    found = connection.execute(known).scalar_one_or_none()
    if found is None:
        values = {"id": new_id(), "tenant": tenant, "key": key, "created_at": now}
        empty: dict[str, Any] = {"tags": [], "attributes": {}}
        insert_missing(connection, contact, {**values, **empty}, key=("tenant", "key"))
        found = connection.execute(known).scalar_one()
    insert_missing(
        connection,
        conversation,
        {
            "id": new_id(),
            "tenant": tenant,
            "contact": found,
            "channel": channel,
            "address": str(event.recipient),
            "status": "active",
            "source": "manual",
            "owner": SOMEBODY,
            "tags": [],
            "attributes": {},
            "created_at": now,
            "last_activity_at": now,
        },
    )
