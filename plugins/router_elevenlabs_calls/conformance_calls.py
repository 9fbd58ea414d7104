"""Rows of post-call webhooks. The shapes are the vendor's, everybody in them is invented."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from router.plugin import Address, Attachment, CallEnded, CallTurn, InvalidSignature
from router.plugin.testing import Receive

AGENT = "agent_0001"
ANA = Address("tel", "+5491155550100")

#: A conversation as the vendor's published description has it.
CONVERSATION: dict[str, Any] = {
    "agent_id": AGENT,
    "agent_name": "Recepción",
    "conversation_id": "conv_0001",
    "status": "done",
    "user_id": "contact-42",
    "transcript": [
        {
            "role": "agent",
            "message": "Hola, ¿en qué ayudo?",
            "time_in_call_secs": 0,
            "tool_calls": [],
            "tool_results": [],
        },
        {"role": "user", "message": "Quiero saber de mi pedido", "time_in_call_secs": 3},
        {
            "role": "agent",
            "message": None,
            "time_in_call_secs": 5,
            "tool_calls": [
                {
                    "request_id": "r1",
                    "tool_name": "find_order",
                    "params_as_json": "{}",
                    "tool_has_been_called": True,
                }
            ],
        },
    ],
    "metadata": {
        "start_time_unix_secs": 1_763_600_000,
        "call_duration_secs": 58,
        "cost": 410,
        "cost_fiat": None,
        "termination_reason": "end_call tool",
        "main_language": "es",
        "phone_call": {
            "type": "twilio",
            "direction": "inbound",
            "phone_number_id": "phnum_0001",
            "agent_number": "+14155550199",
            "external_number": "+5491155550100",
            "call_sid": "CA00000000000000000000000000000001",
            "stream_sid": "MZ00000000000000000000000000000001",
        },
        "batch_call": None,
    },
    "analysis": {
        "call_successful": "success",
        "transcript_summary": "Consulta por el pedido A-17.",
        "evaluation_criteria_results": {},
        "data_collection_results": {
            "order_id": {
                "data_collection_id": "order_id",
                "value": "A-17",
                "rationale": "El cliente lo dijo.",
            },
            "wants_call": {"data_collection_id": "wants_call", "value": True, "rationale": ""},
            "pieces": {"data_collection_id": "pieces", "value": 2, "rationale": ""},
            "colour": {"data_collection_id": "colour", "value": None, "rationale": "No."},
        },
    },
    "conversation_initiation_client_data": {
        "dynamic_variables": {"contact_name": "Ana", "system__call_sid": "CA0"}
    },
    "has_audio": True,
    "has_user_audio": True,
    "has_response_audio": True,
    "has_auxiliary_audio": False,
}

#: What it is in the router, whichever way it comes.
CALL = CallEnded(
    id="conv_0001",
    party=ANA,
    direction="inbound",
    status="done",
    outcome="success",
    started_at=datetime(2025, 11, 20, 0, 53, 20, tzinfo=UTC),
    duration=timedelta(seconds=58),
    summary="Consulta por el pedido A-17.",
    transcript=(
        CallTurn("agent", "Hola, ¿en qué ayudo?", timedelta(0)),
        CallTurn("customer", "Quiero saber de mi pedido", timedelta(seconds=3)),
    ),
    data={"order_id": "A-17", "wants_call": "true", "pieces": "2"},
    agent=AGENT,
    name="Ana",
    language="es",
    reason="end_call tool",
    recording=Attachment(
        kind="audio",
        url="https://api.elevenlabs.io/v1/convai/conversations/conv_0001/audio",
        content_type="audio/mpeg",
        name="conv_0001.mp3",
    ),
)

_FAILURE: dict[str, Any] = {
    "agent_id": AGENT,
    "conversation_id": "conv_0002",
    "failure_reason": "no-answer",
    "metadata": {
        "type": "twilio",
        "body": {
            "CallSid": "CA00000000000000000000000000000002",
            "CallStatus": "no-answer",
            "To": "+5491155550100",
            "From": "+14155550199",
        },
    },
}
_FAILED = CallEnded(
    id="conv_0002",
    party=ANA,
    direction="outbound",
    status="failed",
    agent=AGENT,
    reason="no-answer",
)


def changed(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Give a conversation with some of it changed; ``a__b`` is the key ``b`` below ``a``."""
    copy: dict[str, Any] = json.loads(json.dumps(values))
    for path, value in changes.items():
        *stems, name = path.split("__")
        here = copy
        for stem in stems:
            here = here[stem]
        here[name] = value
    return copy


def webhook(kind: str | None, data: Any) -> bytes:
    """Give the body of a webhook; without a type, as some send it."""
    values = {"type": kind, "event_timestamp": 1_763_600_123, "data": data}
    if kind is None:
        del values["type"]
    return json.dumps(values).encode()


def _transcription(**changes: Any) -> bytes:
    return webhook("post_call_transcription", changed(CONVERSATION, **changes))


def _least() -> bytes:
    phone = {"direction": "outbound", "external_number": "+5491155550100"}
    data = {
        "agent_id": AGENT,
        "conversation_id": "conv_0003",
        "metadata": {"phone_call": phone},
        "something_new": {"a": [1]},
    }
    return webhook("post_call_transcription", data)


CALLS = (
    Receive("a call", _transcription(), [CALL]),
    Receive("a call, without a type", webhook(None, CONVERSATION), [CALL]),
    Receive(
        "the least there is",
        _least(),
        [CallEnded(id="conv_0003", party=ANA, direction="outbound", agent=AGENT)],
    ),
    Receive(
        "a call of a batch, through a SIP trunk that names no country, without a transcript",
        _transcription(
            metadata__phone_call={
                "type": "sip_trunking",
                "direction": "outbound",
                "external_number": "5491155550100",
            },
            metadata__batch_call={
                "batch_call_id": "btcal_1",
                "batch_call_recipient_id": "rcpt_1",
            },
            transcript=None,
            has_audio=False,
        ),
        [
            CallEnded(
                id="conv_0001",
                party=Address("phone", "5491155550100"),
                direction="outbound",
                outcome="success",
                started_at=CALL.started_at,
                duration=CALL.duration,
                summary=CALL.summary,
                data=CALL.data,
                agent=AGENT,
                name="Ana",
                language="es",
                reason="end_call tool",
                batch="btcal_1",
            )
        ],
    ),
    Receive(
        "a WhatsApp call of somebody without a number",
        _transcription(
            metadata__phone_call=None,
            metadata__whatsapp={"direction": "inbound", "whatsapp_user_id": "US.13491208655"},
            transcript=[],
            analysis=None,
            has_audio=False,
        ),
        [
            CallEnded(
                id="conv_0001",
                party=Address("bsuid", "US.13491208655"),
                direction="inbound",
                started_at=CALL.started_at,
                duration=CALL.duration,
                agent=AGENT,
                name="Ana",
                language="es",
                reason="end_call tool",
            )
        ],
    ),
    Receive(
        "a call that failed",
        _transcription(status="failed", analysis=None, metadata__error={"code": 1, "reason": "x"}),
    ),
    Receive("another's agent", _transcription(agent_id="agent_9"), []),
    Receive("not over", _transcription(status="processing"), []),
    Receive("a chat", _transcription(metadata__text_only=True), []),
    Receive("a call in a browser", _transcription(metadata__phone_call=None), []),
    Receive("a hidden number", _transcription(metadata__phone_call__external_number="anon"), []),
    Receive(
        "a recording",
        webhook(
            "post_call_audio",
            {"agent_id": AGENT, "conversation_id": "conv_0001", "full_audio": "SUQz"},
        ),
        [],
    ),
    Receive(
        "a recording, without a type",
        webhook(None, {"agent_id": AGENT, "conversation_id": "conv_0001", "full_audio": "SUQz"}),
        [],
    ),
    Receive("a call that nobody took", webhook("call_initiation_failure", _FAILURE), [_FAILED]),
    Receive("a call that nobody took, without a type", webhook(None, _FAILURE), [_FAILED]),
    Receive(
        "a call that nobody took, through a SIP trunk",
        webhook(
            "call_initiation_failure",
            changed(
                _FAILURE, metadata={"type": "sip", "body": {"to": "sip:+5491155550100@example.org"}}
            ),
        ),
        [_FAILED],
    ),
    Receive(
        "another's agent that nobody took",
        webhook("call_initiation_failure", changed(_FAILURE, agent_id="agent_9")),
        [],
    ),
    Receive(
        "nobody named",
        webhook("call_initiation_failure", changed(_FAILURE, metadata=None)),
        rejects=ValueError,
    ),
    Receive("something new", webhook("unredacted_audio", {"a": 1}), rejects=ValueError),
    Receive("nothing", webhook(None, {}), rejects=ValueError),
    Receive("no JSON", b"<xml/>", rejects=ValueError),
    Receive("a list", b"[]", rejects=ValueError),
    Receive("not signed", _transcription(), rejects=InvalidSignature),
)
