"""What is deleted once it is older than ``[policy] keep``, and what stays."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from router.storage.database.health import damage
from router.storage.retention.deletion import delete_threads
from router.storage.retention.due import due
from router.storage.retention.lifetimes import LIFETIMES
from router.storage.retention.strays import STRAYS, delete_strays, old_strays
from router.storage.retention.threads import events_of, lanes_of, old_threads
from router.storage.tables import (
    alias,
    call,
    contact,
    conversation,
    draft,
    escalation,
    first_message,
    inbox_event,
    lane,
    link,
    message,
    metadata,
    opt_in,
    outbox,
    ticket,
    ticket_entry,
    timer,
    usage,
)
from tests.databases import Database
from tests.unit.storage.conftest import NOW, Shop

KEEP = timedelta(days=30)
BEFORE = NOW - KEEP
OLD = BEFORE - timedelta(days=5)
YOUNG = BEFORE + timedelta(hours=1)
ANA = "tel:+573001234567"
LANE = f"main/{ANA}"


def sweep(database: Database, rows: int = 1000, looked: int = 20) -> Counter[str]:
    """Delete all that may go, as the daemon's sweep does."""
    deleted: Counter[str] = Counter()
    place: Any = None
    while True:
        threads = database.do(old_threads, "main", BEFORE, place=place, limit=looked)
        lanes = database.do(lanes_of, threads.over)
        done = not threads.over
        while not done:
            events = database.do(events_of, threads.over, lanes, limit=rows)
            found, done = database.do(
                delete_threads, "main", threads.over, lanes, events, BEFORE, rows=rows
            )
            assert found.total() <= rows + 4 * looked
            # A crash here leaves what stands by itself.
            assert done or database.do(damage) == []
            deleted += found
        place = threads.place
        if place is None:
            break
    for table in STRAYS:
        place = None
        while True:
            strays = database.do(old_strays, "main", table, BEFORE, place=place, limit=looked)
            if strays.over:
                deleted += database.do(delete_strays, "main", table, strays.over, BEFORE)
            place = strays.place
            if place is None:
                break
    return deleted


class Past:
    """A customer with one conversation of long ago, which has one of everything."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.contact = shop.contact(ANA, created_at=OLD)
        self.thread = shop.thread(ANA, **_then(status="closed", last_activity_at=OLD))
        shop.lane(last_seq=4, done_seq=4)
        shop.lane(kind="job", key=self.thread, last_seq=2, done_seq=2)
        shop.lane(kind="out", key=f"main/phone/{ANA}", last_seq=1, done_seq=1)
        of_it: dict[str, Any] = {
            "conversation": self.thread,
            "received_at": OLD,
            "outcome": "reply",
        }
        shop.event(1, **of_it, settled_seq=2)
        shop.event(2, **of_it)
        shop.decision(2, conversation=self.thread, created_at=OLD)
        self.said = shop.line(self.thread, "hola", event_lane=LANE, event_seq=1, created_at=OLD)
        self.item = shop.item(
            **_then(conversation=self.thread, state="done", decided_lane=LANE, decided_seq=2)
        )
        shop.line(
            self.thread, "¡hola!", id=self.item, direction="out", author="bot", created_at=OLD
        )
        about: dict[str, Any] = {"tenant": "main", "conversation": self.thread, "created_at": OLD}
        event = {"event_lane": LANE, "event_seq": 2}
        nothing: dict[str, Any] = {"conversation": None, "event_lane": None, "event_seq": None}
        self.insert(first_message, message=self.item, rule="r", variant="v", **about)
        self.insert(
            draft, id="d", **about, **event, author="bot", text="t", because="b", state="approved"
        )
        for name, number in (("t1", 1), ("t2", 2)):
            self.insert(
                ticket,
                **(about | event | ({} if name == "t1" else nothing)),
                id=name,
                number=number,
                queue="q",
                title="t",
                priority="low",
                state="CLOSED",
                updated_at=OLD,
            )
        self.insert(
            ticket_entry, id="n", tenant="main", ticket="t1", author="e", what="w", created_at=OLD
        )
        self.insert(escalation, id="e", **about, **event, to="q", because="b", acknowledged_at=OLD)
        self.insert(link, secret="s", **about, escalation="e", ticket="t1")
        self.insert(usage, id="u", **about, **event, instance="a", input_tokens=1, output_tokens=1)
        self.insert(
            call,
            **about,
            **event,
            id="c",
            channel="calls",
            party=ANA,
            direction="out",
            status="done",
            outcome="done",
            origin="provider",
            summary="s",
            began_at=OLD,
        )
        self.insert(
            timer,
            tenant="main",
            kind="idle",
            key=self.thread,
            lane=LANE,
            due_at=NOW,
            generation=1,
        )

    def insert(self, table: sa.Table, **values: Any) -> None:
        self.shop.database.insert(table, values)

    def change(
        self: "Past | Loose", table: sa.Table, where: Mapping[str, Any] | None = None, **new: Any
    ) -> None:
        """Change rows of a table: all of them, or those that have these values."""
        conditions = [table.c[name] == value for name, value in (where or {}).items()]
        self.shop.database.run(
            lambda it: it.execute(sa.update(table).where(*conditions).values(**new))
        )


def _then(**values: Any) -> dict[str, Any]:
    return {"created_at": OLD, **values}


@pytest.fixture
def past(shop: Shop) -> Past:
    return Past(shop)


def count(database: Database) -> dict[str, int]:
    """Count the rows of every table that has any."""

    def look(connection: sa.Connection) -> dict[str, int]:
        every = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for name, table in metadata.tables.items()
        }
        return {name: rows for name, rows in every.items() if rows}

    return database.run(look)


def test_every_table_has_its_line() -> None:
    assert set(LIFETIMES) == set(metadata.tables)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_a_conversation_goes_with_all_that_belongs_to_it(past: Past, rows: int) -> None:
    database = past.shop.database

    deleted = sweep(database, rows=rows)

    # The newest ticket and the numbers of lanes are all that is left.
    assert count(database) == {"lane": 2, "ticket": 1}
    assert deleted["conversation"] == deleted["contact"] == 1
    assert sweep(database) == Counter()


def test_what_is_due_is_what_goes(past: Past) -> None:
    database = past.shop.database
    Loose(past.shop).event().item().ticket(3).ticket(4, state="NEW")
    past.shop.thread("tel:+571", **_then(last_activity_at=OLD))
    there = count(database)

    found = database.do(due, "main", BEFORE)

    assert count(database) == there
    assert +Counter(found.stays) == Counter(conversation=1, ticket=1)
    deleted = sweep(database)
    assert +Counter(found.goes) == Counter({it: deleted[it] for it in found.goes if deleted[it]})
    assert not +Counter(database.do(due, "main", BEFORE).goes)


Change = Callable[[Past], None]
FIRST = {"id": "t1"}
HERE = {"kind": "in"}

STAYING: dict[str, Change] = {
    "it is not closed": lambda it: it.change(conversation, status="escalated"),
    "it was active lately": lambda it: it.change(conversation, last_activity_at=YOUNG),
    "somebody wrote lately": lambda it: it.change(message, created_at=YOUNG),
    "a message waits": lambda it: it.change(outbox, state="waiting"),
    "a message is leaving": lambda it: it.change(outbox, state="started"),
    "nobody knows of a message": lambda it: it.change(outbox, state="unknown"),
    "a message was queued lately": lambda it: it.change(outbox, created_at=YOUNG),
    "a message ended lately": lambda it: it.change(outbox, finished_at=YOUNG),
    "a draft waits": lambda it: it.change(draft, state="pending"),
    "a draft is young": lambda it: it.change(draft, created_at=YOUNG),
    "a draft was decided lately": lambda it: it.change(draft, resolved_at=YOUNG),
    "a ticket is new": lambda it: it.change(ticket, FIRST, state="NEW"),
    "a ticket is being worked": lambda it: it.change(ticket, FIRST, state="IN_PROGRESS"),
    "a ticket was touched lately": lambda it: it.change(ticket, FIRST, updated_at=YOUNG),
    "its ticket is the newest": lambda it: it.change(ticket, FIRST, number=3),
    "nobody heard a call": lambda it: it.change(escalation, acknowledged_at=None),
    "a call was heard lately": lambda it: it.change(escalation, acknowledged_at=YOUNG),
    "a link is young": lambda it: it.change(link, created_at=YOUNG),
    "a model was asked lately": lambda it: it.change(usage, created_at=YOUNG),
    "a telephone call came lately": lambda it: it.change(call, created_at=YOUNG),
    "an event is not worked": lambda it: it.change(inbox_event, {"seq": 2}, outcome=None),
    "an event came lately": lambda it: it.change(inbox_event, {"seq": 2}, received_at=YOUNG),
    "an event died lately": lambda it: it.change(inbox_event, {"seq": 2}, dead_at=YOUNG),
    "the customer's lane has work": lambda it: it.change(lane, HERE, ready_at=NOW),
    "the customer's lane is worked": lambda it: it.change(lane, HERE, lease_owner=1),
    "the customer's lane is parked": lambda it: it.change(lane, HERE, parked=True),
    "its questions are parked": lambda it: it.change(lane, {"kind": "job"}, parked=True),
}


@pytest.mark.parametrize("why", STAYING)
def test_a_conversation_stays_whole_while(past: Past, why: str) -> None:
    STAYING[why](past)

    deleted = sweep(past.shop.database)

    # A ticket of no conversation that is not the newest any more is no part of it.
    del deleted["ticket"]
    assert not +deleted
    looked = past.shop.database.do(old_threads, "main", BEFORE, limit=9)
    assert not looked.over


GOING: dict[str, Change] = {
    "its ticket is resolved": lambda it: it.change(ticket, FIRST, state="RESOLVED"),
    "a message was refused": lambda it: it.change(outbox, state="refused"),
    "a message could not be sent": lambda it: it.change(outbox, state="dead"),
    "a message was withdrawn": lambda it: it.change(outbox, state="withdrawn", finished_at=OLD),
    "a draft was rejected": lambda it: it.change(draft, state="discarded", resolved_at=OLD),
    "an event died long ago": lambda it: it.change(inbox_event, {"seq": 2}, dead_at=OLD),
    "it has no lane of questions": lambda it: it.change(lane, {"kind": "job"}, key="other"),
    "the customer is in another lane": lambda it: it.change(contact, key="tel:+571"),
}


@pytest.mark.parametrize("why", GOING)
def test_a_conversation_goes_although(past: Past, why: str) -> None:
    GOING[why](past)

    sweep(past.shop.database)

    assert set(count(past.shop.database)) == {"lane", "ticket"}


@pytest.mark.parametrize(
    "why, left",
    [
        ("nothing", set()),
        ("opted out", {"contact"}),
        ("let back in", {"contact", "opt_in"}),
        ("another conversation", {"contact", "conversation"}),
        ("another address", {"alias"}),
    ],
)
def test_a_customer_goes_with_their_last_conversation_but_for(
    past: Past, why: str, left: set[str]
) -> None:
    match why:
        case "opted out":
            past.change(contact, opted_out=True)
        case "let back in":
            consent = {"id": "o", "tenant": "main", "contact": past.contact, "created_at": OLD}
            past.insert(opt_in, **consent, by="eva", because="b")
        case "another conversation":
            past.shop.thread(ANA)
        case "another address":
            past.insert(alias, tenant="main", address="bsuid:1", key=ANA, created_at=OLD)

    sweep(past.shop.database)

    assert set(count(past.shop.database)) == left | {"lane", "ticket"}


def test_who_turned_out_to_be_somebody_else_goes_with_them(past: Past) -> None:
    """Their conversations are the other's since, and what they said is in their old lane."""
    past.change(contact, key="bsuid:1")
    past.shop.contact(ANA, created_at=OLD)

    assert sweep(past.shop.database)["contact"] == 2


@pytest.mark.parametrize("working", [{"ready_at": NOW}, {"lease_owner": 1}, {"parked": True}])
def test_who_is_being_worked_for_stays_known(past: Past, working: dict[str, Any]) -> None:
    past.change(contact, key="bsuid:1")
    past.shop.contact(ANA, created_at=OLD)
    past.change(lane, HERE, **working)

    assert sweep(past.shop.database)["contact"] == 1
    assert [row.key for row in past.shop.database.rows(contact)] == [ANA]


def test_one_that_stays_keeps_nobody_from_going(shop: Shop) -> None:
    """A look goes on behind what stays, however many those are."""
    for number in range(7):
        over = {"status": "active"} if number % 2 else {"status": "closed"}
        shop.thread(f"tel:+5730{number}", **_then(last_activity_at=OLD, **over))

    deleted = sweep(shop.database, looked=2)

    assert deleted == Counter(conversation=4, contact=4)
    assert [row.status for row in shop.database.rows(conversation)] == ["active"] * 3


def test_other_tenants_keep_what_is_theirs(past: Past) -> None:
    for table in metadata.tables.values():
        if "tenant" in table.c:
            past.change(table, tenant="clinica")

    assert not sweep(past.shop.database)


# --- what belongs to no conversation


class Loose:
    """Rows that belong to no conversation."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def event(self, seq: int = 7, **more: Any) -> "Loose":
        self.shop.event(seq, **{"received_at": OLD, "outcome": "recorded", **more})
        return self

    def decision(self, seq: int = 7, **more: Any) -> "Loose":
        self.shop.decision(seq, **_then(**more))
        return self

    def item(self, **more: Any) -> "Loose":
        self.shop.item(**_then(**{"state": "done", "kind": "action", **more}))
        return self

    def ticket(self, number: int = 1, **more: Any) -> "Loose":
        values: dict[str, Any] = {
            "id": f"t{number}",
            "tenant": "main",
            "number": number,
            "queue": "q",
        }
        values |= {"title": "t", "priority": "low", "state": "CLOSED", "updated_at": OLD}
        self.shop.database.insert(ticket, _then(**values) | more)
        return self

    def entry(self) -> "Loose":
        values = {"id": "n", "tenant": "main", "ticket": "t1", "author": "e", "what": "w"}
        self.shop.database.insert(ticket_entry, _then(**values))
        return self

    def usage(self, **more: Any) -> "Loose":
        values: dict[str, Any] = {"id": "u", "tenant": "main", "instance": "a"}
        values |= {"input_tokens": 1, "output_tokens": 1}
        self.shop.database.insert(usage, _then(**values) | more)
        return self


HIS: dict[str, Any] = {"event_lane": LANE, "event_seq": 7}
ITS: dict[str, Any] = {"decided_lane": LANE, "decided_seq": 7}

#: What there is, and what of it is left: tables, and how many rows.
LOOSE: dict[str, tuple[Callable[[Loose], object], dict[str, int]]] = {
    "an event": (lambda it: it.event(), {}),
    "an event and its decision": (lambda it: it.event().decision(), {}),
    "a young event": (lambda it: it.event(received_at=YOUNG), {"inbox_event": 1}),
    "one that was not worked": (lambda it: it.event(outcome=None), {"inbox_event": 1}),
    "one that died long ago": (lambda it: it.event(dead_at=OLD), {}),
    "one that died lately": (lambda it: it.event(dead_at=YOUNG), {"inbox_event": 1}),
    "one decided lately": (
        lambda it: it.event().decision(created_at=YOUNG),
        {"inbox_event": 1, "decision": 1},
    ),
    "one of a conversation that is open": (
        lambda it: it.event(conversation=it.shop.thread(ANA)),
        {"contact": 1, "conversation": 1, "inbox_event": 1},
    ),
    "one of a conversation that is gone": (lambda it: it.event(conversation="gone"), {}),
    "one that settled another that stays": (
        lambda it: it.event(6, conversation=it.shop.thread(ANA), settled_seq=7).event().decision(),
        {"contact": 1, "conversation": 1, "inbox_event": 2, "decision": 1},
    ),
    "one that settled another that goes": (
        lambda it: it.event(6, settled_seq=7).event().decision().event(8),
        {},
    ),
    "one that an open ticket is about": (
        lambda it: it.event().ticket(state="NEW", **HIS),
        {"inbox_event": 1, "ticket": 1},
    ),
    "one with an action that waits": (
        lambda it: it.event().decision().item(**ITS, state="waiting"),
        {"inbox_event": 1, "decision": 1, "outbox": 1},
    ),
    "one with an action that is done": (lambda it: it.event().item(**ITS), {}),
    "an action": (lambda it: it.item(), {}),
    "an action that could not be done": (lambda it: it.item(state="dead", finished_at=OLD), {}),
    "an action that waits": (lambda it: it.item(state="waiting"), {"outbox": 1}),
    "an action of which nobody knows": (lambda it: it.item(state="unknown"), {"outbox": 1}),
    "a young action": (lambda it: it.item(created_at=YOUNG), {"outbox": 1}),
    "an action that ended lately": (lambda it: it.item(finished_at=YOUNG), {"outbox": 1}),
    "tickets": (lambda it: it.ticket().entry().ticket(2), {"ticket": 1}),
    "resolved tickets": (lambda it: it.ticket(state="RESOLVED").ticket(2), {"ticket": 1}),
    "tickets that are worked": (
        lambda it: it.ticket(state="IN_PROGRESS").entry().ticket(2),
        {"ticket": 2, "ticket_entry": 1},
    ),
    "tickets touched lately": (
        lambda it: it.ticket(updated_at=YOUNG).ticket(2),
        {"ticket": 2},
    ),
    "usage": (lambda it: it.usage(), {}),
    "young usage": (lambda it: it.usage(created_at=YOUNG), {"usage": 1}),
}


@pytest.mark.parametrize("what", LOOSE)
def test_of_what_belongs_to_no_conversation_what_is_over_goes(shop: Shop, what: str) -> None:
    make, left = LOOSE[what]
    make(Loose(shop))

    sweep(shop.database, looked=1)

    assert count(shop.database) == left


def test_who_has_been_tried_again_since_the_look_stays(shop: Shop) -> None:
    loose, database = Loose(shop), shop.database
    loose.item(state="dead")
    loose.ticket()
    loose.ticket(2)
    found = {it: database.do(old_strays, "main", it, BEFORE, limit=9).over for it in STRAYS}
    assert len(found[outbox]) == len(found[ticket]) == 1
    Past.change(loose, outbox, state="waiting")
    Past.change(loose, ticket, state="NEW")

    for table in (outbox, ticket):
        assert not database.do(delete_strays, "main", table, found[table], BEFORE)

    assert count(database) == {"outbox": 1, "ticket": 2}


def test_what_somebody_holds_is_left_without_waiting(past: Past) -> None:
    """On PostgreSQL another node may be at it; on SQLite nobody can be."""
    database = past.shop.database
    threads = database.do(old_threads, "main", BEFORE, limit=9).over
    events = database.do(events_of, threads, [LANE], limit=9)

    def delete() -> tuple[Counter[str], bool]:
        with Database(database.url) as other:
            return other.do(delete_threads, "main", threads, [LANE], events, BEFORE, rows=99)

    held = [
        sa.select(lane).where(lane.c.kind == "in"),
        sa.select(lane).where(lane.c.kind == "job"),
        sa.select(conversation),
    ]
    with ThreadPoolExecutor(1) as elsewhere:
        for statement in held if database.kind == "postgresql" else ():

            def hold(connection: sa.Connection, it: sa.Select[Any] = statement) -> object:
                connection.execute(it.with_for_update())
                return elsewhere.submit(delete).result(timeout=60)

            assert database.run(hold) == (Counter(), True)

    assert delete()[0]["conversation"] == 1


def test_what_was_touched_since_the_look_stays(past: Past) -> None:
    database = past.shop.database
    threads = database.do(old_threads, "main", BEFORE, limit=9).over
    events = database.do(events_of, threads, [LANE], limit=9)
    past.change(draft, state="pending")

    for rows in (1, 99):
        found, done = database.do(
            delete_threads, "main", threads, [LANE], events, BEFORE, rows=rows
        )
        assert (found, done) == (Counter(), True)
