"""Threads on SQLite: what a lane's next event needs to be worked."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from router.clock import from_micros
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
from router.storage.sqlite.bulk import Lookup
from router.storage.store import Event, EventRef, Known, Work, Wrote

_NEXT = Lookup(
    "e.lane, e.seq, e.tenant, e.source, e.type, e.payload, e.received_at",
    """
FROM (VALUES {rows}) AS k JOIN inbox_event e ON e.lane = k.column1 AND e.seq = (
  SELECT min(seq) FROM inbox_event WHERE lane = k.column1 AND seq > k.column2)
""",
    2,
)

_THREAD = Lookup(
    """c.id, c.name, c.language, c.opted_out, c.tags, c.attributes, v.id, v.channel, v.address,
  v.status, v.source, v.owner, v.owner_since, v.epoch, v.category, v.risk, v.priority,
  v.language, v.bot_turns, v.last_in_at, v.last_person_at, v.last_provider_id,
  v.open_ticket, v.tags, v.attributes, v.turn_from, v.turn_generation, v.pending_ask,
  v.window_shut_at, v.last_activity_at, c.tenant, c.key""",
    """
FROM (VALUES {rows}) AS k JOIN contact c ON c.tenant = k.column1 AND c.key = k.column2
  LEFT JOIN conversation v ON v.contact = c.id AND v.status != 'closed'
""",
    2,
)

# What a rule has answered since is no part of the turn that still waits.
_TURN = """
SELECT seq, payload, received_at FROM inbox_event
WHERE lane = ? AND seq >= ? AND seq < ? AND type = 'message'
  AND outcome IN ('waiting', 'asking') ORDER BY seq
"""

CALL = "SELECT 1 FROM call WHERE tenant = ? AND id = ?"

# Beside max(), SQLite gives the other columns of the row that has it.
_WROTE = """
SELECT m.channel, m.address, max(m.created_at) FROM contact c
  JOIN conversation v ON v.contact = c.id JOIN message m ON m.conversation = v.id
WHERE c.tenant = ? AND c.key = ? AND m.direction = 'in' GROUP BY m.channel ORDER BY m.channel
"""


_STATUSES = {str(status): status for status in ConversationStatus}
_NOTHING: Turn = Turn()

#: Who a lane belongs to, and their open conversation.
Thread: TypeAlias = tuple[Contact | None, Conversation | None]
_NOBODY: Thread = (None, None)


class Cursor(NamedTuple):
    """Where a lane stands, and what is known of its head."""

    lane: str
    done_seq: int
    attempts: int = 0
    crashes: int = 0


def next_works(raw: sqlite3.Connection, cursors: Sequence[Cursor], era: int) -> dict[str, Work]:
    """Read the event after each cursor and the thread as it stands; a lane without is left out.

    :param era: the transaction's.
    """
    rows = _NEXT.run(raw, [(cursor.lane, cursor.done_seq) for cursor in cursors])
    threads = read_threads(raw, [(tenant, lane, seq) for lane, seq, tenant, *_ in rows])
    heads = {cursor.lane: cursor for cursor in cursors}
    works = {}
    for lane, seq, tenant, source, kind, payload, received_at in rows:
        contact, conversation = threads[lane]
        event = _decode(source, kind, payload)
        works[lane] = Work(
            ref=EventRef(lane, seq),
            tenant=tenant,
            source=source,
            event=event,
            received_at=from_micros(received_at),
            contact=contact,
            conversation=conversation,
            attempts=heads[lane].attempts,
            crashes=heads[lane].crashes,
            lease=era,
            known=known_of(raw, tenant, lane, event),
        )
    return works


def known_of(raw: sqlite3.Connection, tenant: str, lane: str, event: Event) -> Known | None:
    """Give what more is known of a call; ``None`` for any other event."""
    if not isinstance(event, CallEnded):
        return None
    rows = raw.execute(_WROTE, (tenant, lane[len(tenant) + 1 :])).fetchall()
    return Known(
        call=raw.execute(CALL, (tenant, event.id)).fetchone() is not None,
        wrote=tuple(
            Wrote(channel, Address.from_text(address), from_micros(at))
            for channel, address, at in rows
        ),
    )


def _decode(source: str, kind: str, payload: str) -> Event:
    """Read an event; one that this version cannot read must not stop the lanes of the others."""
    try:
        return codec.decode(kind, payload)
    except (LookupError, TypeError, ValueError) as error:
        words = f"it is stored as {kind!r} and cannot be read: {type(error).__name__}: {error}"
        channel = source.split("/")[1]
        return Unparsed(channel=channel, endpoint="", body="", headers={}, error=words)


def read_threads(
    raw: sqlite3.Connection, lanes: Sequence[tuple[str, str, int]]
) -> dict[str, Thread]:
    """Read who each lane belongs to, their open conversation, and its open turn.

    :param lanes: tenant, lane, and the number of the event that is to be worked.
    """
    rows = _THREAD.run(raw, [(tenant, lane[len(tenant) + 1 :]) for tenant, lane, _ in lanes])
    found = {f"{row[-2]}/{row[-1]}": row for row in rows}
    return {
        lane: _thread(raw, lane, found[lane], before) if lane in found else _NOBODY
        for _, lane, before in lanes
    }


def _thread(raw: sqlite3.Connection, lane: str, row: Sequence[Any], before: int) -> Thread:
    contact = Contact(
        id=row[0],
        key=row[-1],
        name=row[1],
        language=row[2],
        opted_out=bool(row[3]),
        tags=frozenset(json.loads(row[4])) if row[4] != "[]" else frozenset(),
        attributes=json.loads(row[5]) if row[5] != "{}" else {},
    )
    if row[6] is None:
        return contact, None
    turn_from, generation, pending_ask = row[25:28]
    turn = _NOTHING
    if turn_from is not None or generation or pending_ask is not None:
        messages = () if turn_from is None else _turn(raw, lane, turn_from, before)
        turn = Turn(messages=messages, generation=generation, pending_ask=pending_ask)
    return contact, Conversation(
        id=row[6],
        contact=contact,
        channel=row[7],
        address=Address.from_text(row[8]),
        status=_STATUSES[row[9]],
        source=row[10],
        owner=row[11],
        owner_since=None if row[12] is None else from_micros(row[12]),
        epoch=row[13],
        category=row[14],
        risk=row[15],
        priority=row[16],
        language=row[17],
        bot_turns=row[18],
        last_in_at=None if row[19] is None else from_micros(row[19]),
        last_person_at=None if row[20] is None else from_micros(row[20]),
        window_shut_at=None if row[28] is None else from_micros(row[28]),
        last_activity_at=from_micros(row[29]),
        last_provider_id=row[21],
        open_ticket=row[22],
        tags=frozenset(json.loads(row[23])) if row[23] != "[]" else frozenset(),
        attributes=json.loads(row[24]) if row[24] != "{}" else {},
        turn=turn,
    )


def _turn(raw: sqlite3.Connection, lane: str, first: int, before: int) -> tuple[TurnMessage, ...]:
    messages = []
    for seq, payload, received_at in raw.execute(_TURN, (lane, first, before)):
        event = _decode(lane, "message", payload)
        if isinstance(event, MessageReceived):
            messages.append(
                TurnMessage(
                    seq=seq,
                    text=event.text,
                    received_at=from_micros(received_at),
                    attachments=event.attachments,
                    in_reply_to=event.in_reply_to,
                    metadata=event.metadata,
                )
            )
    return tuple(messages)
