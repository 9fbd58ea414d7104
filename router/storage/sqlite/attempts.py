"""Attempts on SQLite: whether an item may leave, and how that ended.

Most attempts are plain: nothing stands in the way of their start, they succeed, and nothing waits
behind them. Those are written a few statements for many; the others one by one.
"""

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from router.clock import from_micros, to_micros
from router.domain.limits import Bucket, has_waited
from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.storage.sqlite import buckets, lanes
from router.storage.sqlite.bulk import Bulk, Lookup
from router.storage.sqlite.outbox import move
from router.storage.store import JOB, OUT, OWN_LANE, AttemptResult, Item, Start, Terms

_STANDS = Lookup(
    """o.id, o.state, o.attempt, o.epoch, v.epoch, v.owner, v.pending_ask, v.last_in_at,
  v.window_shut_at, l.lease_owner, l.done_seq, l.last_seq, l.ready_at, l.queue""",
    """
FROM (VALUES {rows}) AS k JOIN outbox o ON o.id = k.column1
  JOIN lane l ON l.kind = k.column2 AND l.key = o.lane
  LEFT JOIN conversation v ON v.id = o.conversation
""",
    2,
)

_START = Bulk(
    """
UPDATE outbox SET state = 'started', attempt = attempt + 1, started_at = ?, finished_at = NULL,
  account = ?
WHERE id IN (VALUES {rows})
""",
    1,
)

_END = Bulk(
    """
UPDATE outbox SET state = v.column2, finished_at = v.column3,
  provider_ref = coalesce(v.column4, provider_ref), code = v.column5, error = v.column6
FROM (VALUES {rows}) AS v WHERE id = v.column1
""",
    6,
)

# A callback may have told more than we know now; what it told stays.
_MESSAGE_STATUS = Bulk(
    """
UPDATE message SET
  status = CASE WHEN status IN ('delivered', 'read') THEN status ELSE v.column2 END,
  failure = v.column3, provider_id = coalesce(v.column4, provider_id)
FROM (VALUES {rows}) AS v WHERE id = v.column1
""",
    4,
)

_KNOWN_AS = """
UPDATE message SET
  status = CASE WHEN status IN ('delivered', 'read', 'failed') THEN status ELSE ? END,
  failure = coalesce(failure, ?), provider_id = coalesce(provider_id, ?) WHERE id = ?
"""

_EARLY = Bulk(
    """
DELETE FROM early_report WHERE rowid IN (
  SELECT e.rowid FROM (VALUES {rows}) AS k JOIN early_report e
    ON e.tenant = k.column1 AND e.channel = k.column2 AND e.provider_id = k.column3)
RETURNING tenant, channel, provider_id, status, failure
""",
    3,
)

#: What people see of a message whose item stands in a state. ``done`` is ``sent``.
_STATUS = {
    ItemState.DONE: "sent",
    ItemState.REFUSED: "failed",
    ItemState.DEAD: "failed",
    ItemState.UNKNOWN: "unknown",
    ItemState.WITHDRAWN: "withdrawn",
}


class Attempt(NamedTuple):
    """An item that is about to leave, and what it has to keep to."""

    item: Item
    terms: Terms | None


class End(NamedTuple):
    """How an attempt ended."""

    item: Item
    result: AttemptResult


class _Row(NamedTuple):
    """How an item, its conversation and its lane stand."""

    id: str
    state: str
    attempt: int
    under: int
    epoch: int | None
    owner: str | None
    pending: str | None
    last_in_at: int | None
    shut_at: int | None
    lease: int | None
    done_seq: int
    last_seq: int
    ready_at: int | None
    queue: str | None


#: Buckets in whose queues something has moved, by tenant and key; ``None``: there is no such limit
#: any more.
_Queues = dict[tuple[str, str], Bucket | None]


def _rows(raw: sqlite3.Connection, items: Sequence[Item]) -> dict[str, _Row]:
    """Read items whose lane there is."""
    found = _STANDS.run(raw, [(item.id, item.lane_kind) for item in items])
    return {row[0]: _Row(*row) for row in found}


def start(
    raw: sqlite3.Connection, attempts: Sequence[Attempt], now: int, *, me: int
) -> tuple[list[tuple[Start, Item | None]], bool]:
    """Mark items started, or withdraw them; after a withdrawal, give the lane's next item.

    :return: of each, whether it may leave; and whether others may look earlier now.
    """
    rows = _rows(raw, [attempt.item for attempt in attempts])
    begun: dict[str, str | None] = {}
    answers: list[tuple[Start, Item | None]] = []
    queues = _leave_queues(raw, attempts, rows, me)
    for item, terms in attempts:
        row = rows.get(item.id)
        if row is None or item.id in begun:
            answers.append((Start.NOT, None))
            continue
        answer = _judge(raw, item, terms, row, now, queues, me=me)
        answers.append(answer)
        if answer[0] is Start.BEGUN:
            begun[item.id] = None if terms is None else terms.account
    for account in set(begun.values()):
        names = [(name,) for name, by in begun.items() if by == account]
        _START.run(raw, names, now, account)
    called = [
        buckets.call_next(raw, tenant, key, bucket, now) for (tenant, key), bucket in queues.items()
    ]
    return answers, any(called)


def _leave_queues(
    raw: sqlite3.Connection, attempts: Sequence[Attempt], rows: dict[str, _Row], me: int
) -> _Queues:
    """Let the lanes that have been called out of their queues, and give those."""
    queues: _Queues = {}
    for item, terms in attempts:
        row = rows.get(item.id)
        if row is None or row.queue is None or row.lease != me:
            continue
        wanted = () if terms is None else terms.buckets
        queues[item.tenant, row.queue] = next((it for it in wanted if it.key == row.queue), None)
        lanes.leave_queue(raw, item.lane_kind, [item.lane])
    return queues


def _judge(
    raw: sqlite3.Connection,
    item: Item,
    terms: Terms | None,
    row: _Row,
    now: int,
    queues: _Queues,
    *,
    me: int,
) -> tuple[Start, Item | None]:
    if row.lease != me or row.done_seq >= item.seq:
        return Start.NOT, None
    if row.attempt != item.attempt:
        # Somebody has begun it since it was claimed, and will say how that ended.
        return Start.NOT, None
    if row.state not in ("waiting", "started"):
        return Start.NOT, move(raw, item.lane_kind, item.lane, me=me)
    if _overtaken(item, row):
        if item.may_have_left:
            return Start.OVERTAKEN, None
        _withdraw(raw, item, f"{row.owner} took the conversation over before it was sent", now)
        return Start.NOT, move(raw, item.lane_kind, item.lane, me=me)
    if item.kind in (ItemKind.ASK, ItemKind.CLASSIFY) and row.pending != item.id:
        _unask(raw, item, now)
        return Start.NOT, move(raw, item.lane_kind, item.lane, me=me)
    if item.not_before is not None and now < (ready_at := to_micros(item.not_before)):
        lanes.postpone(raw, item.lane_kind, item.lane, item.seq, me=me, ready_at=ready_at)
        return Start.NOT, None
    if terms is not None:
        if terms.barred:
            return Start.BARRED, None
        if terms.window is not None and _closed(terms.window, row.last_in_at, row.shut_at, now):
            return Start.CLOSED, None
        if terms.buckets and not _admitted(raw, item, terms, row, now, queues, me=me):
            return Start.NOT, None
    return Start.BEGUN, None


def _overtaken(item: Item, row: _Row) -> bool:
    """Tell whether somebody has taken the conversation over since an item was decided."""
    fenced = item.author is not Author.PERSON and item.kind is ItemKind.MESSAGE
    # As the row has it now: handing a conversation back takes what waits along.
    return fenced and row.epoch is not None and row.epoch > row.under


def _withdraw(raw: sqlite3.Connection, item: Item, why: str, now: int) -> None:
    _END.run(raw, [(item.id, ItemState.WITHDRAWN, now, None, None, why)])
    _MESSAGE_STATUS.run(raw, [(item.id, "withdrawn", why, None)])


def _closed(window: timedelta, last_in_at: int | None, shut_at: int | None, now: int) -> bool:
    """Tell whether a channel takes no free text for a customer, as far as is known."""
    if last_in_at is None:
        return shut_at is not None
    closes_at = last_in_at + window // timedelta(microseconds=1)
    return now >= closes_at or (shut_at is not None and shut_at >= last_in_at)


def _admitted(
    raw: sqlite3.Connection,
    item: Item,
    terms: Terms,
    row: _Row,
    now: int,
    queues: _Queues,
    *,
    me: int,
) -> bool:
    """Take a token from each bucket, or let the lane rest until there may be one."""
    since = row.ready_at or 0
    waited = row.queue is not None or has_waited(
        from_micros(since), item.ready_since, from_micros(now)
    )
    ahead = item.author is Author.PERSON
    later = buckets.take(raw, item.tenant, terms.buckets, now, waited=waited, ahead=ahead)
    if later is None:
        return True
    ready_at, queue = later
    if queue is not None:
        queues[item.tenant, queue] = next(it for it in terms.buckets if it.key == queue)
    lanes.postpone(
        raw,
        item.lane_kind,
        item.lane,
        item.seq,
        me=me,
        ready_at=ready_at,
        queue=queue,
        # Who comes back in vain is still before all that were to come later.
        place=None if queue is None else since if waited else ready_at,
    )
    return False


def _unask(raw: sqlite3.Connection, item: Item, now: int) -> None:
    """Withdraw a question whose answer nobody waits for: the conversation has moved on."""
    why = "the conversation has moved on before it was asked"
    _END.run(raw, [(item.id, ItemState.WITHDRAWN, now, None, None, why)])
    if item.decided is not None:
        # What put the question is settled. A message stays in its turn for the next question.
        raw.execute(
            "UPDATE inbox_event SET outcome = 'superseded'"
            " WHERE lane = ? AND seq = ? AND outcome = 'asking' AND type != 'message'",
            item.decided,
        )


def finish(
    raw: sqlite3.Connection, ends: Sequence[End], now: int, *, me: int
) -> list[tuple[bool, Item | None]]:
    """Write how attempts ended; say whether each counted, and give its lane's next item."""
    rows = _rows(raw, [end.item for end in ends])
    plain = {end.item.lane: end for end in ends if _is_plain(end, rows.get(end.item.id), me)}
    _succeed(raw, list(plain.values()), now)
    return [
        (True, None)
        if plain.get(end.item.lane) is end
        else _finish(raw, end, rows.get(end.item.id), now, me=me)
        for end in ends
    ]


def _is_plain(end: End, row: _Row | None, me: int) -> bool:
    """Tell whether an attempt succeeded, and it was all that its lane held."""
    return (
        row is not None
        and end.result.state is ItemState.DONE
        and row.state == "started"
        and row.lease == me
        and row.last_seq == end.item.seq
        and row.done_seq == end.item.seq - 1
    )


def _succeed(raw: sqlite3.Connection, ends: Sequence[End], now: int) -> None:
    """Write attempts that succeeded, and that nothing waits behind."""
    _END.run(
        raw,
        [
            (item.id, result.state, now, result.provider_ref, result.code, result.error)
            for item, result in ends
        ],
    )
    messages = [end for end in ends if end.item.kind is ItemKind.MESSAGE]
    told = _take_early(raw, messages)
    lines = []
    for item, result in messages:
        status, failure = _told(told, item, result.provider_ref, "sent", result.error)
        lines.append((item.id, status, failure, result.provider_ref))
    _MESSAGE_STATUS.run(raw, lines)
    for kind in (OUT, JOB):
        keys = [item.lane for item, _ in ends if item.lane_kind == kind]
        own = [lane for lane in keys if lane.startswith(OWN_LANE)]
        lanes.forget_all(raw, kind, own)
        lanes.idle_all(raw, kind, [lane for lane in keys if not lane.startswith(OWN_LANE)])


#: What was reported of messages before their ids were known here: state and failure.
_Told = dict[tuple[str, str, str], tuple[str | None, str | None]]


def _take_early(raw: sqlite3.Connection, ends: Sequence[End]) -> _Told:
    names = [
        (item.tenant, item.destination, result.provider_ref)
        for item, result in ends
        if result.provider_ref is not None
    ]
    found = _EARLY.run(raw, names)
    return {(tenant, channel, ref): (status, why) for tenant, channel, ref, status, why in found}


def _told(
    told: _Told, item: Item, ref: str | None, status: str, failure: str | None
) -> tuple[str, str | None]:
    if ref is None or (item.tenant, item.destination, ref) not in told:
        return status, failure
    early, why = told[item.tenant, item.destination, ref]
    return (status if early in (None, "queued") else early), why


def _finish(
    raw: sqlite3.Connection, end: End, stood: _Row | None, now: int, *, me: int
) -> tuple[bool, Item | None]:
    item, result = end
    row = raw.execute("SELECT state FROM outbox WHERE id = ?", (item.id,)).fetchone()
    if row is None or row[0] in ("done", "withdrawn", "refused", "dead"):
        # An echo or a status callback has proved it meanwhile, or a stale worker comes late.
        if row is not None and row[0] == "done" and result.provider_ref:
            _also_known_as(raw, end, result.provider_ref)
        return False, move(raw, item.lane_kind, item.lane, me=me)
    # A receipt is a fact whoever brings it; any other word counts only under the lease.
    if result.state is not ItemState.DONE and not lanes.holds(
        raw, item.lane_kind, item.lane, item.seq, me=me
    ):
        return False, None
    finished = None if result.state is ItemState.WAITING else now
    _END.run(
        raw, [(item.id, result.state, finished, result.provider_ref, result.code, result.error)]
    )
    if item.kind is ItemKind.MESSAGE and result.state in _STATUS:
        told = _take_early(raw, [end])
        ref = result.provider_ref
        status, failure = _told(told, item, ref, _STATUS[result.state], result.error)
        _MESSAGE_STATUS.run(raw, [(item.id, status, failure, ref)])
    if result.state is ItemState.WAITING:
        retry_at = now if result.retry_at is None else to_micros(result.retry_at)
        if stood is not None and _overtaken(item, stood):
            # There is no next try, and what a person writes must not wait for it.
            retry_at = now
        lanes.rest(
            raw,
            item.lane_kind,
            item.lane,
            seq=item.seq,
            me=me,
            ready_at=retry_at,
            attempts=item.attempt + 1,
            error=result.error,
        )
        return True, None
    return True, move(raw, item.lane_kind, item.lane, me=me)


def _also_known_as(raw: sqlite3.Connection, end: End, ref: str) -> None:
    """Keep the provider's id of what was proved to be sent before the provider's answer came."""
    item = end.item
    raw.execute(
        "UPDATE outbox SET provider_ref = coalesce(provider_ref, ?) WHERE id = ?", (ref, item.id)
    )
    if item.kind is ItemKind.MESSAGE:
        told = _take_early(raw, [end])
        status, failure = _told(told, item, ref, "sent", None)
        raw.execute(_KNOWN_AS, (status, failure, ref, item.id))
