"""Commits on PostgreSQL: everything that working events changes, a few statements for many."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from router.domain.conversation import Conversation
from router.storage import codec
from router.storage.conflicts import number_of
from router.storage.lines import said_at
from router.storage.postgres.engine import Transaction
from router.storage.postgres.lanes import columns
from router.storage.postgres.statements.commits import (
    CONVERSATIONS,
    DECISIONS,
    LOCK_CONVERSATIONS,
    MESSAGES,
    NEW_CONTACTS,
    NEW_CONVERSATIONS,
    NEW_OWNERS,
    OPENED,
    OUTCOMES,
    SETTLED,
)
from router.storage.postgres.statements.locks import HOLD
from router.storage.postgres.statements.threads import CALL
from router.storage.postgres.statements.timers import DROP_TIMERS, SET_TIMERS
from router.storage.store import Commit, NewTimer

#: How most conversations' tags and attributes look.
_NO_TAGS, _NO_ATTRIBUTES = "[]", "{}"


def moved_on(tx: Transaction, commits: Sequence[Commit]) -> set[str]:
    """Give the lanes whose thread is no longer the one that the decision was made on.

    Locks the conversations: nobody raises an epoch between this look and the commit, and no person
    speaks, as one who approves a draft does without taking anything over.
    """
    read = {
        commit.work.ref.lane: commit.work.conversation
        for commit in commits
        if commit.work.conversation is not None
    }
    fresh = [
        commit
        for commit in commits
        if commit.work.conversation is None and commit.conversation is not None
    ]
    moved = set()
    if read:
        names = sorted({thread.id for thread in read.values()})
        rows = tx.rows(LOCK_CONVERSATIONS, names)
        stands = {row[0]: (row[1], row[7]) for row in rows if row[6] != "closed"}
        moved = {
            lane for lane, it in read.items() if stands.get(it.id) != (it.epoch, it.last_person_at)
        }
    if fresh:
        rows = tx.rows(OPENED, *columns([_person(it) for it in fresh], 2))
        known = {(row[0], row[1]): (row[2], row[3]) for row in rows}
        moved |= {commit.work.ref.lane for commit in fresh if _has_appeared(commit, known)}
    return moved | _told_since(tx, commits)


def _told_since(tx: Transaction, commits: Sequence[Commit]) -> set[str]:
    """Give the lanes whose call another lane has told of since they were read, or tells of now.

    Holds the calls: who is just telling of the same one has committed, or waits for this.
    """
    calls = [(it.work.tenant, it.work.new_call, it.work.ref.lane) for it in commits]
    new = [(tenant, call, lane) for tenant, call, lane in calls if call is not None]
    if not new:
        return set()
    tx.rows(HOLD, sorted({number_of("call", *name) for *name, _ in new}))
    lanes, told = set(), set()
    for tenant, call, lane in new:
        if (tenant, call) in told or tx.rows(CALL, tenant, call):
            lanes.add(lane)
        told.add((tenant, call))
    return lanes


def _has_appeared(commit: Commit, known: Mapping[tuple[str, str], tuple[str, str | None]]) -> bool:
    assert commit.conversation is not None  # noqa: S101 - for the type checker
    # Their contact may have appeared since, too: an opt-out makes strangers known.
    nobody_new = (commit.conversation.contact.id, None)
    return known.get(_person(commit), nobody_new) != nobody_new


def _person(commit: Commit) -> tuple[str, str]:
    assert commit.conversation is not None  # noqa: S101 - for the type checker
    return commit.work.tenant, commit.conversation.contact.key


def write(tx: Transaction, commits: Sequence[Commit], now: datetime) -> None:
    """Write events' outcomes, decisions, messages and timers, and their threads."""
    _write_threads(tx, commits, now)
    _run(tx, MESSAGES, [row for it in commits for row in _messages(it, now)], 14)
    _run(tx, OUTCOMES, [_outcome(commit, now) for commit in commits], 6)
    decided = [_decision(commit, now) for commit in commits if commit.decision is not None]
    _run(tx, DECISIONS, decided, 9)
    settled = [
        (commit.outcome, commit.work.ref.seq, commit.work.ref.lane, earlier)
        for commit in commits
        for earlier in commit.settles
    ]
    _run(tx, SETTLED, settled, 4)
    _write_timers(tx, commits)


def _run(tx: Transaction, statement: str, rows: Sequence[Sequence[Any]], width: int) -> None:
    if rows:
        tx.rows(statement, *columns(rows, width))


def _write_threads(tx: Transaction, commits: Sequence[Commit], now: datetime) -> None:
    people, opened, changed, owners = [], [], [], []
    for commit in commits:
        conversation = commit.conversation
        if conversation is None:
            continue
        if commit.owner is not None:
            owners.append((conversation.id, commit.owner))
        if conversation is commit.work.conversation:
            continue
        values = _thread(commit, conversation, now)
        if commit.work.conversation is not None:
            changed.append(values)
            continue
        tenant, contact = commit.work.tenant, conversation.contact
        if commit.work.contact is None:
            tags = codec.dumps(sorted(contact.tags)) if contact.tags else _NO_TAGS
            known = codec.dumps(dict(contact.attributes)) if contact.attributes else _NO_ATTRIBUTES
            fresh = (contact.id, tenant, contact.key, contact.name, contact.language)
            people.append((*fresh, contact.opted_out, tags, known, now))
        opened.append((*values, conversation.owner, tenant, contact.id, conversation.source, now))
    # In the order of their unique key: two nodes may open the same one at the same moment.
    people.sort(key=lambda row: (row[1], row[2]))
    _run(tx, NEW_CONTACTS, people, 9)
    _run(tx, NEW_CONVERSATIONS, opened, 23)
    _run(tx, CONVERSATIONS, changed, 18)
    if owners:
        tx.rows(NEW_OWNERS, *columns(owners, 2), now)


def _thread(commit: Commit, conversation: Conversation, now: datetime) -> tuple[Any, ...]:
    turn, before = conversation.turn, commit.work.conversation
    # Left alone unless the event changes it: a person may have changed it since it was read.
    kept = before is not None and before.status == conversation.status
    attributes = conversation.attributes
    return (
        conversation.channel,
        str(conversation.address),
        None if kept else conversation.status,
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
        conversation.last_in_at,
        conversation.last_provider_id,
        said_at(commit.work, now)[1],
        conversation.epoch,
        conversation.id,
    )


def _messages(commit: Commit, now: datetime) -> list[tuple[Any, ...]]:
    conversation, work = commit.conversation, commit.work
    if conversation is None:
        return []
    rows = []
    heard, said = said_at(work, now)
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
                heard if item.direction == "in" else said,
            )
        )
    return rows


def _name(commit: Commit) -> str | None:
    return None if commit.conversation is None else commit.conversation.id


def _outcome(commit: Commit, now: datetime) -> tuple[Any, ...]:
    dead_at = None if commit.dead_error is None else now
    return (commit.outcome, _name(commit), dead_at, commit.dead_error, *commit.work.ref)


def _decision(commit: Commit, now: datetime) -> tuple[Any, ...]:
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


def _write_timers(tx: Transaction, commits: Sequence[Commit]) -> None:
    last: dict[tuple[str, str, str], tuple[NewTimer, str]] = {}
    for commit in commits:
        for timer in commit.timers:
            last[commit.work.tenant, timer.kind, timer.key] = (timer, commit.work.ref.lane)
    kept, dropped = [], []
    for name, (timer, lane) in sorted(last.items(), key=lambda it: it[0]):
        if timer.due_at is None:
            dropped.append(name)
        else:
            payload = codec.dumps(dict(timer.payload))
            kept.append((*name, lane, timer.due_at, timer.generation, payload))
    _run(tx, SET_TIMERS, kept, 7)
    _run(tx, DROP_TIMERS, dropped, 3)
