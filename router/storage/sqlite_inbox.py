"""Threads on SQLite: storing events, reading a thread, and committing what an event changes."""

import json
import sqlite3

from router.clock import from_micros, to_micros
from router.domain.conversation import (
    Contact,
    Conversation,
    ConversationStatus,
    Turn,
    TurnMessage,
)
from router.domain.event import MessageReceived
from router.domain.host_event import Unparsed
from router.domain.identity import Address
from router.storage import codec, sqlite_lanes
from router.storage.store import IN, Accepted, Commit, Event, EventRef, NewEvent, Work

_KNOWN = "SELECT lane, seq FROM inbox_event WHERE source = ? AND external_id = ?"

_STORE = """
INSERT INTO inbox_event
  (lane, seq, tenant, source, external_id, type, payload, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

_NEXT = """
SELECT seq, tenant, source, type, payload, received_at FROM inbox_event
WHERE lane = ? AND seq > ? ORDER BY seq LIMIT 1
"""

_THREAD = """
SELECT c.id, c.name, c.language, c.opted_out, c.tags, c.attributes,
  v.id, v.channel, v.address, v.status, v.source, v.owner, v.owner_since, v.epoch,
  v.category, v.risk, v.priority, v.language, v.bot_turns, v.last_in_at, v.last_person_at,
  v.last_provider_id, v.open_ticket, v.tags, v.attributes,
  v.turn_from, v.turn_generation, v.pending_ask
FROM contact c LEFT JOIN conversation v ON v.contact = c.id AND v.status != 'closed'
WHERE c.tenant = ? AND c.key = ?
"""

# What a rule has answered since is no part of the turn that still waits.
_TURN = """
SELECT seq, payload, received_at FROM inbox_event
WHERE lane = ? AND seq >= ? AND seq < ? AND type = 'message'
  AND outcome IN ('waiting', 'asking') ORDER BY seq
"""

_FENCE = "SELECT epoch FROM conversation WHERE id = ? AND status != 'closed'"

_OPENED = """
SELECT 1 FROM contact c JOIN conversation v ON v.contact = c.id AND v.status != 'closed'
WHERE c.tenant = ? AND c.key = ?
"""

_NEW_CONTACT = """
INSERT INTO contact (id, tenant, key, name, language, opted_out, tags, attributes, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_NEW_CONVERSATION = """
INSERT INTO conversation (channel, address, status, category, risk, priority, language,
  bot_turns, tags, attributes, pending_ask, turn_from, turn_generation, last_in_at,
  last_provider_id, last_activity_at, owner, id, tenant, contact, source, epoch, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_UPDATE_CONVERSATION = """
UPDATE conversation SET channel = ?, address = ?, status = coalesce(?, status), category = ?,
  risk = ?, priority = ?, language = ?, bot_turns = ?, tags = ?, attributes = ?, pending_ask = ?,
  turn_from = ?, turn_generation = ?, last_in_at = ?, last_provider_id = ?,
  last_activity_at = ?, epoch = ? WHERE id = ?
"""

_NEW_OWNER = "UPDATE conversation SET owner = ?, owner_since = ? WHERE id = ?"

_MESSAGE = """
INSERT INTO message (id, tenant, conversation, direction, author, text, attachments, channel,
  address, event_lane, event_seq, provider_id, status, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_DECISION = """
INSERT INTO decision (lane, seq, tenant, conversation, outcome, rule, body, trace, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_OUTCOME = """
UPDATE inbox_event SET outcome = ?, conversation = ?, dead_at = ?, dead_error = ?
WHERE lane = ? AND seq = ?
"""

_SETTLED = "UPDATE inbox_event SET outcome = ?, settled_seq = ? WHERE lane = ? AND seq = ?"

_PERSON = "SELECT key FROM alias WHERE tenant = ? AND address = ?"

# Who was learnt to be this address is the person that it turns out to be, too.
_LEARN = """
INSERT INTO alias (tenant, address, key, created_at)
SELECT :tenant, :address, :key, :now
UNION SELECT tenant, address, :key, created_at FROM alias WHERE tenant = :tenant AND key = :address
ON CONFLICT (tenant, address) DO UPDATE SET key = excluded.key
RETURNING address, key
"""

_SET_TIMER = """
INSERT INTO timer (tenant, kind, key, lane, due_at, generation, payload)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, kind, key) DO UPDATE SET
  lane = excluded.lane, due_at = excluded.due_at, generation = excluded.generation,
  payload = excluded.payload
"""

_DROP_TIMER = "DELETE FROM timer WHERE tenant = ? AND kind = ? AND key = ?"


def store(
    raw: sqlite3.Connection, item: NewEvent, *, me: int | None, now: int
) -> tuple[Accepted, bool]:
    """Store an event unless it is known; say too whether its lane is now ours to work."""
    known = raw.execute(_KNOWN, (item.source, item.external_id)).fetchone()
    if known is not None:
        return Accepted(EventRef(*known), new=False), False
    seq, handed = sqlite_lanes.extend(raw, IN, item.lane, item.tenant, me=me, now=now)
    raw.execute(
        _STORE,
        (
            item.lane,
            seq,
            item.tenant,
            item.source,
            item.external_id,
            item.event.kind,
            codec.encode(item.event),
            to_micros(item.received_at),
        ),
    )
    return Accepted(EventRef(item.lane, seq), new=True), handed


def known(raw: sqlite3.Connection, source: str, external_id: str) -> bool:
    """Tell whether an event is stored already."""
    return raw.execute(_KNOWN, (source, external_id)).fetchone() is not None


def work_of(raw: sqlite3.Connection, item: NewEvent, ref: EventRef) -> Work:
    """Give the work of an event just stored, with its thread, without reading it back."""
    contact, conversation = thread(raw, item.tenant, item.lane, ref.seq)
    return Work(
        ref=ref,
        tenant=item.tenant,
        source=item.source,
        event=item.event,
        received_at=item.received_at,
        contact=contact,
        conversation=conversation,
    )


def next_work(
    raw: sqlite3.Connection, lane: str, done_seq: int, *, attempts: int = 0, crashes: int = 0
) -> Work | None:
    """Read the event after the cursor, and the thread as it stands."""
    row = raw.execute(_NEXT, (lane, done_seq)).fetchone()
    if row is None:
        return None
    seq, tenant, source, kind, payload, received_at = row
    contact, conversation = thread(raw, tenant, lane, seq)
    return Work(
        ref=EventRef(lane, seq),
        tenant=tenant,
        source=source,
        event=_decode(source, kind, payload),
        received_at=from_micros(received_at),
        contact=contact,
        conversation=conversation,
        attempts=attempts,
        crashes=crashes,
    )


def _decode(source: str, kind: str, payload: str) -> Event:
    """Read an event; one that this version cannot read must not stop the lanes of the others."""
    try:
        return codec.decode(kind, payload)
    except (LookupError, TypeError, ValueError) as error:
        words = f"it is stored as {kind!r} and cannot be read: {type(error).__name__}: {error}"
        channel = source.split("/")[1]
        return Unparsed(channel=channel, endpoint="", body="", headers={}, error=words)


def thread(
    raw: sqlite3.Connection, tenant: str, lane: str, before: int
) -> tuple[Contact | None, Conversation | None]:
    """Read who the lane belongs to, their open conversation, and its open turn."""
    key = lane[len(tenant) + 1 :]
    row = raw.execute(_THREAD, (tenant, key)).fetchone()
    if row is None:
        return None, None
    contact = Contact(
        id=row[0],
        key=key,
        name=row[1],
        language=row[2],
        opted_out=bool(row[3]),
        tags=frozenset(json.loads(row[4])) if row[4] != "[]" else frozenset(),
        attributes=json.loads(row[5]) if row[5] != "{}" else {},
    )
    if row[6] is None:
        return contact, None
    turn_from, generation, pending_ask = row[25:28]
    messages: tuple[TurnMessage, ...] = ()
    if turn_from is not None:
        messages = _turn(raw, lane, turn_from, before)
    return contact, Conversation(
        id=row[6],
        contact=contact,
        channel=row[7],
        address=Address.from_text(row[8]),
        status=ConversationStatus(row[9]),
        source=row[10],
        owner=row[11],
        owner_since=None if row[12] is None else from_micros(row[12]),
        epoch=row[13],
        category=row[14],
        risk=row[15],
        priority=row[16],
        language=row[17],
        bot_turns=row[18],
        last_in_at=None if row[19] is None else from_micros(row[19]),
        last_person_at=None if row[20] is None else from_micros(row[20]),
        last_provider_id=row[21],
        open_ticket=row[22],
        tags=frozenset(json.loads(row[23])) if row[23] != "[]" else frozenset(),
        attributes=json.loads(row[24]) if row[24] != "{}" else {},
        turn=Turn(messages=messages, generation=generation, pending_ask=pending_ask),
    )


def _turn(raw: sqlite3.Connection, lane: str, first: int, before: int) -> tuple[TurnMessage, ...]:
    messages = []
    for seq, payload, received_at in raw.execute(_TURN, (lane, first, before)):
        event = _decode(lane, "message", payload)
        if isinstance(event, MessageReceived):
            messages.append(
                TurnMessage(
                    seq=seq,
                    text=event.text,
                    received_at=from_micros(received_at),
                    attachments=event.attachments,
                )
            )
    return tuple(messages)


def moved_on(raw: sqlite3.Connection, commit: Commit) -> bool:
    """Tell whether the thread is no longer the one the decision was made on."""
    before = commit.work.conversation
    if before is not None:
        row = raw.execute(_FENCE, (before.id,)).fetchone()
        return row is None or row[0] != before.epoch
    if commit.conversation is None:
        return False
    key = commit.conversation.contact.key
    return raw.execute(_OPENED, (commit.work.tenant, key)).fetchone() is not None


def write(raw: sqlite3.Connection, commit: Commit, now: int) -> None:
    """Write an event's outcome, decision, messages and timers, and its thread."""
    work, conversation = commit.work, commit.conversation
    lane, seq = work.ref
    received = to_micros(work.received_at)
    name = None if conversation is None else conversation.id
    if conversation is not None:
        _write_thread(raw, commit, conversation, now)
        _write_messages(raw, commit, conversation, received, now)
    dead_at = None if commit.dead_error is None else now
    raw.execute(_OUTCOME, (commit.outcome, name, dead_at, commit.dead_error, lane, seq))
    for earlier in commit.settles:
        raw.execute(_SETTLED, (commit.outcome, seq, lane, earlier))
    if commit.decision is not None:
        body = codec.dumps(codec.decision_values(commit.decision))
        raw.execute(
            _DECISION,
            (
                lane,
                seq,
                work.tenant,
                name,
                commit.decision.outcome.word,
                commit.decision.rule,
                body,
                commit.trace or b"",
                now,
            ),
        )
    for timer in commit.timers:
        if timer.due_at is None:
            raw.execute(_DROP_TIMER, (work.tenant, timer.kind, timer.key))
        else:
            due_at, payload = to_micros(timer.due_at), codec.dumps(dict(timer.payload))
            values = (work.tenant, timer.kind, timer.key, lane, due_at, timer.generation, payload)
            raw.execute(_SET_TIMER, values)


def _write_thread(
    raw: sqlite3.Connection, commit: Commit, conversation: Conversation, now: int
) -> None:
    contact, turn, before = conversation.contact, conversation.turn, commit.work.conversation
    tags = codec.dumps(sorted(conversation.tags))
    attributes = codec.dumps(dict(conversation.attributes))
    values = (
        conversation.channel,
        str(conversation.address),
        # Left alone unless the event changes it: a person may have changed it since it was read.
        None
        if before is not None and before.status == conversation.status
        else conversation.status,
        conversation.category,
        conversation.risk,
        conversation.priority,
        conversation.language,
        conversation.bot_turns,
        tags,
        attributes,
        turn.pending_ask,
        turn.messages[0].seq if turn.messages else None,
        turn.generation,
        None if conversation.last_in_at is None else to_micros(conversation.last_in_at),
        conversation.last_provider_id,
        now,
    )
    if commit.work.conversation is None:
        tenant = commit.work.tenant
        if commit.work.contact is None:
            fresh = (contact.id, tenant, contact.key, contact.name, contact.language)
            rest = (contact.opted_out, codec.dumps(sorted(contact.tags)))
            raw.execute(_NEW_CONTACT, (*fresh, *rest, codec.dumps(dict(contact.attributes)), now))
        identity = (conversation.owner, conversation.id, tenant, contact.id)
        raw.execute(
            _NEW_CONVERSATION,
            (*values, *identity, conversation.source, conversation.epoch, now),
        )
    else:
        raw.execute(_UPDATE_CONVERSATION, (*values, conversation.epoch, conversation.id))
    if commit.owner is not None:
        raw.execute(_NEW_OWNER, (commit.owner, now, conversation.id))


def _write_messages(
    raw: sqlite3.Connection, commit: Commit, conversation: Conversation, received: int, now: int
) -> None:
    lane, seq = commit.work.ref
    for item in commit.messages:
        attachments = item.attachments and codec.dumps(codec.encode_attachments(item.attachments))
        raw.execute(
            _MESSAGE,
            (
                item.id,
                commit.work.tenant,
                conversation.id,
                item.direction,
                item.author,
                item.text,
                attachments or None,
                item.channel,
                str(item.address),
                lane,
                seq,
                item.provider_id,
                item.status,
                received if item.direction == "in" else now,
            ),
        )


def learn_alias(
    raw: sqlite3.Connection, tenant: str, address: str, key: str, now: int
) -> dict[str, str]:
    """Keep that an address counts as a person's; give every address whose person changed.

    An alias leads to the person in one step, whatever the order in which they were learnt.
    """
    row = raw.execute(_PERSON, (tenant, key)).fetchone()
    person = key if row is None else row[0]
    if person == address:
        return {}
    values = {"tenant": tenant, "address": address, "key": person, "now": now}
    return dict(raw.execute(_LEARN, values).fetchall())
