"""Threads: what a lane's next event needs to be worked."""

from typing import Final

NEXT: Final = """
SELECT e.lane, e.seq, e.tenant, e.source, e.type, e.payload, e.received_at
FROM unnest($1::text[], $2::bigint[]) AS k (lane, done)
CROSS JOIN LATERAL (SELECT * FROM inbox_event WHERE lane = k.lane AND seq > k.done
  ORDER BY seq LIMIT 1) e
"""

THREAD: Final = """
SELECT c.tenant || '/' || c.key, c.key, c.id, c.name, c.language, c.opted_out, c.tags::text,
  c.attributes::text, v.id, v.channel, v.address, v.status, v.source, v.owner, v.owner_since,
  v.epoch, v.category, v.risk, v.priority, v.language, v.bot_turns, v.last_in_at,
  v.last_person_at, v.last_provider_id, v.open_ticket, v.tags::text, v.attributes::text,
  v.turn_from, v.turn_generation, v.pending_ask, v.window_shut_at, v.last_activity_at
FROM unnest($1::text[], $2::text[]) AS k (tenant, key)
JOIN contact c ON c.tenant = k.tenant AND c.key = k.key
LEFT JOIN conversation v ON v.contact = c.id AND v.status != 'closed'
"""

# What a rule has answered since is no part of the turn that still waits.
TURNS: Final = """
SELECT e.lane, e.seq, e.payload, e.received_at
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS k (lane, first, before)
JOIN inbox_event e ON e.lane = k.lane AND e.seq >= k.first AND e.seq < k.before
WHERE e.type = 'message' AND e.outcome IN ('waiting', 'asking')
ORDER BY e.lane, e.seq
"""

CALL: Final = "SELECT 1 FROM call WHERE tenant = $1 AND id = $2"

WROTE: Final = """
SELECT DISTINCT ON (m.channel) m.channel, m.address, m.created_at FROM contact c
JOIN conversation v ON v.contact = c.id JOIN message m ON m.conversation = v.id
WHERE c.tenant = $1 AND c.key = $2 AND m.direction = 'in'
ORDER BY m.channel, m.created_at DESC
"""
