"""Working events on PostgreSQL: what comes in, what is claimed, what working it changed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from router.domain.message import Author
from router.storage.fired import fired
from router.storage.postgres import inbox, lanes
from router.storage.postgres.commits import moved_on, write
from router.storage.postgres.engine import MovedOn, Transaction
from router.storage.postgres.queue import THREAD, Lock
from router.storage.postgres.statements.timers import DUE, LANES_DUE, NEXT_DUE
from router.storage.postgres.threads import Cursor, next_works
from router.storage.postgres.tx import Writing
from router.storage.queued import queued_by
from router.storage.store import IN, OUT, OWN_LANE, Accepted, Change, Commit, NewEvent, Work


class InboxWork:
    """The operations on lanes of events, each a part of a group of the flusher."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._clock = writing.clock
        self._dispatch = writing.dispatch

    def accept(self, tx: Transaction, requests: list[Sequence[NewEvent]]) -> list[list[Accepted]]:
        """Store the events of requests, all of each or none."""
        events = [event for events in requests for event in events]
        accepted = iter(self.put(tx, events))
        return [list(islice(accepted, len(events))) for events in requests]

    def put(self, tx: Transaction, events: Sequence[NewEvent]) -> list[Accepted]:
        """Store events; work of lanes that were idle goes straight to this node's workers."""
        me = self._dispatch.taker(tx, self._dispatch.inbox)
        return self._writing.put_events(tx, events, me=me)

    def claim(self, tx: Transaction, limit: int) -> None:
        """Lease lanes that are ready."""

        def claiming(tx: Transaction, me: int) -> int:
            now = self._clock.now()
            claimed = lanes.claim(tx, IN, me=me, now=now, limit=limit)
            cursors = [Cursor(it.key, it.done_seq, me, it.attempts, it.crashes) for it in claimed]
            tx.published.extend(inbox.following(tx, cursors, me=me))
            return len(claimed)

        self._dispatch.claim(tx, IN, limit, claiming)

    def settle(self, tx: Transaction, commits: list[Commit]) -> list[None]:
        """Write what working events changed; what was worked under a lost lease is dropped."""
        by_lane = {commit.work.ref.lane: commit for commit in reversed(commits)}
        if len(by_lane) < len(commits):
            # Somebody lost a lease: whoever comes first moves the cursor, the others are dropped.
            for commit in commits:
                self.settle(tx, [commit])
            return [None] * len(commits)
        held, waiting = (self._move_carefully if _has_to_wait(tx, commits) else self._move)(
            tx, by_lane
        )
        write(tx, held, self._clock.now())
        if self._writing.take_effect(tx, [effect for commit in held for effect in commit.effects]):
            # A delivery report settles what was unknown, and what waited behind it may leave.
            tx.published.append(self._dispatch.items[OUT])
        self._go_on(tx, [commit.work for commit in held if commit.work.ref.lane in waiting])
        for commit in held:
            for timer in commit.timers:
                if timer.due_at is not None:
                    tx.published.append(partial(self._dispatch.alarm.notice, timer.due_at))
            if commit.conversation is not None:
                tx.published.append(Change(commit.work.tenant, commit.conversation.id))
        return [None] * len(commits)

    def _move(
        self, tx: Transaction, by_lane: Mapping[str, Commit]
    ) -> tuple[list[Commit], set[str]]:
        """Move the cursors of lanes, and put items into theirs; give what stands, and what goes on.

        To move a cursor is to lock its lane. A thread that has changed is found when that is done
        already, and then everything is done again, carefully.
        """
        waiting = lanes.advance(tx, _cursors(by_lane.values()))
        held = [commit for lane, commit in by_lane.items() if lane in waiting]
        # Their lanes as well are locked before any conversation is.
        self._put(tx, held)
        if moved_on(tx, held):
            raise MovedOn
        return held, {lane for lane, more in waiting.items() if more}

    def _move_carefully(
        self, tx: Transaction, by_lane: Mapping[str, Commit]
    ) -> tuple[list[Commit], set[str]]:
        """As :meth:`_move`, with all locked that has to be before anything is changed."""
        stands = lanes.lock(tx, _lanes_of(by_lane.values()))
        mine = []
        for lane, commit in by_lane.items():
            stand = stands.get((IN, lane))
            if stand is not None and stand.held(commit.work.lease, commit.work.ref.seq):
                mine.append(commit)
        moved = moved_on(tx, mine)
        held = [commit for commit in mine if commit.work.ref.lane not in moved]
        self._offer_again(tx, [commit.work for commit in mine if commit.work.ref.lane in moved])
        waiting = lanes.advance(tx, _cursors(held))
        self._put(tx, held)
        return held, {lane for lane, more in waiting.items() if more}

    def _put(self, tx: Transaction, commits: Sequence[Commit]) -> None:
        queued = [one for commit in commits for one in queued_by(commit)]
        self._writing.put_items(tx, queued, me=tx.me)

    @staticmethod
    def _offer_again(tx: Transaction, works: Sequence[Work]) -> None:
        """Offer work whose thread has changed since it was read, with the thread as it is now."""
        cursors = [
            Cursor(work.ref.lane, work.ref.seq - 1, work.lease, work.attempts, work.crashes)
            for work in works
        ]
        tx.published.extend(next_works(tx, cursors).values())

    @staticmethod
    def _go_on(tx: Transaction, works: Sequence[Work]) -> None:
        """Offer the next event of lanes that hold more."""
        for lease in {work.lease for work in works}:
            cursors = [Cursor(*work.ref, lease) for work in works if work.lease == lease]
            tx.published.extend(inbox.following(tx, cursors, me=lease))

    def fail(self, tx: Transaction, work: Work, error: str, retry_at: datetime) -> None:
        """Give a lane back, to be claimed again at a later moment."""
        lane, seq = work.ref
        tries = work.attempts + 1
        rest = lanes.Rest(IN, lane, work.lease, seq, retry_at, tries, error, crashes=work.crashes)
        lanes.rest(tx, [rest])
        tx.published.append(self._dispatch.inbox)

    def fire(self, tx: Transaction, limit: int) -> int:
        """Turn timers that are due into events of their lanes; say how many there were."""
        now, aged = self._clock.now(), self._writing.ages.now()
        keys = [row[0] for row in tx.rows(LANES_DUE, now, aged, limit)]
        rows = sorted(tx.rows(DUE, now, aged, limit, keys), key=lambda row: row[7])
        self.put(tx, [fired(*row[:6], drafted=row[6], now=now) for row in rows])
        due = tx.rows(NEXT_DUE, now, aged)[0][0]
        tx.published.append(partial(self._dispatch.alarm.set, due))
        return len(rows)


def locks_of(commits: Sequence[Commit]) -> list[Lock]:
    """Give what commits lock: every lane that they change, and their conversations."""
    locks = [(IN, commit.work.ref.lane) for commit in commits]
    for commit in commits:
        locks += [
            (item.lane_kind, item.lane)
            for item in commit.items
            if not item.lane.startswith(OWN_LANE)
        ]
        before, after = commit.work.conversation, commit.conversation
        if after is not None:
            # One that is opened has no row yet, but its contact has one of its own.
            name = after.id if before is not None else f"{commit.work.tenant}/{after.contact.key}"
            locks.append((THREAD, name))
        if before is not None and (after is None or after.id != before.id):
            locks.append((THREAD, before.id))
    return locks


def _lanes_of(commits: Iterable[Commit]) -> list[Lock]:
    """Give every lane that commits change: they are locked before any conversation is."""
    return [lock for lock in locks_of(tuple(commits)) if lock[0] != THREAD]


def _has_to_wait(tx: Transaction, commits: Sequence[Commit]) -> bool:
    """Tell whether all lanes have to be locked first.

    A person's items and others' take their numbers one after the other, out of the lanes' order.
    """
    return tx.careful or any(
        item.author is Author.PERSON for commit in commits for item in commit.items
    )


def _cursors(commits: Iterable[Commit]) -> list[tuple[str, int, int]]:
    return [(*commit.work.ref, commit.work.lease) for commit in commits]
