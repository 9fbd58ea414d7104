"""The outbox as people look into it, and what they may decide about what stands in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from router.domain.message import Author, DeliveryStatus
from router.domain.outbox import ItemKind, ItemState
from router.errors import ActRefused, NotFound
from router.storage.keyset import behind, in_order
from router.storage.store import JOB, OUT, OWN_LANE, EventRef
from router.storage.tables import (
    Moment,
    contact,
    conversation,
    inbox_event,
    lane,
    message,
    outbox,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

_RETRYABLE = (ItemState.DEAD, ItemState.REFUSED)
_KINDS_FOR_PEOPLE = (ItemKind.MESSAGE, ItemKind.ACTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """Something that was decided to leave, and how far it got.

    :param event: the event whose decision it is; ``None`` for what no event decided.
    :param destination: the instance that does it.
    :param text: what a message says, what an action is told.
    :param attempt: attempts begun.
    :param provider_ref: the provider's name for it.
    :param code: the provider's own error code.
    :param not_before: when it may leave at the earliest, where quiet hours hold it back; from when
        its age counts, where a person asked for another try.
    """

    id: str
    tenant: str
    kind: str
    state: str
    destination: str
    text: str
    author: str
    lane: str
    seq: int
    conversation: str | None
    event: EventRef | None
    epoch: int
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    provider_ref: str | None = None
    code: str | None = None
    error: str | None = None
    not_before: datetime | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


def list_items(
    connection: "Connection",
    tenant: str,
    *,
    states: Sequence[str] = (),
    kinds: Sequence[str] = (),
    conversation: str | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[ItemView]:
    """Give outbox items, the newest first.

    :param before: only those behind this place: ``created_at`` and ``id`` of another one.
    """
    statement = sa.select(outbox).where(outbox.c.tenant == tenant)
    if states:
        statement = statement.where(outbox.c.state.in_(states))
    if kinds:
        statement = statement.where(outbox.c.kind.in_(kinds))
    if conversation is not None:
        statement = statement.where(outbox.c.conversation == conversation)
    order = ((outbox.c.created_at, True), (outbox.c.id, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_view(row) for row in connection.execute(statement)]


def items_of(connection: "Connection", tenant: str, event: EventRef) -> list[ItemView]:
    """Give what the decision about an event queued, in order."""
    # By way of their conversation, which an index of the outbox has; none has what decided them.
    thread = sa.select(inbox_event.c.conversation).where(
        inbox_event.c.tenant == tenant,
        inbox_event.c.lane == event.lane,
        inbox_event.c.seq == event.seq,
    )
    statement = (
        sa.select(outbox)
        .where(
            outbox.c.tenant == tenant,
            outbox.c.conversation == thread.scalar_subquery(),
            outbox.c.decided_lane == event.lane,
            outbox.c.decided_seq == event.seq,
        )
        .order_by(outbox.c.created_at, outbox.c.seq)
    )
    return [_view(row) for row in connection.execute(statement)]


def show_item(connection: "Connection", tenant: str, id: str) -> ItemView:
    """Give one item.

    :raises NotFound: if the tenant has none of this id.
    """
    row = connection.execute(
        sa.select(outbox).where(outbox.c.id == id, outbox.c.tenant == tenant)
    ).first()
    if row is None:
        raise NotFound(f'there is no outbox item "{id}"')
    return _view(row)


def under_way(connection: "Connection", tenant: str, conversation: str) -> list[str]:
    """Give the ids of the messages of a conversation that have left, their result unknown yet."""
    statement = sa.select(outbox.c.id).where(
        outbox.c.tenant == tenant,
        outbox.c.conversation == conversation,
        outbox.c.kind == ItemKind.MESSAGE,
        outbox.c.state == ItemState.STARTED,
        outbox.c.author != "person",
    )
    return list(connection.execute(statement).scalars())


class Verdict(StrEnum):
    """What a person says of an item that did not end well."""

    SENT = "sent"
    RESEND = "resend"
    DROP = "drop"


def resolve_item(
    connection: "Connection", tenant: str, id: str, *, verdict: Verdict, by: str, now: datetime
) -> ItemView:
    """Settle an item of which nobody knows whether it was sent, or a dead letter.

    :param verdict: ``sent``: it is done. ``resend``: it waits again, one that is unknown at its
        old place in its lane, a dead letter at the end; what was unknown and no person wrote is
        withdrawn if somebody has taken the conversation over. ``drop``: it does not leave any more.
    :raises NotFound: if the tenant has none of this id.
    :raises ActRefused: if it has ended well, may still leave, is a question, or was changed by
        somebody else meanwhile.
    """
    item = show_item(connection, tenant, id)
    dead = item.state in _RETRYABLE
    if item.state != ItemState.UNKNOWN and not dead:
        raise ActRefused(
            f'outbox item "{id}" is {item.state}: there is nothing to settle. '
            "Only an item that is unknown, dead or refused can be resolved"
        )
    if verdict is Verdict.RESEND and dead:
        return retry_item(connection, tenant, id, by=by, now=now)
    said = f"{by} says that {_SAID[verdict]}"
    values: dict[str, Any] = {"error": f"{said}; before: {item.error}" if dead else said}
    if verdict is Verdict.RESEND:
        values |= {"state": ItemState.WAITING, "finished_at": None, "code": None}
        values["not_before"] = now  # what a person asks for is not too old
        values["account"] = None  # whoever sends it now
        if item.kind == ItemKind.MESSAGE and item.body.get("unknown"):
            # Earlier attempts of which nobody knew, either: now somebody does.
            values["body"] = json.dumps({**item.body, "unknown": 0}, ensure_ascii=False)
    else:
        ended = ItemState.DONE if verdict is Verdict.SENT else ItemState.WITHDRAWN
        values |= {"state": ended, "finished_at": now}
    _update(connection, item, values)
    if item.kind == ItemKind.MESSAGE:
        failure = values["error"] if verdict is Verdict.DROP else None
        _set_status(connection, tenant, id, _STATUS[verdict], failure)
    if verdict is not Verdict.RESEND and item.lane.startswith(OWN_LANE):
        _forget_lane(connection, tenant, item.lane)
    _wake_lane(connection, tenant, item, now)
    return show_item(connection, tenant, id)


_SAID: Mapping[Verdict, str] = {
    Verdict.SENT: "it was sent",
    Verdict.RESEND: "it was not sent",
    Verdict.DROP: "it is not to be sent any more",
}
_STATUS: Mapping[Verdict, str] = {
    Verdict.SENT: DeliveryStatus.SENT,
    Verdict.RESEND: DeliveryStatus.QUEUED,
    Verdict.DROP: ItemState.WITHDRAWN,
}


def retry_item(
    connection: "Connection", tenant: str, id: str, *, by: str, now: datetime
) -> ItemView:
    """Let an item that was refused or given up wait again, at the end of its lane.

    It stays the same item, with the same idempotency key: it can be waiting or done, never both.
    A person asked for it, so a takeover since its decision does not withdraw it.

    :raises NotFound: if the tenant has none of this id.
    :raises ActRefused: if it may have been taken, may still leave, is no message or action, or
        was changed by somebody else meanwhile.
    """
    item = show_item(connection, tenant, id)
    if item.kind not in _KINDS_FOR_PEOPLE:
        raise ActRefused(
            f'outbox item "{id}" is to {item.kind}, and its thread has moved on since. '
            "Retry its event instead: router events retry"
        )
    if item.author != Author.PERSON and _opted_out(connection, tenant, item.conversation):
        raise ActRefused(f'outbox item "{id}" is for a customer who asked for no more messages')
    if item.state not in _RETRYABLE:
        raise ActRefused(f'outbox item "{id}" is {item.state}: {_WHY_NOT[item.state]}')
    epoch = item.epoch
    if item.conversation is not None:
        epoch = connection.execute(
            sa.select(conversation.c.epoch).where(
                conversation.c.id == item.conversation, conversation.c.tenant == tenant
            )
        ).scalar_one()
    values = {
        "state": ItemState.WAITING,
        "seq": _next_number(connection, tenant, item, now),
        "epoch": epoch,
        "not_before": now,  # what a person asks for is not too old
        "attempt": 0,
        "started_at": None,
        "finished_at": None,
        "code": None,
        "error": f"{by} asked for another try; before: {item.error or item.state}",
    }
    _update(connection, item, values)
    if item.kind == ItemKind.MESSAGE:
        _set_status(connection, tenant, id, DeliveryStatus.QUEUED)
    return show_item(connection, tenant, id)


def withdraw_item(connection: "Connection", tenant: str, id: str, why: str, now: datetime) -> bool:
    """Keep back an action that waits for nothing but its turn; ``False`` if it may have left.

    :raises NotFound: if the tenant has none of this id.
    """
    item = show_item(connection, tenant, id)
    if item.body.get("unknown"):
        return False  # nobody knew what became of an attempt
    done = connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.id == id,
            outbox.c.tenant == tenant,
            outbox.c.kind == ItemKind.ACTION,
            outbox.c.state == ItemState.WAITING,
            # Begun since: it is told how that ends, and not that it never was.
            outbox.c.attempt == item.attempt,
        )
        .values(state=ItemState.WITHDRAWN, finished_at=now, error=why)
    )
    if done.rowcount and item.lane.startswith(OWN_LANE):
        _forget_lane(connection, tenant, item.lane)
    return bool(done.rowcount)


def _opted_out(connection: "Connection", tenant: str, conversation_id: str | None) -> bool:
    return bool(
        connection.scalar(
            sa.select(contact.c.opted_out)
            .join(conversation, conversation.c.contact == contact.c.id)
            .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
        )
    )


_WHY_NOT: Mapping[str, str] = {
    ItemState.WAITING: "it will leave by itself",
    ItemState.STARTED: "it is leaving just now",
    ItemState.DONE: "it was sent, and sending it again would double it",
    ItemState.UNKNOWN: "it may have been sent. Say what became of it: router outbox resolve",
    ItemState.WITHDRAWN: "a person took the conversation over before it left. Write to the "
    "customer, or hand the conversation back: router conversations release",
}


def _lane_kind(item: ItemView) -> str:
    return OUT if item.kind == ItemKind.MESSAGE else JOB


def _lane_of(tenant: str, item: ItemView) -> sa.ColumnElement[bool]:
    return sa.and_(
        lane.c.kind == _lane_kind(item), lane.c.key == item.lane, lane.c.tenant == tenant
    )


def _wake_lane(connection: "Connection", tenant: str, item: ItemView, now: datetime) -> None:
    connection.execute(
        sa.update(lane)
        .where(_lane_of(tenant, item), lane.c.lease_owner.is_(None))
        .where(lane.c.done_seq < lane.c.last_seq)
        .values(parked=False, ready_at=now)
    )


def _next_number(connection: "Connection", tenant: str, item: ItemView, now: datetime) -> int:
    """Take the next number of an item's lane, and see to it that the lane is claimed."""
    ready_at = sa.func.coalesce(lane.c.ready_at, sa.literal(now, Moment()))
    values: dict[str, Any] = {"last_seq": lane.c.last_seq + 1, "ready_at": ready_at}
    if item.author == Author.PERSON:
        # As what a person writes anew: it goes past an unknown head.
        values["parked"] = False
    number: int | None = connection.execute(
        sa.update(lane).where(_lane_of(tenant, item)).values(**values).returning(lane.c.last_seq)
    ).scalar_one_or_none()
    if number is not None:
        return number
    # The lane of an item that waits for nobody is removed when it ends.
    connection.execute(
        sa.insert(lane).values(
            kind=_lane_kind(item),
            key=item.lane,
            tenant=tenant,
            last_seq=item.seq + 1,
            done_seq=item.seq,
            ready_at=now,
        )
    )
    return item.seq + 1


def _forget_lane(connection: "Connection", tenant: str, key: str) -> None:
    connection.execute(
        sa.delete(lane).where(
            lane.c.kind == JOB,
            lane.c.key == key,
            lane.c.tenant == tenant,
            lane.c.lease_owner.is_(None),
        )
    )


def _update(connection: "Connection", seen: ItemView, values: Mapping[str, Any]) -> None:
    """Change an item that is as it was seen.

    It is not locked when it is looked at: who does attempts locks lanes first, then items.

    :raises ActRefused: if another person, a report or an attempt was faster.
    """
    done = connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.id == seen.id,
            outbox.c.tenant == seen.tenant,
            outbox.c.state == seen.state,
            outbox.c.attempt == seen.attempt,
        )
        .values(**values)
    )
    if not done.rowcount:
        after = show_item(connection, seen.tenant, seen.id)
        raise ActRefused(f'outbox item "{seen.id}" has changed just now: it is {after.state}')


def _set_status(
    connection: "Connection", tenant: str, id: str, status: str, failure: str | None = None
) -> None:
    # What a provider has told goes further than a person's word that it was sent.
    further = (DeliveryStatus.DELIVERED, DeliveryStatus.READ) * (status == DeliveryStatus.SENT)
    connection.execute(
        sa.update(message)
        .where(message.c.id == id, message.c.tenant == tenant)
        .where(sa.func.coalesce(message.c.status, "").not_in(further))
        .values(status=status, failure=failure)
    )


def _view(row: sa.Row[Any]) -> ItemView:
    body = json.loads(row.body)
    return ItemView(
        id=row.id,
        tenant=row.tenant,
        kind=row.kind,
        state=row.state,
        destination=row.destination,
        text=_text(row.kind, body),
        author=row.author,
        lane=row.lane,
        seq=row.seq,
        conversation=row.conversation,
        event=None if row.decided_lane is None else EventRef(row.decided_lane, row.decided_seq),
        epoch=row.epoch,
        attempt=row.attempt,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        provider_ref=row.provider_ref,
        code=row.code,
        error=row.error,
        not_before=row.not_before,
        body=body,
    )


def _text(kind: str, body: Mapping[str, Any]) -> str:
    if kind == ItemKind.MESSAGE:
        template = body.get("template")
        files = ", ".join(str(file.get("url", "")) for file in body.get("media", ()))
        return str(body.get("text") or (template and f"template {template['ref']}") or files)
    if kind == ItemKind.ACTION:
        params = body.get("params") or {}
        return str(params.get("title") or params.get("text") or body.get("because") or "")
    return ""
