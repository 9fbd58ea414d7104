"""The outbox on SQLite: putting items in, starting and ending attempts, keeping their order.

An ``unknown`` head holds its lane back for the bot and for rules. What a person writes goes past
it, so items may end out of order; the cursor then stays before the first that has not ended.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from router.clock import from_micros, to_micros
from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.storage import sqlite_lanes
from router.storage.store import OWN_LANE, AttemptResult, EventRef, Item, NewItem

_INSERT = """
INSERT INTO outbox (id, tenant, lane, seq, kind, conversation, decided_lane, decided_seq, author,
  epoch, destination, body, state, attempt, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?)
"""

_ITEM = """
SELECT id, tenant, lane, seq, kind, conversation, decided_lane, decided_seq, author, epoch,
  destination, body, state, attempt, created_at, started_at
FROM outbox WHERE lane = ? AND seq > ? AND state IN ('waiting', 'started', 'unknown') ORDER BY seq
"""

_EPOCH = """
SELECT o.state, o.attempt, v.epoch, v.owner, v.pending_ask
FROM outbox o LEFT JOIN conversation v ON v.id = o.conversation
WHERE o.id = ?
"""

_START = """
UPDATE outbox SET state = 'started', attempt = attempt + 1, started_at = ?, finished_at = NULL
WHERE id = ?
"""

_END = """
UPDATE outbox SET state = ?, finished_at = ?, provider_ref = coalesce(?, provider_ref), code = ?,
  error = ? WHERE id = ?
"""

_FIRST_OPEN = """
SELECT min(seq) FROM outbox
WHERE lane = ? AND seq > ? AND state IN ('waiting', 'started', 'unknown')
"""

# A callback may have told more than we know now; what it told stays.
_MESSAGE_STATUS = """
UPDATE message SET status = CASE WHEN status IN ('delivered', 'read') THEN status ELSE ? END,
  failure = ?, provider_id = coalesce(?, provider_id) WHERE id = ?
"""

_KNOWN_AS = """
UPDATE message SET
  status = CASE WHEN status IN ('delivered', 'read', 'failed') THEN status ELSE ? END,
  failure = coalesce(failure, ?), provider_id = coalesce(provider_id, ?) WHERE id = ?
"""

_EARLY = """
DELETE FROM early_report WHERE tenant = ? AND channel = ? AND provider_id = ?
RETURNING status, failure
"""

#: What people see of a message whose item stands in a state. ``done`` is ``sent``.
_STATUS = {
    ItemState.DONE: "sent",
    ItemState.REFUSED: "failed",
    ItemState.DEAD: "failed",
    ItemState.UNKNOWN: "unknown",
    ItemState.WITHDRAWN: "withdrawn",
}


def put(
    raw: sqlite3.Connection,
    item: NewItem,
    *,
    tenant: str,
    conversation: str | None,
    epoch: int,
    decided: EventRef | None,
    me: int | None,
    now: int,
) -> Item | None:
    """Put an item in; give it back if its lane was idle and is now leased to ``me``."""
    person = item.author is Author.PERSON
    seq, handed = sqlite_lanes.extend(
        raw, item.lane_kind, item.lane, tenant, me=me, now=now, person=person
    )
    lane, number = decided or (None, None)
    raw.execute(
        _INSERT,
        (
            item.id,
            tenant,
            item.lane,
            seq,
            item.kind,
            conversation,
            lane,
            number,
            item.author,
            epoch,
            item.destination,
            item.body,
            now,
        ),
    )
    if not handed:
        return None
    return Item(
        id=item.id,
        tenant=tenant,
        lane=item.lane,
        seq=seq,
        kind=item.kind,
        conversation=conversation,
        decided=decided,
        author=item.author,
        epoch=epoch,
        destination=item.destination,
        body=item.body,
        state=ItemState.WAITING,
        attempt=0,
        created_at=from_micros(now),
    )


def next_item(
    raw: sqlite3.Connection, kind: str, lane: str, done_seq: int, *, me: int
) -> Item | None:
    """Read the next item that may leave; if there is none, give the lane back as it should rest."""
    blocked = False
    for row in raw.execute(_ITEM, (lane, done_seq)):
        if row[12] == "unknown":
            blocked = True
        elif not blocked or row[8] == "person":
            return _item(row)
    if blocked:
        sqlite_lanes.rest(raw, kind, lane, me=me, ready_at=None, parked=True)
    else:
        sqlite_lanes.idle(raw, kind, lane, me=me)
    return None


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
    )


def start(raw: sqlite3.Connection, item: Item, now: int, *, me: int) -> tuple[bool, Item | None]:
    """Mark an item started, or withdraw it; after a withdrawal, give the lane's next item."""
    if not sqlite_lanes.holds(raw, item.lane_kind, item.lane, item.seq, me=me):
        return False, None
    state, attempt, epoch, owner, pending = raw.execute(_EPOCH, (item.id,)).fetchone()
    if attempt != item.attempt:
        # Somebody has begun it since it was claimed, and will say how that ended.
        return False, None
    if state not in ("waiting", "started"):
        return False, move(raw, item.lane_kind, item.lane, me=me)
    fenced = item.author is not Author.PERSON and item.kind is ItemKind.MESSAGE
    if fenced and epoch is not None and epoch > item.epoch:
        why = f"{owner} took the conversation over before it was sent"
        raw.execute(_END, (ItemState.WITHDRAWN, now, None, None, why, item.id))
        raw.execute(_MESSAGE_STATUS, ("withdrawn", why, None, item.id))
        return False, move(raw, item.lane_kind, item.lane, me=me)
    if item.kind in (ItemKind.ASK, ItemKind.CLASSIFY) and pending != item.id:
        _unask(raw, item, now)
        return False, move(raw, item.lane_kind, item.lane, me=me)
    raw.execute(_START, (now, item.id))
    return True, None


def _unask(raw: sqlite3.Connection, item: Item, now: int) -> None:
    """Withdraw a question whose answer nobody waits for: the conversation has moved on."""
    why = "the conversation has moved on before it was asked"
    raw.execute(_END, (ItemState.WITHDRAWN, now, None, None, why, item.id))
    if item.decided is not None:
        # What put the question is settled. A message stays in its turn for the next question.
        raw.execute(
            "UPDATE inbox_event SET outcome = 'superseded'"
            " WHERE lane = ? AND seq = ? AND outcome = 'asking' AND type != 'message'",
            item.decided,
        )


def finish(
    raw: sqlite3.Connection, item: Item, result: AttemptResult, now: int, *, me: int
) -> tuple[bool, Item | None]:
    """Write how an attempt ended; say whether it counted, and give the lane's next item."""
    row = raw.execute("SELECT state FROM outbox WHERE id = ?", (item.id,)).fetchone()
    if row is None or row[0] in ("done", "withdrawn", "refused", "dead"):
        # An echo or a status callback has proved it meanwhile, or a stale worker comes late.
        if row is not None and row[0] == "done" and result.provider_ref:
            _also_known_as(raw, item, result.provider_ref)
        return False, move(raw, item.lane_kind, item.lane, me=me)
    # A receipt is a fact whoever brings it; any other word counts only under the lease.
    if result.state is not ItemState.DONE and not sqlite_lanes.holds(
        raw, item.lane_kind, item.lane, item.seq, me=me
    ):
        return False, None
    finished = None if result.state is ItemState.WAITING else now
    raw.execute(
        _END, (result.state, finished, result.provider_ref, result.code, result.error, item.id)
    )
    if item.kind is ItemKind.MESSAGE and result.state in _STATUS:
        status, failure = _STATUS[result.state], result.error
        if result.provider_ref is not None:
            status, failure = _early(raw, item, result.provider_ref, status, failure)
        raw.execute(_MESSAGE_STATUS, (status, failure, result.provider_ref, item.id))
    if result.state is ItemState.WAITING:
        retry_at = now if result.retry_at is None else to_micros(result.retry_at)
        sqlite_lanes.rest(
            raw,
            item.lane_kind,
            item.lane,
            seq=item.seq,
            me=me,
            ready_at=retry_at,
            attempts=item.attempt + 1,
            error=result.error,
        )
        return True, None
    return True, move(raw, item.lane_kind, item.lane, me=me)


def _early(
    raw: sqlite3.Connection, item: Item, provider_ref: str, status: str, failure: str | None
) -> tuple[str, str | None]:
    """Take up what was reported of a message before its id was known here."""
    row = raw.execute(_EARLY, (item.tenant, item.destination, provider_ref)).fetchone()
    if row is None:
        return status, failure
    told: str | None = row[0]
    return (status if told in (None, "queued") else told), row[1]


def _also_known_as(raw: sqlite3.Connection, item: Item, provider_ref: str) -> None:
    """Keep the provider's id of what was proved to be sent before the provider's answer came."""
    raw.execute(
        "UPDATE outbox SET provider_ref = coalesce(provider_ref, ?) WHERE id = ?",
        (provider_ref, item.id),
    )
    if item.kind is ItemKind.MESSAGE:
        status, failure = _early(raw, item, provider_ref, "sent", None)
        raw.execute(_KNOWN_AS, (status, failure, provider_ref, item.id))


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
            sqlite_lanes.forget(raw, kind, lane)
        else:
            sqlite_lanes.idle(raw, kind, lane, me=me)
        return None
    return next_item(raw, kind, lane, done, me=me)


def wake(raw: sqlite3.Connection, kind: str, lane: str, now: int) -> None:
    """Let a lane that was parked or waits for a later moment be claimed now."""
    raw.execute(
        "UPDATE lane SET parked = 0, ready_at = ? WHERE kind = ? AND key = ?"
        " AND lease_owner IS NULL AND done_seq < last_seq",
        (now, kind, lane),
    )
