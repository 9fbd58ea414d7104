"""The inbox on PostgreSQL: storing what came in, many events in one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from router.storage import codec
from router.storage.conflicts import number_of
from router.storage.postgres import lanes
from router.storage.postgres.engine import Transaction
from router.storage.postgres.lanes import columns, counted
from router.storage.postgres.statements.aliases import LEARN, PERSON
from router.storage.postgres.statements.events import ENQUEUE, ERASED, FORGET_EMPTY, KNOWN, UNSTORE
from router.storage.postgres.statements.locks import HOLD
from router.storage.postgres.threads import Cursor, known_of, next_works, read_threads
from router.storage.store import IN, EventRef, NewEvent, Work

#: What makes an event the same one: its source and its id there.
Identity = tuple[str, str]


def identity(event: NewEvent) -> Identity:
    """Give what an event is known by."""
    return event.source, event.external_id


def known(tx: Transaction, names: Iterable[Identity]) -> dict[Identity, EventRef]:
    """Give those that are stored already, or were erased with the person whom they were about."""
    rows = sorted(tx.rows(KNOWN, *columns(names, 2)), key=lambda row: row[3])
    return {(source, external_id): EventRef(*ref) for source, external_id, *ref in rows}


class Stored(NamedTuple):
    """What came of storing events.

    :ivar refs: the name of each; ``None`` where another node has stored the same just now. The
        number that it took is burnt: no event will ever have it.
    :ivar works: of lanes that are now ours.
    :ivar left: there is work that nobody leases.
    """

    refs: list[EventRef | None]
    works: list[Work]
    left: bool


def store(tx: Transaction, events: Sequence[NewEvent], *, me: int | None, now: datetime) -> Stored:
    """Store events that are not known."""
    if not events:
        return Stored([], [], left=False)
    many, firsts = counted(event.lane for event in events)
    tenants = {event.lane: event.tenant for event in events}
    keys = sorted(many)
    places = {lane: place for place, lane in enumerate(keys, 1)}
    rows = [
        (
            event.lane,
            places[event.lane],
            many[event.lane] - 1 - before,
            event.tenant,
            event.source,
            event.external_id,
            event.event.kind,
            codec.encode(event.event),
            event.received_at,
        )
        for event, before in zip(events, firsts, strict=True)
    ]
    rows.sort(key=_by_identity)
    taken: dict[str, tuple[int, int, int | None]] = {}
    new: set[tuple[str, int]] = set()
    numbers = [many[lane] for lane in keys], me, now
    owners = [tenants[lane] for lane in keys]
    erasing: set[str] = set()
    for lane, seq, done, owner in tx.rows(ENQUEUE, keys, owners, *numbers, *columns(rows, 9)):
        if seq is None:
            erasing.add(lane)
        elif done is None:
            new.add((lane, seq))
        else:
            taken[lane] = (seq - many[lane] + 1, done, owner)
    gone: set[str] = set()
    if erasing:
        made = [
            (event, EventRef(event.lane, 1 + before))
            for event, before in zip(events, firsts, strict=True)
            if event.tenant in erasing and taken[event.lane][0] == 1
        ]
        gone = _take_back(tx, made, new)
    refs: list[EventRef | None] = []
    fresh, burnt, left = [], [], False
    for event, before in zip(events, firsts, strict=True):
        first, done, owner = taken[event.lane]
        ref = EventRef(event.lane, first + before)
        is_new = ref in new
        refs.append(ref if is_new else None)
        if before or first != done + 1 or event.lane in gone:
            continue
        # Nothing before it is undone: the lane was idle until this very statement, if it is ours.
        if owner is None:
            left = True
        elif owner != me:
            continue
        elif is_new:
            fresh.append((event, ref))
        else:
            burnt.append(ref)
    works = [] if me is None else _works(tx, fresh, burnt, me)
    return Stored(refs, works, left)


def _take_back(
    tx: Transaction, made: Sequence[tuple[NewEvent, EventRef]], new: set[tuple[str, int]]
) -> set[str]:
    """Take back what was known of people who were erased; give the lanes that were made for it.

    Their lanes went with them, so that nobody else holds these. It is asked after the events were
    stored: that had to wait for whoever was just erasing, and did not see what they left.

    :param made: the events of lanes that were not there before.
    :param new: the events that were stored; what is taken back is taken out.
    """
    names = {identity(event): ref for event, ref in made}
    if not names:
        return set()
    found = tx.rows(ERASED, *columns(names, 2))
    erased = [names[source, external_id] for source, external_id, *_ in found]
    if not erased:
        return set()
    keys = sorted({ref.lane for ref in erased})
    with tx.together():
        lanes.lock(tx, [(IN, lane) for lane in keys])
        tx.rows(UNSTORE, *columns(erased, 2))
        gone = {lane for (lane,) in tx.rows(FORGET_EMPTY, keys)}
    new.difference_update(erased)
    return gone


def _by_identity(row: tuple[Any, ...]) -> tuple[str, str]:
    return row[4], row[5]


def _works(
    tx: Transaction,
    fresh: Sequence[tuple[NewEvent, EventRef]],
    burnt: Sequence[EventRef],
    me: int,
) -> list[Work]:
    """Give the work of events just stored, with their threads, without reading them back.

    :param burnt: the numbers that lanes which are now ours go on with, and no event has.
    """
    threads = read_threads(tx, [(event.tenant, event.lane, ref.seq) for event, ref in fresh])
    works = []
    for event, ref in fresh:
        contact, conversation = threads[event.lane]
        works.append(
            Work(
                ref=ref,
                tenant=event.tenant,
                source=event.source,
                event=event.event,
                received_at=event.received_at,
                contact=contact,
                conversation=conversation,
                lease=me,
                known=known_of(tx, event.tenant, event.lane, event.event),
            )
        )
    if burnt:
        with tx.together():
            # A lane is at rest, or goes on, under its lock alone; and only while it is ours.
            stands = lanes.lock(tx, [(IN, ref.lane) for ref in burnt])
            cursors = []
            for ref in burnt:
                stand = stands.get((IN, ref.lane))
                if stand is not None and stand.held(me, ref.seq):
                    cursors.append(Cursor(*ref, me))
            works += following(tx, cursors, me=me)
    return works


def following(tx: Transaction, cursors: Sequence[Cursor], *, me: int) -> list[Work]:
    """Give the next work of leased lanes; the lease of a lane that holds nothing more is given up.

    In the order of the cursors.
    """
    works = next_works(tx, cursors)
    empty = [cursor.lane for cursor in cursors if cursor.lane not in works]
    lanes.idle(tx, IN, empty, me=me)
    return [works[cursor.lane] for cursor in cursors if cursor.lane in works]


def learn_alias(
    tx: Transaction, tenant: str, address: str, key: str, now: datetime
) -> dict[str, str]:
    """Keep that an address counts as a person's; give every address whose person changed.

    An alias leads to the person in one step, whatever the order in which they were learnt.
    """
    found = tx.rows(PERSON, tenant, key)
    person = found[0][0] if found else key
    if person == address:
        return {}
    return dict(tx.rows(LEARN, tenant, address, person, now))


def hold(tx: Transaction, names: Iterable[Identity]) -> None:
    """Let nobody else store events of these names until this transaction ends."""
    numbers = sorted(number_of(*name) for name in names)
    if numbers:
        tx.rows(HOLD, numbers)
