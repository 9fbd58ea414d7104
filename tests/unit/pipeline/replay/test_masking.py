"""Masking: what stands for personal data is of its kind, and nobody's."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from router.domain.answer import Completion
from router.domain.event import (
    CallEnded,
    CallTurn,
    ContactOptedOut,
    DeliveryReported,
    MessageEchoed,
    MessageReceived,
)
from router.domain.host_event import (
    AnswerArrived,
    ConversationChanged,
    FileFetched,
    OwnEcho,
    TimerFired,
    Unparsed,
    VoiceTranscribed,
)
from router.domain.identity import Address, thread_key
from router.domain.message import Attachment
from router.pipeline.replay.masking import STAND_INS, Masking, as_shared
from router.rules import pii
from router.rules.operators import PII
from router.storage import codec
from router.storage.recordings import Line, RecordedEvent, RecordedTurn
from router.storage.store import Event, EventRef

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ANA = Address("tel", "+573001234567")


def turn(
    event: Event,
    *,
    who: Address = ANA,
    body: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    lines: Mapping[int, str] | None = None,
) -> RecordedTurn:
    recorded = RecordedEvent(
        ref=EventRef(f"main/{thread_key(who)}", 7),
        source="main/phone",
        kind=event.kind,
        payload=codec.encode(event),
        received_at=NOW,
        conversation="01ABC",
        outcome="reply",
        body=body or {"outcome": "reply"},
        before={"at": 0} if before is None else before,
    )
    payloads = {n: codec.encode(MessageReceived("m", who, it)) for n, it in (lines or {}).items()}
    return RecordedTurn(
        tenant="main",
        events=(recorded,),
        lines={n: Line(payload=it, received_at=NOW) for n, it in payloads.items()},
    )


def payload(masked: RecordedTurn) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(masked.decided.payload)
    return found


def test_there_is_a_stand_in_for_every_kind() -> None:
    assert set(STAND_INS) == set(PII)


@pytest.mark.parametrize("country", [None, "CO", "BR", "ES", "MX"])
@pytest.mark.parametrize("kind", sorted(PII))
def test_a_stand_in_is_seen_as_its_kind_and_stays_what_it_is(
    kind: str, country: str | None
) -> None:
    said = f"es {STAND_INS[kind]}, gracias"

    assert pii.kinds(said, country) == {kind}
    assert as_shared(turn(MessageReceived("m", ANA, "")), {"text": said}) == {"text": said}


@pytest.mark.parametrize(
    ("said", "expected", "changed"),
    [
        ("hola", "hola", False),
        ("mi correo: ana@gomez.co", "mi correo: persona@example.com", True),
        ("llámame al 300 123 4567", "llámame al +34 612 34 56 78", True),
        ("soy ANA gómez", "soy Nombre1 Nombre2", True),
        ("banana", "banana", False),
        ("pedido 4711", "pedido 4711", False),
    ],
)
def test_texts_lose_what_tells_who_it_was(said: str, expected: str, changed: bool) -> None:
    masked = Masking().turn(turn(MessageReceived("m", ANA, said, name="Ana Gómez")))

    assert payload(masked)["text"] == expected
    assert payload(masked)["name"] == "Nombre1 Nombre2"
    assert masked.decided.masked is changed
    assert masked.shared


def test_a_message_of_the_turn_is_masked_as_well_and_counts_for_the_whole() -> None:
    masked = Masking().turn(turn(MessageReceived("m", ANA, "ya"), lines={3: "ana@gomez.co"}))

    assert json.loads(masked.lines[3].payload)["text"] == "persona@example.com"
    assert masked.decided.masked


def test_one_person_stays_one_and_two_stay_two() -> None:
    masking = Masking()
    first, again = ("+5215512345678", "+525512345678")
    telegram = Address("telegram", "4711")

    lanes = [
        masking.turn(turn(MessageReceived("m", who, "hola"), who=who)).decided.ref.lane
        for who in (Address("tel", first), Address("tel", again), ANA, telegram, ANA)
    ]

    assert lanes == [
        "main/tel:+520000000001",
        "main/tel:+520000000001",
        "main/tel:+570000000002",
        "main/telegram:person-3",
        "main/tel:+570000000002",
    ]


def test_a_pseudonym_is_its_own_thread() -> None:
    for number in ("+5215512345678", "+5491123456789", "+5511987654321", "+14155550123"):
        who = Address("tel", number)
        masked = Masking().turn(turn(MessageReceived("m", who, "hola"), who=who))
        key = masked.decided.ref.lane.removeprefix("main/")

        assert payload(masked)["sender"] == key
        assert thread_key(Address.from_text(key)) == key


def test_ids_addresses_files_and_places_go() -> None:
    event = MessageReceived(
        "wamid.SECRET",
        ANA,
        "mira",
        attachments=(Attachment(kind="image", url="https://x/1", name="ana.png", latitude=4.6),),
        aliases=(Address("bsuid", "US.1"),),
        in_reply_to="wamid.OTHER",
        metadata={"ad": "ana@gomez.co"},
    )
    before = {
        "at": 0,
        "contact": {"name": "Ana", "attributes": {"mail": "ana@gomez.co", "~own": "x"}},
        "conversation": {
            "channel": "phone",
            "address": "bsuid:US.1",
            "owner": "eva",
            "open_ticket": "01T",
        },
    }

    masked = Masking().turn(turn(event, before=before))

    assert payload(masked) == {
        "id": "message-1",
        "sender": "tel:+570000000001",
        "text": "mira",
        "attachments": [{"kind": "image"}],
        "in_reply_to": "message-2",
        "metadata": {"ad": "persona@example.com"},
    }
    assert masked.decided.conversation == "conversation-1"
    assert masked.decided.before == {
        "at": 0,
        "contact": {
            "name": "Nombre1",
            "attributes": {"mail": "persona@example.com", "~own": "x"},
        },
        "conversation": {
            "channel": "phone",
            "address": "bsuid:person-2",
            "owner": "agent-1",
            "open_ticket": "ticket-1",
        },
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            AnswerArrived(
                item="01I",
                backend="assistant",
                asked_seq=3,
                completion=Completion("Escriba a ana@gomez.co", 0.9, "INFO"),
            ),
            "Escriba a persona@example.com",
        ),
        (MessageEchoed("e1", ANA, "ana@gomez.co"), "persona@example.com"),
    ],
)
def test_what_models_and_people_wrote_is_masked(event: Event, expected: str) -> None:
    found = payload(Masking().turn(turn(event)))

    assert (found.get("completion") or found)["text"] == expected
    assert codec.decode(event.kind, json.dumps(found)) is not None


def test_a_timer_stays_the_conversations() -> None:
    timer = TimerFired(timer="idle", key="01ABC", generation=1, payload={"to": "ana@gomez.co"})

    masked = Masking().turn(turn(timer))

    assert payload(masked)["key"] == masked.decided.conversation == "conversation-1"
    assert "payload" not in payload(masked)


def test_of_a_decision_only_what_is_said_is_masked() -> None:
    body = {
        "outcome": "ticket",
        "rule": "ana",
        "category": "INFO",
        "replies": [{"text": "Hola, Ana", "author": "rule"}],
        "ticket": {"queue": "ana", "title": "Ana: ana@gomez.co", "priority": "normal"},
        "actions": [{"action": "ana", "params": {"to": "ana@gomez.co"}}],
    }

    masked = Masking().turn(turn(MessageReceived("m", ANA, "hola", name="Ana"), body=body))

    assert masked.decided.body == {
        "outcome": "ticket",
        "rule": "ana",
        "category": "INFO",
        "replies": [{"text": "Hola, Nombre1", "author": "rule"}],
        "ticket": {
            "queue": "ana",
            "title": "Nombre1: persona@example.com",
            "priority": "normal",
        },
        "actions": [{"action": "ana", "params": {"to": "persona@example.com"}}],
    }
    # What came out does not decide.
    assert not masked.decided.masked


MAIL = "ana@gomez.co"
_FILE = Attachment(
    kind="audio",
    url=f"https://files.example/{MAIL}",
    name=MAIL,
    latitude=4.7,
    digest="d" * 64,
    transcript=MAIL,
    problem=MAIL,
)


@pytest.mark.parametrize(
    "event",
    [
        MessageReceived(
            MAIL,
            ANA,
            MAIL,
            (_FILE,),
            name=f"Ana {MAIL}",
            aliases=(Address("bsuid", MAIL),),
            in_reply_to=MAIL,
            metadata={"referral": MAIL},
        ),
        MessageEchoed(MAIL, ANA, MAIL, (_FILE,), provider_id=MAIL),
        DeliveryReported(MAIL, ANA, "failed", item=MAIL, reason=MAIL),
        CallEnded(
            id=MAIL,
            party=ANA,
            summary=MAIL,
            transcript=(CallTurn("customer", MAIL),),
            data={"correo": MAIL},
            agent=MAIL,
            name=f"Ana {MAIL}",
            reason=MAIL,
            batch=MAIL,
            recording=_FILE,
        ),
        ContactOptedOut(MAIL, ANA, MAIL),
        AnswerArrived(
            item=MAIL,
            backend="assistant",
            asked_seq=1,
            completion=Completion(MAIL),
            error=MAIL,
            ai={"ai.reason": MAIL},
        ),
        TimerFired(timer="turn", key=MAIL, generation=1, payload={"to": MAIL}),
        OwnEcho(item=MAIL, provider_id=MAIL),
        ConversationChanged(what="escalated", conversation=MAIL, to=MAIL, because=MAIL),
        Unparsed(channel="phone", endpoint="", body=MAIL, headers={"x": MAIL}, error=MAIL),
        FileFetched(
            item=MAIL, message_seq=1, index=0, attached="audio", digest="d" * 64, problem=MAIL
        ),
        VoiceTranscribed(item=MAIL, message_seq=1, index=0, text=MAIL, problem=MAIL),
    ],
    ids=lambda event: event.kind,
)
def test_no_kind_of_event_tells_who_it_was(event: Event) -> None:
    shared = repr(Masking().turn(turn(event)))

    for planted in (MAIL, "3001234567", "d" * 64, "files.example", "4.7", "Ana "):
        assert planted not in shared


def test_masked_events_of_every_kind_are_tried() -> None:
    (mark,) = [
        it
        for it in test_no_kind_of_event_tells_who_it_was.pytestmark  # type: ignore[attr-defined]
        if it.name == "parametrize"
    ]

    assert {event.kind for event in mark.args[1]} == codec.KINDS


def test_where_a_customer_wrote_before_a_call_is_masked() -> None:
    wrote = [["whatsapp", str(ANA), 5]]
    masked = Masking().turn(
        turn(CallEnded(id="c", party=ANA), before={"known": {"call": False, "wrote": wrote}})
    )

    assert masked.decided.before is not None
    ((channel, address, at),) = masked.decided.before["known"]["wrote"]
    assert (channel, at) == ("whatsapp", 5)
    assert "3001234567" not in address
