"""Threads on PostgreSQL: what a lane's next event needs to be worked."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from router.domain.conversation import (
    Contact,
    Conversation,
    ConversationStatus,
    Turn,
    TurnMessage,
)
from router.domain.event import CallEnded, MessageReceived
from router.domain.host_event import Unparsed
from router.domain.identity import Address
from router.storage import codec
from router.storage.postgres.engine import Transaction
from router.storage.postgres.lanes import columns
from router.storage.postgres.statements.threads import CALL, NEXT, THREAD, TURNS, WROTE
from router.storage.store import Event, EventRef, Known, Work, Wrote

_STATUSES = {str(status): status for status in ConversationStatus}
_NOTHING = Turn()

#: Who a lane belongs to, and their open conversation.
Thread: TypeAlias = tuple[Contact | None, Conversation | None]
_NOBODY: Thread = (None, None)


class Cursor(NamedTuple):
    """Where a leased lane stands, and what is known of its head."""

    lane: str
    done_seq: int
    lease: int
    attempts: int = 0
    crashes: int = 0


def next_works(tx: Transaction, cursors: Sequence[Cursor]) -> dict[str, Work]:
    """Read the event after each cursor and the thread as it stands; a lane without is left out.

    A statement of its own, after the one that locked the lanes: it sees every number they gave.
    """
    if not cursors:
        return {}
    heads = {cursor.lane: cursor for cursor in cursors}
    rows = tx.rows(NEXT, *columns([cursor[:2] for cursor in cursors], 2))
    threads = read_threads(tx, [(tenant, lane, seq) for lane, seq, tenant, *_ in rows])
    works = {}
    for lane, seq, tenant, source, kind, payload, received_at in rows:
        contact, conversation = threads[lane]
        head = heads[lane]
        event = _decode(source, kind, payload)
        works[lane] = Work(
            ref=EventRef(lane, seq),
            tenant=tenant,
            source=source,
            event=event,
            received_at=received_at,
            contact=contact,
            conversation=conversation,
            attempts=head.attempts,
            crashes=head.crashes,
            lease=head.lease,
            known=known_of(tx, tenant, lane, event),
        )
    return works


def known_of(tx: Transaction, tenant: str, lane: str, event: Event) -> Known | None:
    """Give what more is known of a call; ``None`` for any other event."""
    if not isinstance(event, CallEnded):
        return None
    rows = tx.rows(WROTE, tenant, lane[len(tenant) + 1 :])
    wrote = (Wrote(channel, Address.from_text(address), at) for channel, address, at in rows)
    return Known(call=bool(tx.rows(CALL, tenant, event.id)), wrote=tuple(wrote))


def _decode(source: str, kind: str, payload: str) -> Event:
    """Read an event; one that this version cannot read must not stop the lanes of the others."""
    try:
        return codec.decode(kind, payload)
    except (LookupError, TypeError, ValueError) as error:
        words = f"it is stored as {kind!r} and cannot be read: {type(error).__name__}: {error}"
        channel = source.split("/")[1]
        return Unparsed(channel=channel, endpoint="", body="", headers={}, error=words)


def read_threads(tx: Transaction, lanes: Sequence[tuple[str, str, int]]) -> dict[str, Thread]:
    """Read who each lane belongs to, their open conversation, and its open turn.

    :param lanes: tenant, lane, and the number of the event that is to be worked.
    """
    if not lanes:
        return {}
    people = [(tenant, lane[len(tenant) + 1 :]) for tenant, lane, _ in lanes]
    rows = {row[0]: row for row in tx.rows(THREAD, *columns(people, 2))}
    turns = _turns(
        tx,
        [
            (lane, rows[lane][27], before)
            for _, lane, before in lanes
            if lane in rows and rows[lane][27] is not None
        ],
    )
    return {
        lane: _thread(rows[lane], turns.get(lane, ())) if lane in rows else _NOBODY
        for _, lane, _ in lanes
    }


def _thread(row: Sequence[Any], messages: Sequence[TurnMessage]) -> Thread:
    contact = Contact(
        key=row[1],
        id=row[2],
        name=row[3],
        language=row[4],
        opted_out=row[5],
        tags=frozenset(json.loads(row[6])) if row[6] != "[]" else frozenset(),
        attributes=json.loads(row[7]) if row[7] != "{}" else {},
    )
    if row[8] is None:
        return contact, None
    generation, pending_ask = row[28:30]
    turn = _NOTHING
    if messages or generation or pending_ask is not None:
        turn = Turn(messages=tuple(messages), generation=generation, pending_ask=pending_ask)
    return contact, Conversation(
        id=row[8],
        contact=contact,
        channel=row[9],
        address=Address.from_text(row[10]),
        status=_STATUSES[row[11]],
        source=row[12],
        owner=row[13],
        owner_since=row[14],
        epoch=row[15],
        category=row[16],
        risk=row[17],
        priority=row[18],
        language=row[19],
        bot_turns=row[20],
        last_in_at=row[21],
        last_person_at=row[22],
        window_shut_at=row[30],
        last_activity_at=row[31],
        last_provider_id=row[23],
        open_ticket=row[24],
        tags=frozenset(json.loads(row[25])) if row[25] != "[]" else frozenset(),
        attributes=json.loads(row[26]) if row[26] != "{}" else {},
        turn=turn,
    )


def _turns(tx: Transaction, lanes: Sequence[tuple[str, int, int]]) -> dict[str, list[TurnMessage]]:
    if not lanes:
        return {}
    turns: dict[str, list[TurnMessage]] = {}
    for lane, seq, payload, received_at in tx.rows(TURNS, *columns(lanes, 3)):
        event = _decode(lane, "message", payload)
        if isinstance(event, MessageReceived):
            message = TurnMessage(
                seq=seq,
                text=event.text,
                received_at=received_at,
                attachments=event.attachments,
                in_reply_to=event.in_reply_to,
                metadata=event.metadata,
            )
            turns.setdefault(lane, []).append(message)
    return turns
