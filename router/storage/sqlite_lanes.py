"""Lanes on SQLite: numbers, leases and cursors. One writer, so a statement sees all before it."""

import sqlite3
from typing import NamedTuple

# Taking a number and, where the lane was idle, its lease: the event goes straight to a worker of
# this node, without a claim. Every expression on the right sees the row as it was before.
# A parked lane stays parked for the bot and its rules, and wakes for a person.
_EXTEND = """
INSERT INTO lane (kind, key, tenant, last_seq, done_seq, ready_at, lease_owner)
VALUES (:kind, :key, :tenant, 1, 0, :now, :me)
ON CONFLICT (kind, key) DO UPDATE SET
  last_seq = last_seq + 1,
  lease_owner = CASE WHEN ready_at IS NULL AND lease_owner IS NULL AND NOT parked
                     THEN :me ELSE lease_owner END,
  ready_at = CASE WHEN parked AND NOT :person THEN ready_at ELSE coalesce(ready_at, :now) END,
  parked = parked AND NOT :person
RETURNING last_seq, lease_owner = :me AND done_seq = last_seq - 1
"""

_CLAIM = """
UPDATE lane SET lease_owner = :me WHERE kind = :kind AND key IN (
  SELECT key FROM lane
  WHERE kind = :kind AND ready_at IS NOT NULL AND ready_at <= :now
    AND lease_owner IS NULL AND NOT parked
  ORDER BY ready_at LIMIT :limit)
RETURNING key, tenant, done_seq, attempts, crashes
"""

# The cursor moves only while the lease is ours and only forwards: what a stale worker brings
# matches no row and is dropped.
_ADVANCE = """
UPDATE lane SET done_seq = :seq, attempts = 0, crashes = 0, last_error = NULL,
  lease_owner = CASE WHEN last_seq > :seq THEN lease_owner END,
  ready_at = CASE WHEN last_seq > :seq THEN ready_at END
WHERE kind = :kind AND key = :key AND lease_owner = :me AND done_seq < :seq
RETURNING last_seq > :seq
"""

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

# What comes late about work that is done leaves the lease of the work after it alone.
_RELEASE = """
UPDATE lane SET lease_owner = NULL
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


def extend(
    raw: sqlite3.Connection,
    kind: str,
    key: str,
    tenant: str,
    *,
    me: int | None,
    now: int,
    person: bool = False,
) -> tuple[int, bool]:
    """Take the lane's next number; say whether the lane was idle and is now leased to ``me``."""
    row = raw.execute(
        _EXTEND,
        {"kind": kind, "key": key, "tenant": tenant, "me": me, "now": now, "person": person},
    ).fetchone()
    return row[0], bool(row[1])


def claim(raw: sqlite3.Connection, kind: str, *, me: int, now: int, limit: int) -> list[Claimed]:
    """Lease lanes that are ready, oldest first."""
    rows = raw.execute(_CLAIM, {"kind": kind, "me": me, "now": now, "limit": limit}).fetchall()
    return [Claimed(*row) for row in rows]


def advance(raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int) -> bool | None:
    """Move the cursor; say whether more is waiting. ``None``: the lease is lost."""
    row = raw.execute(_ADVANCE, {"kind": kind, "key": key, "seq": seq, "me": me}).fetchone()
    return None if row is None else bool(row[0])


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


def release(raw: sqlite3.Connection, kind: str, key: str, seq: int, *, me: int) -> None:
    """Give the lease back untouched, unless what it was taken for is done."""
    raw.execute(_RELEASE, (kind, key, me, seq))


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
