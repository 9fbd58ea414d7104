"""What working events changed: people, conversations, messages, decisions."""

from typing import Final

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
