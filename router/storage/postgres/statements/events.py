"""Storing events, once each, and finding those that are known already."""

from typing import Final

from router.storage.postgres.statements.lanes import FOR_BOT, TAKEN

# Of people who were erased there are only digests; see router/storage/erased.py. Most tenants have
# no salt, and nothing more is asked for them.
ERASED: Final = """
SELECT k.source, k.external_id, s.tenant || '/erased', 0
FROM erasure_salt s
CROSS JOIN unnest($1::text[], $2::text[]) AS k (source, external_id)
JOIN erased_event d ON d.digest = encode(sha256(convert_to(
  s.salt || E'\\n' || k.source || E'\\n' || k.external_id, 'UTF8')), 'hex')
WHERE s.tenant = split_part(k.source, '/', 1)
"""

KNOWN: Final = (
    """
SELECT e.source, e.external_id, e.lane, e.seq
FROM unnest($1::text[], $2::text[]) AS k (source, external_id)
JOIN inbox_event e ON e.source = k.source AND e.external_id = k.external_id
UNION ALL"""
    + ERASED
)

UNSTORE: Final = """
DELETE FROM inbox_event e USING unnest($1::text[], $2::bigint[]) AS k (lane, seq)
WHERE e.lane = k.lane AND e.seq = k.seq
"""

FORGET_EMPTY: Final = """
DELETE FROM lane l WHERE l.kind = 'in' AND l.key = ANY ($1::text[])
  AND NOT EXISTS (SELECT 1 FROM inbox_event e WHERE e.lane = l.key)
RETURNING l.key
"""

# Numbers and events in one statement, which may be a transaction of its own: who offers an event
# waits for one answer. It asks itself whether this node still counts, and leases nothing if not.
# Lanes are locked in their order, all of them before the first event is inserted, because each
# event's number is its lane's place among the sorted ones. Events come in the order of their unique
# key, so that two nodes that store the same ones wait for each other in one direction. A row with a
# done_seq is a lane; one without is an event that was new, and whose row is missing was stored by
# somebody else before, or was erased with the person whom it was about (asked as a scalar, so that
# the order stays); one without a number is a tenant in which people were erased.
ENQUEUE: Final = (
    """
WITH me AS MATERIALIZED (
  SELECT id FROM node WHERE id = $4 AND expires_at > clock_timestamp() FOR KEY SHARE),
taken AS (
INSERT INTO lane AS l (kind, key, tenant, last_seq, done_seq, ready_at, lease_owner)
SELECT 'in', u.key, u.tenant, u.many, 0, $5::timestamptz, (SELECT id FROM me)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (key, tenant, many)
ORDER BY u.key COLLATE "C"
"""
    + TAKEN.format(parked=FOR_BOT)
    + """),
stored AS (
INSERT INTO inbox_event (lane, seq, tenant, source, external_id, type, payload, received_at)
SELECT u.lane, (SELECT array_agg(last_seq ORDER BY key COLLATE "C") FROM taken)[u.place] - u.back,
  u.tenant, u.source, u.external_id, u.type, u.payload, u.received_at
FROM unnest($6::text[], $7::int[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[],
  $13::text[], $14::timestamptz[])
  AS u (lane, place, back, tenant, source, external_id, type, payload, received_at)
WHERE (SELECT 1 FROM erasure_salt s JOIN erased_event d
  ON d.digest = encode(sha256(convert_to(
    s.salt || E'\\n' || u.source || E'\\n' || u.external_id, 'UTF8')), 'hex')
  WHERE s.tenant = u.tenant LIMIT 1) IS NULL
ON CONFLICT (source, external_id) DO NOTHING
RETURNING lane, seq)
SELECT key, last_seq, done_seq, lease_owner FROM taken
UNION ALL SELECT lane, seq, NULL, NULL FROM stored
UNION ALL SELECT s.tenant, NULL, NULL, NULL FROM erasure_salt s WHERE s.tenant = ANY ($2::text[])
"""
)
