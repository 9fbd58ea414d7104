"""Facts: everything that a rule may look at has somebody who brings it, and nothing else comes."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from router.domain.answer import Completion
from router.domain.conversation import Contact, Conversation, Turn, TurnMessage
from router.domain.event import CallEnded, CallTurn, DeliveryReported
from router.domain.host_event import ConversationChanged
from router.domain.identity import Address
from router.domain.message import Attachment
from router.errors import Refusal
from router.pipeline.triage import memory
from router.pipeline.triage.facts import (
    call_facts,
    changed_facts,
    classified_facts,
    delivery_facts,
    echo_facts,
    idle_facts,
    message_facts,
    owner_now,
    speaking,
    thread_facts,
    turn_facts,
)
from router.rules.decide import answer_facts
from router.rules.facts import Facts
from router.rules.fields import FIELDS, KINDS, Stage, find
from router.rules.grounds import weigh
from router.rules.hours import Hours, Interval
from router.rules.loading import build_rules
from router.rules.model import Names
from router.rules.policy import Policy
from router.rules.recall import CUSTOMER
from router.rules.signals import add, derivations
from router.toml import loads

_RULES = build_rules(
    [loads('default.answer = "assistant"\n[category.INFO]\nrisk = "low"', "rules.toml")],
    Names(backends=frozenset({"assistant"})),
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday
ANA = Address("tel", "+573001234567")
PHOTO = Attachment(kind="image")
CONTACT = Contact(
    id="c1",
    key=str(ANA),
    name="Ana",
    language="pt",
    tags=frozenset({"vip"}),
    attributes=memory.naming({"city": "Cali"}),
)
THREAD = Conversation(
    id="t1",
    contact=CONTACT,
    channel="phone",
    address=ANA,
    category="INFO",
    risk="low",
    priority="normal",
    language="pt-BR",
    owner="eva",
    owner_since=NOON - timedelta(hours=2),
    last_in_at=NOON,
    bot_turns=2,
    last_person_at=NOON - timedelta(hours=1),
    open_ticket="k1",
    tags=frozenset({"urgent"}),
    attributes=memory.remembering({"order": "7"}, CUSTOMER, "uno", NOON),
)
#: Everything that is worked out where rules look at it.
SIGNALS = derivations(
    [path.replace("WINDOW", "10m") for path in FIELDS],
    Hours(week={"fri": (Interval(time(9), time(18)),)}, regions=("CO",)),
)
POLICY = Policy(timezone="America/Bogota")
MESSAGE = TurnMessage(
    seq=2,
    text="dos",
    received_at=NOON,
    attachments=(PHOTO,),
    in_reply_to="SM0",
    metadata={"button_payload": "yes"},
)
CALL = CallEnded(
    id="conv_1",
    party=ANA,
    outcome="success",
    duration=timedelta(seconds=58),
    summary="Pide la factura.",
    transcript=(CallTurn("agent", "Hola"), CallTurn("customer", "La factura")),
    data={"order_id": "A-17"},
    agent="agent_1",
    reason="end_call tool",
    batch="btcal_1",
    recording=Attachment(kind="audio"),
)
TURN = Turn(
    messages=(TurnMessage(seq=1, text="uno", received_at=NOON - timedelta(seconds=5)), MESSAGE)
)


def _base(thread: Conversation = THREAD, policy: Policy = POLICY) -> dict[str, object]:
    return thread_facts(
        thread,
        tenant="main",
        policy=policy,
        new=True,
        now=NOON,
        window=timedelta(hours=24),
        heard_at=NOON - timedelta(minutes=3),
    )


def _facts(kind: str) -> Facts:
    return add(SIGNALS, _brought(kind))


def _brought(kind: str) -> Facts:
    match kind:
        case "message":
            lately = memory.history(THREAD.attributes, NOON)
            return message_facts(MESSAGE, TURN, NOON, _base(), lately)
        case "echo":
            return echo_facts("hola", (PHOTO,), _base())
        case "delivery":
            event = DeliveryReported(
                "SM1", ANA, "failed", code="63016", reason="gone", why=Refusal.WINDOW_CLOSED
            )
            return delivery_facts(event, _base())
        case "idle":
            return idle_facts(_base())
        case "conversation.opened" | "conversation.escalated":
            what = kind.split(".")[1]
            changed = ConversationChanged(what=what, conversation="t1")
            if what == "escalated":
                changed = replace(changed, to="legal", because="a threat")
            return changed_facts(changed, _base())
        case "call.ended" | "call.failed":
            return call_facts(replace(CALL, status=kind.split(".")[1]), _base(), "calls")
        case _:
            raise AssertionError(kind)


def _of_stage(stage: Stage) -> dict[str, Any]:
    completion = Completion("Cuesta 5.", 0.9, "INFO", ("envios#2",))
    if stage is Stage.CLASSIFIED:
        return classified_facts(completion)
    return answer_facts(
        completion, _RULES, backend="assistant", language="es", grounds=weigh(completion.text, ())
    )


def _names(path: str) -> str:
    """Give the field that a fact belongs to: attributes of every name are one."""
    field = find(path)
    return path if field is None else field.path


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_kind_is_brought_by_its_event(kind: str) -> None:
    brought = {_names(path) for path in _facts(kind).values}

    expected = {
        path for path, field in FIELDS.items() if kind in field.kinds and field.known is Stage.EVENT
    }
    assert expected - brought == set()


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_brings_nothing_that_is_no_field_of_its_kind(kind: str) -> None:
    brought = {_names(path) for path in _facts(kind).values}

    known = {path for path, field in FIELDS.items() if kind in field.kinds}
    assert brought - known == set()


@pytest.mark.parametrize("stage", [Stage.CLASSIFIED, Stage.ANSWER])
def test_every_field_of_a_later_stage_is_brought_by_it(stage: Stage) -> None:
    expected = {path for path, field in FIELDS.items() if field.known is stage}

    assert {_names(path) for path in _of_stage(stage)} == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("text", "dos"),
        ("turn.text", "uno\ndos"),
        ("turn.messages", 2),
        ("turn.age", timedelta(seconds=5)),
        ("attachments", 1),
        ("attachments.kind", frozenset({"image"})),
        ("contact.attribute.city", "Cali"),
        ("conversation.attribute.order", "7"),
        ("conversation.since_human", timedelta(hours=1)),
        ("conversation.open_ticket", True),
        ("contact.new", True),
        ("event.metadata.button_payload", "yes"),
        ("event.in_reply_to", "SM0"),
        ("contact.country", "CO"),
        ("conversation.owner_name", "eva"),
        ("conversation.window_open", True),
        ("conversation.since_customer", timedelta(minutes=3)),
        ("history.messages.10m", 1),
        ("language", "pt-BR"),
        ("clock.open", False),
        ("clock.time", time(7, 0)),
        ("clock.weekday", "fri"),
        ("clock.date", date(2026, 11, 20)),
    ],
)
def test_a_message_is_told_as_it_is(path: str, value: object) -> None:
    assert _facts("message").get(path) == value


def test_what_the_router_remembers_is_no_attribute() -> None:
    assert {path for path in _facts("message").values if ".attribute" in path} == {
        "contact.attribute.city",
        "conversation.attribute.order",
    }


@pytest.mark.parametrize(
    ("heard", "window", "expected"),
    [
        (NOON, None, True),
        (None, None, True),
        (None, timedelta(hours=24), False),
        (NOON - timedelta(hours=23), timedelta(hours=24), True),
        (NOON - timedelta(hours=24), timedelta(hours=24), False),
    ],
)
def test_a_channel_takes_free_text_within_its_window(
    heard: datetime | None, window: timedelta | None, expected: bool
) -> None:
    facts = thread_facts(
        replace(THREAD, last_in_at=heard),
        tenant="main",
        policy=POLICY,
        new=False,
        now=NOON,
        window=window,
    )

    assert facts["conversation.window_open"] is expected


@pytest.mark.parametrize(
    ("thread", "contact", "text", "expected"),
    [
        (None, None, "Olá, onde está o meu pedido?", "pt"),
        (None, None, "Hola, ¿cuánto cuesta?", "es"),
        (None, None, "12345", None),
        ("es", None, "thanks", "es"),
        ("es", None, "hello, where is my order please", "en"),
        (None, "pt-BR", "Olá, onde está o meu pedido?", None),
    ],
)
def test_a_conversation_is_in_the_language_that_the_customer_writes(
    thread: str | None, contact: str | None, text: str, expected: str | None
) -> None:
    conversation = replace(THREAD, language=thread, contact=replace(CONTACT, language=contact))

    assert speaking(conversation, text, POLICY).language == expected


def test_once_the_customer_is_quiet_the_text_is_the_whole_turn() -> None:
    facts = turn_facts(TURN, NOON, _base())

    assert facts.get("text") == facts.get("turn.text") == "uno\ndos"
    assert facts.get("attachments") == 1


def test_the_day_is_the_one_where_the_business_is() -> None:
    late = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)

    facts = thread_facts(THREAD, tenant="main", policy=POLICY, new=False, now=late)

    assert (facts["clock.weekday"], facts["clock.date"]) == ("thu", date(2026, 11, 19))


@pytest.mark.parametrize(
    ("thread", "contact", "policy", "expected"),
    [("en", "pt", "es", "en"), (None, "pt", "es", "pt"), (None, None, "es", "es")],
)
def test_the_language_is_the_nearest_that_is_known(
    thread: str | None, contact: str | None, policy: str, expected: str
) -> None:
    conversation = replace(THREAD, language=thread, contact=replace(CONTACT, language=contact))

    assert _base(conversation, replace(POLICY, language=policy))["language"] == expected


@pytest.mark.parametrize(
    ("owner", "since", "last_word", "after", "expected"),
    [
        ("bot", None, None, 24, "bot"),
        ("eva", 1, None, 24, "person"),
        ("eva", 25, None, 24, "bot"),
        ("eva", 25, 1, 24, "person"),
        ("eva", 1, 25, 24, "person"),
        ("eva", 24, 24, 24, "bot"),
        ("eva", 1000, 1000, None, "person"),
        ("nobody", 25, None, 24, "nobody"),
        ("nobody", 1, None, 24, "nobody"),
    ],
)
def test_a_person_who_has_long_been_silent_has_handed_it_back(
    owner: str, since: int | None, last_word: int | None, after: int | None, expected: str
) -> None:
    def ago(hours: int | None) -> datetime | None:
        return None if hours is None else NOON - timedelta(hours=hours)

    thread = replace(THREAD, owner=owner, owner_since=ago(since), last_person_at=ago(last_word))
    policy = replace(POLICY, handback_after=None if after is None else timedelta(hours=after))

    assert _base(thread, policy)["conversation.owner"] == expected
    assert (owner_now(thread, policy, NOON) == "bot") == (expected == "bot")


def test_a_failed_classification_says_only_that_it_failed() -> None:
    assert classified_facts(None) == {
        "ai.category": "OTHER",
        "ai.reason": "classification failed",
    }


def test_an_empty_answer_has_no_confidence_at_all() -> None:
    facts = answer_facts(Completion("  ", confidence=0.9), _RULES)

    assert (facts["answer.empty"], facts["answer.confidence"]) == (True, 0.0)
