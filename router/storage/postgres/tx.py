"""What every transaction on PostgreSQL may do: store events, put items out, learn aliases."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from router.ages import Ages
from router.clock import Clock
from router.domain.event import ContactOptedOut, MessageEchoed
from router.storage.postgres import inbox, lanes, outbox
from router.storage.postgres.dispatch import NodeDispatch
from router.storage.postgres.engine import Transaction
from router.storage.postgres.inbox import Identity, identity
from router.storage.queued import Queued
from router.storage.store import IN, OUT, Accepted, EventRef, NewEvent, NewItem, Tx

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Takes an alias up in memory: tenant, address, key.
Mirror = Callable[[str, str, str], None]
_FENCED = (MessageEchoed, ContactOptedOut)


def has_echo(events: Iterable[NewEvent]) -> bool:
    """Tell whether storing these events may take a conversation over, or silence the bot in it."""
    return any(isinstance(event.event, _FENCED) for event in events)


class Writing:
    """Puts events and items into a transaction, and offers after its commit what may be worked."""

    def __init__(self, clock: Clock, dispatch: NodeDispatch, mirror: Mirror) -> None:
        self.clock = clock
        self.ages = Ages(clock)
        self.dispatch = dispatch
        self.mirror = mirror

    def put_events(
        self, tx: Transaction, events: Sequence[NewEvent], *, me: int | None
    ) -> list[Accepted]:
        """Store events.

        :param me: who leases lanes that were idle; ``None`` leaves them to be claimed.
        """
        if not events:
            return []
        names = [identity(event) for event in events]
        known = self._known_echoes(tx, events, names)
        fresh: dict[Identity, NewEvent] = {}
        for name, item in zip(names, events, strict=True):
            if name not in known and name not in fresh:
                fresh[name] = self._fence(tx, item)
        now = self.clock.now()
        stored = inbox.store(tx, list(fresh.values()), me=me, now=now)
        tx.published.extend(stored.works)
        if stored.left or me is None:
            tx.published.append(self.dispatch.inbox)
        for name, ref in zip(tuple(fresh), stored.refs, strict=True):
            if ref is None:
                del fresh[name]
            else:
                known[name] = ref
        repeats = {name: None for name in names if name not in known}
        if repeats:
            # The numbers that they took are burnt, which costs less than a look before.
            known |= inbox.known(tx, repeats)
        # Only the first of equals is new.
        return [Accepted(known[name], new=fresh.pop(name, None) is not None) for name in names]

    @staticmethod
    def _known_echoes(
        tx: Transaction, events: Sequence[NewEvent], names: Iterable[Identity]
    ) -> dict[Identity, EventRef]:
        """Let one node at a time accept an echo: the other finds that it is known.

        It changes its conversation, and lanes are locked before that.
        """
        if not has_echo(events):
            return {}
        lanes.lock(tx, [(IN, event.lane) for event in events])
        fenced = [it for it in events if isinstance(it.event, _FENCED)]
        held = [identity(event) for event in fenced]
        inbox.hold(tx, held)
        return inbox.known(tx, names)

    def _fence(self, tx: Transaction, item: NewEvent) -> NewEvent:
        """Let a person's word or an opt-out take effect with its acceptance, not in its turn."""
        event = item.event
        if not isinstance(event, _FENCED):
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

    def put_items(self, tx: Transaction, queued: Sequence[Queued], *, me: int | None) -> None:
        """Put items into the outbox, and offer those that may leave."""
        now = self.clock.now()
        for kind, ready in sorted(self.dispatch.items.items()):
            some = [it for it in queued if it.item.lane_kind == kind]
            if some:
                taker = None if me is None else self.dispatch.taker(tx, ready)
                handed = outbox.put(tx, kind, some, me=taker, now=now)
                tx.published.extend(handed)
                if len(handed) < len(some):
                    tx.published.append(ready)

    def take_effect(self, tx: Transaction, effects: Iterable[Callable[[Tx], None]]) -> bool:
        """Run the rarer writes of commits and results; say whether there were any."""
        context = None
        for effect in effects:
            context = context or PostgresTx(self, tx)
            effect(context)
        return context is not None


class PostgresTx:
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
        return self._writing.put_events(self._transaction, events, me=None)

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
        self._writing.put_items(self._transaction, queued, me=None)

    def learn_alias(self, tenant: str, address: str, key: str) -> None:
        learnt = inbox.learn_alias(self._transaction, tenant, address, key, self.now)
        for known, person in learnt.items():
            mirror = partial(self._writing.mirror, tenant, known, person)
            self._transaction.published.append(mirror)
