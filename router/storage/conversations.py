"""Conversations as people look them up, and their handing over and back."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from router.domain.conversation import BOT, NOBODY, ConversationStatus
from router.domain.identity import Address, thread_key
from router.domain.message import Attachment
from router.domain.outbox import ItemKind, ItemState
from router.errors import ActRefused, NotFound
from router.storage.codec import decode_attachments, encode_attachments
from router.storage.drafts import discard_drafts
from router.storage.fence import raise_epoch, withdraw
from router.storage.keyset import behind, in_order
from router.storage.lines import after
from router.storage.store import EventRef, NewMessage
from router.storage.tables import alias, contact, conversation, message, outbox
from router.storage.turns import end_turn

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationView:
    """One thread with one customer, and where it stands.

    :param key: the contact's thread key.
    :param contact: the customer's name, if one is known.
    :param owner: ``bot``, ``nobody`` (waits for a person) or a person's name.
    :param asking: a backend has been asked and has not answered yet.
    """

    id: str
    tenant: str
    status: str
    owner: str
    epoch: int
    channel: str
    address: str
    key: str
    contact: str | None
    opted_out: bool
    category: str | None
    priority: str | None
    tags: tuple[str, ...]
    open_ticket: str | None
    asking: bool
    created_at: datetime
    owner_since: datetime | None
    last_in_at: datetime | None
    last_activity_at: datetime
    last_provider_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of a conversation as people read it.

    :param author: ``customer``, ``bot``, ``rule`` or ``person``.
    :param status: how far it got; ``None`` for one that came in.
    """

    id: str
    at: datetime
    author: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    status: str | None = None
    failure: str | None = None


def list_conversations(
    connection: "Connection",
    tenant: str,
    *,
    statuses: Sequence[str] = (),
    owners: Sequence[str] = (),
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[ConversationView]:
    """Give conversations, the last active first.

    :param before: only those behind this place: ``last_activity_at`` and ``id`` of another one.
    """
    statement = _select(tenant)
    if statuses:
        statement = statement.where(conversation.c.status.in_(statuses))
    if owners:
        statement = statement.where(conversation.c.owner.in_(owners))
    order = ((conversation.c.last_activity_at, True), (conversation.c.id, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_view(row) for row in connection.execute(statement)]


def show_conversation(connection: "Connection", tenant: str, name: str) -> ConversationView:
    """Give one conversation.

    :param name: its id, or the customer's address (``tel:+573001234567``, or the number alone):
        then their newest one.
    :raises NotFound: if the tenant has none of this name.
    """
    row = connection.execute(_select(tenant).where(conversation.c.id == name)).first()
    if row is None:
        # Not by the address that a conversation holds: nothing would find that one quickly.
        newest = _select(tenant).where(contact.c.key.in_(keys_meant(connection, tenant, name)))
        newest = newest.order_by(conversation.c.last_activity_at.desc(), conversation.c.id.desc())
        row = connection.execute(newest.limit(1)).first()
    if row is None:
        raise NotFound(f'there is no conversation "{name}"')
    return _view(row)


def keys_meant(connection: "Connection", tenant: str, name: str) -> list[str]:
    """Give the thread keys that somebody may mean who names an address, or a telephone number."""
    keys = [name]
    for read in (Address.from_text, Address.as_typed):
        with suppress(ValueError):
            keys.append(thread_key(read(name)))
    learnt = sa.select(alias.c.key).where(alias.c.tenant == tenant, alias.c.address.in_(keys))
    return [*keys, *connection.execute(learnt).scalars()]


def last_lines(
    connection: "Connection", tenant: str, conversation_id: str, *, limit: int = 20
) -> list[Line]:
    """Give the newest messages of a conversation, oldest first."""
    # What an event brought stands before what was decided about it, in the same instant.
    newest = (
        message.c.created_at.desc(),
        message.c.event_seq.desc().nulls_last(),
        message.c.direction.desc(),
        message.c.id.desc(),
    )
    rows = connection.execute(
        sa.select(message)
        .where(message.c.tenant == tenant, message.c.conversation == conversation_id)
        .order_by(*newest)
        .limit(limit)
    ).all()
    return [
        Line(
            id=row.id,
            at=row.created_at,
            author=row.author,
            text=row.text,
            attachments=decode_attachments(row.attachments),
            status=row.status,
            failure=row.failure,
        )
        for row in reversed(rows)
    ]


def take_conversation(
    connection: "Connection", tenant: str, name: str, *, by: str, now: datetime
) -> tuple[ConversationView, int]:
    """Give a conversation to a person: its epoch rises, what the bot has not sent is withdrawn.

    Attempts that have begun cannot be called back; ``outbox.under_way`` names them.

    :return: the conversation, and how many messages were withdrawn.
    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it is closed, or the person's already, or the name is no person's.
    """
    view = _locked(connection, tenant, name)
    if by in (BOT, NOBODY):
        raise ActRefused(f'"{by}" is not a person. Say who takes it over')
    if view.status == ConversationStatus.CLOSED:
        raise ActRefused(f'conversation "{view.id}" is closed')
    if view.owner == by:
        raise ActRefused(f'conversation "{view.id}" is {by}\'s already')
    return _given_to(connection, view, by, now)


def speak_as(
    connection: "Connection", tenant: str, name: str, *, by: str, now: datetime
) -> tuple[ConversationView, int]:
    """Let a person speak: the conversation is theirs, and what the customer wrote is answered.

    :return: the conversation, and how many messages of the bot were withdrawn.
    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it is closed, the customer wants no messages, or the name is no person's.
    """
    view = _locked(connection, tenant, name)
    if by in (BOT, NOBODY):
        raise ActRefused(f'"{by}" is not a person. Say who writes')
    if view.status == ConversationStatus.CLOSED:
        raise ActRefused(
            f'conversation "{view.id}" is closed. The customer\'s next message opens another'
        )
    if view.opted_out:
        raise ActRefused("the customer has asked for no more messages")
    why = f"{by} wrote to the customer"
    end_turn(connection, tenant, view.id, f"{tenant}/{view.key}", why)
    discard_drafts(connection, tenant, view.id, because=why, now=now)
    given = _given_to(connection, view, by, now)
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == view.id, conversation.c.tenant == tenant)
        .values(bot_turns=0)
    )
    return given


def _given_to(
    connection: "Connection", view: ConversationView, by: str, now: datetime
) -> tuple[ConversationView, int]:
    """Raise the epoch for a person; give the conversation, and how much that withdrew."""
    tenant = view.tenant
    waiting = sa.select(sa.func.count()).where(
        outbox.c.conversation == view.id,
        outbox.c.tenant == tenant,
        outbox.c.kind == ItemKind.MESSAGE,
        outbox.c.state == ItemState.WITHDRAWN,
    )
    before: int = connection.execute(waiting).scalar_one()
    raise_epoch(connection, tenant, view.id, by, now)
    withdrawn: int = connection.execute(waiting).scalar_one() - before
    return show_conversation(connection, tenant, view.id), withdrawn


def release_conversation(
    connection: "Connection", tenant: str, name: str, *, now: datetime
) -> ConversationView:
    """Hand a conversation back to the bot.

    Its epoch rises: an event that is being worked just now is decided once more, with the bot as
    the owner, and a question that was put before is put again. What was withdrawn stays so; what
    was decided while somebody else owned it, and waits to be sent, still is.

    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it is closed, or the bot's already.
    """
    view = _locked(connection, tenant, name)
    if view.status == ConversationStatus.CLOSED:
        raise ActRefused(f'conversation "{view.id}" is closed')
    if view.owner == BOT:
        raise ActRefused(f'conversation "{view.id}" is the bot\'s already')
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == view.id, conversation.c.tenant == tenant)
        .values(
            owner=BOT,
            owner_since=now,
            status=ConversationStatus.ACTIVE,
            epoch=conversation.c.epoch + 1,
        )
    )
    connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.conversation == view.id,
            outbox.c.tenant == tenant,
            outbox.c.kind == ItemKind.MESSAGE,
            outbox.c.epoch == view.epoch,
            outbox.c.state.in_([ItemState.WAITING, ItemState.STARTED, ItemState.UNKNOWN]),
        )
        .values(epoch=view.epoch + 1)
    )
    return show_conversation(connection, tenant, view.id)


def close_conversation(
    connection: "Connection", tenant: str, name: str, *, by: str, now: datetime
) -> ConversationView:
    """Close a conversation; the customer's next message opens another.

    Its epoch rises: what the bot has not sent yet is withdrawn, and an answer that is still to come
    is dropped. Drafts that wait are thrown away. What a person wrote still leaves.

    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it is closed already.
    """
    view = _locked(connection, tenant, name)
    if view.status == ConversationStatus.CLOSED:
        raise ActRefused(f'conversation "{view.id}" is closed already')
    why = f"{by} closed the conversation"
    end_turn(connection, tenant, view.id, f"{tenant}/{view.key}", why)
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == view.id, conversation.c.tenant == tenant)
        .values(status=ConversationStatus.CLOSED, epoch=conversation.c.epoch + 1)
    )
    withdraw(connection, tenant, view.id, view.epoch + 1, f"{why} before it was sent", now)
    discard_drafts(connection, tenant, view.id, because=why, now=now)
    return show_conversation(connection, tenant, view.id)


def _locked(connection: "Connection", tenant: str, name: str) -> ConversationView:
    """Give a conversation as it stands, and let nobody else change it in this transaction."""
    view = show_conversation(connection, tenant, name)
    connection.execute(
        sa.select(conversation.c.id)
        .where(conversation.c.id == view.id, conversation.c.tenant == tenant)
        .with_for_update()
    )
    return show_conversation(connection, tenant, view.id)


def note_person(
    connection: "Connection", tenant: str, conversation_id: str, *, now: datetime
) -> None:
    """Note that a person of the business has just written, which changes no owner."""
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
        .values(last_person_at=now)
    )


def last_heard(connection: "Connection", view: ConversationView) -> ConversationView:
    """Give the conversation in which the customer of one wrote last at the same address.

    What was to be said in a closed one is said there: whether it may be depends on when they wrote.
    """
    row = connection.execute(
        _select(view.tenant)
        .where(
            contact.c.key == view.key,
            conversation.c.channel == view.channel,
            conversation.c.address == view.address,
            conversation.c.last_in_at.is_not(None),
        )
        .order_by(conversation.c.last_in_at.desc(), conversation.c.id.desc())
        .limit(1)
    ).first()
    return view if row is None else _view(row)


class Heard(NamedTuple):
    """What tells whether a customer may be written to freely where a conversation is.

    :param at: when they last wrote; ``None``: not as far as is known.
    :param shut_at: when the channel said that it takes no free text any more.
    :param source: where the conversation came from.
    """

    at: datetime | None
    shut_at: datetime | None
    source: str


def heard(connection: "Connection", tenant: str, name: str) -> Heard:
    """Give when the customer of a conversation was last heard.

    :raises NotFound: if the tenant has none of this name.
    """
    row = connection.execute(
        sa.select(
            conversation.c.last_in_at, conversation.c.window_shut_at, conversation.c.source
        ).where(conversation.c.id == name, conversation.c.tenant == tenant)
    ).first()
    if row is None:
        raise NotFound(f'there is no conversation "{name}"')
    return Heard(*row)


def add_line(
    connection: "Connection",
    tenant: str,
    conversation_id: str,
    line: NewMessage,
    *,
    event: EventRef | None,
    now: datetime,
) -> None:
    """Add a message to a thread as people read it."""
    lane, seq = event or (None, None)
    newest: datetime = connection.execute(
        sa.select(conversation.c.last_activity_at).where(
            conversation.c.id == conversation_id, conversation.c.tenant == tenant
        )
    ).scalar_one()
    said = after(newest, now)
    connection.execute(
        sa.insert(message).values(
            id=line.id,
            tenant=tenant,
            conversation=conversation_id,
            direction=line.direction,
            author=line.author,
            text=line.text,
            attachments=encode_attachments(line.attachments) if line.attachments else None,
            channel=line.channel,
            address=str(line.address),
            event_lane=lane,
            event_seq=seq,
            provider_id=line.provider_id,
            status=line.status,
            created_at=said,
        )
    )
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
        .values(last_activity_at=said)
    )


def _select(tenant: str) -> sa.Select[Any]:
    return (
        sa.select(
            conversation,
            contact.c.key.label("thread_key"),
            contact.c.name.label("contact_name"),
            contact.c.opted_out,
        )
        .join(contact, contact.c.id == conversation.c.contact)
        .where(conversation.c.tenant == tenant, contact.c.tenant == tenant)
    )


def _view(row: sa.Row[Any]) -> ConversationView:
    return ConversationView(
        id=row.id,
        tenant=row.tenant,
        status=row.status,
        owner=row.owner,
        epoch=row.epoch,
        channel=row.channel,
        address=row.address,
        key=row.thread_key,
        contact=row.contact_name,
        opted_out=row.opted_out,
        category=row.category,
        priority=row.priority,
        tags=tuple(row.tags or ()),
        open_ticket=row.open_ticket,
        asking=row.pending_ask is not None,
        created_at=row.created_at,
        owner_since=row.owner_since,
        last_in_at=row.last_in_at,
        last_activity_at=row.last_activity_at,
        last_provider_id=row.last_provider_id,
    )
