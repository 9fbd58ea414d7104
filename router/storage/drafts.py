"""Drafts: texts that wait for a person's word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from router.domain.decision import DraftRequest
from router.domain.draft import DraftState
from router.errors import ActRefused, NotFound
from router.storage.keyset import behind, in_order
from router.storage.store import EventRef
from router.storage.tables import contact, draft
from router.storage.tables import conversation as conversation_table

#: Between why a text is a draft and why it was rejected.
_REJECTED: Final = ". Rejected: "


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftView:
    """A text that waits for a person's word, or that has had it.

    :param event: the event it answers; its trace says why this is a draft.
    :param author: who wrote the text.
    :param because: why it was not sent by itself; of a rejected one, also why it was rejected.
    :param sent_text: what was sent in the end.
    """

    id: str
    tenant: str
    state: str
    conversation: str
    event: EventRef
    channel: str
    address: str
    contact: str | None
    author: str
    text: str
    because: str
    sources: tuple[str, ...]
    created_at: datetime
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    sent_text: str | None = None


def open_draft(
    connection: sa.Connection,
    *,
    id: str,
    tenant: str,
    conversation: str,
    event: EventRef,
    request: DraftRequest,
    now: datetime,
) -> None:
    """Keep a text until a person says what becomes of it; one that waits there is overtaken."""
    discard_drafts(connection, tenant, conversation, because="a newer draft came", now=now)
    connection.execute(
        sa.insert(draft).values(
            id=id,
            tenant=tenant,
            conversation=conversation,
            event_lane=event.lane,
            event_seq=event.seq,
            author=request.author,
            text=request.text,
            sources=list(request.sources),
            because=request.because,
            state=DraftState.PENDING,
            created_at=now,
        )
    )


def list_drafts(
    connection: sa.Connection,
    tenant: str,
    *,
    states: Sequence[str] = (DraftState.PENDING,),
    conversation: str | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[DraftView]:
    """Give drafts, the newest first.

    :param states: none for every state.
    :param before: only those behind this place: ``created_at`` and ``id`` of another one.
    """
    statement = _select(tenant)
    if states:
        statement = statement.where(draft.c.state.in_(states))
    if conversation is not None:
        statement = statement.where(draft.c.conversation == conversation)
    order = ((draft.c.created_at, True), (draft.c.id, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_view(row) for row in connection.execute(statement)]


def show_draft(connection: sa.Connection, tenant: str, id: str) -> DraftView:
    """Give one draft.

    :raises NotFound: if the tenant has none of this id.
    """
    row = connection.execute(_select(tenant).where(draft.c.id == id)).first()
    if row is None:
        raise NotFound(f'there is no draft "{id}"')
    return _view(row)


def resolve_draft(
    connection: sa.Connection,
    tenant: str,
    id: str,
    *,
    state: DraftState,
    by: str,
    now: datetime,
    sent_text: str | None = None,
    because: str = "",
) -> DraftView:
    """Note a person's word about a draft.

    :param state: approved, edited or discarded.
    :param because: why it is discarded; kept behind the reason for which it is a draft.
    :raises NotFound: if the tenant has none of this id.
    :raises ActRefused: if somebody has had a word about it already.
    """
    # What follows may send it: of two people who decide at once, one comes too late.
    connection.execute(
        sa.select(draft.c.id).where(draft.c.id == id, draft.c.tenant == tenant).with_for_update()
    )
    view = show_draft(connection, tenant, id)
    if view.state != DraftState.PENDING:
        said = f'draft "{id}" is {view.state} already, by {view.resolved_by}'
        _, rejected, why = view.because.rpartition(_REJECTED)
        raise ActRefused(f"{said}: {why}" if rejected else said)
    values: dict[str, Any] = {
        "state": state,
        "resolved_at": now,
        "resolved_by": by,
        "sent_text": sent_text,
    }
    if because:
        values["because"] = f"{view.because}{_REJECTED}{because}"
    connection.execute(
        sa.update(draft).where(draft.c.id == id, draft.c.tenant == tenant).values(**values)
    )
    return show_draft(connection, tenant, id)


def _select(tenant: str) -> sa.Select[Any]:
    where = conversation_table
    return (
        sa.select(draft, where.c.channel, where.c.address, contact.c.name)
        .join(where, where.c.id == draft.c.conversation)
        .join(contact, contact.c.id == where.c.contact)
        .where(draft.c.tenant == tenant, where.c.tenant == tenant, contact.c.tenant == tenant)
    )


def _view(row: sa.Row[Any]) -> DraftView:
    return DraftView(
        id=row.id,
        tenant=row.tenant,
        state=row.state,
        conversation=row.conversation,
        event=EventRef(row.event_lane, row.event_seq),
        channel=row.channel,
        address=row.address,
        contact=row.name,
        author=row.author,
        text=row.text,
        because=row.because,
        sources=tuple(row.sources or ()),
        created_at=row.created_at,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        sent_text=row.sent_text,
    )


def discard_drafts(
    connection: sa.Connection, tenant: str, conversation: str, *, because: str, now: datetime
) -> None:
    """Throw away what waits for a person's word in a conversation."""
    _discard(connection, tenant, draft.c.conversation == conversation, because, now)


def discard_theirs(
    connection: sa.Connection, tenant: str, contact_id: str, *, because: str, now: datetime
) -> None:
    """Throw away what waits for a person's word in any conversation of a customer."""
    table = conversation_table
    theirs = sa.select(table.c.id).where(table.c.tenant == tenant, table.c.contact == contact_id)
    _discard(connection, tenant, draft.c.conversation.in_(theirs), because, now)


def _discard(
    connection: sa.Connection,
    tenant: str,
    which: sa.ColumnElement[bool],
    because: str,
    now: datetime,
) -> None:
    connection.execute(
        sa.update(draft)
        .where(draft.c.tenant == tenant, which, draft.c.state == DraftState.PENDING)
        .values(
            state=DraftState.DISCARDED,
            resolved_at=now,
            resolved_by="router",
            because=draft.c.because + f"{_REJECTED}{because}",
        )
    )
