"""What every transaction on SQLite may do: store events, put items out, learn aliases."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from router.ages import Ages
from router.clock import Clock, to_micros
from router.domain.event import ContactOptedOut, MessageEchoed
from router.storage.dispatch import Dispatch
from router.storage.queued import Queued
from router.storage.sqlite import inbox, outbox
from router.storage.sqlite.writer import Transaction
from router.storage.store import OUT, Accepted, EventRef, NewEvent, NewItem, Tx

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Takes an alias up in memory: tenant, address, key.
Mirror = Callable[[str, str, str], None]
#: Events whose acceptance changes their conversation, by functions of SQLAlchemy.
FENCED = (MessageEchoed, ContactOptedOut)


class Writing:
    """Puts events and items into a transaction, and offers after its commit what may be worked.

    :ivar me: who leases; set once the database is this process's.
    """

    def __init__(self, clock: Clock, dispatch: Dispatch, mirror: Mirror) -> None:
        self.clock = clock
        self.ages = Ages(clock)
        self.dispatch = dispatch
        self.mirror = mirror
        self.me = 0

    def put_events(self, tx: Transaction, events: Sequence[NewEvent]) -> list[Accepted]:
        """Store events, and offer those of lanes that were idle."""
        names = [inbox.identity(item) for item in events]
        known = inbox.known(tx.raw, names)
        fresh: dict[inbox.Identity, NewEvent] = {}
        for name, item in zip(names, events, strict=True):
            if name not in known and name not in fresh:
                fresh[name] = self._fence(tx, item)
        now, room = to_micros(self.clock.now()), self.dispatch.inbox.room
        offered = list(fresh.values())
        refs, works = inbox.store(tx.raw, offered, me=self.me, room=room, now=now, era=tx.era)
        tx.published.extend(works)
        if room < len(offered):
            tx.published.append(self.dispatch.inbox)
        known.update(zip(fresh, refs, strict=True))
        # Only the first of equals is new.
        return [Accepted(known[name], new=fresh.pop(name, None) is not None) for name in names]

    def _fence(self, tx: Transaction, item: NewEvent) -> NewEvent:
        """Let a person's word or an opt-out take effect with its acceptance, not in its turn."""
        event = item.event
        if not isinstance(event, FENCED):
            return item
        from router.storage import fence, refusals

        key = item.lane[len(item.tenant) + 1 :]
        if isinstance(event, ContactOptedOut):
            refusals.accept_opt_out(tx.sql, item.tenant, key, self.clock.now())
            tx.published.append(self.dispatch.items[OUT])
            return item
        channel = item.source.split("/")[1]
        now = self.clock.now()
        stored = fence.accept_echo(tx.sql, item.tenant, key, channel, event, now)
        tx.published.append(self.dispatch.items[OUT])
        return replace(item, event=stored)

    def put_items(self, tx: Transaction, queued: Sequence[Queued]) -> None:
        """Put items into the outbox, and offer those that may leave."""
        now = to_micros(self.clock.now())
        for kind, ready in self.dispatch.items.items():
            some = [it for it in queued if it.item.lane_kind == kind]
            if some:
                handed = outbox.put(tx.raw, kind, some, me=self.me, room=ready.room, now=now)
                tx.published.extend(handed)
                if len(handed) < len(some):
                    tx.published.append(ready)

    def take_effect(self, tx: Transaction, effects: Iterable[Callable[[Tx], None]]) -> bool:
        """Run the rarer writes of commits and results; say whether there were any."""
        context = None
        for effect in effects:
            context = context or SQLiteTx(self, tx)
            effect(context)
        return context is not None


class SQLiteTx:
    """One transaction as the functions that write see it."""

    def __init__(self, writing: Writing, transaction: Transaction) -> None:
        self._writing = writing
        self._transaction = transaction
        self.now = writing.clock.now()
        self.ages = writing.ages

    @property
    def connection(self) -> "Connection":
        return self._transaction.sql

    def enqueue(self, events: Sequence[NewEvent]) -> list[Accepted]:
        return self._writing.put_events(self._transaction, events)

    def send(
        self,
        items: Sequence[NewItem],
        *,
        tenant: str,
        conversation: str | None,
        epoch: int,
        decided: EventRef | None = None,
    ) -> None:
        queued = [Queued(item, tenant, conversation, epoch, decided) for item in items]
        self._writing.put_items(self._transaction, queued)

    def learn_alias(self, tenant: str, address: str, key: str) -> None:
        learnt = inbox.learn_alias(self._transaction.raw, tenant, address, key, to_micros(self.now))
        for known, person in learnt.items():
            mirror = partial(self._writing.mirror, tenant, known, person)
            self._transaction.published.append(mirror)
