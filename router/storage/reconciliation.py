"""Finding out what became of messages of which nobody knows, and keeping what was found.

Every function says nothing about what has been settled meanwhile: a delivery report, an echo or a
person may come first, and then the look-up has nothing left to do.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from router.domain.message import Author, DeliveryStatus
from router.domain.outbox import ItemKind, ItemState
from router.storage.fence import prove, wake_lane
from router.storage.store import OUT, EventRef, Item
from router.storage.tables import conversation, early_report, lane, message, outbox


def unknown_item(connection: sa.Connection, tenant: str, id: str) -> Item | None:
    """Give a message of which nobody knows whether it was sent; ``None`` if that is settled."""
    return _as_item(connection.execute(_unknown(tenant, id)).first())


def message_item(connection: sa.Connection, tenant: str, id: str) -> Item | None:
    """Give a message's item, however it stands."""
    statement = sa.select(outbox).where(
        outbox.c.tenant == tenant, outbox.c.id == id, outbox.c.kind == ItemKind.MESSAGE
    )
    return _as_item(connection.execute(statement).first())


def _as_item(row: sa.Row[Any] | None) -> Item | None:
    if row is None:
        return None
    decided = None if row.decided_lane is None else EventRef(row.decided_lane, row.decided_seq)
    return Item(
        id=row.id,
        tenant=row.tenant,
        lane=row.lane,
        seq=row.seq,
        kind=ItemKind(row.kind),
        conversation=row.conversation,
        decided=decided,
        author=Author(row.author),
        epoch=row.epoch,
        destination=row.destination,
        body=row.body,
        state=ItemState(row.state),
        attempt=row.attempt,
        created_at=row.created_at,
        started_at=row.started_at,
        account=row.account,
    )


def held_by_others(
    connection: sa.Connection, item: Item, provider_ids: Collection[str]
) -> frozenset[str]:
    """Give those of a provider's ids that are known to be other messages of ours."""
    statement = sa.select(outbox.c.provider_ref).where(
        outbox.c.tenant == item.tenant,
        outbox.c.destination == item.destination,
        outbox.c.kind == ItemKind.MESSAGE,
        outbox.c.provider_ref.in_(list(provider_ids)),
        outbox.c.id != item.id,
    )
    return frozenset(connection.execute(statement).scalars())


def settle_sent(
    connection: sa.Connection, item: Item, provider_ids: Sequence[str], now: datetime
) -> bool:
    """Note that the provider has a message, under the first of these ids that is no other's.

    :return: ``False`` if all of them have become other messages' meanwhile.
    """
    if connection.execute(_unknown(item.tenant, item.id)).first() is None:
        return True
    held = held_by_others(connection, item, provider_ids)
    free = [name for name in provider_ids if name not in held]
    if not free:
        return False
    status, failure = _told(connection, item, free[0])
    connection.execute(
        sa.update(message)
        .where(message.c.id == item.id, message.c.tenant == item.tenant)
        .values(
            status=status,
            failure=failure,
            provider_id=sa.func.coalesce(message.c.provider_id, free[0]),
        )
    )
    prove(connection, item.tenant, item.id, item.lane, free[0], now)
    return True


def overtaken(connection: sa.Connection, item: Item) -> bool:
    """Tell whether a person has taken over, or written past a message, since it was decided."""
    if _written_past(connection, item):
        return True
    epoch = connection.execute(
        sa.select(conversation.c.epoch).where(
            conversation.c.id == item.conversation, conversation.c.tenant == item.tenant
        )
    ).scalar_one_or_none()
    return epoch is not None and epoch > item.epoch and item.author is not Author.PERSON


def _written_past(connection: sa.Connection, item: Item) -> bool:
    """Tell whether a person has written to whom the bot's or a rule's message is for, after it."""
    if item.author is Author.PERSON:
        return False
    # What was refused, or given up, or taken back, has reached nobody.
    may_reach = (ItemState.WAITING, ItemState.STARTED, ItemState.UNKNOWN, ItemState.DONE)
    later = sa.select(outbox.c.id).where(
        outbox.c.tenant == item.tenant,
        outbox.c.lane == item.lane,
        outbox.c.seq > item.seq,
        outbox.c.author == Author.PERSON,
        outbox.c.state.in_(may_reach),
    )
    return connection.execute(later.limit(1)).first() is not None


def send_again(
    connection: sa.Connection, item: Item, why: str, now: datetime, *, proved: bool
) -> bool:
    """Let a message wait for another attempt, at its old place in its lane.

    Nothing is done if it has been tried again since ``item`` was read: what was found out is not
    about that attempt. What the bot or a rule had to say before a person wrote does not come after
    it: it is withdrawn.

    :param proved: the attempts before did certainly not reach anybody.
    :return: ``False`` if a person has written past it and it may have reached somebody: it stays
        unknown.
    """
    # Who puts a person's message in takes its number before this, or lets it wait behind this one.
    connection.execute(
        sa.select(lane.c.key)
        .where(lane.c.kind == OUT, lane.c.key == item.lane, lane.c.tenant == item.tenant)
        .with_for_update()
    )
    body = json.loads(item.body)
    body["unknown"] = 0 if proved else body.get("unknown", 0) + 1
    values: dict[str, Any] = {"state": ItemState.WAITING, "finished_at": None, "error": why}
    shown: dict[str, Any] = {"status": DeliveryStatus.QUEUED, "failure": None}
    if _written_past(connection, item):
        if not proved:
            return False
        why = "a person wrote before it was sent"
        values = {"state": ItemState.WITHDRAWN, "finished_at": now, "error": why}
        shown = {"status": ItemState.WITHDRAWN, "failure": why}
    changed = connection.execute(
        sa.update(outbox)
        .where(*_is_unknown(item.tenant, item.id), outbox.c.started_at == item.started_at)
        .values(**values, account=None, code=None, body=json.dumps(body, ensure_ascii=False))
    ).rowcount
    if changed:
        connection.execute(
            sa.update(message)
            .where(message.c.id == item.id, message.c.tenant == item.tenant)
            .values(**shown)
        )
        wake_lane(connection, item.tenant, item.lane, now)
    return True


def change_body(connection: sa.Connection, tenant: str, id: str, body: str) -> None:
    """Keep how far an item has come in its body."""
    connection.execute(
        sa.update(outbox).where(outbox.c.id == id, outbox.c.tenant == tenant).values(body=body)
    )


def _told(connection: sa.Connection, item: Item, provider_id: str) -> tuple[str, str | None]:
    """Take up what was reported of a message before its id was known here."""
    row = connection.execute(
        sa.delete(early_report)
        .where(
            early_report.c.tenant == item.tenant,
            early_report.c.channel == item.destination,
            early_report.c.provider_id == provider_id,
        )
        .returning(early_report.c.status, early_report.c.failure)
    ).first()
    if row is None or row.status in (None, "queued"):
        return DeliveryStatus.SENT, None if row is None else row.failure
    return row.status, row.failure


def _is_unknown(tenant: str, id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (outbox.c.tenant == tenant, outbox.c.id == id, outbox.c.state == ItemState.UNKNOWN)


def _unknown(tenant: str, id: str) -> sa.Select[Any]:
    return sa.select(outbox).where(*_is_unknown(tenant, id))
