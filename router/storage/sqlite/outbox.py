"""The outbox on SQLite: putting items in, and keeping their order.

An ``unknown`` head holds its lane back for the bot and for rules. What a person writes goes past
it, so items may end out of order; the cursor then stays before the first that has not ended.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from router.clock import from_micros, to_micros
from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.storage.queued import Queued
from router.storage.sqlite import lanes
from router.storage.sqlite.bulk import Insert
from router.storage.store import OWN_LANE, EventRef, Item

_INSERT = Insert(
    "outbox (id, tenant, lane, seq, kind, conversation, decided_lane, decided_seq, author, epoch, "
    "destination, body, state, attempt, created_at, not_before)"
)

_ITEM = """
SELECT id, tenant, lane, seq, kind, conversation, decided_lane, decided_seq, author, epoch,
  destination, body, state, attempt, created_at, started_at, not_before,
  account
FROM outbox WHERE lane = ? AND seq > ? AND state IN ('waiting', 'started', 'unknown') ORDER BY seq
"""

_OVERTAKEN = """
UPDATE outbox SET state = 'withdrawn', finished_at = ?, error = ?
WHERE lane = ? AND seq > ? AND seq < ? AND state = 'waiting' AND author != 'person'
RETURNING id
"""

_FIRST_OPEN = """
SELECT min(seq) FROM outbox
WHERE lane = ? AND seq > ? AND state IN ('waiting', 'started', 'unknown')
"""

_NOT_SENT = "UPDATE message SET status = 'withdrawn', failure = ? WHERE id = ?"


def put(
    raw: sqlite3.Connection, kind: str, queued: Sequence[Queued], *, me: int, room: int, now: int
) -> list[Item]:
    """Put items for one kind of lane in; give those whose lane was idle and is now leased."""
    rows, items, at = [], [], from_micros(now)
    for person in (False, True):
        some = [it for it in queued if (it.item.author is Author.PERSON) is person]
        keys = [(it.item.lane, it.tenant) for it in some]
        numbers = lanes.extend(raw, kind, keys, me=me, room=room, now=now, person=person)
        for it, number in zip(some, numbers, strict=True):
            rows.append(_row(it, number.seq, now))
            if number.handed:
                items.append(it.fresh(number.seq, at))
    _INSERT.run(raw, rows)
    return items


def _row(queued: Queued, seq: int, now: int) -> tuple[Any, ...]:
    item = queued.item
    return (
        item.id,
        queued.tenant,
        item.lane,
        seq,
        item.kind,
        queued.conversation,
        *(queued.decided or (None, None)),
        item.author,
        queued.epoch,
        item.destination,
        item.body,
        "waiting",
        0,
        now,
        None if item.not_before is None else to_micros(item.not_before),
    )


def next_item(
    raw: sqlite3.Connection, kind: str, lane: str, done_seq: int, *, me: int
) -> Item | None:
    """Read the next item that may leave; if there is none, give the lane back as it should rest."""
    blocked = False
    for row in raw.execute(_ITEM, (lane, done_seq)):
        if row[12] == "unknown":
            blocked = True
        elif not blocked:
            return _item(row)
        elif row[8] == "person":
            _overtake(raw, lane, done_seq, row[3])
            return _item(row)
    if blocked:
        lanes.rest(raw, kind, lane, me=me, ready_at=None, parked=True)
    else:
        lanes.idle(raw, kind, lane, me=me)
    return None


def _overtake(raw: sqlite3.Connection, lane: str, done_seq: int, seq: int) -> None:
    """Withdraw what waits before a person's message that goes past an unknown head.

    What the bot or a rule had to say before the person spoke must not come after it.
    """
    why = "a person wrote before it was sent"
    now = raw.execute("SELECT created_at FROM outbox WHERE lane = ? AND seq = ?", (lane, seq))
    rows = raw.execute(_OVERTAKEN, (now.fetchone()[0], why, lane, done_seq, seq)).fetchall()
    for (name,) in rows:
        raw.execute(_NOT_SENT, (why, name))


def _item(row: Sequence[Any]) -> Item:
    return Item(
        id=row[0],
        tenant=row[1],
        lane=row[2],
        seq=row[3],
        kind=ItemKind(row[4]),
        conversation=row[5],
        decided=None if row[6] is None else EventRef(row[6], row[7]),
        author=Author(row[8]),
        epoch=row[9],
        destination=row[10],
        body=row[11],
        state=ItemState(row[12]),
        attempt=row[13],
        created_at=from_micros(row[14]),
        started_at=None if row[15] is None else from_micros(row[15]),
        not_before=None if row[16] is None else from_micros(row[16]),
        account=row[17],
    )


def move(raw: sqlite3.Connection, kind: str, lane: str, *, me: int) -> Item | None:
    """Move the cursor up to the first item that has not ended; give the next that may leave."""
    row = raw.execute(
        "SELECT done_seq, last_seq, lease_owner FROM lane WHERE kind = ? AND key = ?", (kind, lane)
    ).fetchone()
    if row is None:
        return None
    done_seq, last_seq, owner = row
    first = raw.execute(_FIRST_OPEN, (lane, done_seq)).fetchone()[0]
    done = last_seq if first is None else first - 1
    if done > done_seq:
        raw.execute("UPDATE lane SET done_seq = ? WHERE kind = ? AND key = ?", (done, kind, lane))
    if owner != me:
        return None
    if first is None:
        if lane.startswith(OWN_LANE):
            lanes.forget(raw, kind, lane)
        else:
            lanes.idle(raw, kind, lane, me=me)
        return None
    return next_item(raw, kind, lane, done, me=me)


def wake(raw: sqlite3.Connection, kind: str, lane: str, now: int) -> None:
    """Let a lane that was parked or waits for a later moment be claimed now."""
    raw.execute(
        "UPDATE lane SET parked = 0, ready_at = ? WHERE kind = ? AND key = ?"
        " AND lease_owner IS NULL AND done_seq < last_seq",
        (now, kind, lane),
    )
