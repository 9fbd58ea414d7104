"""The functions over a connection, the same on SQLite and PostgreSQL."""

import json
import zlib
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from router.domain.answer import ContactCard, PromptTurn, Usage
from router.domain.conversation import SOMEBODY
from router.domain.decision import DraftRequest, EscalationRequest, TicketRequest
from router.domain.draft import DraftState
from router.domain.event import DeliveryReported, MessageEchoed
from router.domain.host_event import OwnEcho
from router.domain.identity import Address
from router.domain.message import Attachment, Author, Direction
from router.domain.ticket import TicketState
from router.errors import ActRefused, NotFound
from router.storage import (
    contacts,
    conversations,
    decisions,
    deliveries,
    drafts,
    escalations,
    events,
    fence,
    history,
    links,
    messages,
    outbox,
    silence,
    stats,
    status,
    tickets,
    usage,
    views,
)
from router.storage.store import EventRef, NewMessage
from router.storage.tables import alias, contact, early_report, message, ticket
from router.storage.tables import conversation as conversation_table
from router.storage.tables import outbox as outbox_table
from router.storage.tables import usage as usage_table
from tests.unit.storage.conftest import Shop

ANA = "tel:+573001234567"
LANE = f"main/{ANA}"


# Conversations ────────────────────────────────────────────────────────────────────────────────


def test_conversations_are_listed_the_last_active_first_and_filtered(shop: Shop) -> None:
    old = shop.thread("tel:+571", last_activity_at=shop.ago(hours=2), owner="nobody")
    new = shop.thread("tel:+572")
    shop.thread("tel:+573", status="closed")
    shop.thread("tel:+574", tenant="clinica")

    listed = shop.database.do(conversations.list_conversations, "main", statuses=["active"])
    owned = shop.database.do(conversations.list_conversations, "main", owners=["nobody"])

    assert [view.id for view in listed] == [new, old]
    assert [view.id for view in owned] == [old]
    assert listed[0].last_activity_at == shop.now


@pytest.mark.parametrize(
    "name",
    [
        "tel:+525512345678",
        "tel:+5215512345678",
        "+525512345678",
        "52 55 1234-5678",
        "+5215512345678",
        "bsuid:MX.1",
        "the id itself",
    ],
)
def test_a_conversation_is_found_by_its_id_and_by_each_address_of_its_customer(
    shop: Shop, name: str
) -> None:
    shop.thread("tel:+525512345678", status="closed", last_activity_at=shop.ago(days=1))
    thread = shop.thread("tel:+525512345678")
    row = {"tenant": "main", "address": "bsuid:MX.1", "key": "tel:+525512345678"}
    shop.database.insert(alias, row | {"created_at": shop.now})

    wanted = thread if name == "the id itself" else name
    found = shop.database.do(conversations.show_conversation, "main", wanted)

    assert found.id == thread
    with pytest.raises(NotFound):
        shop.database.do(conversations.show_conversation, "clinica", wanted)


def test_what_no_event_brought_stands_where_its_moment_is(shop: Shop) -> None:
    thread = shop.thread()
    shop.line(thread, "pregunta", event_lane=LANE, event_seq=1)
    shop.line(thread, "respuesta", event_lane=LANE, event_seq=1, direction="out")
    shop.line(thread, "del escritorio", direction="out", author="person")

    lines = shop.database.do(conversations.last_lines, "main", thread)
    rows = shop.database.do(messages.thread, "main", ANA)

    # Of one instant: what has no number comes before what has one, on every database.
    expected = ["del escritorio", "pregunta", "respuesta"]
    assert [line.text for line in lines] == expected
    assert [row.text for row in rows] == expected


def test_a_conversation_is_taken_once_and_given_back_once(shop: Shop) -> None:
    thread = shop.thread()
    item = shop.item(conversation=thread)
    shop.line(thread, "hola", id=item, direction="out")
    shop.lane(kind="out", key="main/phone/tel:+573001234567", last_seq=9)
    take = conversations.take_conversation

    view, withdrawn = shop.database.do(take, "main", thread, by="eva", now=shop.now)

    assert (view.owner, view.epoch, withdrawn) == ("eva", 1, 1)
    with pytest.raises(ActRefused, match="eva's already"):
        shop.database.do(take, "main", thread, by="eva", now=shop.now)
    with pytest.raises(ActRefused, match="not a person"):
        shop.database.do(take, "main", thread, by="bot", now=shop.now)
    back = shop.database.do(conversations.release_conversation, "main", thread, now=shop.now)
    assert (back.owner, back.owner_since, back.status) == ("bot", shop.now, "active")
    with pytest.raises(ActRefused, match="the bot's already"):
        shop.database.do(conversations.release_conversation, "main", thread, now=shop.now)


def test_what_is_handed_back_is_decided_anew_and_what_waits_rightly_still_leaves(
    shop: Shop,
) -> None:
    thread = shop.thread(owner="nobody", epoch=3, status="escalated")
    stale = shop.item(conversation=thread, epoch=2)
    said = shop.item(conversation=thread, epoch=3, author="rule")
    done = shop.item(conversation=thread, epoch=3, state="done")

    view = shop.database.do(conversations.release_conversation, "main", thread, now=shop.now)

    assert view.epoch == 4
    rows = {row.id: row.epoch for row in shop.database.rows(outbox_table)}
    assert rows == {stale: 2, said: 4, done: 3}


def test_a_line_without_attachments_holds_nothing_not_the_word_null(shop: Shop) -> None:
    thread = shop.thread()
    line = NewMessage(
        id="line-1",
        direction=Direction.OUT,
        author=Author.PERSON,
        text="¿Sigue ahí? 👋",
        channel="phone",
        address=Address.from_text(ANA),
    )

    shop.database.do(
        conversations.add_line, "main", thread, line, event=EventRef(LANE, 3), now=shop.now
    )

    nothing = sa.select(message.c.id).where(message.c.attachments.is_(None))
    assert shop.database.run(lambda it: list(it.execute(nothing).scalars())) == ["line-1"]
    (row,) = shop.database.rows(message)
    assert (row.text, row.created_at) == ("¿Sigue ahí? 👋", shop.now)


def test_a_persons_word_is_noted(shop: Shop) -> None:
    thread = shop.thread()

    shop.database.do(conversations.note_person, "main", thread, now=shop.now)

    assert shop.database.rows(conversation_table)[0].last_person_at == shop.now


# Contacts, history ────────────────────────────────────────────────────────────────────────────


def test_a_contact_keeps_what_is_learnt(shop: Shop) -> None:
    name = shop.contact()
    values = {"tags": ["vip", "ñandú"], "attributes": {"plan": "oro"}, "opted_out": True}

    shop.database.do(contacts.update_contact, "main", name, values)
    shop.database.do(contacts.update_contact, "clinica", name, {"opted_out": False})

    (row,) = shop.database.rows(contact)
    assert (row.tags, row.attributes, row.opted_out) == (
        ["vip", "ñandú"],
        {"plan": "oro"},
        True,
    )


def test_a_model_sees_what_the_customer_saw_before_the_open_turn(shop: Shop) -> None:
    thread = shop.thread(turn_from=3)
    lines: list[tuple[str, dict[str, Any]]] = [
        ("hola", {"event_seq": 1}),
        ("buenas", {"direction": "out", "status": "sent"}),
        ("perdido", {"direction": "out", "status": "failed"}),
        ("retirado", {"direction": "out", "status": "withdrawn"}),
        ("¿cuánto?", {"event_seq": 3}),
    ]
    for number, (text, more) in enumerate(lines):
        shop.line(thread, text, created_at=shop.now + timedelta(seconds=number), **more)

    told = shop.database.do(history.turns, "main", thread, 3, 20)

    assert told == (PromptTurn("user", "hola"), PromptTurn("assistant", "buenas"))
    assert shop.database.do(history.card, "main", thread) == ContactCard(None, None)
    assert shop.database.do(history.card, "clinica", thread) == ContactCard()


def test_who_writes_where_is_told_of_ones_own_conversations(shop: Shop) -> None:
    thread = shop.thread()

    assert shop.database.do(history.address, "main", thread) == (None, ANA, "phone")
    assert shop.database.do(history.address, "clinica", thread) is None


# Drafts, tickets, escalations, links ──────────────────────────────────────────────────────────


def draft_of(shop: Shop, thread: str, id: str = "draft-1") -> str:
    request = DraftRequest(text="Abrimos a las 9.", because="prudencia", sources=("a#1",))
    shop.database.do(
        drafts.open_draft,
        id=id,
        tenant="main",
        conversation=thread,
        event=EventRef(LANE, 1),
        request=request,
        now=shop.now,
    )
    return id


def test_a_draft_has_one_word_said_about_it(shop: Shop) -> None:
    thread = shop.thread()
    name = draft_of(shop, thread)
    resolve = drafts.resolve_draft
    assert [it.id for it in shop.database.do(drafts.list_drafts, "main")] == [name]

    view = shop.database.do(
        resolve, "main", name, state=DraftState.DISCARDED, by="eva", because="no", now=shop.now
    )

    assert (view.because, view.sources) == ("prudencia. Rejected: no", ("a#1",))
    with pytest.raises(ActRefused, match="discarded already, by eva"):
        shop.database.do(resolve, "main", name, state=DraftState.APPROVED, by="ana", now=shop.now)
    assert shop.database.do(drafts.list_drafts, "main") == []
    listed = shop.database.do(drafts.list_drafts, "main", states=(), conversation=thread)
    assert [it.id for it in listed] == [name]


def test_drafts_of_a_conversation_are_thrown_away_together(shop: Shop) -> None:
    thread = shop.thread()
    draft_of(shop, thread)

    shop.database.do(drafts.discard_drafts, "main", thread, because="opted out", now=shop.now)

    view = shop.database.do(drafts.show_draft, "main", "draft-1")
    assert (view.state, view.resolved_by) == ("discarded", "router")
    assert view.because == "prudencia. Rejected: opted out"


def open_ticket(shop: Shop, thread: str | None, title: str, queue: str = "billing") -> Any:
    return lambda it: tickets.open_ticket(
        it,
        id=shop.name("ticket"),
        tenant="main",
        conversation=thread,
        event=EventRef(LANE, 1),
        request=TicketRequest(queue=queue, title=title),
        author="rule billing",
        now=shop.now,
    )


def test_tickets_count_from_one_and_a_conversation_has_one_at_a_time(shop: Shop) -> None:
    thread = shop.thread()
    numbers = [
        shop.database.run(open_ticket(shop, thread, "una")),
        shop.database.run(open_ticket(shop, thread, "otra")),
        shop.database.run(open_ticket(shop, None, "sin hilo")),
    ]
    view = shop.database.do(
        tickets.change_state, "main", "#1", state=TicketState.RESOLVED, by="eva", now=shop.now
    )

    assert numbers == [1, 1, 2]
    assert sorted(entry.what for entry in view.entries) == ["NEW → RESOLVED", "opened", "otra"]
    assert shop.database.rows(conversation_table)[0].open_ticket is None
    with pytest.raises(ActRefused, match="is RESOLVED and cannot become NEW"):
        shop.database.do(
            tickets.change_state, "main", "1", state=TicketState.NEW, by="eva", now=shop.now
        )
    again = shop.database.do(
        tickets.change_state, "main", "1", state=TicketState.IN_PROGRESS, by="eva", now=shop.now
    )
    assert shop.database.rows(conversation_table)[0].open_ticket == again.id
    noted = shop.database.do(tickets.add_note, "main", "1", text="¡listo!", by="eva", now=shop.now)
    assert noted.entries[-1].what in {entry.what for entry in noted.entries}
    listed = shop.database.do(
        tickets.list_tickets, "main", states=["IN_PROGRESS"], queue="billing", conversation=thread
    )
    assert [it.number for it in listed] == [1]


@pytest.mark.parametrize("name", ["#99", "nothing", "9" * 40, "٣"])
def test_a_ticket_that_is_not_there_is_said_so(shop: Shop, name: str) -> None:
    with pytest.raises(NotFound, match="there is no ticket"):
        shop.database.do(tickets.show_ticket, "main", name)


def test_an_escalation_is_heard_once(shop: Shop) -> None:
    thread = shop.thread()
    shop.database.do(
        tickets.open_escalation,
        id="call-1",
        tenant="main",
        conversation=thread,
        event=EventRef(LANE, 1),
        request=EscalationRequest(to="legal", because="amenaza"),
        now=shop.now,
    )
    assert len(shop.database.do(escalations.list_escalations, "main")) == 1

    view = shop.database.do(escalations.acknowledge, "main", "call-1", by="eva", now=shop.now)

    assert (view.acknowledged_at, view.acknowledged_by) == (shop.now, "eva")
    with pytest.raises(ActRefused, match="acknowledged already, by eva"):
        shop.database.do(escalations.acknowledge, "main", "call-1", by="ana", now=shop.now)
    assert shop.database.do(escalations.list_escalations, "main") == []
    assert len(shop.database.do(escalations.list_escalations, "main", open_only=False)) == 1


def test_a_link_opens_for_as_long_as_what_it_is_about(shop: Shop) -> None:
    thread = shop.thread()
    shop.database.run(open_ticket(shop, thread, "una"))
    shop.database.do(
        links.open_link,
        secret="s1",
        tenant="main",
        conversation=thread,
        ticket_number=1,
        now=shop.now,
    )

    found = shop.database.do(links.find_link, "s1", shop.now)

    assert found is not None
    assert (found.conversation, found.expires_at) == (thread, shop.now + links.LIFE)
    shop.database.do(
        tickets.change_state, "main", "1", state=TicketState.CLOSED, by="eva", now=shop.now
    )
    later = shop.now + links.GRACE
    assert shop.database.do(links.find_link, "s1", later - timedelta(seconds=1)) is not None
    assert shop.database.do(links.find_link, "s1", later) is None
    assert shop.database.do(links.find_link, "other", shop.now) is None


# Decisions, threads, usage ────────────────────────────────────────────────────────────────────


def test_a_decision_is_read_back_with_its_trace_and_what_it_made(shop: Shop) -> None:
    thread = shop.thread()
    trace = {"triage": [["hours", "matched"]], "ñ": 0.1}
    shop.decision(1, trace=zlib.compress(json.dumps(trace).encode()))
    draft_of(shop, thread)
    shop.database.run(open_ticket(shop, thread, "una"))

    event = EventRef(LANE, 1)
    found = shop.database.do(decisions.decisions_of, "main", LANE, [1, 2])

    assert shop.database.do(decisions.load_trace, "main", event) == trace
    assert shop.database.do(decisions.load_trace, "main", EventRef(LANE, 2)) is None
    assert list(found) == [event]
    view = found[event]
    assert (view.because, view.sources) == ("así", ("a#1",))
    assert [it.id for it in view.drafts] == ["draft-1"]
    assert [it.number for it in view.tickets] == [1]
    assert json.loads(json.dumps(views.as_values(view)))["event"] == str(event)


def test_a_thread_is_read_over_all_conversations_with_what_was_decided(shop: Shop) -> None:
    first = shop.thread(status="closed", created_at=shop.ago(days=2))
    second = shop.thread(pending_ask="item-x")
    shop.event(1, outcome="reply")
    shop.event(2, outcome="asking")
    shop.decision(1)
    early = shop.ago(days=1)
    shop.line(first, "hola", event_lane=LANE, event_seq=1, created_at=early)
    shop.line(second, "¿y?", event_lane=LANE, event_seq=2, attachments=[{"kind": "image"}])

    rows = shop.database.do(messages.thread, "main", ANA)
    state = shop.database.do(messages.thread_state, "main", ANA)
    recent = shop.database.do(messages.recent_threads, "main", "phone")

    assert [(row.text, row.attachments, row.decision is None) for row in rows] == [
        ("hola", (), False),
        ("¿y?", (Attachment(kind="image"),), True),
    ]
    assert state is not None
    assert (state.conversation, state.asking) == (second, True)
    assert [it.key for it in recent] == [ANA]
    assert shop.database.do(messages.thread_state, "main", "tel:+1") is None


def test_usage_is_summed_however_large(shop: Shop) -> None:
    for _ in range(2):
        shop.database.do(
            usage.record,
            tenant="main",
            conversation=None,
            event=None,
            instance="fast",
            used=Usage(model="m", input_tokens=2**40, output_tokens=1),
            now=shop.now,
        )

    found = shop.database.do(stats.usage_by_backend, stats.Scope(tenant="main"))

    assert found == {"fast": stats.Usage(calls=2, input_tokens=2**41, output_tokens=2)}
    assert len(shop.database.rows(usage_table)) == 2


# Events ───────────────────────────────────────────────────────────────────────────────────────


def test_events_are_listed_by_what_people_look_for(shop: Shop) -> None:
    thread = shop.thread()
    shop.lane(last_seq=3, done_seq=2, ready_at=shop.now)
    shop.event(1, outcome="reply", conversation=thread, received_at=shop.ago(hours=1))
    shop.event(2, outcome="dead", dead_at=shop.now, dead_error="broken", type="echo")
    shop.event(3)
    shop.event(1, key="tel:+572", outcome="reply")
    find = events.list_events

    def numbers(**options: Any) -> list[str]:
        return [str(view.event) for view in shop.database.do(find, "main", **options)]

    assert numbers(lane=LANE) == [f"{LANE}#3", f"{LANE}#2", f"{LANE}#1"]
    assert numbers(dead=True) == [f"{LANE}#2"]
    assert numbers(open_only=True) == [f"{LANE}#3"]
    assert numbers(kinds=["echo"]) == [f"{LANE}#2"]
    assert numbers(conversation=thread) == [f"{LANE}#1"]
    assert numbers(outcomes=["reply"], limit=1) == ["main/tel:+572#1"]
    assert shop.database.do(find, "clinica") == []


@pytest.mark.parametrize("end", [{"lease_owner": 7}, {"parked": True, "ready_at": None}])
def test_an_open_event_is_found_whatever_its_lane_does(shop: Shop, end: dict[str, Any]) -> None:
    shop.lane(**{"last_seq": 1, "ready_at": shop.now, **end})
    shop.event(1)

    found = shop.database.do(events.list_events, "main", open_only=True)

    assert [view.event.seq for view in found] == [1]


def test_what_people_mean_by_an_id(shop: Shop) -> None:
    thread = shop.thread()
    shop.event(1, external_id="message:SM1")
    shop.event(2, external_id="echo:app-1", source="main/phone/other")
    shop.event(3, external_id="message:SM1", source="clinica/phone", tenant="clinica")
    item = shop.item(provider_ref="SM7")
    line = shop.line(thread, "yo", provider_id="SM8", author="person", event_lane=LANE, event_seq=2)
    mean = events.find_meant

    assert [
        shop.database.do(mean, "main", name)
        for name in (f"{LANE}#1", "SM1", "app-1", item, "SM7", line, "SM8", "sm1", "x#y", "?")
    ] == [
        EventRef(LANE, 1),
        EventRef(LANE, 1),
        EventRef(LANE, 2),
        item,
        item,
        EventRef(LANE, 2),
        EventRef(LANE, 2),
        None,
        None,
        None,
    ]


def test_each_retry_of_an_event_has_a_name_of_its_own(shop: Shop) -> None:
    shop.event(1, external_id="message:A_1")
    shop.event(2, external_id="message:A_1~retry1")
    shop.event(3, external_id="message:a_1~retry2")
    shop.event(4, external_id="message:Ab1~retry2")

    assert shop.database.do(events.retry_id, "main/phone", "message:A_1") == "message:A_1~retry2"
    view = shop.database.do(events.show_event, "main", EventRef(LANE, 1))
    shop.database.do(events.mark_retried, "main", view, [EventRef(LANE, 5)])
    view = shop.database.do(events.show_event, "main", EventRef(LANE, 1))
    assert (view.outcome, view.dead_error) == ("retried", f"tried again as {LANE}#5")
    with pytest.raises(NotFound):
        shop.database.do(events.show_event, "clinica", EventRef(LANE, 1))


# The outbox, reports and echoes ───────────────────────────────────────────────────────────────


def test_outbox_items_are_listed_and_shown(shop: Shop) -> None:
    thread = shop.thread()
    shop.event(1, conversation=thread)
    first = shop.item(conversation=thread, decided_lane=LANE, decided_seq=1)
    second = shop.item(state="started", kind="action", body='{"params": {"title": "¡Ojo!"}}')

    assert [it.id for it in shop.database.do(outbox.list_items, "main")] == [second, first]
    assert [it.id for it in shop.database.do(outbox.items_of, "main", EventRef(LANE, 1))] == [first]
    assert shop.database.do(outbox.show_item, "main", second).text == "¡Ojo!"
    assert shop.database.do(outbox.under_way, "main", thread) == []


def report(status_: str, provider_id: str = "SM1", **more: Any) -> DeliveryReported:
    return DeliveryReported(provider_id, Address.from_text(ANA), status_, **more)


def test_a_report_moves_a_message_forward_only(shop: Shop) -> None:
    thread = shop.thread()
    item = shop.item(conversation=thread, provider_ref="SM1", state="done")
    shop.line(thread, "hola", id=item, direction="out", status="sent")

    for word in ("delivered", "sent", "failed"):
        found = shop.database.do(
            deliveries.apply_report, "main", "phone", report(word, code="30008"), shop.now
        )
        assert found == (item, False)

    (row,) = shop.database.rows(message)
    assert (row.status, row.failure, row.provider_id) == ("delivered", "30008", "SM1")


def test_a_report_proves_what_nobody_knew(shop: Shop) -> None:
    thread = shop.thread()
    item = shop.item(conversation=thread, state="unknown", attempt=1)
    shop.line(thread, "hola", id=item, direction="out", status="unknown")
    shop.lane(kind="out", key="main/phone/tel:+573001234567", last_seq=9, parked=True)

    shop.database.do(
        deliveries.apply_report, "main", "phone", report("delivered", item=item), shop.now
    )

    (row,) = shop.database.rows(outbox_table)
    assert (row.state, row.provider_ref, row.finished_at) == ("done", "SM1", shop.now)


def test_an_early_report_waits_and_those_of_nobody_go(shop: Shop) -> None:
    apply = deliveries.apply_report
    old = shop.ago(days=2)
    assert shop.database.do(apply, "main", "phone", report("sent", "foreign"), old) is None
    assert shop.database.do(apply, "main", "phone", report("delivered"), shop.now) is None
    assert shop.database.do(apply, "main", "phone", report("sent"), shop.now) is None

    rows = shop.database.rows(early_report)
    assert [(row.provider_id, row.status) for row in rows] == [("SM1", "delivered")]


def echo(text: str, id: str = "app-1") -> MessageEchoed:
    return MessageEchoed(id, Address.from_text(ANA), text)


def test_an_echo_is_ours_once_and_then_a_persons(shop: Shop) -> None:
    thread = shop.thread()
    item = shop.item(conversation=thread, state="done", started_at=shop.now)
    shop.line(thread, "hola", id=item, direction="out", status="sent")
    accept = fence.accept_echo

    ours = shop.database.do(accept, "main", ANA, "phone", echo(" HOLÁ "), shop.now)
    theirs = shop.database.do(accept, "main", ANA, "phone", echo("hola", "app-2"), shop.now)

    assert ours == OwnEcho(item=item, provider_id="app-1")
    assert theirs == echo("hola", "app-2")
    (row,) = shop.database.rows(conversation_table)
    assert (row.owner, row.epoch, row.owner_since) == (SOMEBODY, 1, shop.now)


def test_an_echo_for_nobody_opens_what_is_missing(shop: Shop) -> None:
    shop.database.do(fence.accept_echo, "main", ANA, "phone", echo("Soy Eva"), shop.now)

    (row,) = shop.database.rows(conversation_table)
    assert (row.owner, row.epoch, row.source) == (SOMEBODY, 1, "manual")
    assert (row.tags, row.attributes) == ([], {})


# Silence, status, stats ───────────────────────────────────────────────────────────────────────


def test_what_has_no_outcome_is_silent_wherever_it_is_stuck(shop: Shop) -> None:
    old = shop.ago(minutes=20)
    soon = shop.now + timedelta(minutes=3)
    lanes: list[dict[str, Any]] = [
        {"ready_at": old},
        {"ready_at": old, "lease_owner": 7},
        {"ready_at": soon, "attempts": 4},  # failed, and tried again later
        {"ready_at": shop.now},
    ]
    for number, more in enumerate(lanes):
        key = f"tel:+57{number}"
        shop.lane(key=f"main/{key}", last_seq=1, **more)
        shop.event(1, key=key, received_at=shop.now if number == 3 else old)
    for number, outcome in enumerate(["waiting", "asking"]):
        key = f"tel:+58{number}"
        shop.thread(key, turn_from=4)
        shop.event(4, key=key, received_at=old, outcome=outcome)
    shop.thread("tel:+59", turn_from=1)
    shop.event(1, key="tel:+59", outcome="waiting")
    shop.event(1, key="tel:+60", received_at=old, outcome="reply")

    found = shop.database.do(silence.unanswered, "main", shop.ago(minutes=10), shop.now)

    assert sorted(found) == [
        "main/tel:+570#1",
        "main/tel:+571#1",
        "main/tel:+572#1",
        "main/tel:+580#4",
        "main/tel:+581#4",
    ]
    assert shop.database.do(silence.unanswered, "clinica", shop.now, shop.now) == {}


def standing(shop: Shop) -> None:
    """Let there be something of everything that is counted."""
    thread = shop.thread()
    shop.thread("tel:+571", status="closed")
    shop.thread("tel:+572", status="escalated", owner="nobody")
    shop.lane(last_seq=3, done_seq=1, ready_at=shop.ago(minutes=1))
    shop.lane(key="main/tel:+571", last_seq=1, ready_at=shop.now, lease_owner=7)
    shop.lane(kind="out", key="main/phone/a", last_seq=1, parked=True)
    shop.lane(kind="job", key="item/1", last_seq=1, ready_at=shop.now + timedelta(hours=1))
    shop.lane(key="main/tel:+573", last_seq=5, done_seq=5)
    shop.event(1, outcome="reply")
    shop.event(2)
    shop.event(3)
    shop.event(1, key="tel:+571")
    shop.event(1, key="tel:+574", outcome="dead", dead_at=shop.now)
    shop.event(1, key="raw", type="unparsed", outcome="unparsed")
    shop.event(2, key="raw", type="unparsed", outcome="retried")
    shop.event(1, key="tel:+575", outcome="reply", received_at=shop.ago(days=2))
    shop.decision(1)
    for state in ("waiting", "started", "done", "withdrawn", "refused", "dead", "unknown"):
        shop.item(state=state)
    shop.item(state="done", created_at=shop.ago(days=2))
    shop.line(thread, "hola")
    shop.line(thread, "buenas", direction="out")
    shop.database.run(open_ticket(shop, thread, "una"))
    draft_of(shop, thread)


def test_the_status_says_what_waits_works_ended_failed_is_late_and_is_parked(shop: Shop) -> None:
    standing(shop)

    counts = shop.database.do(status.tenant_counts, "main", shop.now)

    assert counts.queue == status.Queue(
        waiting=3, active=2, completed=5, failed=3, late=1, parked=1
    )
    assert counts.lanes == {
        "in": status.LaneCounts(waiting=1, working=1, late=1),
        "out": status.LaneCounts(parked=1),
        "job": status.LaneCounts(waiting=1),
    }
    assert counts.outbox == dict.fromkeys(
        ("waiting", "started", "done", "withdrawn", "refused", "dead", "unknown"), 1
    )
    assert (counts.dead, counts.unparsed, counts.drafts, counts.tickets) == (1, 1, 1, 1)
    other = shop.database.do(status.tenant_counts, "clinica", shop.now)
    assert other.queue == status.Queue(waiting=0, active=0, completed=0, failed=0, late=0, parked=0)
    assert shop.database.do(status.last_node) is None


@pytest.mark.parametrize("tenant", ["main", None])
def test_the_numbers_say_the_same(shop: Shop, tenant: str | None) -> None:
    standing(shop)
    do, scope = shop.database.do, stats.Scope(tenant=tenant)
    today = stats.Scope(tenant=tenant, since=shop.ago(hours=1))

    worked, items = do(stats.events, scope), do(stats.outbox_items, scope)
    lanes = do(stats.lanes, scope, shop.now)

    assert do(stats.conversations, scope) == stats.Conversations(
        total=3, active=1, escalated=1, closed=1
    )
    assert do(stats.messages, scope) == stats.Messages(inbound=1, outbound=1)
    assert worked == {
        "message": {"dead": 1, "pending": 3, "reply": 2},
        "unparsed": {"retried": 1, "unparsed": 1},
    }
    assert do(stats.decisions, scope) == {"reply": 1}
    assert items["message"]["done"] == 2
    assert stats.queue(worked, items, lanes) == status.Queue(
        waiting=3, active=2, completed=7, failed=3, late=1, parked=1
    )
    assert do(stats.unsettled, scope) == dict.fromkeys(
        ("dead", "refused", "started", "unknown", "waiting"), 1
    )
    assert do(stats.waiting_for_people, scope) == status.Open(
        drafts=1, tickets=1, escalations=0, dead=1, unparsed=1
    )
    assert do(stats.events, today)["message"]["reply"] == 1
    assert do(stats.outbox_items, today)["message"]["done"] == 1
    assert do(stats.conversations, today).total == 3
    assert do(stats.decisions, today) == {"reply": 1}


# Two nodes at the same moment ─────────────────────────────────────────────────────────────────


@pytest.fixture
def nodes(shop: Shop) -> Shop:
    """PostgreSQL alone has two that write at once; on SQLite they write one after the other."""
    if shop.database.kind == "sqlite":
        shop.database.together = lambda *functions: [  # type: ignore[method-assign]
            _caught(shop, function) for function in functions
        ]
    return shop


def _caught(shop: Shop, function: Any) -> Any:
    try:
        return shop.database.run(function)
    except ActRefused as error:
        return error


def test_tickets_opened_at_once_have_numbers_of_their_own(nodes: Shop) -> None:
    opening = [open_ticket(nodes, None, f"{number}") for number in range(8)]

    assert sorted(nodes.database.together(*opening)) == list(range(1, 9))


def test_a_conversation_has_one_ticket_however_many_open_it_at_once(nodes: Shop) -> None:
    thread = nodes.thread()
    opening = [open_ticket(nodes, thread, f"{number}") for number in range(6)]

    assert set(nodes.database.together(*opening)) == {1}
    assert len(nodes.database.rows(ticket)) == 1


def test_of_two_who_approve_a_draft_at_once_one_comes_too_late(nodes: Shop) -> None:
    name = draft_of(nodes, nodes.thread())

    def approve(by: str) -> Any:
        return lambda it: drafts.resolve_draft(
            it, "main", name, state=DraftState.APPROVED, by=by, now=nodes.now, sent_text="x"
        )

    results = nodes.database.together(*(approve(by) for by in ("ana", "eva", "luz")))

    assert sorted(isinstance(it, ActRefused) for it in results) == [False, True, True]


def test_of_two_who_take_a_conversation_at_once_each_raises_the_epoch(nodes: Shop) -> None:
    thread = nodes.thread()

    def take(by: str) -> Any:
        return lambda it: conversations.take_conversation(it, "main", thread, by=by, now=nodes.now)

    results = nodes.database.together(take("ana"), take("ana"), take("eva"))

    (row,) = nodes.database.rows(conversation_table)
    taken = [it for it in results if not isinstance(it, ActRefused)]
    assert row.epoch == len(taken)
    assert row.owner in ("ana", "eva")


def test_one_echo_of_two_at_once_is_ours(nodes: Shop) -> None:
    thread = nodes.thread()
    nodes.item(conversation=thread, state="done", started_at=nodes.now)

    def accept(id: str) -> Any:
        event = echo("hola", id)
        return lambda it: fence.accept_echo(it, "main", ANA, "phone", event, nodes.now)

    results = nodes.database.together(accept("app-1"), accept("app-2"))

    assert sorted(type(it).__name__ for it in results) == ["MessageEchoed", "OwnEcho"]


def test_echoes_for_nobody_at_once_open_one_conversation(nodes: Shop) -> None:
    def accept(id: str) -> Any:
        event = echo("Soy Eva", id)
        return lambda it: fence.accept_echo(it, "main", ANA, "phone", event, nodes.now)

    results = nodes.database.together(*(accept(f"app-{number}") for number in range(4)))

    assert [type(it) for it in results] == [MessageEchoed] * 4
    (row,) = nodes.database.rows(conversation_table)
    assert row.epoch == 4


def test_early_reports_at_once_are_one_row(nodes: Shop) -> None:
    def tell(word: str) -> Any:
        return lambda it: deliveries.apply_report(it, "main", "phone", report(word), nodes.now)

    results = nodes.database.together(tell("sent"), tell("delivered"), tell("read"))

    assert list(results) == [None] * 3
    assert [row.status for row in nodes.database.rows(early_report)] == ["read"]
