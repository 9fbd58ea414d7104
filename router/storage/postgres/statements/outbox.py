"""The outbox: items put in, claimed, begun and ended, and what messages show of them."""

from typing import Final

PUT: Final = """
INSERT INTO outbox (id, tenant, lane, seq, kind, conversation, decided_lane, decided_seq, author,
  epoch, destination, body, not_before, state, attempt, created_at)
SELECT u.*, 'waiting', 0, $14::timestamptz
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
  $8::bigint[], $9::text[], $10::bigint[], $11::text[], $12::text[],
  $13::timestamptz[]) AS u
"""

_ITEM: Final = """o.id, o.tenant, o.lane, o.seq, o.kind, o.conversation, o.decided_lane,
  o.decided_seq, o.author, o.epoch, o.destination, o.body, o.state, o.attempt, o.created_at,
  o.started_at, o.not_before, o.account"""

# The first of each lane that has not ended.
HEADS: Final = f"""
SELECT {_ITEM} FROM unnest($1::text[], $2::bigint[]) AS k (lane, done)
CROSS JOIN LATERAL (SELECT * FROM outbox WHERE lane = k.lane AND seq > k.done
  AND state IN ('waiting', 'started', 'unknown') ORDER BY seq LIMIT 1) o
"""

# What a person wrote goes past an unknown head.
BEHIND: Final = f"""
SELECT {_ITEM} FROM unnest($1::text[], $2::bigint[]) AS k (lane, done)
CROSS JOIN LATERAL (SELECT * FROM outbox WHERE lane = k.lane AND seq > k.done
  AND state IN ('waiting', 'started') AND author = 'person' ORDER BY seq LIMIT 1) o
"""

OVERTAKEN: Final = """
UPDATE outbox o SET state = 'withdrawn', finished_at = u.at, error = $5
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS u (lane, done, seq, at)
WHERE o.lane = u.lane AND o.seq > u.done AND o.seq < u.seq AND o.state = 'waiting'
  AND o.author != 'person'
RETURNING o.id
"""

LOCK_ITEMS: Final = """
SELECT id, state, attempt, epoch FROM outbox WHERE id = ANY ($1::text[])
ORDER BY id COLLATE "C" FOR NO KEY UPDATE
"""

# The same without waiting: what somebody is just writing does not come back.
PEEK_ITEMS: Final = """
SELECT id, state FROM outbox WHERE id = ANY ($1::text[]) FOR NO KEY UPDATE SKIP LOCKED
"""

BEGIN: Final = """
UPDATE outbox o SET state = 'started', attempt = attempt + 1, started_at = $3, finished_at = NULL,
  account = u.account
FROM unnest($1::text[], $2::text[]) AS u (id, account) WHERE o.id = u.id
"""

END: Final = """
UPDATE outbox o SET state = u.state, finished_at = u.finished_at,
  provider_ref = coalesce(u.provider_ref, o.provider_ref), code = u.code, error = u.error
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
  AS u (id, state, finished_at, provider_ref, code, error)
WHERE o.id = u.id
"""

# What put a question is settled. A message stays in its turn for the next question.
UNASK: Final = """
UPDATE inbox_event e SET outcome = 'superseded'
FROM unnest($1::text[], $2::bigint[]) AS u (lane, seq)
WHERE e.lane = u.lane AND e.seq = u.seq AND e.outcome = 'asking' AND e.type != 'message'
"""

# A callback may have told more than we know now; what it told stays.
STATUSES: Final = """
UPDATE message m
SET status = CASE WHEN m.status IN ('delivered', 'read') THEN m.status ELSE u.status END,
  failure = u.failure, provider_id = coalesce(u.provider_id, m.provider_id)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
  AS u (id, status, failure, provider_id)
WHERE m.id = u.id
"""

KNOWN_AS: Final = """
UPDATE message m SET
  status = CASE WHEN m.status IN ('delivered', 'read', 'failed') THEN m.status ELSE u.status END,
  failure = coalesce(m.failure, u.failure), provider_id = coalesce(m.provider_id, u.provider_id)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
  AS u (id, status, failure, provider_id)
WHERE m.id = u.id
"""

SAME_ITEM: Final = """
UPDATE outbox o SET provider_ref = coalesce(o.provider_ref, u.provider_ref)
FROM unnest($1::text[], $2::text[]) AS u (id, provider_ref) WHERE o.id = u.id
"""

EARLY: Final = """
DELETE FROM early_report r USING unnest($1::text[], $2::text[], $3::text[])
  AS u (tenant, channel, provider_id)
WHERE r.tenant = u.tenant AND r.channel = u.channel AND r.provider_id = u.provider_id
RETURNING r.tenant, r.channel, r.provider_id, r.status, r.failure
"""

# The lanes are locked already, so that their rows are what they are.
STANDS: Final = """
SELECT l.kind, l.key, l.done_seq, l.last_seq, l.lease_owner, l.parked, o.seq, o.state
FROM unnest($1::text[], $2::text[]) AS k (kind, key)
JOIN lane l ON l.kind = k.kind AND l.key = k.key
LEFT JOIN LATERAL (SELECT seq, state FROM outbox WHERE lane = l.key AND seq > l.done_seq
  AND state IN ('waiting', 'started', 'unknown') ORDER BY seq LIMIT 1) o ON true
"""

MOVE: Final = """
UPDATE lane l SET done_seq = u.done FROM unnest($1::text[], $2::text[], $3::bigint[])
  AS u (kind, key, done)
WHERE l.kind = u.kind AND l.key = u.key AND l.done_seq < u.done
"""

# Whoever leases it, or had it parked, did so for the sake of what has ended without them: nothing
# that they still do would match its row. Its next item may be claimed by anybody.
RELIEVE: Final = """
UPDATE lane l SET lease_owner = NULL, parked = false,
  ready_at = CASE WHEN l.done_seq < l.last_seq THEN $3::timestamptz END
FROM unnest($1::text[], $2::text[]) AS u (kind, key)
WHERE l.kind = u.kind AND l.key = u.key
"""
