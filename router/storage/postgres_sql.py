"""The hot statements on PostgreSQL, each beside the reason why it keeps its promise.

All of them run in transactions of isolation level READ COMMITTED, in which a statement that has to
wait for a row goes on with the row's newest version, and every statement sees all that was
committed before it began. Arrays carry many rows in one statement. What is locked is locked in one
order everywhere, or two nodes would wait for each other: lanes by (kind, key), then conversations,
then outbox items, then messages and buckets, each by their names; ``COLLATE "C"`` gives every
database the order that Python gives.

Each lane is found by its whole key, row by row. ``lease_owner + 0`` keeps the planner from the
index on lease_owner, which holds everything that this node is working; a kind that comes in an
array keeps it from reading all lanes of that kind.
"""

from typing import Final

# The moment that a lease is judged by is the server's, because nodes must agree on it. KEY SHARE
# keeps the row from being deleted until this transaction ends: a survivor that declares this node
# dead waits (or looks again later), and then frees what was leased here, too. A node whose row is
# gone gets no row, and leases nothing.
ALIVE: Final = (
    "SELECT 1 FROM node WHERE id = {node} AND expires_at > clock_timestamp() FOR KEY SHARE"
)

# --- lanes

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
_TAKEN: Final = """
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
    + _TAKEN
)
# A parked lane stays parked for the bot and its rules, and wakes for a person.
_FOR_BOT: Final = (
    "ready_at = CASE WHEN l.parked THEN l.ready_at ELSE coalesce(l.ready_at, excluded.ready_at) END"
)
EXTEND_FOR_BOT: Final = _EXTEND.format(parked=_FOR_BOT)
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

# --- events

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
    + _TAKEN.format(parked=_FOR_BOT)
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

# --- commits

# The fence: who raises an epoch waits for this transaction, or this one waits and sees the raised.
LOCK_CONVERSATIONS: Final = """
SELECT id, epoch, owner, pending_ask, last_in_at, window_shut_at, status, last_person_at
FROM conversation WHERE id = ANY ($1::text[]) ORDER BY id COLLATE "C" FOR NO KEY UPDATE
"""

OPENED: Final = """
SELECT c.tenant, c.key, c.id, v.id FROM unnest($1::text[], $2::text[]) AS k (tenant, key)
JOIN contact c ON c.tenant = k.tenant AND c.key = k.key
LEFT JOIN conversation v ON v.contact = c.id AND v.status != 'closed'
"""

NEW_CONTACTS: Final = """
INSERT INTO contact (id, tenant, key, name, language, opted_out, tags, attributes, created_at)
SELECT u.id, u.tenant, u.key, u.name, u.language, u.opted_out, u.tags::jsonb, u.attributes::jsonb,
  u.created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[],
  $8::text[], $9::timestamptz[])
  AS u (id, tenant, key, name, language, opted_out, tags, attributes, created_at)
"""

_THREAD_ARRAYS: Final = """unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
  $6::text[], $7::text[], $8::int[], $9::text[], $10::text[], $11::text[], $12::bigint[],
  $13::bigint[], $14::timestamptz[], $15::text[], $16::timestamptz[], $17::bigint[], $18::text[]"""
_THREAD_NAMES: Final = """channel, address, status, category, risk, priority, language, bot_turns,
  tags, attributes, pending_ask, turn_from, turn_generation, last_in_at, last_provider_id,
  last_activity_at, epoch, id"""

NEW_CONVERSATIONS: Final = f"""
INSERT INTO conversation ({_THREAD_NAMES}, owner, tenant, contact, source, created_at)
SELECT u.channel, u.address, u.status, u.category, u.risk, u.priority, u.language, u.bot_turns,
  u.tags::jsonb, u.attributes::jsonb, u.pending_ask, u.turn_from, u.turn_generation, u.last_in_at,
  u.last_provider_id, u.last_activity_at, u.epoch, u.id, u.owner, u.tenant, u.contact, u.source,
  u.created_at
FROM {_THREAD_ARRAYS}, $19::text[], $20::text[], $21::text[], $22::text[], $23::timestamptz[])
  AS u ({_THREAD_NAMES}, owner, tenant, contact, source, created_at)
"""

CONVERSATIONS: Final = f"""
UPDATE conversation v SET channel = u.channel, address = u.address,
  status = coalesce(u.status, v.status), category = u.category, risk = u.risk,
  priority = u.priority, language = u.language, bot_turns = u.bot_turns, tags = u.tags::jsonb,
  attributes = u.attributes::jsonb, pending_ask = u.pending_ask, turn_from = u.turn_from,
  turn_generation = u.turn_generation, last_in_at = u.last_in_at,
  last_provider_id = u.last_provider_id, last_activity_at = u.last_activity_at, epoch = u.epoch
FROM {_THREAD_ARRAYS}) AS u ({_THREAD_NAMES}) WHERE v.id = u.id
"""

NEW_OWNERS: Final = """
UPDATE conversation v SET owner = u.owner, owner_since = $3
FROM unnest($1::text[], $2::text[]) AS u (id, owner) WHERE v.id = u.id
"""

MESSAGES: Final = """
INSERT INTO message (id, tenant, conversation, direction, author, text, attachments, channel,
  address, event_lane, event_seq, provider_id, status, created_at)
SELECT u.id, u.tenant, u.conversation, u.direction, u.author, u.text, u.attachments::jsonb,
  u.channel, u.address, u.event_lane, u.event_seq, u.provider_id, u.status, u.created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[],
  $14::timestamptz[])
  AS u (id, tenant, conversation, direction, author, text, attachments, channel, address,
  event_lane, event_seq, provider_id, status, created_at)
"""

OUTCOMES: Final = """
UPDATE inbox_event e SET outcome = u.outcome, conversation = u.conversation,
  dead_at = u.dead_at, dead_error = u.dead_error
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::bigint[])
  AS u (outcome, conversation, dead_at, dead_error, lane, seq)
WHERE e.lane = u.lane AND e.seq = u.seq
"""

SETTLED: Final = """
UPDATE inbox_event e SET outcome = u.outcome, settled_seq = u.settled
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) AS u (outcome, settled, lane, seq)
WHERE e.lane = u.lane AND e.seq = u.seq
"""

DECISIONS: Final = """
INSERT INTO decision (lane, seq, tenant, conversation, outcome, rule, body, trace, created_at)
SELECT u.lane, u.seq, u.tenant, u.conversation, u.outcome, u.rule, u.body::jsonb, u.trace,
  u.created_at
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::bytea[], $9::timestamptz[])
  AS u (lane, seq, tenant, conversation, outcome, rule, body, trace, created_at)
"""

# --- timers

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
RETURNING t.tenant, t.kind, t.key, t.lane, t.generation, t.payload::text, t.due_at
"""

NEXT_DUE: Final = f"SELECT min(due_at) FROM timer WHERE {_FREE}"

# A customer's turn never waits longer, whatever the clock said when its timer was set.
TURNS_SOON: Final = "UPDATE timer SET due_at = $1 WHERE kind = 'turn' AND due_at > $1"

# --- outbox

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

HOLD: Final = "SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n"

# The same without waiting: what somebody is just writing does not come back.
PEEK_ITEMS: Final = """
SELECT id, state FROM outbox WHERE id = ANY ($1::text[]) FOR NO KEY UPDATE SKIP LOCKED
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

# --- buckets

# Full, so that one of which nothing is taken is forgotten, too.
MISSING_BUCKETS: Final = """
INSERT INTO bucket (tenant, key, full_at)
SELECT u.*, $3::timestamptz FROM unnest($1::text[], $2::text[]) AS u
ON CONFLICT (tenant, key) DO NOTHING
"""

LOCK_BUCKETS: Final = """
SELECT b.tenant, b.key, b.full_at, b.queued_to
FROM unnest($1::text[], $2::text[]) AS k (tenant, key)
JOIN bucket b ON b.tenant = k.tenant AND b.key = k.key
ORDER BY b.tenant COLLATE "C", b.key COLLATE "C" FOR UPDATE OF b
"""

# A row that another node has just forgotten, because it was full, comes back.
KEEP_BUCKETS: Final = """
INSERT INTO bucket (tenant, key, full_at, queued_to)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
ON CONFLICT (tenant, key) DO UPDATE SET
  full_at = excluded.full_at, queued_to = excluded.queued_to
"""

# A full bucket says nothing. Whatever another node holds is left alone.
FORGET_BUCKETS: Final = """
DELETE FROM bucket b USING (
  SELECT tenant, key FROM bucket WHERE full_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) old
WHERE b.tenant = old.tenant AND b.key = old.key
"""

# --- aliases

PERSON: Final = "SELECT key FROM alias WHERE tenant = $1 AND address = $2"

# Who was learnt to be this address is the person that it turns out to be, too.
LEARN: Final = """
INSERT INTO alias (tenant, address, key, created_at)
SELECT $1::text, $2::text, $3::text, $4::timestamptz
UNION SELECT tenant, address, $3::text, created_at FROM alias WHERE tenant = $1 AND key = $2
ON CONFLICT (tenant, address) DO UPDATE SET key = excluded.key
RETURNING address, key
"""

ALIASES: Final = "SELECT tenant, address, key FROM alias"

# --- nodes

# Whoever gets it does what it is named after; a transaction's lock works behind a pooler, too.
TURN: Final = "SELECT pg_try_advisory_xact_lock($1)"

#: The first half of every node's advisory lock; the second is its number.
NODE_LOCK: Final = 0x726F7574

# With the time by the server's clock, which every node's follows from before it claims anything.
NEXT_NODE: Final = "SELECT nextval(pg_get_serial_sequence('node', 'id')), clock_timestamp()"

REGISTER: Final = """
INSERT INTO node (id, started_at, expires_at, host, version, polls)
VALUES ($1, $2, clock_timestamp() + $3::interval, $4, $5, $6)
"""

# No row: another node has declared this one dead, and gives its lanes to whoever claims them. A row
# may still be there, for as long as a lane of it could not be freed; nothing brings it back.
HEARTBEAT: Final = """
UPDATE node SET expires_at = clock_timestamp() + $2::interval
WHERE id = $1 AND expires_at > timestamptz 'epoch' RETURNING id, clock_timestamp()
"""

# Dead is whose time is over, and whose session is gone: the kernel closes the sockets of a process
# that was killed, and the server then drops its lock. After a restart of the server nobody holds a
# lock until it is back: a node that has not been heard since then is given a grace. Whom a
# transaction of its own still holds (KEY SHARE) is looked at again at the next tick.
DEAD: Final = """
SELECT id FROM node
WHERE id != $1
  AND (expires_at <= clock_timestamp()
       OR (NOT polls AND pg_try_advisory_xact_lock($2, (id % 2147483647)::int)))
  AND (expires_at - $3::interval > pg_postmaster_start_time()
       OR clock_timestamp() > pg_postmaster_start_time() + $4::interval)
FOR UPDATE SKIP LOCKED
"""

# From its commit on the node leases nothing more, and is found among the dead until it is buried.
DECLARE_DEAD: Final = """
UPDATE node SET expires_at = timestamptz 'epoch' WHERE id = ANY ($1::bigint[])
"""

# A statement after the rows are locked: it sees every lease that they took. The lane is only a
# suspect (1); the worker counts further crashes while it works a suspect alone, so that bystanders
# are never blamed. Nobody is waited for: the heart that does this has to go on beating, and what
# somebody holds keeps the rest from nobody. It is freed at a later tick.
FREE: Final = """
WITH theirs AS (
  SELECT kind, key FROM lane WHERE lease_owner = ANY ($1::bigint[])
  ORDER BY kind COLLATE "C", key COLLATE "C" FOR UPDATE SKIP LOCKED)
UPDATE lane l SET lease_owner = NULL, crashes = greatest(l.crashes, $2::int)
FROM theirs WHERE l.kind = theirs.kind AND l.key = theirs.key
"""

# The last of it: nobody would find what it still leases once its row is gone.
BURY: Final = """
DELETE FROM node WHERE id = ANY ($1::bigint[])
  AND NOT EXISTS (SELECT 1 FROM lane WHERE lease_owner = node.id)
RETURNING id
"""

# Stopped in order: nothing is left that a survivor would have to free.
LEAVE: Final = """
DELETE FROM node WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM lane WHERE lease_owner = $1)
"""

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
