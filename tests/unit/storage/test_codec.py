"""Events as the text that the inbox keeps: what was put in comes back."""

from datetime import UTC, datetime

import pytest

from router.domain.answer import Completion, ProposedAction, Usage
from router.domain.event import DeliveryReported, MessageEchoed, MessageReceived
from router.domain.host_event import AnswerArrived, OwnEcho, TimerFired, Unparsed
from router.domain.identity import Address
from router.domain.message import Attachment
from router.storage.codec import decode, encode
from router.storage.store import Event

ANA = Address("tel", "+573001234567")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        MessageReceived("m1", ANA, "hola"),
        MessageReceived("", ANA, "", name="", language="", in_reply_to=""),
        MessageReceived(
            "m1",
            ANA,
            "ñ\u202e",
            attachments=(Attachment(kind="image", url="https://example.org/a.jpg"),),
            sent_at=NOON,
            name="Ana",
            language="es",
            aliases=(Address("bsuid", "US.1"),),
            in_reply_to="m0",
            metadata={"button": "yes"},
        ),
        MessageEchoed("e1", ANA, "", sent_at=NOON, provider_id="p1"),
        DeliveryReported("p1", ANA, "read", item="i1", code="1", reason="r", sent_at=NOON),
        DeliveryReported("", ANA, "", code="", reason=""),
        AnswerArrived(item="i1", backend="assistant", asked_seq=1, error="down"),
        AnswerArrived(
            item="i1",
            backend="assistant",
            asked_seq=2,
            asked_by=(1, 2),
            classify=True,
            completion=Completion(
                "",
                confidence=0.5,
                category="INFO",
                citations=("a#1",),
                proposals=(ProposedAction("call", {"n": 1}),),
                usage=Usage(model="m", input_tokens=1, output_tokens=2),
            ),
            ai={"ai.category": "INFO"},
            passages=("a#1",),
            seconds=0.25,
        ),
        TimerFired(timer="turn", key="c1", generation=0),
        TimerFired(timer="turn", key="c1", generation=3, payload={"a": [1]}),
        Unparsed(channel="phone", endpoint="", body="", headers={}, error="no JSON"),
        Unparsed(
            channel="phone", endpoint="status", body="eA==", headers={"a": "b"}, error="no JSON"
        ),
        OwnEcho(item="i1", provider_id="p1"),
    ],
    ids=lambda event: event.kind,
)
def test_what_was_stored_of_an_event_reads_as_the_same_event(event: Event) -> None:
    assert decode(event.kind, encode(event)) == event
