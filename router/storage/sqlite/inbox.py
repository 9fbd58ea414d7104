"""The inbox on SQLite: storing what came in, many events in one statement."""

import sqlite3
from collections.abc import Sequence

from router.clock import to_micros
from router.storage import codec
from router.storage.sqlite import lanes
from router.storage.sqlite.bulk import Insert, Lookup
from router.storage.sqlite.erased import erased
from router.storage.sqlite.threads import known_of, read_threads
from router.storage.store import IN, EventRef, NewEvent, Work

_KNOWN = Lookup(
    "source, external_id, lane, seq",
    """
FROM (VALUES {rows}) AS k
JOIN inbox_event ON source = k.column1 AND external_id = k.column2
""",
    2,
)

_STORE = Insert("inbox_event (lane, seq, tenant, source, external_id, type, payload, received_at)")

_PERSON = "SELECT key FROM alias WHERE tenant = ? AND address = ?"

# Who was learnt to be this address is the person that it turns out to be, too.
_LEARN = """
INSERT INTO alias (tenant, address, key, created_at)
SELECT :tenant, :address, :key, :now
UNION SELECT tenant, address, :key, created_at FROM alias WHERE tenant = :tenant AND key = :address
ON CONFLICT (tenant, address) DO UPDATE SET key = excluded.key
RETURNING address, key
"""

#: What makes an event the same one: its source and its id there.
Identity = tuple[str, str]


def identity(event: NewEvent) -> Identity:
    """Give what an event is known by."""
    return event.source, event.external_id


def known(raw: sqlite3.Connection, names: Sequence[Identity]) -> dict[Identity, EventRef]:
    """Give those that are stored already, or were erased with the person whom they were about."""
    rows = _KNOWN.run(raw, names)
    stored = {(source, external_id): EventRef(*ref) for source, external_id, *ref in rows}
    return erased(raw, names) | stored


def store(
    raw: sqlite3.Connection, events: Sequence[NewEvent], *, me: int, room: int, now: int, era: int
) -> tuple[list[EventRef], list[Work]]:
    """Store events that are new; give their names, and the work of lanes that are now ours."""
    keys = [(event.lane, event.tenant) for event in events]
    numbers = lanes.extend(raw, IN, keys, me=me, room=room, now=now)
    rows = [
        (
            event.lane,
            number.seq,
            event.tenant,
            event.source,
            event.external_id,
            event.event.kind,
            codec.encode(event.event),
            to_micros(event.received_at),
        )
        for event, number in zip(events, numbers, strict=True)
    ]
    _STORE.run(raw, rows)
    refs = [EventRef(event.lane, number.seq) for event, number in zip(events, numbers, strict=True)]
    handed = [
        (event, ref)
        for event, ref, number in zip(events, refs, numbers, strict=True)
        if number.handed
    ]
    return refs, _works(raw, handed, era)


def _works(
    raw: sqlite3.Connection, handed: Sequence[tuple[NewEvent, EventRef]], era: int
) -> list[Work]:
    """Give the work of events just stored, with their threads, without reading them back."""
    heads = [(event.tenant, *ref) for event, ref in handed]
    threads = read_threads(raw, heads)
    works = []
    for event, ref in handed:
        contact, conversation = threads[ref.lane]
        works.append(
            Work(
                ref=ref,
                tenant=event.tenant,
                source=event.source,
                event=event.event,
                received_at=event.received_at,
                contact=contact,
                conversation=conversation,
                lease=era,
                known=known_of(raw, event.tenant, ref.lane, event.event),
            )
        )
    return works


def learn_alias(
    raw: sqlite3.Connection, tenant: str, address: str, key: str, now: int
) -> dict[str, str]:
    """Keep that an address counts as a person's; give every address whose person changed.

    An alias leads to the person in one step, whatever the order in which they were learnt.
    """
    row = raw.execute(_PERSON, (tenant, key)).fetchone()
    person = key if row is None else row[0]
    if person == address:
        return {}
    values = {"tenant": tenant, "address": address, "key": person, "now": now}
    return dict(raw.execute(_LEARN, values).fetchall())
