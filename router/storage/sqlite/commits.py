"""Commits on SQLite: everything that working events changes, a few statements for many events."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from router.clock import from_micros, to_micros
from router.domain.conversation import Conversation
from router.storage import codec
from router.storage.lines import said_at
from router.storage.sqlite.bulk import Bulk, Insert, Lookup
from router.storage.sqlite.threads import CALL
from router.storage.store import Commit

_FENCES = Lookup(
    "id, epoch, last_person_at",
    """
FROM (VALUES {rows}) AS k
JOIN conversation ON id = k.column1 AND status != 'closed'
""",
    1,
)

_OPENED = Lookup(
    "c.tenant, c.key, c.id, v.id",
    """
FROM (VALUES {rows}) AS k
JOIN contact c ON c.tenant = k.column1 AND c.key = k.column2
LEFT JOIN conversation v ON v.contact = c.id AND v.status != 'closed'
""",
    2,
)

_NEW_CONTACT = Insert(
    "contact (id, tenant, key, name, language, opted_out, tags, attributes, created_at)"
)

_NEW_CONVERSATION = Insert(
    "conversation (channel, address, category, risk, priority, language, bot_turns, tags, "
    "attributes, pending_ask, turn_from, turn_generation, last_in_at, last_provider_id, "
    "last_activity_at, epoch, id, status, owner, tenant, contact, source, created_at)"
)

_CONVERSATION = Bulk(
    """
UPDATE conversation SET channel = v.column1, address = v.column2, category = v.column3,
  risk = v.column4, priority = v.column5, language = v.column6, bot_turns = v.column7,
  tags = v.column8, attributes = v.column9, pending_ask = v.column10, turn_from = v.column11,
  turn_generation = v.column12, last_in_at = v.column13, last_provider_id = v.column14,
  last_activity_at = v.column15, epoch = v.column16
FROM (VALUES {rows}) AS v WHERE id = v.column17
""",
    17,
)

# Left alone unless the event changes it: a person may have changed it since it was read, and it
# would be taken out of the index of what is open, and put back.
_NEW_STATUS = "UPDATE conversation SET status = ? WHERE id = ?"

_NEW_OWNER = "UPDATE conversation SET owner = ?, owner_since = ? WHERE id = ?"

_MESSAGE = Insert(
    "message (id, tenant, conversation, direction, author, text, attachments, channel, address, "
    "event_lane, event_seq, provider_id, status, created_at)"
)

_DECISION = Insert(
    "decision (lane, seq, tenant, conversation, outcome, rule, body, trace, created_at)"
)

_OUTCOME = Bulk(
    """
UPDATE inbox_event SET outcome = v.column1, conversation = v.column2, dead_at = v.column3,
  dead_error = v.column4
FROM (VALUES {rows}) AS v WHERE lane = v.column5 AND seq = v.column6
""",
    6,
)

_SETTLED = "UPDATE inbox_event SET outcome = ?, settled_seq = ? WHERE lane = ? AND seq = ?"

_SET_TIMER = """
INSERT INTO timer (tenant, kind, key, lane, due_at, generation, payload)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, kind, key) DO UPDATE SET
  lane = excluded.lane, due_at = excluded.due_at, generation = excluded.generation,
  payload = excluded.payload
"""

_DROP_TIMER = "DELETE FROM timer WHERE tenant = ? AND kind = ? AND key = ?"

#: How most conversations' tags and attributes look.
_NO_TAGS, _NO_ATTRIBUTES = "[]", "{}"


def moved_on(raw: sqlite3.Connection, commits: Sequence[Commit]) -> set[str]:
    """Give the lanes whose thread is no longer the one that the decision was made on."""
    read = {
        commit.work.conversation.id for commit in commits if commit.work.conversation is not None
    }
    stands = {row[0]: (row[1], row[2]) for row in _FENCES.run(raw, [(name,) for name in read])}
    fresh = {
        (commit.work.tenant, commit.conversation.contact.key)
        for commit in commits
        if commit.work.conversation is None and commit.conversation is not None
    }
    known = {(row[0], row[1]): (row[2], row[3]) for row in _OPENED.run(raw, list(fresh))}
    return {commit.work.ref.lane for commit in commits if _has_moved(commit, stands, known)}


def told_since(raw: sqlite3.Connection, commits: Sequence[Commit]) -> set[str]:
    """Give the lanes whose call another lane has told of since they were read, or tells of now."""
    lanes, told = set(), set()
    for commit in commits:
        call = commit.work.new_call
        if call is None:
            continue
        name = (commit.work.tenant, call)
        if name in told or raw.execute(CALL, name).fetchone() is not None:
            lanes.add(commit.work.ref.lane)
        told.add(name)
    return lanes


def _has_moved(
    commit: Commit,
    stands: Mapping[str, tuple[Any, ...]],
    known: Mapping[tuple[str, str], tuple[str, str | None]],
) -> bool:
    before, after = commit.work.conversation, commit.conversation
    if before is not None:
        spoke = before.last_person_at
        # A person who approves a draft speaks, too, and takes nothing over.
        fence = (before.epoch, None if spoke is None else to_micros(spoke))
        return stands.get(before.id) != fence
    if after is None:
        return False
    # Their contact may have appeared since, too: an opt-out makes strangers known.
    nobody_new = (after.contact.id, None)
    return known.get((commit.work.tenant, after.contact.key), nobody_new) != nobody_new


def write(raw: sqlite3.Connection, commits: Sequence[Commit], now: int) -> None:
    """Write events' outcomes, decisions, messages and timers, and their threads."""
    _write_threads(raw, commits, now)
    messages = [row for commit in commits for row in _messages(commit, now)]
    _MESSAGE.run(raw, messages)
    _OUTCOME.run(raw, [_outcome(commit, now) for commit in commits])
    decided = [_decision(commit, now) for commit in commits if commit.decision is not None]
    _DECISION.run(raw, decided)
    for commit in commits:
        lane, seq = commit.work.ref
        for earlier in commit.settles:
            raw.execute(_SETTLED, (commit.outcome, seq, lane, earlier))
        _write_timers(raw, commit)


def _write_threads(raw: sqlite3.Connection, commits: Sequence[Commit], now: int) -> None:
    people, opened, changed = [], [], []
    for commit in commits:
        conversation = commit.conversation
        if conversation is None:
            continue
        before = commit.work.conversation
        if conversation is before:
            continue
        values = _thread(commit, conversation, now)
        if before is not None:
            changed.append(values)
            continue
        tenant, contact = commit.work.tenant, conversation.contact
        if commit.work.contact is None:
            tags = codec.dumps(sorted(contact.tags)) if contact.tags else _NO_TAGS
            known = codec.dumps(dict(contact.attributes)) if contact.attributes else _NO_ATTRIBUTES
            fresh = (contact.id, tenant, contact.key, contact.name, contact.language)
            people.append((*fresh, contact.opted_out, tags, known, now))
        names = (conversation.owner, tenant, contact.id, conversation.source, now)
        opened.append((*values, conversation.status, *names))
    _NEW_CONTACT.run(raw, people)
    _NEW_CONVERSATION.run(raw, opened)
    _CONVERSATION.run(raw, changed)
    for commit in commits:
        before, after = commit.work.conversation, commit.conversation
        if after is None:
            continue
        if before is not None and before.status != after.status:
            raw.execute(_NEW_STATUS, (after.status, after.id))
        if commit.owner is not None:
            raw.execute(_NEW_OWNER, (commit.owner, now, after.id))


def _thread(commit: Commit, conversation: Conversation, now: int) -> tuple[Any, ...]:
    turn, attributes = conversation.turn, conversation.attributes
    return (
        conversation.channel,
        str(conversation.address),
        conversation.category,
        conversation.risk,
        conversation.priority,
        conversation.language,
        conversation.bot_turns,
        codec.dumps(sorted(conversation.tags)) if conversation.tags else _NO_TAGS,
        codec.dumps(dict(attributes)) if attributes else _NO_ATTRIBUTES,
        turn.pending_ask,
        turn.messages[0].seq if turn.messages else None,
        turn.generation,
        None if conversation.last_in_at is None else to_micros(conversation.last_in_at),
        conversation.last_provider_id,
        to_micros(said_at(commit.work, from_micros(now))[1]),
        conversation.epoch,
        conversation.id,
    )


def _messages(commit: Commit, now: int) -> list[tuple[Any, ...]]:
    conversation, work = commit.conversation, commit.work
    if conversation is None:
        return []
    rows = []
    heard, said = said_at(work, from_micros(now))
    for item in commit.messages:
        attachments = item.attachments and codec.dumps(codec.encode_attachments(item.attachments))
        rows.append(
            (
                item.id,
                work.tenant,
                conversation.id,
                item.direction,
                item.author,
                item.text,
                attachments or None,
                item.channel,
                str(item.address),
                *work.ref,
                item.provider_id,
                item.status,
                to_micros(heard if item.direction == "in" else said),
            )
        )
    return rows


def _name(commit: Commit) -> str | None:
    return None if commit.conversation is None else commit.conversation.id


def _outcome(commit: Commit, now: int) -> tuple[Any, ...]:
    dead_at = None if commit.dead_error is None else now
    return (commit.outcome, _name(commit), dead_at, commit.dead_error, *commit.work.ref)


def _decision(commit: Commit, now: int) -> tuple[Any, ...]:
    decision = commit.decision
    assert decision is not None  # noqa: S101 - for the type checker
    return (
        *commit.work.ref,
        commit.work.tenant,
        _name(commit),
        decision.outcome.word,
        decision.rule,
        codec.dumps(codec.decision_values(decision)),
        commit.trace or b"",
        now,
    )


def _write_timers(raw: sqlite3.Connection, commit: Commit) -> None:
    tenant, lane = commit.work.tenant, commit.work.ref.lane
    for timer in commit.timers:
        if timer.due_at is None:
            raw.execute(_DROP_TIMER, (tenant, timer.kind, timer.key))
        else:
            due_at, payload = to_micros(timer.due_at), codec.dumps(dict(timer.payload))
            values = (tenant, timer.kind, timer.key, lane, due_at, timer.generation, payload)
            raw.execute(_SET_TIMER, values)
