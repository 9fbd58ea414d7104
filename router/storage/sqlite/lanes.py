"""Lanes on SQLite: numbers, leases and cursors. One writer, so a statement sees all before it."""

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from router.domain.limits import CLOCKS_APART, LONGEST_RETRY
from router.storage.sqlite.bulk import Bulk, Insert, Lookup

# How lanes stand that are about to take numbers or to move. Read first, because what SQLite sets
# to the value that it had costs as much as a change, in the table and in each of its indexes.
_STAND = Lookup(
    "key, last_seq, done_seq, ready_at, lease_owner, parked",
    """
FROM lane WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

_NEW = Insert("lane (kind, key, tenant, last_seq, ready_at, lease_owner)")

# Taking a number where the lane was idle, and its lease where there is room: the event goes
# straight to a worker of this node, without a claim.
_HAND = Bulk(
    """
UPDATE lane SET last_seq = last_seq + ?, ready_at = ?, lease_owner = ?
WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

# Taking a number in a lane that has work already, or that is parked and stays so.
_GROW = Bulk(
    """
UPDATE lane SET last_seq = last_seq + ? WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

# A parked lane wakes for a person.
_WAKE = Bulk(
    """
UPDATE lane SET last_seq = last_seq + ?, ready_at = coalesce(ready_at, ?), parked = 0
WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

_CLAIM = """
UPDATE lane SET lease_owner = :me WHERE kind = :kind AND key IN (
  SELECT key FROM lane
  WHERE kind = :kind AND ready_at IS NOT NULL AND ready_at <= :now
    AND lease_owner IS NULL AND parked = 0
  ORDER BY ready_at LIMIT :limit)
RETURNING key, tenant, done_seq, attempts, crashes, ready_at
"""

# The cursor moves only while the lease is ours and only forwards: what a stale worker brings
# matches no row and is dropped. Nothing else runs between reading the lanes and moving them.
_FINISH = Bulk(
    """
UPDATE lane SET done_seq = last_seq, ready_at = NULL, lease_owner = NULL, attempts = 0,
  crashes = 0, last_error = NULL
WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

_MOVE = Bulk(
    """
WITH v AS (VALUES {rows})
UPDATE lane SET done_seq = v.column2, attempts = 0, crashes = 0, last_error = NULL
FROM v WHERE kind = v.column3 AND key = v.column1
""",
    3,
)

_HOLDS = "SELECT 1 FROM lane WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?"

_REST = """
UPDATE lane SET lease_owner = NULL, ready_at = :ready_at, attempts = :attempts,
  last_error = :error, parked = :parked,
  crashes = :crashes
WHERE kind = :kind AND key = :key AND lease_owner = :me AND done_seq < :seq
"""

_IDLE = """
UPDATE lane SET lease_owner = NULL, ready_at = NULL, attempts = 0, last_error = NULL,
  done_seq = last_seq
WHERE kind = ? AND key = ? AND lease_owner = ?
"""

_IDLE_ALL = Bulk(
    """
UPDATE lane SET lease_owner = NULL, ready_at = NULL, attempts = 0, last_error = NULL,
  done_seq = last_seq
WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

_FORGET_ALL = Bulk("DELETE FROM lane WHERE kind = ? AND key IN (VALUES {rows})", 1)

# What comes late about work that is done leaves the lease of the work after it alone. The process
# lives: what was counted in advance is taken back.
_RELEASE = """
UPDATE lane SET lease_owner = NULL, crashes = ?
WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?
"""

# As a release, but it is not claimed again before a moment. What was counted stays.
_POSTPONE = """
UPDATE lane SET lease_owner = NULL, ready_at = ?, queue = ?, place = ?
WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?
"""

_LEAVE_QUEUE = Bulk(
    """
UPDATE lane SET queue = NULL, place = NULL WHERE kind = ? AND key IN (VALUES {rows})
""",
    1,
)

# In the order of the places, and not of the moments of looking: who looked in vain, because a
# person's word went ahead, is still the first.
_FIRST_QUEUED = """
SELECT key, ready_at, lease_owner FROM lane
WHERE tenant = ? AND queue = ? AND ready_at IS NOT NULL ORDER BY place LIMIT 1
"""

_CALL = "UPDATE lane SET ready_at = ? WHERE kind = 'out' AND key = ?"

_RELEASE_ALL = "UPDATE lane SET lease_owner = NULL WHERE lease_owner = ?"

# Counted in advance: it stands if this process dies before the event is done.
_SUSPECT = """
UPDATE lane SET crashes = ?
WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?
"""

#: Above every number of a lane.
_LAST = 2**63 - 1

_CLOCKS_APART = CLOCKS_APART // timedelta(microseconds=1)
_LONGEST_RETRY = LONGEST_RETRY // timedelta(microseconds=1)

# A start after a crash: every lease is void. The lane is only a suspect (1); the worker counts
# further crashes while it works a suspect alone, so that bystanders are never blamed.
_RECOVER = """
UPDATE lane SET lease_owner = NULL, crashes = max(crashes, 1)
WHERE lease_owner IS NOT NULL
"""

# When the last came in, or was put out and waits, of what did after a moment. The newest of each
# tenant: there is no index over all of them.
_AFTER = """
WITH RECURSIVE t (tenant) AS (
  SELECT min(tenant) FROM inbox_event
  UNION ALL
  SELECT (SELECT min(tenant) FROM inbox_event WHERE tenant > t.tenant) FROM t
  WHERE t.tenant IS NOT NULL)
SELECT max(at) FROM (
  SELECT max(created_at) AS at FROM outbox
  WHERE state = 'waiting' AND state NOT IN ('done', 'withdrawn') AND created_at > :moment
  UNION ALL
  SELECT (SELECT max(received_at) FROM inbox_event e
    WHERE e.tenant = t.tenant AND e.received_at > :moment) FROM t)
"""

# A clock that was set back must not hold back what was ready before; retries wait no longer than
# they would have. What had a place in a sender's queue looks again in the same order. What is
# leased was ready, and may be given back.
_NOT_LATER = """
UPDATE lane SET ready_at = CASE WHEN lane.attempts > 0 AND lane.lease_owner IS NULL
  THEN max(lane.ready_at - :back, :now) ELSE :now - late.place END
FROM (
  SELECT kind, key, row_number() OVER (ORDER BY ready_at DESC) AS place FROM (
    SELECT kind, key, ready_at FROM lane
    WHERE kind IN ('in', 'out', 'job') AND ready_at IS NOT NULL AND ready_at > :now
      AND lease_owner IS NULL AND parked = 0
    UNION ALL
    SELECT kind, key, ready_at FROM lane
    WHERE lease_owner > 0 AND ready_at > :now AND parked = 0)) AS late
WHERE lane.kind = late.kind AND lane.key = late.key
"""

# Their places are given away anew.
_NO_QUEUE = "UPDATE bucket SET queued_to = NULL WHERE queued_to IS NOT NULL"

# What is due stays so.
_POLLERS_NOT_LATER = """
UPDATE poller SET due_at = min(due_at, max(due_at - :back, :now)),
  leased_until = min(leased_until, max(leased_until - :back, :now))
WHERE due_at > :now OR leased_until > :now
"""

# How long a step was of which nothing else tells, nobody knows.
_NO_SUCH_RETRY = """
UPDATE lane SET ready_at = :now
WHERE kind IN ('in', 'out', 'job') AND ready_at IS NOT NULL AND ready_at > :latest
  AND lease_owner IS NULL AND parked = 0 AND attempts > 0
"""

_NEXT_READY = """
SELECT min(ready_at) FROM lane
WHERE kind = ? AND ready_at IS NOT NULL AND lease_owner IS NULL AND parked = 0
"""


class Claimed(NamedTuple):
    """A lane that this node has just leased."""

    key: str
    tenant: str
    done_seq: int
    attempts: int
    crashes: int


class _Lane(NamedTuple):
    """How a lane stands."""

    key: str
    last_seq: int
    done_seq: int
    ready_at: int | None
    lease_owner: int | None
    parked: int


class Number(NamedTuple):
    """A number taken in a lane.

    :param handed: the lane was idle, and is now leased to this node.
    """

    seq: int
    handed: bool


def extend(
    raw: sqlite3.Connection,
    kind: str,
    lanes: Sequence[tuple[str, str]],
    *,
    me: int,
    room: int,
    now: int,
    person: bool = False,
) -> list[Number]:
    """Take a number in each of these lanes, which may be the same ones; in the order given.

    :param lanes: key and tenant.
    :param me: who leases what was idle.
    :param room: of so many lanes at most; the others are left to be claimed.
    """
    standing = _standing(raw, kind, [key for key, _ in lanes])
    counts: dict[str, int] = {}
    fresh: list[tuple[str, str, int | None]] = []
    handed: list[str] = []
    ready: list[str] = []
    woken: list[str] = []
    grown: list[str] = []
    numbers = []
    for place, (key, tenant) in enumerate(lanes):
        count = counts[key] = counts.get(key, 0) + 1
        lane = standing.get(key)
        hand = count == 1 and place < room
        if lane is None:
            numbers.append(Number(count, hand))
            if count == 1:
                fresh.append((key, tenant, me if hand else None))
            continue
        idle = lane.ready_at is None and lane.lease_owner is None and not lane.parked
        hand = hand and idle and lane.done_seq == lane.last_seq
        numbers.append(Number(lane.last_seq + count, hand))
        if count > 1:
            continue
        if idle:
            (handed if hand else ready).append(key)
        elif person if lane.parked else lane.ready_at is None:
            woken.append(key)
        else:
            grown.append(key)
    rows = [(kind, key, tenant, counts[key], now, owner) for key, tenant, owner in fresh]
    _NEW.run(raw, rows)
    for count in sorted(set(counts.values())):
        for statement, keys, values in (
            (_HAND, handed, (count, now, me, kind)),
            (_HAND, ready, (count, now, None, kind)),
            (_WAKE, woken, (count, now, kind)),
            (_GROW, grown, (count, kind)),
        ):
            statement.run(raw, [(key,) for key in keys if counts[key] == count], *values)
    return numbers


def _standing(raw: sqlite3.Connection, kind: str, keys: Sequence[str]) -> dict[str, _Lane]:
    rows = _STAND.run(raw, [(key,) for key in keys], kind)
    return {row[0]: _Lane(*row) for row in rows}


def claim(raw: sqlite3.Connection, kind: str, *, me: int, now: int, limit: int) -> list[Claimed]:
    """Lease lanes that are ready, oldest first."""
    rows = raw.execute(_CLAIM, {"kind": kind, "me": me, "now": now, "limit": limit}).fetchall()
    # What an UPDATE returns has no order of its own.
    return [Claimed(*row[:-1]) for row in sorted(rows, key=lambda row: row[-1])]


def advance(
    raw: sqlite3.Connection, kind: str, cursors: Sequence[tuple[str, int]], *, me: int
) -> dict[str, bool]:
    """Move cursors; say of each lane whose lease is not lost whether more is waiting in it."""
    standing = _standing(raw, kind, [key for key, _ in cursors])
    held, finished, moved = {}, [], []
    for key, seq in cursors:
        lane = standing.get(key)
        if lane is None or lane.lease_owner != me or lane.done_seq >= seq:
            continue
        more = held[key] = lane.last_seq > seq
        if more:
            moved.append((key, seq, kind))
        else:
            finished.append((key,))
    _FINISH.run(raw, finished, kind)
    _MOVE.run(raw, moved)
    return held


def holds(raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int) -> bool:
    """Tell whether this node still leases the lane and the event is still undone."""
    return raw.execute(_HOLDS, (kind, key, me, seq)).fetchone() is not None


def rest(
    raw: sqlite3.Connection,
    kind: str,
    key: str,
    *,
    me: int,
    ready_at: int | None,
    seq: int = _LAST,
    attempts: int = 0,
    error: str | None = None,
    parked: bool = False,
    crashes: int = 0,
) -> None:
    """Give the lease back with work left: to be claimed at a later moment, or parked.

    :param seq: the number of what is to be tried again; nothing happens if it is done.
    :param crashes: as many as when it was claimed.
    """
    raw.execute(
        _REST,
        {
            "kind": kind,
            "key": key,
            "me": me,
            "ready_at": ready_at,
            "seq": seq,
            "attempts": attempts,
            "error": error,
            "parked": parked,
            "crashes": crashes,
        },
    )


def idle(raw: sqlite3.Connection, kind: str, key: str, *, me: int) -> None:
    """Give the lease back with nothing left to do."""
    raw.execute(_IDLE, (kind, key, me))


def idle_all(raw: sqlite3.Connection, kind: str, keys: Sequence[str]) -> None:
    """Give leases back of lanes that are this node's and hold nothing more."""
    _IDLE_ALL.run(raw, [(key,) for key in keys], kind)


def release(
    raw: sqlite3.Connection, kind: str, key: str, seq: int, crashes: int, *, me: int
) -> None:
    """Give the lease back untouched, unless what it was taken for is done.

    :param crashes: as many as when it was claimed.
    """
    raw.execute(_RELEASE, (crashes, kind, key, me, seq))


def postpone(
    raw: sqlite3.Connection,
    kind: str,
    key: str,
    seq: int,
    *,
    me: int,
    ready_at: int,
    queue: str | None = None,
    place: int | None = None,
) -> None:
    """Give the lease back untouched, to be claimed again at a later moment.

    :param queue: the bucket for whose token it waits, if others wait for it, too.
    :param place: where it stands among those: the earlier, the sooner it is called.
    """
    raw.execute(_POSTPONE, (ready_at, queue, place, kind, key, me, seq))


def leave_queue(raw: sqlite3.Connection, kind: str, keys: Sequence[str]) -> None:
    """Let lanes wait for nobody's token any more."""
    _LEAVE_QUEUE.run(raw, [(key,) for key in keys], kind)


def first_queued(
    raw: sqlite3.Connection, tenant: str, queue: str
) -> tuple[str, int, int | None] | None:
    """Give the first lane of a queue, when it is claimed again, and who leases it."""
    found: tuple[str, int, int | None] | None = raw.execute(
        _FIRST_QUEUED, (tenant, queue)
    ).fetchone()
    return found


def call(raw: sqlite3.Connection, key: str, ready_at: int) -> None:
    """Let a lane that waits be claimed earlier."""
    raw.execute(_CALL, (ready_at, key))


def release_all(raw: sqlite3.Connection, *, me: int) -> None:
    """Give every lease of this node back untouched."""
    raw.execute(_RELEASE_ALL, (me,))


def suspect(
    raw: sqlite3.Connection, kind: str, key: str, seq: int, crashes: int, *, me: int
) -> None:
    """Note the crashes around the head of a lane, unless the lease is lost."""
    raw.execute(_SUSPECT, (crashes, kind, key, me, seq))


def recover(raw: sqlite3.Connection, now: int) -> None:
    """Void the leases of the process that held this file before."""
    raw.execute(_RECOVER)
    # Without a reason, who waits for a sender would lose its place to those behind it.
    (newest,) = raw.execute(_AFTER, {"moment": now + _CLOCKS_APART}).fetchone()
    if newest is not None:
        back = newest - now
        # So far back that it was another time, which every start since has seen: what is left of
        # that time is brought in by itself.
        not_later(raw, now, back if back <= _LONGEST_RETRY else 0)
    raw.execute(_NO_SUCH_RETRY, {"now": now, "latest": now + _LONGEST_RETRY})


def not_later(raw: sqlite3.Connection, now: int, back: int) -> None:
    """Let what was ready before the clock was set back be ready now, and retries as soon as ever.

    :param back: how far, at least.
    """
    raw.execute(_POLLERS_NOT_LATER, {"now": now, "back": back})
    raw.execute(_NOT_LATER, {"now": now, "back": back})
    raw.execute(_NO_QUEUE)


def next_ready(raw: sqlite3.Connection, kind: str) -> int | None:
    """Give the earliest moment at which a lane may be claimed."""
    found: int | None = raw.execute(_NEXT_READY, (kind,)).fetchone()[0]
    return found


def forget(raw: sqlite3.Connection, kind: str, key: str) -> None:
    """Remove a lane that held one item and never will hold another."""
    raw.execute("DELETE FROM lane WHERE kind = ? AND key = ?", (kind, key))


def forget_all(raw: sqlite3.Connection, kind: str, keys: Sequence[str]) -> None:
    """Remove lanes that held one item each and never will hold another."""
    _FORGET_ALL.run(raw, [(key,) for key in keys], kind)
