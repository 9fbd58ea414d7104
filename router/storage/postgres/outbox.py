"""The outbox on PostgreSQL: putting items in, starting and ending attempts, keeping their order.

An ``unknown`` head holds its lane back for the bot and for rules. What a person writes goes past
it, so items may end out of order; the cursor then stays before the first that has not ended.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.storage.conflicts import number_of
from router.storage.postgres import lanes
from router.storage.postgres.engine import Transaction
from router.storage.postgres.lanes import Claimed, Rest, columns
from router.storage.postgres.statements.commits import LOCK_CONVERSATIONS
from router.storage.postgres.statements.locks import HOLD
from router.storage.postgres.statements.outbox import (
    BEHIND,
    EARLY,
    END,
    HEADS,
    KNOWN_AS,
    LOCK_ITEMS,
    MOVE,
    OVERTAKEN,
    PEEK_ITEMS,
    PUT,
    RELIEVE,
    SAME_ITEM,
    STANDS,
    STATUSES,
)
from router.storage.queued import Queued
from router.storage.store import OWN_LANE, AttemptResult, EventRef, Item

#: Until a lane is looked at again whose head is just being settled.
_SOON: Final = timedelta(milliseconds=50)

#: What people see of a message whose item stands in a state. ``done`` is ``sent``.
STATUS = {
    ItemState.DONE: "sent",
    ItemState.REFUSED: "failed",
    ItemState.DEAD: "failed",
    ItemState.UNKNOWN: "unknown",
    ItemState.WITHDRAWN: "withdrawn",
}


class End(NamedTuple):
    """What an item becomes."""

    id: str
    state: str
    finished_at: datetime | None
    provider_ref: str | None = None
    code: str | None = None
    error: str | None = None


class Shown(NamedTuple):
    """What people see of a message from now on."""

    id: str
    status: str
    failure: str | None
    provider_id: str | None


def put(
    tx: Transaction, kind: str, queued: Sequence[Queued], *, me: int | None, now: datetime
) -> list[Item]:
    """Put items for one kind of lane in; give those whose lane was idle and is now leased."""
    rows, items = [], []
    for person in (False, True):
        some = [it for it in queued if (it.item.author is Author.PERSON) is person]
        keys = [(it.item.lane, it.tenant) for it in some]
        numbers = lanes.extend(tx, kind, keys, me=me, now=now, person=person)
        for it, number in zip(some, numbers, strict=True):
            rows.append(_row(it, number.seq))
            if me is not None and number.handed:
                items.append(it.fresh(number.seq, now, lease=me))
    if rows:
        tx.rows(PUT, *columns(rows, 13), now)
    return items


def _row(queued: Queued, seq: int) -> tuple[Any, ...]:
    item = queued.item
    return (
        item.id,
        queued.tenant,
        item.lane,
        seq,
        item.kind,
        queued.conversation,
        *(queued.decided or (None, None)),
        item.author,
        queued.epoch,
        item.destination,
        item.body,
        item.not_before,
    )


def _item(row: Sequence[Any], lease: int) -> Item:
    return Item(
        id=row[0],
        tenant=row[1],
        lane=row[2],
        seq=row[3],
        kind=ItemKind(row[4]),
        conversation=row[5],
        decided=None if row[6] is None else EventRef(row[6], row[7]),
        author=Author(row[8]),
        epoch=row[9],
        destination=row[10],
        body=row[11],
        state=ItemState(row[12]),
        attempt=row[13],
        created_at=row[14],
        started_at=row[15],
        lease=lease,
        not_before=row[16],
        account=row[17],
    )


def claimed_items(
    tx: Transaction, kind: str, claimed: Sequence[Claimed], *, me: int, now: datetime
) -> list[Item]:
    """Give the next items of lanes just claimed, in their order."""
    cursors = [(lane.key, lane.done_seq) for lane in claimed]
    return _next_items(tx, kind, cursors, me=me, claimed_at=now)


def _next_items(
    tx: Transaction,
    kind: str,
    cursors: Sequence[tuple[str, int]],
    *,
    me: int,
    claimed_at: datetime | None = None,
) -> list[Item]:
    """Read the next items that may leave; lanes that have none are given back as they should rest.

    A statement of its own, after the one that locked the lanes: it sees every number they gave.

    :param claimed_at: now, where this transaction has leased the lanes; ``None``: they have been
        leased since before.
    """
    if not cursors:
        return []
    heads = {row[2]: row for row in tx.rows(HEADS, *columns(cursors, 2))}
    blocked = [it for it in cursors if it[0] in heads and heads[it[0]][12] == ItemState.UNKNOWN]
    settled, soon = _settled_since(tx, [heads[lane][0] for lane, _ in blocked], claimed_at)
    if settled:
        return _next_items(tx, kind, cursors, me=me, claimed_at=claimed_at)
    people = {}
    if blocked:
        people = {row[2]: row for row in tx.rows(BEHIND, *columns(blocked, 2))}
        _overtake(tx, [(*it, people[it[0]]) for it in blocked if it[0] in people])
        parked = Rest(kind, "", me, parked=True)
        again = Rest(kind, "", me, ready_at=claimed_at and claimed_at + _SOON)
        rests = [
            (again if heads[lane][0] in soon else parked)._replace(key=lane)
            for lane, _ in blocked
            if lane not in people
        ]
        lanes.rest(tx, rests)
    # Of a blocked lane what a person wrote leaves, or nothing.
    blocked_lanes = {lane for lane, _ in blocked}
    empty = [lane for lane, _ in cursors if lane not in heads]
    lanes.idle(tx, kind, empty, me=me)
    found = {lane: head for lane, head in heads.items() if lane not in blocked_lanes} | people
    return [_item(found[lane], me) for lane, _ in cursors if lane in found]


def _settled_since(
    tx: Transaction, heads: Sequence[str], claimed_at: datetime | None
) -> tuple[bool, set[str]]:
    """Lock unknown heads, for whose sake lanes are to be parked; tell whether one is so no more.

    Who settles one wakes its lane, unless it is leased: then whoever holds it goes on by itself.
    So it must not be parked by somebody who has not seen that. Whoever has just claimed it may
    find that it was leased when it was settled, and is not yet known to be: it does not wait,
    because what settles one may be about to lock any of the lanes that were claimed with it.

    :return: besides, the heads that are just being settled.
    """
    if not heads:
        return False, set()
    statement = LOCK_ITEMS if claimed_at is None else PEEK_ITEMS
    states = {row[0]: row[1] for row in tx.rows(statement, sorted(heads))}
    settled = any(state != ItemState.UNKNOWN for state in states.values())
    return settled, {name for name in heads if name not in states}


def _overtake(tx: Transaction, heads: Sequence[tuple[str, int, Sequence[Any]]]) -> None:
    """Withdraw what waits before a person's message that goes past an unknown head.

    What the bot or a rule had to say before the person spoke must not come after it.
    """
    if not heads:
        return
    why = "a person wrote before it was sent"
    rows = [(lane, done, row[3], row[14]) for lane, done, row in heads]
    gone = tx.rows(OVERTAKEN, *columns(rows, 4), why)
    show(tx, [Shown(row[0], "withdrawn", why, None) for row in gone])


def end(tx: Transaction, ends: Sequence[End]) -> None:
    """Write what items became."""
    if ends:
        tx.rows(END, *columns(ends, 6))


def show(tx: Transaction, shown: Sequence[Shown]) -> None:
    """Let people see how messages stand."""
    if shown:
        tx.rows(STATUSES, *columns(sorted(shown), 4))


def finish(
    tx: Transaction, parts: Sequence[tuple[Item, AttemptResult]], now: datetime
) -> tuple[list[bool], list[Item]]:
    """Write how attempts ended; say which of them counted, and give their lanes' next items.

    :param parts: of different lanes.
    """
    locked = lanes.lock(tx, [(item.lane_kind, item.lane) for item, _ in parts])
    epochs = _epochs(tx, parts)
    early = _early(tx, parts)
    names = sorted(item.id for item, _ in parts)
    rows = tx.rows(LOCK_ITEMS, names)
    states, under = {row[0]: row[1] for row in rows}, {row[0]: row[3] for row in rows}
    counted, ends, shown, known, rests, moved = [], [], [], [], [], []
    for item, result in parts:
        state, name = states.get(item.id), (item.lane_kind, item.lane)
        if state is None or state in ("done", "withdrawn", "refused", "dead"):
            # An echo or a status callback has proved it meanwhile, or a stale worker comes late.
            if state == "done" and result.provider_ref:
                status, failure = _told(early, item, result.provider_ref, "sent", None)
                known.append(Shown(item.id, status, failure, result.provider_ref))
            moved.append(item)
            counted.append(False)
            continue
        # A receipt is a fact whoever brings it; any other word counts only under the lease.
        held = name in locked and locked[name].held(item.lease, item.seq)
        if result.state is not ItemState.DONE and not held:
            counted.append(False)
            continue
        counted.append(True)
        waits = result.state is ItemState.WAITING
        finished = None if waits else now
        ends.append(
            End(item.id, result.state, finished, result.provider_ref, result.code, result.error)
        )
        if item.kind is ItemKind.MESSAGE and result.state in STATUS:
            status, failure = STATUS[result.state], result.error
            if result.provider_ref is not None:
                status, failure = _told(early, item, result.provider_ref, status, failure)
            shown.append(Shown(item.id, status, failure, result.provider_ref))
        if waits:
            again = result.retry_at or now
            if epochs.get(item.conversation, 0) > under[item.id]:
                # Taken over: there is no next try, and what a person writes must not wait for it.
                again = now
            tries = item.attempt + 1
            rests.append(Rest(*name, item.lease, item.seq, again, tries, result.error))
        else:
            moved.append(item)
    end(tx, ends)
    if known:
        tx.rows(SAME_ITEM, *columns([(it.id, it.provider_id) for it in known], 2))
        tx.rows(KNOWN_AS, *columns(sorted(known), 4))
    show(tx, shown)
    lanes.rest(tx, rests)
    return counted, move(tx, moved, now)


def _epochs(tx: Transaction, parts: Iterable[tuple[Item, AttemptResult]]) -> dict[str | None, int]:
    """Give the epochs of the conversations in which a message of the bot's is to be tried again.

    Locked: who takes one over comes before this, or finds the message waiting.
    """
    names = {
        item.conversation
        for item, result in parts
        if result.state is ItemState.WAITING
        and item.conversation is not None
        and item.kind is ItemKind.MESSAGE
        and item.author is not Author.PERSON
    }
    if not names:
        return {}
    return {row[0]: row[1] for row in tx.rows(LOCK_CONVERSATIONS, sorted(names))}


_Reported = dict[tuple[str, str, str], tuple[str | None, str | None]]


def _early(tx: Transaction, parts: Iterable[tuple[Item, AttemptResult]]) -> _Reported:
    """Take up what was reported of messages before their ids were known here."""
    names = sorted(
        {
            (item.tenant, item.destination, result.provider_ref)
            for item, result in parts
            if item.kind is ItemKind.MESSAGE and result.provider_ref is not None
        }
    )
    if not names:
        return {}
    # Who brings a report at this moment holds the same: it comes before this, and is found here,
    # or after, and finds the item.
    tx.rows(HOLD, sorted(number_of(*name) for name in names))
    rows = tx.rows(EARLY, *columns(names, 3))
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


def _told(
    early: _Reported, item: Item, provider_ref: str, status: str, failure: str | None
) -> tuple[str, str | None]:
    found = early.get((item.tenant, item.destination, provider_ref))
    if found is None:
        return status, failure
    told, why = found
    return (status if told in (None, "queued") else told), why


def move(tx: Transaction, items: Sequence[Item], now: datetime) -> list[Item]:
    """Move cursors up to the first item that has not ended; give the next that may leave.

    The lanes are locked already. What has ended under a lost lease may be that for whose sake its
    lane was parked since, or what somebody else has in hand: nobody but us would wake it.

    :param items: of different lanes; each with the lease under which its lane may go on.
    """
    if not items:
        return []
    leases = {(item.lane_kind, item.lane): item.lease for item in items}
    moved, ended, idle, goes_on, relieved = [], [], [], [], []
    for row in tx.rows(STANDS, *columns(leases, 2)):
        kind, lane, done_seq, last_seq, owner, parked, first, state = row
        done = last_seq if first is None else first - 1
        lease = leases[kind, lane]
        if done > done_seq:
            moved.append((kind, lane, done))
        if first is None and lane.startswith(OWN_LANE):
            ended.append((kind, lane))
        elif owner == lease and first is not None:
            goes_on.append((kind, lane, done, lease))
        elif owner == lease:
            idle.append((kind, lane, lease))
        # What has been started is what the other has in hand: a person's, past an unknown head.
        elif done > done_seq and (parked if owner is None else state != ItemState.STARTED):
            relieved.append((kind, lane))
    if moved:
        tx.rows(MOVE, *columns(moved, 3))
    if relieved:
        tx.rows(RELIEVE, *columns(relieved, 2), now)
    for kind in {kind for kind, _ in ended}:
        lanes.forget(tx, kind, [lane for it, lane in ended if it == kind])
    for group in {(kind, lease) for kind, _, lease in idle}:
        keys = [lane for kind, lane, lease in idle if (kind, lease) == group]
        lanes.idle(tx, group[0], keys, me=group[1])
    found = []
    for group in {(kind, lease) for kind, _, _, lease in goes_on}:
        cursors = [(lane, done) for kind, lane, done, it in goes_on if (kind, it) == group]
        found += _next_items(tx, group[0], cursors, me=group[1])
    return found
