"""Lanes on SQLite: numbers, leases and cursors. One writer, so a statement sees all before it."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from router.storage.sqlite_bulk import Bulk

# Taking numbers and, where a lane was idle, its lease: the event goes straight to a worker of this
# node, without a claim. Every expression on the right sees the row as it was before.
_EXTEND = """
INSERT INTO lane (kind, key, tenant, last_seq, done_seq, ready_at, lease_owner)
VALUES {{rows}}
ON CONFLICT (kind, key) DO UPDATE SET
  last_seq = last_seq + 1,
  lease_owner = CASE WHEN ready_at IS NULL AND lease_owner IS NULL AND NOT parked
                     THEN excluded.lease_owner ELSE lease_owner END,
  {parked}
RETURNING key, last_seq, lease_owner, done_seq
"""
_WIDTH = 7
# A parked lane stays parked for the bot and its rules, and wakes for a person.
_EXTEND_FOR_BOT = Bulk(
    _EXTEND.format(
        parked="ready_at = CASE WHEN parked THEN ready_at"
        " ELSE coalesce(ready_at, excluded.ready_at) END"
    ),
    _WIDTH,
)
_EXTEND_FOR_PERSON = Bulk(
    _EXTEND.format(parked="ready_at = coalesce(ready_at, excluded.ready_at), parked = false"),
    _WIDTH,
)

_CLAIM = """
UPDATE lane SET lease_owner = :me WHERE kind = :kind AND key IN (
  SELECT key FROM lane
  WHERE kind = :kind AND ready_at IS NOT NULL AND ready_at <= :now
    AND lease_owner IS NULL AND NOT parked
  ORDER BY ready_at LIMIT :limit)
RETURNING key, tenant, done_seq, attempts, crashes, ready_at
"""

# The cursor moves only while the lease is ours and only forwards: what a stale worker brings
# matches no row and is dropped.
_ADVANCE = Bulk(
    """
UPDATE lane SET done_seq = v.column2, attempts = 0, crashes = 0, last_error = NULL,
  lease_owner = CASE WHEN last_seq > v.column2 THEN lease_owner END,
  ready_at = CASE WHEN last_seq > v.column2 THEN ready_at END
FROM (VALUES {rows}) AS v
WHERE kind = v.column4 AND key = v.column1 AND lease_owner = v.column3 AND done_seq < v.column2
RETURNING key, last_seq > done_seq
""",
    4,
)

_HOLDS = "SELECT 1 FROM lane WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?"

_REST = """
UPDATE lane SET lease_owner = NULL, ready_at = :ready_at, attempts = :attempts,
  last_error = :error, parked = :parked
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
WHERE (kind, key) IN (VALUES {rows})
""",
    2,
)

# What comes late about work that is done leaves the lease of the work after it alone.
_RELEASE = """
UPDATE lane SET lease_owner = NULL
WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?
"""

# As a release, but it is not claimed again before a moment. What was counted stays.
_POSTPONE = """
UPDATE lane SET lease_owner = NULL, ready_at = ?
WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?
"""

_RELEASE_ALL = "UPDATE lane SET lease_owner = NULL WHERE lease_owner = ?"

# Counted in advance: it stands if this process dies before the event is done.
_SUSPECT = """
UPDATE lane SET crashes = crashes + 1
WHERE kind = ? AND key = ? AND lease_owner = ? AND done_seq < ?
RETURNING crashes
"""

#: Above every number of a lane.
_LAST = 2**63 - 1

# A start after a crash: every lease is void. The lane is only a suspect (1); the worker counts
# further crashes while it works a suspect alone, so that bystanders are never blamed.
_RECOVER = """
UPDATE lane SET lease_owner = NULL, crashes = max(crashes, 1)
WHERE lease_owner IS NOT NULL
"""

# A clock that was set back must not hold back what was ready before; retries keep their moment.
_NOT_LATER = "UPDATE lane SET ready_at = ? WHERE ready_at > ? AND attempts = 0"

_NEXT_READY = """
SELECT min(ready_at) FROM lane
WHERE kind = ? AND ready_at IS NOT NULL AND lease_owner IS NULL AND NOT parked
"""


class Claimed(NamedTuple):
    """A lane that this node has just leased."""

    key: str
    tenant: str
    done_seq: int
    attempts: int
    crashes: int


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
    statement = _EXTEND_FOR_PERSON if person else _EXTEND_FOR_BOT
    rows = [
        (kind, key, tenant, 1, 0, now, me if place < room else None)
        for place, (key, tenant) in enumerate(lanes)
    ]
    found = statement.run(raw, rows)
    # SQLite does not promise the order of what it returns; a lane's numbers rise, that is enough.
    found.sort(key=lambda row: row[1], reverse=True)
    taken: dict[str, list[Number]] = {}
    for key, seq, owner, done_seq in found:
        # Not asked of SQLite: it takes "IS NOT NULL" for true behind several rows of VALUES.
        handed = owner == me and done_seq == seq - 1
        taken.setdefault(key, []).append(Number(seq, handed))
    return [taken[key].pop() for key, _ in lanes]


def claim(raw: sqlite3.Connection, kind: str, *, me: int, now: int, limit: int) -> list[Claimed]:
    """Lease lanes that are ready, oldest first."""
    rows = raw.execute(_CLAIM, {"kind": kind, "me": me, "now": now, "limit": limit}).fetchall()
    # What an UPDATE returns has no order of its own.
    return [Claimed(*row[:-1]) for row in sorted(rows, key=lambda row: row[-1])]


def advance(
    raw: sqlite3.Connection, kind: str, cursors: Sequence[tuple[str, int]], *, me: int
) -> dict[str, bool]:
    """Move cursors; say of each lane whose lease is not lost whether more is waiting in it."""
    rows = [(key, seq, me, kind) for key, seq in cursors]
    return {key: bool(more) for key, more in _ADVANCE.run(raw, rows)}


def holds(raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int) -> bool:
    """Tell whether this node still leases the lane and the event is still undone."""
    return raw.execute(_HOLDS, (kind, key, me, seq)).fetchone() is not None


def claimable_since(raw: sqlite3.Connection, kind: str, key: str) -> int:
    """Give the moment from which the lane that is leased could be claimed."""
    row = raw.execute("SELECT ready_at FROM lane WHERE kind = ? AND key = ?", (kind, key))
    return row.fetchone()[0] or 0


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
) -> None:
    """Give the lease back with work left: to be claimed at a later moment, or parked.

    :param seq: the number of what is to be tried again; nothing happens if it is done.
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
        },
    )


def idle(raw: sqlite3.Connection, kind: str, key: str, *, me: int) -> None:
    """Give the lease back with nothing left to do."""
    raw.execute(_IDLE, (kind, key, me))


def idle_all(raw: sqlite3.Connection, lanes: Sequence[tuple[str, str]]) -> None:
    """Give leases back of lanes, kind and key, that are this node's and hold nothing more."""
    _IDLE_ALL.run(raw, lanes)


def release(raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int) -> None:
    """Give the lease back untouched, unless what it was taken for is done."""
    raw.execute(_RELEASE, (kind, key, me, seq))


def postpone(
    raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int, ready_at: int
) -> None:
    """Give the lease back untouched, to be claimed again at a later moment."""
    raw.execute(_POSTPONE, (ready_at, kind, key, me, seq))


def release_all(raw: sqlite3.Connection, *, me: int) -> None:
    """Give every lease of this node back untouched."""
    raw.execute(_RELEASE_ALL, (me,))


def suspect(raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int) -> int | None:
    """Count a crash around the head of a lane; give the new count. ``None``: the lease is lost."""
    row = raw.execute(_SUSPECT, (kind, key, me, seq)).fetchone()
    return None if row is None else int(row[0])


def recover(raw: sqlite3.Connection, now: int) -> None:
    """Void the leases of the process that held this file before."""
    raw.execute(_RECOVER)
    raw.execute(_NOT_LATER, (now, now))


def next_ready(raw: sqlite3.Connection, kind: str) -> int | None:
    """Give the earliest moment at which a lane may be claimed."""
    found: int | None = raw.execute(_NEXT_READY, (kind,)).fetchone()[0]
    return found


def forget(raw: sqlite3.Connection, kind: str, key: str) -> None:
    """Remove a lane that held one item and never will hold another."""
    raw.execute("DELETE FROM lane WHERE kind = ? AND key = ?", (kind, key))
