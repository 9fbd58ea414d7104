"""Working events on SQLite: what comes in, what is claimed, what working it changed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from router.clock import from_micros, to_micros
from router.storage.fired import fired
from router.storage.queued import queued_by
from router.storage.ready import Ready
from router.storage.sqlite import lanes
from router.storage.sqlite.commits import moved_on, told_since, write
from router.storage.sqlite.threads import Cursor, next_works
from router.storage.sqlite.tx import Writing
from router.storage.sqlite.writer import Transaction
from router.storage.store import IN, OUT, Accepted, Change, Commit, EventRef, NewEvent, Work

# A conversation is not quiet because the clock has leapt ahead.
_FREE = "NOT (kind = 'idle' AND due_at > :aged AND due_at <= :now)"

_DUE = f"""
DELETE FROM timer WHERE (tenant, kind, key) IN (
  SELECT tenant, kind, key FROM timer WHERE due_at <= :now AND {_FREE}
  ORDER BY due_at LIMIT :limit)
RETURNING tenant, kind, key, lane, generation, payload, kind = 'idle' AND EXISTS (
  SELECT 1 FROM draft WHERE draft.conversation = timer.key AND draft.state = 'pending')
"""

_NEXT_DUE = f"SELECT min(due_at) FROM timer WHERE {_FREE}"


class InboxWork:
    """The operations on lanes of events, each a part of a group of the writer."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._clock = writing.clock
        self._dispatch = writing.dispatch

    def accept(self, tx: Transaction, requests: list[Sequence[NewEvent]]) -> list[list[Accepted]]:
        """Store the events of requests, all of each or none."""
        events = [event for events in requests for event in events]
        accepted = iter(self._writing.put_events(tx, events))
        return [list(islice(accepted, len(events))) for events in requests]

    def claim(self, tx: Transaction, limit: int) -> None:
        """Lease lanes that are ready."""
        now, me = to_micros(self._clock.now()), self._writing.me
        claimed = lanes.claim(tx.raw, IN, me=me, now=now, limit=limit)
        cursors = [Cursor(it.key, it.done_seq, it.attempts, it.crashes) for it in claimed]
        works = next_works(tx.raw, cursors, tx.era)
        for lane in claimed:
            if lane.key not in works:
                lanes.idle(tx.raw, IN, lane.key, me=me)
        # Oldest first, as they were claimed.
        tx.published.extend(works[it.key] for it in claimed if it.key in works)
        tx.published.append(outlook(tx, IN, self._dispatch.inbox, full=len(claimed) == limit))

    def settle(self, tx: Transaction, commits: list[Commit]) -> list[None]:
        """Write what working events changed; what was worked under a lost lease is dropped."""
        raw = tx.raw
        by_lane = {commit.work.ref.lane: commit for commit in reversed(commits)}
        if len(by_lane) < len(commits):
            # Somebody lost a lease: whoever comes first moves the cursor, the others are dropped.
            for commit in commits:
                self.settle(tx, [commit])
            return [None] * len(commits)
        # Where nothing else ran since, a thread is as its lane has left it.
        doubtful = [it for it in commits if tx.era == 0 or it.work.lease != tx.era]
        moved = moved_on(raw, doubtful) | told_since(raw, commits)
        for lane in moved:
            self._offer_again(tx, by_lane.pop(lane))
        cursors = [commit.work.ref for commit in by_lane.values()]
        waiting = lanes.advance(raw, IN, cursors, me=self._writing.me)
        held = [commit for commit in by_lane.values() if commit.work.ref.lane in waiting]
        write(raw, held, to_micros(self._clock.now()))
        if any(map(_is_of_another, held)):
            tx.disturb()
        self._writing.put_items(tx, [queued for commit in held for queued in queued_by(commit)])
        if self._writing.take_effect(tx, [effect for commit in held for effect in commit.effects]):
            # A delivery report settles what was unknown, and what waited behind it may leave.
            tx.published.append(self._dispatch.items[OUT])
        self._go_on(tx, [commit.work.ref for commit in held if waiting[commit.work.ref.lane]])
        for commit in held:
            for timer in commit.timers:
                if timer.due_at is not None:
                    tx.published.append(partial(self._dispatch.alarm.notice, timer.due_at))
            if commit.conversation is not None:
                tx.published.append(Change(commit.work.tenant, commit.conversation.id))
        return [None] * len(commits)

    def _offer_again(self, tx: Transaction, commit: Commit) -> None:
        """Offer work whose thread has changed since it was read, with the thread as it is now."""
        lane, seq = commit.work.ref
        if lanes.holds(tx.raw, IN, lane, seq, me=self._writing.me):
            cursor = Cursor(lane, seq - 1, commit.work.attempts, commit.work.crashes)
            tx.published.extend(next_works(tx.raw, [cursor], tx.era).values())

    def _go_on(self, tx: Transaction, done: Sequence[EventRef]) -> None:
        """Offer the next event of lanes that hold more."""
        works = next_works(tx.raw, [Cursor(*ref) for ref in done], tx.era)
        tx.published.extend(works.values())
        for ref in done:
            if ref.lane not in works:
                lanes.idle(tx.raw, IN, ref.lane, me=self._writing.me)

    def fail(self, tx: Transaction, work: Work, error: str, retry_at: datetime) -> None:
        """Give a lane back, to be claimed again at a later moment."""
        lane, seq = work.ref
        lanes.rest(
            tx.raw,
            IN,
            lane,
            seq=seq,
            me=self._writing.me,
            ready_at=to_micros(retry_at),
            attempts=work.attempts + 1,
            error=error,
            crashes=work.crashes,
        )
        tx.published.append(self._dispatch.inbox)

    def fire(self, tx: Transaction, limit: int) -> int:
        """Turn timers that are due into events of their lanes; say how many there were."""
        now, aged = self._clock.now(), self._writing.ages.now()
        moments = {"now": to_micros(now), "aged": to_micros(aged)}
        rows = tx.raw.execute(_DUE, {**moments, "limit": limit}).fetchall()
        self._writing.put_events(tx, [fired(*row[:6], drafted=row[6], now=now) for row in rows])
        micros: int | None = tx.raw.execute(_NEXT_DUE, moments).fetchone()[0]
        due = None if micros is None else from_micros(micros)
        tx.published.append(partial(self._dispatch.alarm.set, due))
        return len(rows)


def outlook(tx: Transaction, kind: str, ready: Ready[Any], *, full: bool) -> Callable[[], None]:
    """Say after the commit whether the database holds more of a kind, and from when."""
    micros = lanes.next_ready(tx.raw, kind)
    at = None if micros is None else from_micros(micros)
    return partial(ready.looked, more=full, next_at=at)


def _is_of_another(commit: Commit) -> bool:
    """Tell whether the thread that a commit writes belongs to another lane than its event."""
    thread, work = commit.conversation, commit.work
    return thread is not None and work.ref.lane != f"{work.tenant}/{thread.contact.key}"
