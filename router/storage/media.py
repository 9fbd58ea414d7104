"""What customers sent as files: which ones are kept, and what a message knows of its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from router.domain.event import MessageReceived
from router.domain.message import Attachment
from router.storage import codec
from router.storage.conflicts import insert_missing
from router.storage.keyset import Order, behind, in_order
from router.storage.store import EventRef
from router.storage.tables import inbox_event, media, message

if TYPE_CHECKING:
    from sqlalchemy import Connection


#: When a file was last used that nobody needs any more.
_RELEASED: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(NamedTuple):
    """A file that is kept."""

    tenant: str
    digest: str
    used_at: datetime


def use(
    connection: "Connection",
    tenant: str,
    digest: str,
    *,
    content_type: str,
    size: int,
    now: datetime,
) -> None:
    """Note that a file is used now, before it is written: so it is not swept meanwhile."""
    values = {
        "tenant": tenant,
        "digest": digest,
        "content_type": content_type,
        "size": size,
        "used_at": now,
    }
    if not insert_missing(connection, media, values, key=("tenant", "digest")):
        connection.execute(
            sa.update(media)
            .where(media.c.tenant == tenant, media.c.digest == digest)
            .values(used_at=now)
        )


def release(connection: "Connection", tenant: str, digest: str) -> bool:
    """Let a file go, however long files are kept; ``False``: it is not here."""
    done = connection.execute(
        sa.update(media)
        .where(media.c.tenant == tenant, media.c.digest == digest)
        .values(used_at=_RELEASED)
    )
    return bool(done.rowcount)


_ORDER: Final[Order] = ((media.c.used_at, False), (media.c.tenant, False), (media.c.digest, False))


def unused(
    connection: "Connection",
    before: datetime | None,
    *,
    behind_it: Kept | None = None,
    limit: int = 200,
) -> list[Kept]:
    """Give files that were let go or last used before a moment, of all tenants, the oldest first.

    :param before: ``None``: only those that were let go.
    :param behind_it: only those behind this one.
    """
    last = media.c.used_at <= _RELEASED if before is None else media.c.used_at < before
    statement = sa.select(media.c.tenant, media.c.digest, media.c.used_at).where(last)
    if behind_it is not None:
        place = (behind_it.used_at, behind_it.tenant, behind_it.digest)
        statement = statement.where(behind(_ORDER, place))
    rows = connection.execute(statement.order_by(*in_order(_ORDER)).limit(limit))
    return [Kept(*row) for row in rows]


def is_unused(connection: "Connection", kept: Kept) -> bool:
    """Say whether a file was not used since; of one that is forgotten nobody knows."""
    used_at = connection.scalar(
        sa.select(media.c.used_at).where(
            media.c.tenant == kept.tenant, media.c.digest == kept.digest
        )
    )
    return bool(used_at == kept.used_at)


def forget(connection: "Connection", kept: Kept) -> bool:
    """Forget a file that was removed; ``False`` if it was used since."""
    done = connection.execute(
        sa.delete(media).where(
            media.c.tenant == kept.tenant,
            media.c.digest == kept.digest,
            media.c.used_at == kept.used_at,
        )
    )
    return bool(done.rowcount)


def describe(
    connection: "Connection",
    tenant: str,
    ref: EventRef,
    index: int,
    change: Callable[[Attachment], Attachment],
) -> None:
    """Let a message know more of one of its attachments: the event, and the line people read."""
    here = sa.and_(
        inbox_event.c.tenant == tenant,
        inbox_event.c.lane == ref.lane,
        inbox_event.c.seq == ref.seq,
    )
    payload = connection.execute(sa.select(inbox_event.c.payload).where(here)).scalar_one_or_none()
    if payload is None:
        return  # deleted meanwhile
    event = codec.decode(MessageReceived.kind, payload)
    if not isinstance(event, MessageReceived) or index >= len(event.attachments):
        return
    changed = tuple(
        change(item) if number == index else item for number, item in enumerate(event.attachments)
    )
    new = codec.encode(replace(event, attachments=changed))
    connection.execute(sa.update(inbox_event).where(here).values(payload=new))
    connection.execute(
        sa.update(message)
        .where(
            message.c.tenant == tenant,
            message.c.event_lane == ref.lane,
            message.c.event_seq == ref.seq,
            message.c.direction == "in",
        )
        .values(attachments=codec.encode_attachments(changed))
    )


def attachments(
    connection: "Connection", tenant: str, lane: str, seqs: Sequence[int]
) -> tuple[Attachment, ...]:
    """Give what came with some messages of a lane, with what is known of it by now."""
    rows = connection.execute(
        sa.select(inbox_event.c.payload)
        .where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane == lane,
            inbox_event.c.seq.in_(seqs),
            inbox_event.c.type == MessageReceived.kind,
        )
        .order_by(inbox_event.c.seq)
    )
    events = [codec.decode(MessageReceived.kind, row.payload) for row in rows]
    return tuple(
        item for it in events if isinstance(it, MessageReceived) for item in it.attachments
    )
