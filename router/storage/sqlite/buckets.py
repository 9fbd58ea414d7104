"""Token buckets on SQLite: taken in the transaction that marks an item as started."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from router.clock import from_micros, to_micros
from router.domain.limits import Bucket, queue_of
from router.domain.limits import take as take_all
from router.storage.sqlite import lanes

_READ = "SELECT full_at, queued_to FROM bucket WHERE tenant = ? AND key = ?"

_KEEP = """
INSERT INTO bucket (tenant, key, full_at, queued_to) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, key) DO UPDATE SET
  full_at = excluded.full_at, queued_to = excluded.queued_to
"""

_EMPTY = """
UPDATE bucket SET queued_to = NULL WHERE tenant = ? AND key = ? AND queued_to IS NOT NULL
"""

# A full bucket says nothing. Each one that is kept takes a few of those away, so that there are
# about as many as customers who are written to at a time.
_FORGET = """
DELETE FROM bucket WHERE (tenant, key) IN (
  SELECT tenant, key FROM bucket WHERE full_at < ? LIMIT 2)
"""


def take(
    raw: sqlite3.Connection,
    tenant: str,
    buckets: Sequence[Bucket],
    now: int,
    *,
    waited: bool,
    ahead: bool,
) -> tuple[int, str | None] | None:
    """Take a token from each bucket, or say when to look again, and in which queue."""
    stands = [_read(raw, tenant, bucket) for bucket in buckets]
    ready, kept = take_all(stands, from_micros(now), waited=waited, ahead=ahead)
    if ready is None:
        raw.execute(_FORGET, (now,))
    for bucket in kept:
        full_at = None if bucket.full_at is None else to_micros(bucket.full_at)
        queued_to = None if bucket.queued_to is None else to_micros(bucket.queued_to)
        raw.execute(_KEEP, (tenant, bucket.key, full_at, queued_to))
    return None if ready is None else (to_micros(ready), queue_of(stands, kept))


def call_next(
    raw: sqlite3.Connection, tenant: str, key: str, bucket: Bucket | None, now: int
) -> bool:
    """Call the first lane of a queue for when there is a token; say whether it was to come later.

    :param bucket: as it is declared now; ``None``: there is no such limit any more.
    """
    first = lanes.first_queued(raw, tenant, key)
    if first is None:
        raw.execute(_EMPTY, (tenant, key))
        return False
    lane, ready_at, owner = first
    if owner is not None:
        return False  # it is about to look, and calls the next
    stands = None if bucket is None else _read(raw, tenant, bucket)
    next_at = now if stands is None else to_micros(stands.next_at(from_micros(now)))
    if ready_at <= next_at:
        return False
    lanes.call(raw, lane, next_at)
    return True


def _read(raw: sqlite3.Connection, tenant: str, bucket: Bucket) -> Bucket:
    row = raw.execute(_READ, (tenant, bucket.key)).fetchone()
    if row is None:
        return bucket
    full_at, queued_to = (None if it is None else from_micros(it) for it in row)
    return replace(bucket, full_at=full_at, queued_to=queued_to)
