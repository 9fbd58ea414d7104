"""Telephone calls: kept once by the provider's id, however often they are reported."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.domain.answer import CallSummary
from router.domain.event import CallEnded, CallTurn
from router.domain.message import Attachment
from router.errors import NotFound
from router.storage.codec import (
    decode,
    decode_attachments,
    decode_transcript,
    encode_attachments,
    encode_transcript,
)
from router.storage.keyset import behind, in_order
from router.storage.store import EventRef
from router.storage.tables import call, conversation, inbox_event, media

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SWEPT: Final = "it was kept as long as [media] keep says"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """A call as people look it up.

    :param at: when it began; when it was reported, where nobody tells.
    :param recording: where it is; with a ``digest`` if it is kept here.
    :param event: the event that reported it first.
    """

    id: str
    at: datetime
    conversation: str
    channel: str
    party: str
    direction: str
    status: str
    outcome: str
    origin: str
    summary: str
    duration: timedelta | None = None
    agent: str | None = None
    batch: str | None = None
    reason: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    transcript: tuple[CallTurn, ...] = ()
    recording: Attachment | None = None
    event: EventRef | None = None


def keep_call(
    connection: "Connection",
    tenant: str,
    event: CallEnded,
    *,
    conversation_id: str,
    channel: str,
    ref: EventRef,
    received_at: datetime,
) -> None:
    """Keep a call, or add to one that is known what this report tells and the others did not."""
    began = event.started_at or received_at
    values: dict[str, Any] = {
        "direction": event.direction,
        "status": event.status,
        "outcome": event.outcome,
        "agent": event.agent,
        "batch": event.batch,
        "reason": event.reason,
        "summary": event.summary,
        "seconds": None if event.duration is None else round(event.duration.total_seconds()),
        "data": dict(event.data),
        "transcript": encode_transcript(event.transcript),
        "recording": encode_attachments((event.recording,))[0] if event.recording else None,
        "began_at": began,
    }
    here = sa.and_(call.c.tenant == tenant, call.c.id == event.id)
    before = connection.execute(sa.select(call).where(here).with_for_update()).first()
    if before is None:
        connection.execute(
            sa.insert(call).values(
                **values,
                tenant=tenant,
                id=event.id,
                conversation=conversation_id,
                channel=channel,
                party=str(event.party),
                origin=event.origin,
                event_lane=ref.lane,
                event_seq=ref.seq,
                created_at=received_at,
            )
        )
        return
    # A later report may know more; what the first one knew stays, unless this one is the
    # provider's own and the first was not.
    better = event.origin == "provider" and before.origin != "provider"
    if not better:
        values = {name: each for name, each in values.items() if not _known(before, name)}
    else:
        values = {name: each for name, each in values.items() if each not in (None, "", {}, [])}
        values["origin"] = event.origin
    if event.started_at is None:
        values.pop("began_at", None)
    if values:
        connection.execute(sa.update(call).where(here).values(**values))


def _known(row: sa.Row[Any], name: str) -> bool:
    return getattr(row, name) not in (None, "", {}, [], "unknown")


def describe_recording(
    connection: "Connection",
    tenant: str,
    ref: EventRef,
    change: Callable[[Attachment], Attachment],
) -> None:
    """Let a call know more of its recording.

    :param ref: the event that reported the call with its recording; others may have been first.
    """
    payload = connection.scalar(
        sa.select(inbox_event.c.payload).where(
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane == ref.lane,
            inbox_event.c.seq == ref.seq,
            inbox_event.c.type == CallEnded.kind,
        )
    )
    if payload is None:
        return  # deleted meanwhile
    event = decode(CallEnded.kind, payload)
    if not isinstance(event, CallEnded) or event.recording is None:
        return
    connection.execute(
        sa.update(call)
        .where(call.c.tenant == tenant, call.c.id == event.id)
        .values(recording=encode_attachments((change(event.recording),))[0])
    )


def calls_of(
    connection: "Connection", tenant: str, conversation_id: str, *, limit: int = 20
) -> list[CallView]:
    """Give the newest calls of a conversation, oldest first."""
    rows = connection.execute(
        sa.select(call)
        .where(call.c.tenant == tenant, call.c.conversation == conversation_id)
        .order_by(call.c.began_at.desc(), call.c.id.desc())
        .limit(limit)
    ).all()
    return _views(connection, tenant, rows[::-1])


def list_calls(
    connection: "Connection",
    tenant: str,
    *,
    statuses: Sequence[str] = (),
    batch: str | None = None,
    conversation: str | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[CallView]:
    """Give calls, the newest first.

    :param before: only those behind this place: ``began_at`` and ``id`` of another one.
    """
    statement = sa.select(call).where(call.c.tenant == tenant)
    if statuses:
        statement = statement.where(call.c.status.in_(statuses))
    if batch is not None:
        statement = statement.where(call.c.batch == batch)
    if conversation is not None:
        statement = statement.where(call.c.conversation == conversation)
    order = ((call.c.began_at, True), (call.c.id, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    rows = connection.execute(statement.order_by(*in_order(order)).limit(limit)).all()
    return _views(connection, tenant, rows)


def count_calls(
    connection: "Connection", tenant: str, batches: Sequence[str]
) -> Mapping[str, tuple[int, int]]:
    """Give how many calls of each batch came about, and how many reached nobody."""
    if not batches:
        return {}
    rows = connection.execute(
        sa.select(call.c.batch, call.c.status, sa.func.count().label("calls"))
        .where(call.c.tenant == tenant, call.c.batch.in_(batches))
        .group_by(call.c.batch, call.c.status)
    )
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row.batch, {})[row.status] = row.calls
    return {name: (it.get("done", 0), it.get("failed", 0)) for name, it in counts.items()}


def show_call(connection: "Connection", tenant: str, id: str) -> CallView:
    """Give one call.

    :raises NotFound: if the tenant has none of this id.
    """
    row = connection.execute(
        sa.select(call).where(call.c.tenant == tenant, call.c.id == id)
    ).first()
    if row is None:
        raise NotFound(f'there is no call "{id}"')
    return _views(connection, tenant, [row])[0]


def summaries(
    connection: "Connection",
    tenant: str,
    contact_id: str,
    *,
    since: datetime | None = None,
    limit: int = 3,
) -> tuple[CallSummary, ...]:
    """Give the last calls with somebody that came about, oldest first, of all conversations."""
    threads = sa.select(conversation.c.id).where(
        conversation.c.contact == contact_id, conversation.c.tenant == tenant
    )
    statement = sa.select(
        call.c.began_at, call.c.summary, call.c.outcome, call.c.id, call.c.data
    ).where(call.c.tenant == tenant, call.c.conversation.in_(threads), call.c.status == "done")
    if since is not None:
        statement = statement.where(call.c.began_at >= since)
    # Nobody has many calls. Were they asked for in order, SQLite would go through those of
    # everybody from the newest on, and to the very first one of all for somebody who has none.
    rows = sorted(connection.execute(statement), key=lambda it: (it.began_at, it.id))
    return tuple(
        CallSummary(row.began_at, row.summary, row.outcome, row.id, row.data or {})
        for row in rows[-limit:]
    )


def _views(connection: "Connection", tenant: str, rows: Sequence[sa.Row[Any]]) -> list[CallView]:
    """Give calls as people see them, their recordings as they are by now: files are swept."""
    views = [_view(row) for row in rows]
    digests = {it.recording.digest for it in views if it.recording and it.recording.digest}
    if not digests:
        return views
    here = set(
        connection.scalars(
            sa.select(media.c.digest).where(media.c.tenant == tenant, media.c.digest.in_(digests))
        )
    )
    return [it if it.recording is None else _as_kept(it, it.recording, here) for it in views]


def _as_kept(view: CallView, recording: Attachment, here: AbstractSet[str]) -> CallView:
    if recording.digest is None or recording.digest in here:
        return view
    gone = replace(recording, digest=None, size=None, problem=_SWEPT)
    return replace(view, recording=gone)


def _view(row: sa.Row[Any]) -> CallView:
    return CallView(
        id=row.id,
        at=row.began_at,
        conversation=row.conversation,
        channel=row.channel,
        party=row.party,
        direction=row.direction,
        status=row.status,
        outcome=row.outcome,
        origin=row.origin,
        summary=row.summary,
        duration=None if row.seconds is None else timedelta(seconds=row.seconds),
        agent=row.agent,
        batch=row.batch,
        reason=row.reason,
        data=row.data or {},
        transcript=decode_transcript(row.transcript),
        recording=decode_attachments([row.recording])[0] if row.recording else None,
        event=EventRef(row.event_lane, row.event_seq),
    )
