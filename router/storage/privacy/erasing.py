"""Erasing a person at their wish: nothing that identifies them stays, and that it was done does.

First they are left alone (:func:`quiet`): their conversations are taken over, so that nothing more
is said in them, and what waits is withdrawn. As soon as nothing of theirs is being worked they are
deleted (:func:`erase`), in one transaction, with the lanes locked before anything else: whoever
stores an event of theirs at that moment waits, and its repeat then finds that it was erased.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.domain.conversation import ConversationStatus
from router.domain.outbox import ItemKind, ItemState
from router.domain.ticket import TicketState
from router.ids import new_id
from router.storage.erased import event_digest
from router.storage.events import sources
from router.storage.fence import raise_epoch
from router.storage.media import release
from router.storage.overwriting import overwriting
from router.storage.privacy.erasures import Erasure, digests_of, salt_of
from router.storage.privacy.mentions import (
    BLANK,
    WHY,
    Loose,
    blank_items,
    forget_answers,
    loose_rows,
)
from router.storage.privacy.subjects import Subject, find_subject
from router.storage.retention.deletion import delete_events
from router.storage.retention.threads import UNSETTLED
from router.storage.store import IN, JOB, OUT
from router.storage.tables import (
    alias,
    call,
    contact,
    conversation,
    erased_event,
    erasure,
    inbox_event,
    lane,
    message,
    outbox,
    ticket,
    timer,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: How long after a message its provider may still report on it.
_REPORTED: Final = timedelta(days=30)
_STATUSES: Final = ("queued", "sent", "delivered", "read", "failed")
#: Host events are named after conversations, which are gone.
_OWN: Final = ("timer", "answer", "file", "transcript", "conversation")


def hold(connection: "Connection", subject: Subject) -> bool:
    """Let nobody store or work anything of a person until this transaction ends.

    :returns: whether others could until now.
    """
    if connection.dialect.name != "postgresql":
        return False  # there is one writer, which this is
    pairs = [
        *((IN, key) for key in subject.lanes),
        *((JOB, key) for key in (*subject.conversations, *subject.items)),
        *((OUT, key) for key in subject.outs),
    ]
    connection.execute(
        sa.select(lane.c.key)
        .where(sa.tuple_(lane.c.kind, lane.c.key).in_(pairs))
        .order_by(lane.c.kind.collate("C"), lane.c.key.collate("C"))  # as everybody else
        .with_for_update()
    )
    for table, ids in ((contact, subject.contacts), (conversation, subject.conversations)):
        connection.execute(
            sa.select(table.c.id)
            .where(table.c.id.in_(ids))
            .order_by(table.c.id.collate("C"))
            .with_for_update()
        )
    return True


def quiet(connection: "Connection", subject: Subject, *, by: str, now: datetime) -> None:
    """Leave a person alone: nothing more is said to them, and what waits is withdrawn."""
    rows = connection.execute(
        sa.select(conversation.c.id, conversation.c.owner).where(
            conversation.c.tenant == subject.tenant,
            conversation.c.id.in_(subject.conversations),
            conversation.c.status != ConversationStatus.CLOSED,
        )
    ).all()
    for row in rows:
        if row.owner != by:  # once: who works an event of theirs has to come to an end
            raise_epoch(connection, subject.tenant, row.id, by, now)
    active = [row.id for row in rows]
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.tenant == subject.tenant, conversation.c.id.in_(active))
        .values(pending_ask=None, turn_from=None)
    )
    withdrawn = connection.scalars(
        sa.update(outbox)
        .where(subject.belongings[outbox], outbox.c.state == ItemState.WAITING)
        .values(state=ItemState.WITHDRAWN, finished_at=now, error=WHY)
        .returning(outbox.c.id)
    ).all()
    connection.execute(
        sa.update(message)
        .where(message.c.tenant == subject.tenant, message.c.id.in_(withdrawn))
        .values(status=ItemState.WITHDRAWN, failure=WHY)
    )
    connection.execute(sa.delete(timer).where(subject.belongings[timer]))


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What is being worked of a person just now.

    :param lanes: in which it stands, by kind and key.
    """

    lanes: tuple[tuple[str, str], ...]

    @property
    def words(self) -> list[str]:
        words = {
            IN: "something that they wrote is being worked",
            OUT: "a message to them is just leaving",
            JOB: "a file of theirs, or a batch of calls that they are in, is under way",
        }
        return sorted({words[kind] for kind, _ in self.lanes})


def under_way(connection: "Connection", subject: Subject, loose: Loose) -> UnderWay:
    """Give what is being worked of a person just now.

    A model's answer that is still awaited is none of it: it will find nobody to be said to.
    """
    fetches = sa.select(outbox.c.lane).where(
        outbox.c.tenant == subject.tenant,
        outbox.c.conversation.in_(subject.conversations),
        outbox.c.kind.in_([ItemKind.FETCH, ItemKind.TRANSCRIBE]),
        outbox.c.state.in_(UNSETTLED),
    )
    rows = connection.execute(
        sa.select(lane.c.kind, lane.c.key).where(
            lane.c.tenant == subject.tenant,
            lane.c.lease_owner.is_not(None),
            sa.or_(
                sa.and_(lane.c.kind == IN, lane.c.key.in_(subject.lanes)),
                sa.and_(lane.c.kind == OUT, lane.c.key.in_(subject.outs)),
                sa.and_(
                    lane.c.kind == JOB,
                    sa.or_(lane.c.key.in_(fetches), lane.c.key.in_(loose.lanes)),
                ),
            ),
        )
    ).all()
    return UnderWay(tuple((row.kind, row.key) for row in rows))


def is_leased(connection: "Connection", lanes: Sequence[tuple[str, str]]) -> bool:
    """Say whether anything of some lanes, by kind and key, is still being worked."""
    some = sa.or_(*(sa.and_(lane.c.kind == kind, lane.c.key == key) for kind, key in lanes))
    statement = sa.select(lane.c.key).where(some, lane.c.lease_owner.is_not(None)).limit(1)
    return connection.scalar(statement) is not None


def erase(
    connection: "Connection",
    subject: Subject,
    loose: Loose,
    *,
    by: str,
    forget_opt_out: bool,
    now: datetime,
) -> Erasure:
    """Delete a person, and keep that it was done. Nothing of theirs may be under way.

    :param forget_opt_out: also that they want no messages; else their addresses are kept for that,
        each with what leads from it to the one that stands for them all.
    """
    with overwriting(connection):
        return _erased(connection, subject, loose, by=by, forget_opt_out=forget_opt_out, now=now)


def _erased(
    connection: "Connection",
    subject: Subject,
    loose: Loose,
    *,
    by: str,
    forget_opt_out: bool,
    now: datetime,
) -> Erasure:
    tenant = subject.tenant
    counts: dict[str, int] = {}
    salt = salt_of(connection, tenant)
    _remember(connection, subject, loose, salt, now)
    digests = _files_of(connection, subject)
    counts["api_answer"] = forget_answers(connection, subject)
    out = _opted_out(connection, subject) and not forget_opt_out
    belongings = dict(subject.belongings)
    if out:
        del belongings[alias]
    if newest := _newest_ticket(connection, subject):
        belongings[ticket] = sa.and_(belongings[ticket], ticket.c.id != newest)
        counts[ticket.name] = 1
    for table, where in belongings.items():
        if table is usage:
            counts[table.name] = connection.execute(
                sa.update(usage)
                .where(where)
                .values(conversation=None, event_lane=None, event_seq=None)
            ).rowcount
            continue
        gone = connection.execute(sa.delete(table).where(where)).rowcount
        counts[table.name] = counts.get(table.name, 0) + gone
        if table is ticket and newest is not None:
            _blank_ticket(connection, newest)
    counts["media"] = sum(release(connection, tenant, digest) for digest in digests)
    counts[outbox.name] += blank_items(connection, subject, loose, now)
    delete_events(connection, [(row.lane, row.seq) for row in loose.unparsed])
    counts[inbox_event.name] += len(loose.unparsed)
    if out:
        values = {"id": new_id(), "tenant": tenant, "key": subject.key, "opted_out": True}
        connection.execute(
            sa.insert(contact).values(**values, tags=[], attributes={}, created_at=now)
        )
    made = Erasure(
        id=new_id(),
        tenant=tenant,
        at=now,
        by=by,
        opted_out=out,
        counts={name: number for name, number in sorted(counts.items()) if number},
    )
    connection.execute(
        sa.insert(erasure).values(
            id=made.id,
            tenant=tenant,
            digests=digests_of(salt, subject.keys),
            by=by,
            opted_out=made.opted_out,
            counts=made.counts,
            created_at=now,
        )
    )
    return made


def found(connection: "Connection", tenant: str, name: str) -> tuple[Subject, Loose]:
    """Find a person, and what else names them, while nobody may change it."""
    subject = find_subject(connection, tenant, name)
    if hold(connection, subject):
        # What was committed before the locks were there.
        subject = find_subject(connection, tenant, name)
    return subject, loose_rows(connection, subject)


def _remember(
    connection: "Connection", subject: Subject, loose: Loose, salt: str, now: datetime
) -> None:
    """Keep, as digests, under which names providers may send once more what is erased."""
    tenant = subject.tenant
    events = connection.execute(
        sa.select(inbox_event.c.source, inbox_event.c.external_id).where(
            subject.belongings[inbox_event], inbox_event.c.type.not_in(_OWN)
        )
    ).all()
    names = {(row.source, row.external_id) for row in (*events, *loose.unparsed)}
    sent = connection.execute(
        sa.select(outbox.c.destination, outbox.c.provider_ref).where(
            subject.belongings[outbox],
            outbox.c.kind == ItemKind.MESSAGE,
            outbox.c.provider_ref.is_not(None),
            outbox.c.created_at >= now - _REPORTED,
        )
    ).all()
    known = sources(connection, tenant) if sent else []
    for row in sent:
        own = f"{tenant}/{row.destination}"
        for source in {own, f"{own}/status", *(it for it in known if it.startswith(f"{own}/"))}:
            names.add((source, f"echo:{row.provider_ref}"))
            names |= {(source, f"delivery:{row.provider_ref}:{each}") for each in _STATUSES}
    digests = {event_digest(salt, *name) for name in names}
    there = set[str]()
    for some in _parts(sorted(digests)):
        there.update(
            connection.scalars(
                sa.select(erased_event.c.digest).where(erased_event.c.digest.in_(some))
            )
        )
    rows = [{"digest": it, "tenant": tenant, "created_at": now} for it in sorted(digests - there)]
    if rows:
        connection.execute(sa.insert(erased_event), rows)


def _parts(texts: list[str], size: int = 500) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def files_in(texts: Iterable[Any]) -> set[str]:
    """Give the digests of files that are named in attachments, or in events."""
    digests: set[str] = set()
    for each in texts:
        text = each if isinstance(each, str) else json.dumps(each)
        digests.update(re.findall(r"\b[0-9a-f]{64}\b", text))
    return digests


def _files_of(connection: "Connection", subject: Subject) -> list[str]:
    """Give the files that a person sent and that nobody else did."""
    where = subject.belongings
    lines = connection.scalars(
        sa.select(message.c.attachments).where(where[message], message.c.attachments.is_not(None))
    )
    events = connection.scalars(
        sa.select(inbox_event.c.payload).where(
            where[inbox_event], inbox_event.c.type.in_(["message", "file"])
        )
    )
    heard = connection.scalars(
        sa.select(call.c.recording).where(where[call], call.c.recording.is_not(None))
    )
    mine = files_in([*lines, *events, *heard])
    if not mine:
        return []
    for column in (message.c.attachments, call.c.recording):
        table = column.table
        others = sa.select(column).where(
            table.c.tenant == subject.tenant,
            column.is_not(None),
            table.c.conversation.not_in(subject.conversations),
        )
        mine -= files_in(connection.scalars(others))
    return sorted(mine)


def _opted_out(connection: "Connection", subject: Subject) -> bool:
    asked = sa.select(contact.c.opted_out).where(subject.belongings[contact])
    return any(connection.scalars(asked))


def _newest_ticket(connection: "Connection", subject: Subject) -> str | None:
    """Give the ticket from whose number on the next ones are counted, if it is one of theirs."""
    newest = connection.execute(
        sa.select(ticket.c.id, subject.belongings[ticket].label("theirs"))
        .where(ticket.c.tenant == subject.tenant)
        .order_by(ticket.c.number.desc())
        .limit(1)
    ).first()
    return newest.id if newest is not None and newest.theirs else None


def _blank_ticket(connection: "Connection", id: str) -> None:
    nothing = {"conversation": None, "event_lane": None, "event_seq": None, "assignee": None}
    connection.execute(
        sa.update(ticket)
        .where(ticket.c.id == id)
        .values(**nothing, title=BLANK, state=TicketState.CLOSED)
    )
