"""After a clock was set back, or had leapt ahead: nothing waits longer for it."""

from typing import Final

# When the last came in, or was put out and waits, of what did after a moment. The newest of each
# tenant: there is no index over all of them.
AFTER: Final = """
WITH RECURSIVE t (tenant) AS (
  SELECT min(tenant) FROM inbox_event
  UNION ALL
  SELECT (SELECT min(tenant) FROM inbox_event WHERE tenant > t.tenant) FROM t
  WHERE t.tenant IS NOT NULL)
SELECT greatest(
  (SELECT max(created_at) FROM outbox WHERE state = 'waiting' AND created_at > $1),
  (SELECT max(newest.at) FROM t CROSS JOIN LATERAL (
    SELECT max(received_at) AS at FROM inbox_event e
    WHERE e.tenant = t.tenant AND e.received_at > $1) newest))
"""

# A clock that was set back must not hold back what was ready before; retries wait no longer than
# they would have. What had a place in a sender's queue looks again in the same order. What is
# leased was ready, and may be given back.
NOT_LATER: Final = """
WITH late AS (
  SELECT kind, key, ready_at FROM lane
  WHERE kind IN ('in', 'out', 'job') AND ready_at > $1 AND NOT parked
  ORDER BY kind COLLATE "C", key COLLATE "C" FOR UPDATE),
placed AS (
  SELECT kind, key, row_number() OVER (ORDER BY ready_at DESC) AS place FROM late)
UPDATE lane l SET ready_at = CASE WHEN l.attempts > 0 AND l.lease_owner IS NULL
  THEN greatest(l.ready_at - $2::interval, $1)
  ELSE $1::timestamptz - placed.place * interval '1 microsecond' END
FROM placed WHERE l.kind = placed.kind AND l.key = placed.key
"""

# What is due stays so.
POLLERS_NOT_LATER: Final = """
WITH late AS (
  SELECT tenant, channel, name FROM poller WHERE due_at > $1 OR leased_until > $1
  ORDER BY tenant COLLATE "C", channel COLLATE "C", name COLLATE "C" FOR UPDATE)
UPDATE poller p SET due_at = least(p.due_at, greatest(p.due_at - $2::interval, $1)),
  leased_until = CASE WHEN p.leased_until > $1
    THEN greatest(p.leased_until - $2::interval, $1) ELSE p.leased_until END
FROM late WHERE p.tenant = late.tenant AND p.channel = late.channel AND p.name = late.name
"""

# How long a step was of which nothing else tells, nobody knows. What somebody has locked is being
# worked, and nobody is waited for: the lanes come in any order.
NO_SUCH_RETRY: Final = """
WITH late AS (
  SELECT kind, key FROM lane
  WHERE kind IN ('in', 'out', 'job') AND ready_at > $2 AND lease_owner IS NULL AND NOT parked
    AND attempts > 0
  FOR UPDATE SKIP LOCKED)
UPDATE lane l SET ready_at = $1 FROM late WHERE l.kind = late.kind AND l.key = late.key
"""

# Their places are given away anew.
NO_QUEUE: Final = """
WITH old AS (
  SELECT tenant, key FROM bucket WHERE queued_to IS NOT NULL
  ORDER BY tenant COLLATE "C", key COLLATE "C" FOR UPDATE)
UPDATE bucket b SET queued_to = NULL FROM old WHERE b.tenant = old.tenant AND b.key = old.key
"""

# A customer's turn never waits longer, whatever the clock said when its timer was set.
TURNS_SOON: Final = "UPDATE timer SET due_at = $1 WHERE kind = 'turn' AND due_at > $1"
