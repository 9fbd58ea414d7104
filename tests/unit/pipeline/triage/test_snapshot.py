"""The thread that is kept with a trace is the thread that the decision saw."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import from_micros
from router.domain.conversation import (
    Contact,
    Conversation,
    ConversationStatus,
    Turn,
    TurnMessage,
)
from router.domain.event import MessageReceived
from router.domain.identity import Address
from router.pipeline.triage.snapshot import Restored, restored, snapshot
from router.storage.store import EventRef, Known, Work, Wrote

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
KEY = "tel:+573001234567"
ANA = Address("tel", "+573001234567")
CONTACT = Contact(id="contact", key=KEY)
CONVERSATION = Conversation(id="c1", contact=CONTACT, channel="phone", address=ANA)

_word = st.none() | st.text(min_size=1, max_size=5)
_moment = st.none() | st.integers(0, 2_000_000_000_000_000).map(from_micros)
_moments = st.integers(0, 2_000_000_000_000_000).map(from_micros)
_words_of_channels = st.sampled_from(["phone", "line", "whatsapp"])
_tags = st.frozensets(st.text(max_size=5))
_attributes = st.dictionaries(st.text(max_size=5), st.text(max_size=5))
_contacts = st.builds(
    Contact,
    id=st.just("contact"),
    key=st.just(KEY),
    name=_word,
    language=_word,
    opted_out=st.booleans(),
    tags=_tags,
    attributes=_attributes,
)
_messages = st.lists(st.integers(1, 50), unique=True).map(
    lambda numbers: tuple(
        TurnMessage(seq=number, text=f"texto {number}", received_at=NOW)
        for number in sorted(numbers)
    )
)
_turns = st.builds(
    Turn,
    messages=_messages,
    generation=st.integers(0, 9),
    pending_ask=st.sampled_from([None, "awaited"]),
)
_conversations = st.builds(
    Conversation,
    id=st.just("c1"),
    contact=_contacts,
    channel=st.sampled_from(["phone", "line"]),
    address=st.sampled_from([ANA, Address("telegram", "4711")]),
    status=st.sampled_from(ConversationStatus),
    source=st.sampled_from(["inbound", "manual"]),
    owner=st.sampled_from(["bot", "nobody", "eva"]),
    owner_since=_moment,
    epoch=st.integers(0, 9),
    category=_word,
    risk=_word,
    priority=_word,
    language=_word,
    bot_turns=st.integers(0, 9),
    last_in_at=_moment,
    window_shut_at=_moment,
    last_person_at=_moment,
    open_ticket=_word,
    tags=_tags,
    attributes=_attributes,
    turn=_turns,
)


def work(contact: Contact | None, conversation: Conversation | None) -> Work:
    return Work(
        ref=EventRef(f"main/{KEY}", 60),
        tenant="main",
        source="main/phone",
        event=MessageReceived("in-1", ANA, "hola"),
        received_at=NOW,
        contact=contact,
        conversation=conversation,
    )


def back(work: Work, *, item: str | None = None, remembers: bool = False) -> Restored:
    """Keep a thread as text, and read it back."""
    kept = json.loads(json.dumps(snapshot(work, NOW, remembers=remembers)))
    seen = work.conversation.turn.messages if work.conversation else ()
    messages = {message.seq: message for message in seen}
    return restored(
        kept, lane_key=KEY, conversation="c1", item=item, messages=lambda n: messages[n]
    )


@given(_conversations)
def test_a_thread_comes_back_as_it_was(conversation: Conversation) -> None:
    found = back(work(conversation.contact, conversation))

    assert found == Restored(NOW, False, conversation.contact, conversation)


@given(st.booleans(), st.lists(st.builds(Wrote, _words_of_channels, st.just(ANA), _moments)))
def test_what_was_known_of_a_call_comes_back_as_it_was(known: bool, wrote: list[Wrote]) -> None:
    what = Known(call=known, wrote=tuple(wrote))

    found = back(replace(work(CONTACT, CONVERSATION), known=what))
    stranger = back(replace(work(None, None), known=what))

    assert (found.known, stranger.known) == (what, what)


def test_nothing_of_a_conversation_is_forgotten() -> None:
    # What is not kept has to be said here: the provider's id is only ever answered to, and where
    # the newest line stands is asked when another one is written.
    kept = set(snapshot(work(CONTACT, _full()), NOW, remembers=True)["conversation"])

    every = {field.name for field in fields(Conversation)}
    every -= {"id", "contact", "last_provider_id", "last_activity_at"}
    assert every - kept == set()
    assert kept - every == {"asked", "generation"}


def _full() -> Conversation:
    message = TurnMessage(seq=3, text="hola", received_at=NOW)
    return Conversation(
        id="c1",
        contact=CONTACT,
        channel="phone",
        address=Address("telegram", "1"),
        status=ConversationStatus.ESCALATED,
        source="manual",
        owner="eva",
        owner_since=NOW,
        epoch=1,
        category="INFO",
        risk="low",
        priority="high",
        language="es",
        bot_turns=1,
        last_in_at=NOW,
        window_shut_at=NOW,
        last_person_at=NOW,
        open_ticket="t1",
        tags=frozenset({"vip"}),
        attributes={"tema": "dinero"},
        turn=Turn(messages=(message,), generation=2, pending_ask="i1"),
    )


@pytest.mark.parametrize("remembers", [True, False])
def test_whether_what_was_said_is_remembered_is_kept(remembers: bool) -> None:
    assert back(work(CONTACT, CONVERSATION), remembers=remembers).remembers is remembers


def test_nobody_and_no_conversation_come_back_as_such() -> None:
    assert back(work(None, None)) == Restored(NOW, False, None, None)
    assert back(work(CONTACT, None)) == Restored(NOW, False, CONTACT, None)


def test_the_answer_that_was_awaited_is_the_one_that_came() -> None:
    asked = replace(CONVERSATION, turn=Turn(pending_ask="item-1"))

    found = back(work(CONTACT, asked), item="item-1").conversation

    assert found is not None
    assert found.turn.pending_ask == "item-1"


def test_a_message_that_is_gone_is_an_error() -> None:
    message = TurnMessage(seq=3, text="hola", received_at=NOW)
    kept = snapshot(
        work(CONTACT, replace(CONVERSATION, turn=Turn(messages=(message,)))), NOW, remembers=False
    )

    gone: dict[int, TurnMessage] = {}

    with pytest.raises(LookupError):
        restored(kept, lane_key=KEY, conversation="c1", item=None, messages=gone.__getitem__)


def test_a_usual_thread_takes_little_room() -> None:
    usual = replace(
        CONVERSATION,
        language="es",
        category="INFO",
        risk="low",
        bot_turns=2,
        last_in_at=NOW - timedelta(minutes=2),
    )

    assert len(json.dumps(snapshot(work(CONTACT, usual), NOW, remembers=False))) < 200
