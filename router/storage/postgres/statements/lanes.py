"""Lanes: their numbers, leases and cursors, and the queues of senders."""

from typing import Final

# Locks lanes in their order; each row is the newest, read after the lock was granted.
LOCK_LANES: Final = """
SELECT l.kind, l.key, l.done_seq, l.last_seq, l.lease_owner, l.ready_at, l.queue
FROM unnest($1::text[], $2::text[]) AS k (kind, key)
JOIN lane l ON l.kind = k.kind AND l.key = k.key
ORDER BY l.kind COLLATE "C", l.key COLLATE "C" FOR UPDATE OF l
"""

# Numbers are taken only here and where events are stored, under the row's lock, which is held
# until the commit: numbers of a lane are in the order of commits. Where a lane was idle its lease
# is taken as well, and the work goes straight to a worker of this node. Every expression on the
# right sees the newest version of the row: if it was just completed by somebody, ready_at and
# lease_owner are null and the work is handed over; if not, whoever completes it will see the new
# last_seq. Either way nothing is left that nobody knows of. ``excluded.last_seq`` carries how many
# are taken.
TAKEN: Final = """
ON CONFLICT (kind, key) DO UPDATE SET
  last_seq = l.last_seq + excluded.last_seq,
  lease_owner = CASE WHEN l.ready_at IS NULL AND l.lease_owner IS NULL AND NOT l.parked
                     THEN excluded.lease_owner ELSE l.lease_owner END,
  {parked}
RETURNING l.key, l.last_seq, l.done_seq, l.lease_owner
"""
_EXTEND: Final = (
    """
INSERT INTO lane AS l (kind, key, tenant, last_seq, done_seq, ready_at, lease_owner)
SELECT u.kind, u.key, u.tenant, u.many, 0, $5::timestamptz, $6::bigint
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u (kind, key, tenant, many)
ORDER BY u.kind COLLATE "C", u.key COLLATE "C"
"""
    + TAKEN
)
# A parked lane stays parked for the bot and its rules, and wakes for a person.
FOR_BOT: Final = (
    "ready_at = CASE WHEN l.parked THEN l.ready_at ELSE coalesce(l.ready_at, excluded.ready_at) END"
)
EXTEND_FOR_BOT: Final = _EXTEND.format(parked=FOR_BOT)
EXTEND_FOR_PERSON: Final = _EXTEND.format(
    parked="ready_at = coalesce(l.ready_at, excluded.ready_at), parked = false"
)

# At most one owner: it is one column of one row, and only a null is taken. SKIP LOCKED leaves what
# another node is just claiming, or completing, to it. What the lane holds is read by another
# statement: this one's snapshot may be older than the row that it locked.
CLAIM: Final = """
WITH free AS (
  SELECT kind, key FROM lane
  WHERE kind = $1 AND ready_at <= $2 AND lease_owner IS NULL AND NOT parked
  ORDER BY ready_at LIMIT $3 FOR UPDATE SKIP LOCKED)
UPDATE lane l SET lease_owner = $4 FROM free
WHERE l.kind = free.kind AND l.key = free.key
RETURNING l.key, l.done_seq, l.attempts, l.crashes, l.ready_at
"""

# The cursor moves only under the lease and only forwards: what a stale worker brings matches no
# row. The lanes are locked by it one by one, in the order of the array, which is theirs, where they
# are not locked already. The test is on the lane's own columns: a look into inbox_event here would
# use the snapshot, miss what was committed since, and lose its wake-up.
ADVANCE: Final = """
UPDATE lane l SET done_seq = u.seq, attempts = 0, crashes = 0, last_error = NULL,
  lease_owner = CASE WHEN l.last_seq > u.seq THEN l.lease_owner END,
  ready_at = CASE WHEN l.last_seq > u.seq THEN l.ready_at END
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS u (kind, key, seq, lease)
WHERE l.kind = u.kind AND l.key = u.key AND l.lease_owner + 0 = u.lease AND l.done_seq < u.seq
RETURNING l.key, l.last_seq > l.done_seq
"""

# Only after a statement of its own found nothing behind the cursor, under the lane's lock: numbers
# without an event are those of repeats that two nodes stored at the same moment.
IDLE: Final = """
UPDATE lane SET lease_owner = NULL, ready_at = NULL, attempts = 0, last_error = NULL,
  done_seq = last_seq
WHERE kind = $1 AND key = ANY ($2::text[]) AND lease_owner + 0 = $3
"""

REST: Final = """
UPDATE lane l SET lease_owner = NULL, ready_at = u.ready_at, attempts = u.attempts,
  last_error = u.error, parked = u.parked, crashes = u.crashes
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::int[],
  $7::text[], $8::bool[], $9::int[])
  AS u (kind, key, lease, seq, ready_at, attempts, error, parked, crashes)
WHERE l.kind = u.kind AND l.key = u.key AND l.lease_owner + 0 = u.lease AND l.done_seq < u.seq
"""

# What comes late about work that is done leaves the lease of the work after it alone. The process
# lives: what was counted in advance is taken back.
RELEASE: Final = """
UPDATE lane l SET lease_owner = NULL, crashes = u.crashes
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::int[])
  AS u (kind, key, lease, seq, crashes)
WHERE l.kind = u.kind AND l.key = u.key AND l.lease_owner + 0 = u.lease AND l.done_seq < u.seq
"""

# As a release, but it is not claimed again before a moment. What was counted stays.
POSTPONE: Final = """
UPDATE lane l SET lease_owner = NULL, ready_at = u.ready_at, queue = u.queue, place = u.place
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[],
  $6::text[], $7::timestamptz[]) AS u (kind, key, lease, seq, ready_at, queue, place)
WHERE l.kind = u.kind AND l.key = u.key AND l.lease_owner + 0 = u.lease AND l.done_seq < u.seq
"""

# Locked by whoever asks.
LEAVE_QUEUE: Final = """
UPDATE lane l SET queue = NULL, place = NULL FROM unnest($1::text[], $2::text[]) AS u (kind, key)
WHERE l.kind = u.kind AND l.key = u.key
"""

# In the order of the places, and not of the moments of looking: who looked in vain, because a
# person's word went ahead, is still the first. Whoever asks has the bucket locked: no other place
# in its queue is being given away.
FIRST_QUEUED: Final = """
SELECT key, ready_at, lease_owner FROM lane
WHERE tenant = $1 AND queue = $2 AND ready_at IS NOT NULL ORDER BY place LIMIT 1
"""

# Whoever asks holds locks of other lanes and waits for none of this one: who has it locked is
# claiming it, or lets it grow, and it keeps its moment.
CALL_NEXT: Final = """
UPDATE lane SET ready_at = $2 WHERE kind = 'out' AND key = (
  SELECT key FROM lane
  WHERE kind = 'out' AND key = $1 AND lease_owner IS NULL AND ready_at > $2
  FOR UPDATE SKIP LOCKED)
"""

# Counted in advance: it stands if this process dies before the event is done.
SUSPECT: Final = """
UPDATE lane SET crashes = $5
WHERE kind = $1 AND key = $2 AND lease_owner + 0 = $3 AND done_seq < $4
"""

RELEASE_ALL: Final = """
WITH mine AS (
  SELECT kind, key FROM lane WHERE lease_owner = $1
  ORDER BY kind COLLATE "C", key COLLATE "C" FOR UPDATE)
UPDATE lane l SET lease_owner = NULL FROM mine WHERE l.kind = mine.kind AND l.key = mine.key
"""

FORGET_LANES: Final = "DELETE FROM lane WHERE kind = $1 AND key = ANY ($2::text[])"

NEXT_READY: Final = """
SELECT min(ready_at) FROM lane
WHERE kind = $1 AND ready_at IS NOT NULL AND lease_owner IS NULL AND NOT parked
"""
