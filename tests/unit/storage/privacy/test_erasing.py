"""Erasing one person: nothing that identifies them stays in any table, and others miss nothing."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from router.rules.trace import packed
from router.storage.database.health import damage
from router.storage.privacy import erasing, erasures
from router.storage.privacy.erasures import list_erasures, traces_of
from router.storage.privacy.export import KINDS, LEFT_OUT, export, is_empty
from router.storage.privacy.subjects import count_of, find_subject, mention_of
from router.storage.retention.lifetimes import ERASED
from router.storage.tables import (
    Moment,
    alias,
    api_answer,
    bucket,
    call,
    contact,
    draft,
    early_report,
    erased_event,
    erasure,
    escalation,
    first_message,
    inbox_event,
    lane,
    link,
    media,
    message,
    metadata,
    opt_in,
    outbox,
    ticket,
    ticket_entry,
    timer,
    usage,
)
from tests.unit.storage.conftest import NOW, Shop

ANA = "tel:+573001234567"
BSUID = "bsuid:CO.998877"
LUIS = "tel:+573009876543"
FILE, SHARED, VOICE = "a" * 64, "b" * 64, "c" * 64


def fill(shop: Shop, key: str, mark: str, *, number: int = 1, files: tuple[str, ...] = ()) -> str:
    """Let a customer have one of everything, with a mark in every text that can hold theirs."""
    place = f"main/{key}"
    person = shop.contact(
        key, name=f"{mark} name", language=mark, tags=[mark], attributes={mark: mark}
    )
    thread = shop.thread(
        key,
        status="active",
        owner="bot",
        category=mark,
        language=mark,
        tags=[mark],
        attributes={"x": mark},
        last_provider_id=mark,
    )
    shop.lane(key=place, last_seq=4, done_seq=4, last_error=mark)
    shop.lane(kind="out", key=f"main/phone/{key}", last_seq=1, done_seq=1, last_error=mark)
    shop.lane(kind="job", key=thread, last_seq=1, done_seq=1, last_error=mark)
    event: dict[str, Any] = {"key": key, "conversation": thread, "lane": place}
    event |= {"dead_error": mark, "outcome": "reply", "discarded_because": mark}
    shop.event(1, **event, external_id=f"message:{mark}", payload=json.dumps({"text": mark}))
    shop.event(2, **event, external_id=f"answer:{mark}", type="answer", payload=f'"{mark}"')
    shop.decision(
        1, lane=place, conversation=thread, body={"because": mark}, trace=packed({"said": mark})
    )
    attachments = [{"kind": "image", "digest": each, "name": mark} for each in files]
    told: dict[str, Any] = {"event_lane": place, "event_seq": 1, "address": key}
    shop.line(thread, mark, **told, attachments=attachments or None, provider_id=mark)
    item = shop.item(
        lane=f"main/phone/{key}",
        conversation=thread,
        body=json.dumps({"text": mark, "recipient": key}),
        state="done",
        decided_lane=place,
        decided_seq=1,
        provider_ref=f"ref-{mark}",
        error=mark,
        code=mark,
        echo=mark,
    )
    shop.line(thread, mark, id=item, direction="out", author="bot", address=key, failure=mark)
    lookup = shop.item(
        lane=f"item/{mark}", conversation=thread, kind="action", body=f'"{mark}"', state="unknown"
    )
    shop.lane(kind="job", key=f"item/{mark}", last_seq=1, parked=True)
    assert lookup

    insert = shop.database.insert
    about = {"tenant": "main", "conversation": thread, "created_at": NOW}
    event_of = {"event_lane": place, "event_seq": 1}
    insert(
        call,
        {
            **about,
            **event_of,
            "id": f"call-{mark}",
            "channel": "calls",
            "party": key,
            "direction": "outbound",
            "status": "done",
            "outcome": mark,
            "origin": "provider",
            "agent": "agent",
            "reason": mark,
            "summary": mark,
            "data": {"asked": mark},
            "transcript": [{"role": "customer", "text": mark}],
            "recording": {"url": mark, **({"digest": VOICE} if files else {})},
            "began_at": NOW,
        },
    )
    insert(first_message, {**about, "message": item, "rule": "r", "variant": mark})
    insert(
        draft,
        {
            **about,
            **event_of,
            "id": f"draft-{mark}",
            "author": "bot",
            "text": mark,
            "sources": [mark],
            "because": mark,
            "state": "pending",
            "sent_text": mark,
        },
    )
    for n, where in enumerate((thread, None)):
        insert(
            ticket,
            {
                **event_of,
                "tenant": "main",
                "id": f"ticket-{number + n}",
                "number": number + n,
                "conversation": where,
                "queue": "q",
                "title": mark,
                "priority": "low",
                "state": "NEW",
                "assignee": mark,
                "created_at": NOW,
                "updated_at": NOW,
            },
        )
        row = {"id": f"entry-{n}-{mark}", "tenant": "main", "ticket": f"ticket-{number + n}"}
        insert(ticket_entry, {**row, "author": mark, "what": mark, "created_at": NOW})
    insert(
        escalation, {**about, **event_of, "id": f"escalation-{mark}", "to": "q", "because": mark}
    )
    insert(
        link,
        {
            **about,
            "secret": f"secret-{mark}",
            "escalation": f"escalation-{mark}",
            "ticket": f"ticket-{number}",
        },
    )
    tokens = {"instance": "ai", "input_tokens": 7, "output_tokens": 1, "created_at": NOW}
    for n, where in enumerate((thread, None)):
        used: dict[str, Any] = {
            "id": f"usage-{number}-{n}",
            "tenant": "main",
            "conversation": where,
        }
        insert(usage, {**used, **event_of, **tokens})
    insert(
        opt_in,
        {
            "id": f"opt-{mark}",
            "tenant": "main",
            "contact": person,
            "by": "eva",
            "because": mark,
            "created_at": NOW,
        },
    )
    insert(
        timer,
        {
            "tenant": "main",
            "kind": "idle",
            "key": thread,
            "lane": place,
            "due_at": NOW,
            "generation": 1,
            "payload": {"x": mark},
        },
    )
    insert(bucket, {"tenant": "main", "key": f"main/phone/{key}", "full_at": NOW})
    report = {"tenant": "main", "channel": "phone", "provider_id": f"ref-{mark}"}
    insert(early_report, {**report, "status": "sent", "failure": mark, "received_at": NOW})
    answer = {"tenant": "main", "token": "t", "route": "POST /x", "key": f"k-{mark}"}
    text = json.dumps({"conversation": {"id": thread, "address": key}, "text": mark})
    insert(api_answer, {**answer, "digest": "d", "answer": text, "created_at": NOW})
    return thread


class Business:
    """A business with two customers, who have sent one file both."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.database = shop, shop.database
        self.ana = fill(shop, ANA, "MARKANA", number=10, files=(FILE, SHARED))
        self.luis = fill(shop, LUIS, "MARKLUIS", number=1, files=(SHARED,))
        insert = shop.database.insert
        insert(alias, {"tenant": "main", "address": BSUID, "key": ANA, "created_at": NOW})
        shop.contact(BSUID, name="MARKANA")
        shop.lane(key=f"main/{BSUID}", last_seq=2, done_seq=2)
        shop.event(
            1,
            key=BSUID,
            conversation=self.ana,
            external_id="message:MARKANA2",
            payload='{"text": "MARKANA"}',
        )
        for digest in (FILE, SHARED, VOICE):
            row = {"tenant": "main", "digest": digest, "content_type": "image/png", "size": 1}
            insert(media, {**row, "used_at": NOW})
        people = [
            {"phone_number": each, "variables": {"name": mark}}
            for each, mark in (("+573001234567", "MARKANA"), ("+573009876543", "MARKLUIS"))
        ]
        params: dict[str, Any] = {"params": {"recipients": people, "name": "Noviembre"}}
        batch: dict[str, Any] = {"kind": "action", "destination": "dial", "conversation": None}
        self.batch = shop.item(lane="item/b", **batch, body=json.dumps(params), state="done")
        params["params"]["recipients"] = people[:1]
        self.alone = shop.item(lane="item/c", **batch, body=json.dumps(params))
        self.paged = shop.item(
            lane="item/d",
            **batch,
            state="done",
            body=json.dumps({"params": {"text": "Llame al 57 (300) 123-4567, ya"}}),
        )
        shop.lane(key="main/raw:phone", last_seq=2, done_seq=2)
        for n, body in enumerate((b"From=whatsapp%3A%2B573001234567&Body=MARKANA", b"From=MARKX")):
            payload = {"body": base64.b64encode(body).decode(), "error": "no"}
            raw = {"key": "raw:phone", "type": "unparsed", "external_id": f"raw:{n}"}
            shop.event(n + 1, **raw, payload=json.dumps(payload), outcome="unparsed")

    def erase(self, name: str = ANA, **more: Any) -> erasures.Erasure:
        def do(connection: sa.Connection) -> erasures.Erasure:
            subject, loose = erasing.found(connection, "main", name)
            erasing.quiet(connection, subject, by="eva", now=NOW)
            assert not erasing.under_way(connection, subject, loose).words
            options: dict[str, Any] = {"by": "eva", "forget_opt_out": False, "now": NOW} | more
            return erasing.erase(connection, subject, loose, **options)

        return self.database.run(do)

    def dump(self) -> str:
        """Give everything that is in any table, unpacked."""
        parts = []
        for table in metadata.sorted_tables:
            for row in self.database.rows(table):
                parts += [
                    erasures._text_of(table.name, name, row._asdict()) for name in row._fields
                ]
        return "\n".join(parts)


@pytest.fixture
def business(shop: Shop) -> Business:
    return Business(shop)


def test_every_table_says_what_an_erasure_does_with_it() -> None:
    assert set(ERASED) == set(metadata.tables)


def test_every_table_of_a_persons_rows_is_deleted_from_and_exported(business: Business) -> None:
    subject = business.database.do(find_subject, "main", ANA)
    theirs = {table.name for table in subject.belongings}

    beside = {"media", "api_answer"}
    about = {name for name, words in ERASED.items() if not words.startswith(("kept: ", "written"))}
    assert theirs | beside == about - {"erasure"}
    assert theirs == {table.name for table, _ in KINDS.values()} | set(LEFT_OUT)
    # Each of them has rows here, so that no other test passes for want of any.
    assert theirs == set(business.database.do(count_of, subject))


def test_every_text_that_a_person_can_reach_has_the_mark(business: Business) -> None:
    """A new column of a table that holds people's data has to be filled here, or named here."""
    ours = {
        "tenant", "id", "kind", "channel", "status", "source", "owner", "risk", "priority",
        "open_ticket", "pending_ask", "direction", "author", "attachments", "origin", "agent",
        "batch", "by", "rule", "outcome", "state", "destination", "resolved_by", "queue", "to",
        "acknowledged_by", "discarded_by", "model", "instance", "type", "conversation", "contact",
        "message", "ticket", "escalation", "event_lane", "decided_lane", "lane", "key", "token",
        "route", "digest", "address", "party", "provider_id", "account",
    }  # fmt: skip
    subject = business.database.do(find_subject, "main", ANA)
    for table, where in subject.belongings.items():
        rows = business.database.do(sa.Connection.execute, sa.select(table).where(where)).all()
        for column in table.c:
            texts = isinstance(column.type, sa.Text | sa.JSON | sa.LargeBinary)
            if not texts or isinstance(column.type, Moment) or column.name in ours:
                continue
            found = [erasures._text_of(table.name, column.name, row._asdict()) for row in rows]
            assert any("MARKANA" in text for text in found), f"{table.name}.{column.name}"


def test_nothing_of_a_person_is_left_in_any_table(business: Business) -> None:
    before = business.dump()
    assert "MARKANA" in before

    made = business.erase()

    after = business.dump()
    for text in ("MARKANA", "3001234567", BSUID, "998877", business.ana, "123-4567"):
        assert text in before
        assert text not in after, text
    assert business.database.do(damage) == []
    assert made.counts["message"] == 2
    assert made.counts["ticket"] == 2
    assert made.counts["contact"] == 2
    assert made.counts["media"] == 1
    assert made.counts["outbox"] == 5
    assert made.counts["inbox_event"] == 4
    wanted = mention_of([ANA, BSUID], "MARKANA", national=True)
    assert business.database.do(traces_of, "main", wanted) == []


def test_others_keep_what_they_have(business: Business) -> None:
    subject = business.database.do(find_subject, "main", LUIS)
    counts = business.database.do(count_of, subject)
    document = business.database.do(export, "main", LUIS, now=NOW)

    business.erase()

    assert business.database.do(count_of, subject) == counts
    assert business.database.do(export, "main", LUIS, now=NOW) == document
    batch, paged = (
        json.loads(row.body)["params"]
        for row in business.database.rows(outbox)
        if row.id in (business.batch, business.paged)
    )
    assert [it["phone_number"] for it in batch["recipients"]] == ["+573009876543"]
    assert paged == {"text": "Llame al erased, ya"}
    (alone,) = business.database.rows(outbox, id=business.alone)
    assert alone.state == "withdrawn"
    assert [row.external_id for row in business.database.rows(inbox_event, type="unparsed")] == [
        "raw:1"
    ]
    used = {row.digest: row.used_at for row in business.database.rows(media)}
    assert used[SHARED] == NOW
    assert used[VOICE] == NOW
    assert used[FILE] < NOW - timedelta(days=365)


def test_costs_and_the_count_of_tickets_stay(business: Business) -> None:
    business.erase()

    rows = business.database.rows(usage)
    assert sum(row.input_tokens for row in rows) == 4 * 7
    assert max(row.number for row in business.database.rows(ticket)) == 11
    (newest,) = business.database.rows(ticket, number=11)
    assert (newest.title, newest.state, newest.assignee) == ("erased", "CLOSED", None)


def test_who_wants_no_messages_leaves_the_address_alone(business: Business) -> None:
    change = sa.update(contact).where(contact.c.key == ANA).values(opted_out=True)
    business.database.run(lambda it: it.execute(change))

    made = business.erase(BSUID)

    assert made.opted_out
    (left,) = business.database.rows(contact, key=ANA)
    assert (left.name, left.language, left.tags, left.attributes) == (None, None, [], {})
    assert left.opted_out
    assert "MARKANA" not in business.dump()
    wanted = mention_of([ANA, BSUID], "MARKANA", national=True)
    traces = business.database.do(traces_of, "main", wanted)
    assert [(it.table, it.columns) for it in traces] == [
        ("alias", ("address", "key")),
        ("contact", ("key",)),
    ]
    (led,) = business.database.rows(alias)
    assert (led.address, led.key) == (BSUID, left.key)

    assert not business.erase(forget_opt_out=True).opted_out

    assert business.database.rows(contact, key=ANA) == []
    assert business.database.rows(alias) == []


def test_an_erasure_is_known_by_its_address_and_names_nobody(business: Business) -> None:
    made = business.erase()

    (row,) = business.database.rows(erasure)
    assert row.id == made.id
    assert len(row.digests) == 2
    found = business.database.do(list_erasures, "main")
    assert found == [made]
    assert business.database.do(list_erasures, "main", name=ANA) == [made]
    assert business.database.do(list_erasures, "main", name=BSUID) == [made]
    assert business.database.do(list_erasures, "main", name=LUIS) == []
    assert business.database.do(list_erasures, "clinica", name=ANA) == []


def test_any_address_of_a_person_finds_all_of_them(business: Business) -> None:
    one = business.database.do(find_subject, "main", ANA)

    assert business.database.do(find_subject, "main", BSUID) == one
    assert set(one.keys) == {ANA, BSUID}


@pytest.mark.parametrize(
    "text, found",
    [
        ("tel:+525512345678", True),
        ("tel:+5215512345678", True),
        ("Llame al 52 55 1234-5678.", True),
        ("+52.1.55.1234.5678", True),
        ("152551234567890", False),
        ("5255123456789", False),
    ],
)
def test_a_number_is_found_however_it_is_written(
    business: Business, text: str, found: bool
) -> None:
    business.shop.thread("tel:+525512345678")
    subject = business.database.do(find_subject, "main", "tel:+5215512345678")

    assert bool(subject.mention.search(text)) is found


def test_what_is_exported_is_all_of_one_person_and_nothing_of_another(business: Business) -> None:
    document = business.database.do(export, "main", ANA, now=NOW)

    text = json.dumps(document, ensure_ascii=False)
    assert "MARKLUIS" not in text
    assert "secret-" not in text
    assert document["address"] == ANA
    assert {len(document[kind]) for kind in ("conversations", "calls", "drafts")} == {1}
    assert document["decisions"][0]["trace"] == {"said": "MARKANA"}
    assert [it["digest"] for it in document["files"]] == [FILE, SHARED, VOICE]
    batch = next(it for it in document["named_in"] if it["id"] == business.batch)
    assert [it["phone_number"] for it in batch["params"]] == ["+573001234567"]
    assert is_empty(business.database.do(export, "clinica", ANA, now=NOW))


def test_what_may_come_once_more_is_kept_as_digests(business: Business) -> None:
    business.erase()

    digests = [row.digest for row in business.database.rows(erased_event)]
    # Two messages, the request that could not be read, and what may be told of the one that left.
    assert len(digests) == 3 + 2 * 6
    assert all(len(digest) == 64 for digest in digests)
    business.shop.contact(ANA)
    business.shop.event(1, key=ANA, external_id="message:MARKANA")

    business.erase()  # the same once more changes nothing

    assert [row.digest for row in business.database.rows(erased_event)] == digests


@pytest.mark.parametrize(
    "kind, key, busy",
    [
        ("in", f"main/{ANA}", True),
        ("out", f"main/phone/{ANA}", True),
        ("job", "item/c", True),
        ("job", "item/MARKANA", False),
        ("in", f"main/{LUIS}", False),
    ],
)
def test_what_is_being_worked_is_told(business: Business, kind: str, key: str, busy: bool) -> None:
    business.shop.lane(kind="job", key="item/c", last_seq=1)
    leased = sa.update(lane).where(lane.c.kind == kind, lane.c.key == key).values(lease_owner=7)
    business.database.run(lambda it: it.execute(leased))

    def look(connection: sa.Connection) -> erasing.UnderWay:
        subject, loose = erasing.found(connection, "main", ANA)
        return erasing.under_way(connection, subject, loose)

    found = business.database.run(look)
    assert bool(found.words) is busy
    assert found.lanes == (((kind, key),) if busy else ())
    if busy:
        assert business.database.do(erasing.is_leased, found.lanes)
        released = sa.update(lane).values(lease_owner=None)
        business.database.run(lambda it: it.execute(released))
        assert not business.database.do(erasing.is_leased, found.lanes)


def test_lanes_are_locked_in_the_order_in_which_everybody_locks_them(business: Business) -> None:
    statements: list[str] = []

    def look(connection: sa.Connection) -> bool:
        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            statements.append(statement)

        sa.event.listen(connection, "before_cursor_execute", note)
        return erasing.hold(connection, find_subject(connection, "main", ANA))

    locks = business.database.run(look)

    assert locks is (business.database.kind == "postgresql")
    locking = [it.split("ORDER BY")[1] for it in statements if "FOR UPDATE" in it]
    assert [it.count('COLLATE "C"') for it in locking] == ([2, 1, 1] if locks else [])


WEB = "web:abcdef12"
OTHERS = "web:AbCdEf12"


def test_an_id_in_another_case_is_somebody_else(business: Business) -> None:
    shop = business.shop
    fill(shop, WEB, "MARKLOW", number=20)
    thread = fill(shop, OTHERS, "MARKHIGH", number=30)
    for key in (WEB, OTHERS):
        # Channels that only events, and only the outbox, know of.
        for channel in ("chat", "mail"):
            shop.lane(kind="out", key=f"main/{channel}/{key}", last_seq=1)
    shop.event(9, key=OTHERS, source="main/chat/status")
    shop.item(lane="main/mail/tel:+571", destination="mail")
    waiting = shop.item(lane=f"main/phone/{OTHERS}", conversation=thread)
    told = shop.item(
        kind="action",
        lane="item/e",
        destination="crm",
        state="done",
        body=json.dumps({"params": {"text": OTHERS}}),
    )
    raw: dict[str, Any] = {"key": "raw:phone", "type": "unparsed", "outcome": "unparsed"}
    body = base64.b64encode(f"From={OTHERS}".encode()).decode()
    shop.event(5, **raw, external_id="raw:5", payload=json.dumps({"body": body}))
    subject = business.database.do(find_subject, "main", OTHERS)
    counts = business.database.do(count_of, subject)

    assert set(business.database.do(find_subject, "main", WEB).outs) == {
        f"main/{channel}/{WEB}" for channel in ("phone", "chat", "mail")
    }
    business.erase(WEB)

    assert "MARKLOW" not in business.dump()
    assert business.database.do(count_of, subject) == counts
    for channel in ("phone", "chat", "mail"):
        assert business.database.rows(lane, key=f"main/{channel}/{OTHERS}")
        assert not business.database.rows(lane, key=f"main/{channel}/{WEB}")
    assert business.database.rows(bucket, key=f"main/phone/{OTHERS}")
    assert business.database.rows(outbox, id=waiting)
    assert business.database.rows(inbox_event, external_id="raw:5")
    (row,) = business.database.rows(outbox, id=told)
    assert OTHERS in row.body
    (trace,) = (
        it for it in business.database.do(traces_of, "main", mention_of([WEB])) if it.row == told
    )
    assert trace.table == "outbox"  # whoever only looks is told of either


def test_whoever_is_named_in_what_another_is_called_about_is_not_called(
    business: Business,
) -> None:
    people = [
        {"phone_number": "+573009876543", "variables": {"about": "su hija, +57 300 123 4567"}},
        {"phone_number": "+573001234567", "variables": {"about": "MARKANA"}},
    ]
    params = {"params": {"recipients": people, "name": "Diciembre"}}
    batch = business.shop.item(
        kind="action", destination="dial", lane="item/z", body=json.dumps(params)
    )
    document = business.database.do(export, "main", ANA, now=NOW)
    (mine,) = (it for it in document["named_in"] if it["id"] == batch)
    assert mine["params"] == people[1:]

    business.erase()

    (row,) = business.database.rows(outbox, id=batch)
    assert row.state == "waiting"
    assert json.loads(row.body)["params"]["recipients"] == [
        {"phone_number": "+573009876543", "variables": {"about": "su hija, +erased"}}
    ]


def test_of_a_request_that_nobody_could_read_the_export_says_only_which_it_is(
    business: Business,
) -> None:
    document = business.database.do(export, "main", ANA, now=NOW)

    (raw,) = (it for it in document["named_in"] if it["kind"] == "event")
    assert raw == {
        "kind": "event",
        "id": "main/raw:phone#1",
        "channel": "phone",
        "received_at": NOW.isoformat(),
    }


@pytest.mark.parametrize("outcome", ["retried", "discarded"])
def test_a_request_that_was_seen_to_is_not_unread(business: Business, outcome: str) -> None:
    def unread(connection: sa.Connection) -> list[str]:
        return erasing.found(connection, "main", ANA)[1].unread

    assert business.database.run(unread) == ["main/raw:phone#1"]
    tried = sa.update(inbox_event).where(inbox_event.c.external_id == "raw:0")
    business.database.run(lambda it: it.execute(tried.values(outcome=outcome)))
    assert business.database.run(unread) == []


def test_what_waits_is_withdrawn_and_the_conversation_is_taken_over(business: Business) -> None:
    item = business.shop.item(conversation=business.ana, author="person")

    def leave(connection: sa.Connection) -> None:
        subject, _ = erasing.found(connection, "main", ANA)
        erasing.quiet(connection, subject, by="eva", now=NOW)

    business.database.run(leave)

    (row,) = business.database.rows(outbox, id=item)
    assert row.state == "withdrawn"
    assert business.database.rows(timer, lane=f"main/{ANA}") == []
    assert len(business.database.rows(message)) == 4


def test_every_row_is_looked_at_however_many_there_are(business: Business) -> None:
    shop = business.shop
    shop.lane(key="main/tel:+571", last_seq=1300, done_seq=1300)
    rows = [
        {
            "lane": "main/tel:+571",
            "seq": number,
            "tenant": "main",
            "source": "main/phone",
            "external_id": f"message:{number}",
            "type": "message",
            "payload": json.dumps({"text": f"aguja-{number}-"}),
            "received_at": NOW,
        }
        for number in range(1300)
    ]
    business.database.run(lambda it: it.execute(sa.insert(inbox_event), rows))

    for number in (0, 499, 500, 999, 1000, 1299):
        wanted = mention_of([], f"aguja-{number}-")
        (found,) = business.database.do(traces_of, "main", wanted)
        assert (found.table, found.row) == ("inbox_event", f"main/tel:+571/{number}")
    assert len(business.database.do(traces_of, "main", mention_of([], "aguja"), limit=7)) == 7
