"""Timers: set, dropped, and taken by whoever finds them due."""

from typing import Final

SET_TIMERS: Final = """
INSERT INTO timer (tenant, kind, key, lane, due_at, generation, payload)
SELECT u.tenant, u.kind, u.key, u.lane, u.due_at, u.generation, u.payload::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[],
  $7::text[]) AS u (tenant, kind, key, lane, due_at, generation, payload)
ON CONFLICT (tenant, kind, key) DO UPDATE SET
  lane = excluded.lane, due_at = excluded.due_at, generation = excluded.generation,
  payload = excluded.payload
"""

DROP_TIMERS: Final = """
DELETE FROM timer t USING unnest($1::text[], $2::text[], $3::text[]) AS u (tenant, kind, key)
WHERE t.tenant = u.tenant AND t.kind = u.kind AND t.key = u.key
"""

# A conversation is not quiet because the clock has leapt ahead: $2 is the time without that.
_FREE: Final = "NOT (timer.kind = 'idle' AND timer.due_at > $2 AND timer.due_at <= $1)"

# The lanes of timers are locked before the timers: whoever ends an event in one may just be setting
# its timer anew. A lane that is held is left for the next sweep. Each timer has one: it was set by
# an event of it.
LANES_DUE: Final = f"""
SELECT l.key FROM timer JOIN lane l ON l.kind = 'in' AND l.key = timer.lane
WHERE timer.due_at <= $1 AND {_FREE} ORDER BY timer.due_at LIMIT $3 FOR UPDATE OF l SKIP LOCKED
"""

# Any node may sweep: each timer is taken by one, and its event is stored in the same transaction.
DUE: Final = f"""
WITH due AS (
  SELECT tenant, kind, key FROM timer WHERE due_at <= $1 AND {_FREE} AND lane = ANY ($4::text[])
  ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
DELETE FROM timer t USING due
WHERE t.tenant = due.tenant AND t.kind = due.kind AND t.key = due.key
RETURNING t.tenant, t.kind, t.key, t.lane, t.generation, t.payload::text,
  t.kind = 'idle' AND EXISTS (
    SELECT 1 FROM draft d WHERE d.conversation = t.key AND d.state = 'pending'),
  t.due_at
"""

NEXT_DUE: Final = f"SELECT min(due_at) FROM timer WHERE {_FREE}"
