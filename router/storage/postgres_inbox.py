"""The inbox on PostgreSQL: storing what came in, many events in one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from router.storage import codec, postgres_lanes, postgres_sql, postgres_threads
from router.storage.conflicts import number_of
from router.storage.postgres_engine import Transaction
from router.storage.postgres_lanes import Number, columns
from router.storage.postgres_threads import Cursor
from router.storage.store import IN, EventRef, NewEvent, Work

#: What makes an event the same one: its source and its id there.
Identity = tuple[str, str]


def identity(event: NewEvent) -> Identity:
    """Give what an event is known by."""
    return event.source, event.external_id


def known(tx: Transaction, names: Iterable[Identity]) -> dict[Identity, EventRef]:
    """Give those that are stored already."""
    rows = tx.rows(postgres_sql.KNOWN, *columns(names, 2))
    return {(source, external_id): EventRef(*ref) for source, external_id, *ref in rows}


def store(
    tx: Transaction, events: Sequence[NewEvent], *, me: int | None, now: datetime
) -> tuple[list[EventRef | None], list[Work]]:
    """Store events that are not known; give their names, and the work of lanes now ours.

    The name is ``None`` where another node has stored the same just now. The number that it took
    is burnt: no event will ever have it.
    """
    if not events:
        return [], []
    lanes = [(event.lane, event.tenant) for event in events]
    numbers = postgres_lanes.extend(tx, IN, lanes, me=me, now=now)
    rows = [
        (
            event.lane,
            number.seq,
            event.tenant,
            event.source,
            event.external_id,
            event.event.kind,
            codec.encode(event.event),
            event.received_at,
        )
        for event, number in zip(events, numbers, strict=True)
    ]
    rows.sort(key=lambda row: (row[3], row[4]))
    new = {(row[0], row[1]) for row in tx.rows(postgres_sql.STORE, *columns(rows, 8))}
    refs = [
        EventRef(event.lane, number.seq) if identity(event) in new else None
        for event, number in zip(events, numbers, strict=True)
    ]
    return refs, _works(tx, events, numbers, new, me)


def _works(
    tx: Transaction,
    events: Sequence[NewEvent],
    numbers: Sequence[Number],
    new: set[Identity],
    me: int | None,
) -> list[Work]:
    """Give the work of events just stored, with their threads, without reading them back."""
    handed = [it for it in zip(events, numbers, strict=True) if it[1].handed]
    if me is None or not handed:
        return []
    fresh = [it for it in handed if identity(it[0]) in new]
    threads = postgres_threads.read_threads(
        tx, [(event.tenant, event.lane, number.seq) for event, number in fresh]
    )
    works = []
    for event, number in fresh:
        contact, conversation = threads[event.lane]
        works.append(
            Work(
                ref=EventRef(event.lane, number.seq),
                tenant=event.tenant,
                source=event.source,
                event=event.event,
                received_at=event.received_at,
                contact=contact,
                conversation=conversation,
                lease=me,
                known=postgres_threads.known_of(tx, event.tenant, event.lane, event.event),
            )
        )
    burnt = [
        Cursor(event.lane, number.seq, me) for event, number in handed if identity(event) not in new
    ]
    return works + following(tx, burnt, me=me)


def following(tx: Transaction, cursors: Sequence[Cursor], *, me: int) -> list[Work]:
    """Give the next work of leased lanes; the lease of a lane that holds nothing more is given up.

    In the order of the cursors.
    """
    works = postgres_threads.next_works(tx, cursors)
    empty = [cursor.lane for cursor in cursors if cursor.lane not in works]
    postgres_lanes.idle(tx, IN, empty, me=me)
    return [works[cursor.lane] for cursor in cursors if cursor.lane in works]


def learn_alias(
    tx: Transaction, tenant: str, address: str, key: str, now: datetime
) -> dict[str, str]:
    """Keep that an address counts as a person's; give every address whose person changed.

    An alias leads to the person in one step, whatever the order in which they were learnt.
    """
    found = tx.rows(postgres_sql.PERSON, tenant, key)
    person = found[0][0] if found else key
    if person == address:
        return {}
    return dict(tx.rows(postgres_sql.LEARN, tenant, address, person, now))


def hold(tx: Transaction, names: Iterable[Identity]) -> None:
    """Let nobody else store events of these names until this transaction ends."""
    numbers = sorted(number_of(*name) for name in names)
    if numbers:
        tx.rows(postgres_sql.HOLD, numbers)
