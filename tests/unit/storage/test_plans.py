"""No question about few things reads a table of millions: what both databases plan to do."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from router.domain.event import DeliveryReported, MessageEchoed
from router.domain.identity import Address
from router.errors import NotFound
from router.storage import (
    batches,
    calls,
    contacts,
    conversations,
    decisions,
    deliveries,
    drafts,
    escalations,
    events,
    fence,
    history,
    idempotency,
    links,
    messages,
    opt_ins,
    outbox,
    silence,
    stats,
    status,
    tickets,
    tokens,
)
from router.storage.retention import deletion, strays, threads
from router.storage.store import EventRef
from router.storage.tables import contact, conversation, inbox_event, metadata, ticket, usage
from router.storage.tables import outbox as outbox_table
from tests.databases import Database
from tests.unit.storage.conftest import NOW, writing

#: Tables that grow with every message, or with every customer.
BIG = frozenset(
    {
        *("inbox_event", "message", "decision", "outbox", "lane", "contact", "conversation"),
        *("draft", "ticket", "ticket_entry", "escalation", "link", "usage", "timer", "alias"),
        *("early_report", "api_token", "api_answer", "opt_in", "call", "first_message"),
    }
)
#: Indexes that hold only what is not over, or what is rare: these may be read whole.
SHORT = frozenset(
    {
        *("lane_ready", "lane_owner", "lane_parked", "conversation_open", "conversation_turn"),
        *("outbox_unsettled", "inbox_event_dead", "inbox_event_unparsed"),
    }
)
ANA = Address("tel", "+573001234567")
LANE = f"main/{ANA}"
EVENT = EventRef(LANE, 1)
SCOPE = stats.Scope(tenant="main", since=NOW - timedelta(hours=1))
REPORT = DeliveryReported("SM1", ANA, "delivered")
REQUEST = idempotency.RequestKey(tenant="main", token="t", route="r", key="k", digest="d")
ECHO = MessageEchoed("app-1", ANA, "hola")

Question = Callable[[sa.Connection], Any]
THREAD = threads.Thread("c", LANE)


def _deletes(connection: sa.Connection) -> None:
    """Delete a conversation that is there, so that nothing is left out."""
    person = {"id": "p", "tenant": "main", "key": str(ANA), "created_at": NOW}
    connection.execute(sa.insert(contact).values(person))
    long_ago = NOW - timedelta(days=9)
    thread: dict[str, Any] = {"id": "c", "tenant": "main", "contact": "p", "channel": "phone"}
    thread |= {"status": "closed", "address": str(ANA), "source": "inbound", "owner": "bot"}
    thread |= {"created_at": long_ago, "last_activity_at": long_ago}
    connection.execute(sa.insert(conversation).values(thread))
    of_it = [threads.Belonging(LANE, 1, "c")]
    assert threads.old_threads(connection, "main", NOW, limit=9).over == (THREAD,)
    found = deletion.delete_threads(connection, "main", [THREAD], [LANE], of_it, NOW, rows=9)
    assert found[0]["conversation"] == 1


QUESTIONS: dict[str, Question] = {
    "conversations": lambda it: conversations.list_conversations(it, "main"),
    "more conversations": lambda it: conversations.list_conversations(
        it, "main", before=(NOW, "c")
    ),
    "calls": lambda it: calls.list_calls(it, "main"),
    "more calls": lambda it: calls.list_calls(it, "main", before=(NOW, "c")),
    "calls of a batch": lambda it: calls.count_calls(it, "main", ["b"]),
    "calls of a conversation": lambda it: calls.calls_of(it, "main", "c"),
    "calls with somebody": lambda it: calls.summaries(it, "main", "c"),
    "a call": lambda it: calls.show_call(it, "main", "c"),
    "batches": lambda it: batches.list_batches(it, "main", ["dial"]),
    "more batches": lambda it: batches.list_batches(it, "main", ["dial"], before=(NOW, "i")),
    "a batch": lambda it: batches.find_batch(it, "main", "i", ["dial"]),
    "closing it": lambda it: conversations.close_conversation(
        it, "main", str(ANA), by="eva", now=NOW
    ),
    "speaking in it": lambda it: conversations.speak_as(it, "main", str(ANA), by="eva", now=NOW),
    "a conversation": lambda it: conversations.show_conversation(it, "main", str(ANA)),
    "its lines": lambda it: conversations.last_lines(it, "main", "c"),
    "taking it": lambda it: conversations.take_conversation(
        it, "main", str(ANA), by="eva", now=NOW
    ),
    "letting a customer in": lambda it: opt_ins.let_in(
        it, "main", str(ANA), by="eva", because="asked for it", now=NOW
    ),
    "who was let in": lambda it: opt_ins.opt_ins_of(it, "main", "c"),
    "a contact": lambda it: contacts.update_contact(it, "main", "c", {"name": "Ana"}),
    "a decision": lambda it: decisions.decisions_of(it, "main", LANE, [1, 2]),
    "its trace": lambda it: decisions.load_trace(it, "main", EVENT),
    "a report": lambda it: deliveries.apply_report(it, "main", "phone", REPORT, NOW),
    "drafts": lambda it: drafts.list_drafts(it, "main"),
    "more drafts": lambda it: drafts.list_drafts(it, "main", states=(), before=(NOW, "d")),
    "drafts of a conversation": lambda it: drafts.list_drafts(it, "main", conversation="c"),
    "discarding drafts": lambda it: drafts.discard_drafts(it, "main", "c", because="", now=NOW),
    "escalations": lambda it: escalations.list_escalations(it, "main"),
    "more escalations": lambda it: escalations.list_escalations(it, "main", before=(NOW, "e")),
    "an escalation": lambda it: escalations.show_escalation(it, "main", "e"),
    "events": lambda it: events.list_events(it, "main"),
    "more events": lambda it: events.list_events(it, "main", before=(NOW, LANE, 1)),
    "open events": lambda it: events.list_events(it, "main", open_only=True),
    "dead events": lambda it: events.list_events(it, "main", dead=True),
    "events of a conversation": lambda it: events.list_events(it, "main", conversation="c"),
    "events of a lane": lambda it: events.list_events(it, "main", lane=LANE),
    "an event": lambda it: events.find_event(it, "main", EVENT),
    "what is meant": lambda it: events.find_meant(it, "main", "SM1"),
    "the name of a retry": lambda it: events.retry_id(it, "main/phone", "message:1"),
    "an echo": lambda it: fence.accept_echo(it, "main", str(ANA), "phone", ECHO, NOW),
    "history": lambda it: history.turns(it, "main", "c", 3, 20),
    "a contact's card": lambda it: history.card(it, "main", "c"),
    "who writes where": lambda it: history.address(it, "main", "c"),
    "a link": lambda it: links.find_link(it, "secret", NOW),
    "messages": lambda it: messages.list_messages(it, "main", "c"),
    "more messages": lambda it: messages.list_messages(it, "main", "c", before=(NOW, 1, "in", "m")),
    "a thread": lambda it: messages.thread(it, "main", str(ANA)),
    "its state": lambda it: messages.thread_state(it, "main", str(ANA)),
    "recent threads": lambda it: messages.recent_threads(it, "main", "phone"),
    "the outbox": lambda it: outbox.list_items(it, "main"),
    "more of the outbox": lambda it: outbox.list_items(it, "main", before=(NOW, "i")),
    "the outbox of a conversation": lambda it: outbox.list_items(it, "main", conversation="c"),
    "items of an event": lambda it: outbox.items_of(it, "main", EVENT),
    "an item": lambda it: outbox.show_item(it, "main", "i"),
    "what is under way": lambda it: outbox.under_way(it, "main", "c"),
    "old conversations": lambda it: threads.old_threads(it, "main", NOW, limit=9),
    "more old conversations": lambda it: threads.old_threads(
        it, "main", NOW, place=(NOW, "c"), limit=9
    ),
    "lanes of conversations": lambda it: threads.lanes_of(it, [THREAD]),
    "events of conversations": lambda it: threads.events_of(it, [THREAD], [LANE], limit=9),
    "deleting conversations": _deletes,
    **{
        f"old rows of {table.name}": partial(
            strays.old_strays, tenant="main", table=table, before=NOW, limit=9
        )
        for table in strays.STRAYS
    },
    "more old events": lambda it: strays.old_strays(
        it, "main", inbox_event, NOW, place=(NOW, LANE, 1), limit=9
    ),
    **{
        f"deleting rows of {table.name}": partial(
            strays.delete_strays, tenant="main", table=table, keys=[("i",)], before=NOW
        )
        for table in (usage, ticket, outbox_table)
    },
    "deleting events": lambda it: strays.delete_strays(it, "main", inbox_event, [(LANE, 1)], NOW),
    "silence": lambda it: silence.unanswered(it, "main", NOW, NOW),
    "status": lambda it: status.tenant_counts(it, "main", NOW),
    "conversations in numbers": lambda it: stats.conversations(it, SCOPE),
    "messages in numbers": lambda it: stats.messages(it, SCOPE),
    "events in numbers": lambda it: stats.events(it, SCOPE),
    "decisions in numbers": lambda it: stats.decisions(it, SCOPE),
    "the outbox in numbers": lambda it: stats.outbox_items(it, SCOPE),
    "usage in numbers": lambda it: stats.usage_by_backend(it, SCOPE),
    "all lanes": lambda it: stats.lanes(it, stats.Scope(), NOW),
    "all that is unsettled": lambda it: stats.unsettled(it, stats.Scope()),
    "tickets": lambda it: tickets.list_tickets(it, "main"),
    "more tickets": lambda it: tickets.list_tickets(it, "main", before=(NOW, 7)),
    "assigning a ticket": lambda it: tickets.assign_ticket(
        it, "main", "7", assignee="eva", by="eva", now=NOW
    ),
    "tokens": lambda it: tokens.list_tokens(it, "main", useful=NOW),
    "a token": lambda it: tokens.show_token(it, "main", "t"),
    "the key of a token": lambda it: tokens.find_key(it, "k"),
    "ending tokens": lambda it: tokens.retire_keys(it, "main", but="k", now=NOW),
    "an answer": lambda it: idempotency.once(writing(it), REQUEST, dict),
    "tickets of a conversation": lambda it: tickets.list_tickets(it, "main", conversation="c"),
    "a ticket": lambda it: tickets.show_ticket(it, "main", "7"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_reads_a_big_table_to_its_end(database: Database, question: str) -> None:
    scans: list[str] = []

    def ask(connection: sa.Connection) -> None:
        for statement, values in asked(connection, QUESTIONS[question]):
            look = plan_sqlite if database.kind == "sqlite" else plan_postgresql
            scans.extend(f"{line}  in  {statement}" for line in look(connection, statement, values))

    database.run(ask)

    assert scans == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_silence_alarm_looks_through_what_waits(database: Database) -> None:
    """What it asks every half minute must not grow with all that ever came.

    PostgreSQL finds the same ways by its statistics.
    """
    begins: list[str] = []

    def ask(connection: sa.Connection) -> None:
        for statement, values in asked(connection, QUESTIONS["silence"]):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            begins.append(plan.fetchall()[0][3].partition(" (")[0])

    database.run(ask)

    assert begins == [
        "SEARCH lane USING INDEX lane_ready",
        "SEARCH lane USING INDEX lane_owner",
        "SEARCH conversation USING INDEX conversation_turn",
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_a_person_takes_over_is_found_by_the_conversation(database: Database) -> None:
    """It is looked for while the only writer waits: not among all that the tenant ever sent."""
    found: set[str] = set()

    def ask(connection: sa.Connection) -> None:
        for question in (
            lambda it: fence.withdraw(it, "main", "c", 2, "a person", NOW),
            lambda it: fence.withdraw_closed(it, "main", "c", "a person", NOW),
        ):
            for statement, values in asked(connection, question):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                found.update(line[3] for line in plan if "outbox" in line[3])

    database.run(ask)

    assert found
    assert [line for line in found if "outbox_recent" in line] == []


def test_every_big_table_and_short_index_is_one_of_the_schema() -> None:
    indexes = {index.name for table in metadata.tables.values() for index in table.indexes}

    assert set(metadata.tables) >= BIG
    assert indexes >= SHORT


def asked(connection: sa.Connection, question: Question) -> list[tuple[str, Any]]:
    """Give the statements that a question sends to the database."""
    seen: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        seen.append((statement, values))

    sa.event.listen(connection, "before_cursor_execute", note)
    try:
        question(connection)
    except NotFound:
        pass  # that it is not there takes the same ways
    finally:
        sa.event.remove(connection, "before_cursor_execute", note)
    assert seen
    return [it for it in seen if re.match(r"\s*(SELECT|UPDATE|DELETE)\b", it[0])]


def plan_sqlite(connection: sa.Connection, statement: str, values: Any) -> Iterator[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    for *_, line in rows:
        found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", line)
        if found and found[1] in BIG and found[2] not in SHORT:
            yield line


def plan_postgresql(connection: sa.Connection, statement: str, values: Any) -> Iterator[str]:
    # So few rows that reading all of them would be the best plan.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    explain = f"EXPLAIN (FORMAT JSON) {statement}"
    (found,) = connection.exec_driver_sql(explain, values).scalars()
    plans = found if isinstance(found, list) else json.loads(found)
    for plan in plans:
        yield from _scans(plan["Plan"])


def _scans(node: dict[str, Any], table: str = "") -> Iterator[str]:
    table, kind = node.get("Relation Name", table), node["Node Type"]
    if table in BIG:
        if kind == "Seq Scan":
            yield f"{kind} on {table}"
        index = node.get("Index Name")
        if index is not None and "Index Cond" not in node and index not in SHORT:
            yield f"{kind} on {table} using all of {index}"
    for inner in node.get("Plans", ()):
        yield from _scans(inner, table)
