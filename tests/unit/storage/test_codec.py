"""Events as the text that the inbox keeps: what was put in comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from router.domain.answer import Completion, ProposedAction, Usage
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
    OwnEcho,
    TimerFired,
    Unparsed,
)
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
        ContactOptedOut("b1", ANA),
        ContactOptedOut("b1", ANA, "blocked", NOON),
        CallEnded(id="conv_1", party=ANA),
        CallEnded(
            id="conv_1",
            party=Address("bsuid", "US.1"),
            direction="inbound",
            status="failed",
            outcome="failure",
            started_at=NOON,
            duration=timedelta(seconds=58),
            summary="Pide ñ.",
            transcript=(CallTurn("agent", "Hola", timedelta(0)), CallTurn("customer", "ñ")),
            data={"order_id": "A-17"},
            agent="agent_1",
            name="Ana",
            language="es",
            reason="busy",
            batch="btcal_1",
            recording=Attachment(kind="audio", url="https://example.org/a.mp3"),
            origin="api",
        ),
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
        ConversationChanged(what="opened", conversation="c1"),
        ConversationChanged(what="escalated", conversation="c1", to="legal", because="a threat"),
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
