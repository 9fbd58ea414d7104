"""Events as the text that the inbox keeps. Written by hand because every message passes here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from router.clock import from_micros, to_micros
from router.domain.answer import Completion, ProposedAction, Usage
from router.domain.decision import Decision
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
    HostEvent,
    OwnEcho,
    TimerFired,
    Unparsed,
    VoiceTranscribed,
)
from router.domain.identity import Address
from router.domain.message import Attachment
from router.errors import Refusal
from router.storage.store import Event

_encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
#: What says something although it is nothing: a text, a number, a no.
_GIVEN = ("", 0)


def dumps(value: Any) -> str:
    """Give compact JSON."""
    return _encoder.encode(value)


def _moment(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _read_moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _attachment(item: Attachment) -> dict[str, Any]:
    values = {field.name: getattr(item, field.name) for field in fields(item)}
    return {name: value for name, value in values.items() if value is not None}


def encode_attachments(items: tuple[Attachment, ...]) -> list[dict[str, Any]]:
    """Give attachments as values for JSON."""
    return [_attachment(item) for item in items]


def decode_attachments(items: list[dict[str, Any]] | None) -> tuple[Attachment, ...]:
    """Read :func:`encode_attachments` back."""
    return tuple(Attachment(**item) for item in items or ())


def encode(event: Event) -> str:
    """Give an event as JSON, without what is missing. An empty text is not: it was given."""
    values = _ENCODERS[event.kind](event)
    return dumps({name: value for name, value in values.items() if value or value in _GIVEN})


def decode(kind: str, payload: str) -> Event:
    """Read :func:`encode` back.

    :raises KeyError: if there is no such kind of event.
    """
    return _DECODERS[kind](json.loads(payload))


def _encode_message(event: MessageReceived) -> dict[str, Any]:
    return {
        "id": event.id,
        "sender": str(event.sender),
        "text": event.text,
        "attachments": encode_attachments(event.attachments),
        "sent_at": _moment(event.sent_at),
        "name": event.name,
        "language": event.language,
        "aliases": [str(address) for address in event.aliases],
        "in_reply_to": event.in_reply_to,
        "metadata": dict(event.metadata),
    }


def _decode_message(values: dict[str, Any]) -> MessageReceived:
    return MessageReceived(
        values["id"],
        Address.from_text(values["sender"]),
        values.get("text", ""),
        decode_attachments(values.get("attachments")),
        _read_moment(values.get("sent_at")),
        values.get("name"),
        values.get("language"),
        tuple(Address.from_text(text) for text in values.get("aliases", ())),
        values.get("in_reply_to"),
        values.get("metadata", {}),
    )


def _encode_echo(event: MessageEchoed) -> dict[str, Any]:
    return {
        "id": event.id,
        "recipient": str(event.recipient),
        "text": event.text,
        "attachments": encode_attachments(event.attachments),
        "sent_at": _moment(event.sent_at),
        "provider_id": event.provider_id,
    }


def _decode_echo(values: dict[str, Any]) -> MessageEchoed:
    return MessageEchoed(
        values["id"],
        Address.from_text(values["recipient"]),
        values.get("text", ""),
        decode_attachments(values.get("attachments")),
        _read_moment(values.get("sent_at")),
        values.get("provider_id"),
    )


def _encode_delivery(event: DeliveryReported) -> dict[str, Any]:
    return {
        "provider_id": event.provider_id,
        "recipient": str(event.recipient),
        "status": event.status,
        "item": event.item,
        "code": event.code,
        "reason": event.reason,
        "sent_at": _moment(event.sent_at),
        "why": event.why,
    }


def _decode_delivery(values: dict[str, Any]) -> DeliveryReported:
    return DeliveryReported(
        values["provider_id"],
        Address.from_text(values["recipient"]),
        values["status"],
        values.get("item"),
        values.get("code"),
        values.get("reason"),
        _read_moment(values.get("sent_at")),
        Refusal(values["why"]) if values.get("why") in set(Refusal) else None,
    )


def encode_transcript(turns: tuple[CallTurn, ...]) -> list[list[Any]]:
    """Give what was said in a call as values for JSON; times in seconds."""
    return [[it.role, it.text, None if it.at is None else it.at.total_seconds()] for it in turns]


def decode_transcript(turns: list[list[Any]] | None) -> tuple[CallTurn, ...]:
    """Read :func:`encode_transcript` back."""
    return tuple(
        CallTurn(role, text, None if at is None else timedelta(seconds=at))
        for role, text, at in turns or ()
    )


def _encode_call(event: CallEnded) -> dict[str, Any]:
    return {
        "id": event.id,
        "party": str(event.party),
        "direction": event.direction,
        "status": event.status,
        "outcome": event.outcome,
        "started_at": _moment(event.started_at),
        "duration": None if event.duration is None else event.duration.total_seconds(),
        "summary": event.summary or None,
        "transcript": encode_transcript(event.transcript),
        "data": dict(event.data),
        "agent": event.agent,
        "name": event.name,
        "language": event.language,
        "reason": event.reason,
        "batch": event.batch,
        "recording": event.recording and _attachment(event.recording),
        "origin": event.origin,
    }


def _decode_call(values: dict[str, Any]) -> CallEnded:
    seconds, recording = values.get("duration"), values.get("recording")
    return CallEnded(
        id=values["id"],
        party=Address.from_text(values["party"]),
        direction=values["direction"],
        status=values["status"],
        outcome=values["outcome"],
        started_at=_read_moment(values.get("started_at")),
        duration=None if seconds is None else timedelta(seconds=seconds),
        summary=values.get("summary", ""),
        transcript=decode_transcript(values.get("transcript")),
        data=values.get("data", {}),
        agent=values.get("agent"),
        name=values.get("name"),
        language=values.get("language"),
        reason=values.get("reason"),
        batch=values.get("batch"),
        recording=recording and Attachment(**recording),
        origin=values.get("origin", "provider"),
    )


def _encode_opt_out(event: ContactOptedOut) -> dict[str, Any]:
    return {
        "id": event.id,
        "contact": str(event.contact),
        "reason": event.reason,
        "sent_at": _moment(event.sent_at),
    }


def _decode_opt_out(values: dict[str, Any]) -> ContactOptedOut:
    return ContactOptedOut(
        values["id"],
        Address.from_text(values["contact"]),
        values.get("reason"),
        _read_moment(values.get("sent_at")),
    )


def _encode_answer(event: AnswerArrived) -> dict[str, Any]:
    completion = event.completion
    return {
        "item": event.item,
        "backend": event.backend,
        "asked_seq": event.asked_seq,
        "asked_by": list(event.asked_by),
        "classify": event.classify or None,
        "error": event.error,
        "ai": dict(event.ai),
        "passages": list(event.passages),
        "seconds": event.seconds,
        "grounds": event.grounds and dict(event.grounds),
        "epoch": event.epoch,
        "lookups": [dict(it) for it in event.lookups] or None,
        "completion": completion
        and {
            "text": completion.text,
            "confidence": completion.confidence,
            "category": completion.category,
            "citations": list(completion.citations),
            "proposals": [[item.name, dict(item.params)] for item in completion.proposals],
            "usage": [
                completion.usage.model,
                completion.usage.input_tokens,
                completion.usage.output_tokens,
            ],
        },
    }


def _decode_answer(values: dict[str, Any]) -> AnswerArrived:
    found = values.get("completion")
    completion = None
    if found:
        model, input_tokens, output_tokens = found["usage"]
        completion = Completion(
            found["text"],
            found["confidence"],
            found["category"],
            tuple(found["citations"]),
            tuple(ProposedAction(name, params) for name, params in found["proposals"]),
            Usage(model=model, input_tokens=input_tokens, output_tokens=output_tokens),
        )
    return AnswerArrived(
        item=values["item"],
        backend=values["backend"],
        asked_seq=values["asked_seq"],
        asked_by=tuple(values.get("asked_by", ())),
        classify=values.get("classify", False),
        completion=completion,
        error=values.get("error"),
        ai=values.get("ai", {}),
        passages=tuple(values.get("passages", ())),
        seconds=values.get("seconds", 0.0),
        grounds=values.get("grounds"),
        epoch=values.get("epoch"),
        lookups=tuple(values.get("lookups", ())),
    )


def _plain(event: HostEvent) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in fields(event)}


_ENCODERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "message": _encode_message,
    "echo": _encode_echo,
    "delivery": _encode_delivery,
    "call": _encode_call,
    "opt_out": _encode_opt_out,
    "answer": _encode_answer,
    "timer": _plain,
    "unparsed": _plain,
    "own_echo": _plain,
    "file": _plain,
    "transcript": _plain,
    "conversation": _plain,
}
_DECODERS: Mapping[str, Callable[[dict[str, Any]], Event]] = {
    "message": _decode_message,
    "echo": _decode_echo,
    "delivery": _decode_delivery,
    "call": _decode_call,
    "opt_out": _decode_opt_out,
    "answer": _decode_answer,
    "timer": lambda values: TimerFired(**values),
    "unparsed": lambda values: Unparsed(**{"headers": {}, "body": "", "endpoint": "", **values}),
    "own_echo": lambda values: OwnEcho(**values),
    "file": lambda values: FileFetched(**values),
    "transcript": lambda values: VoiceTranscribed(**values),
    "conversation": lambda values: ConversationChanged(**values),
}

#: Every kind of event there is.
KINDS = frozenset(_ENCODERS)


def decision_values(decision: Decision) -> dict[str, Any]:
    """Give a decision as values for JSON, without what is empty."""
    replies = [
        {"text": reply.text, "author": reply.author}
        | ({"template": reply.template.ref} if reply.template else {})
        | ({"variant": reply.variant} if reply.variant else {})
        | ({"media": [file.url for file in reply.media]} if reply.media else {})
        for reply in decision.replies
    ]
    values = {
        "outcome": decision.outcome.word,
        "because": decision.because,
        "rule": decision.rule,
        "category": decision.category,
        "risk": decision.risk,
        "priority": decision.priority,
        "language": decision.language,
        "replies": replies,
        "draft": decision.draft
        and {"text": decision.draft.text, "because": decision.draft.because},
        "ticket": decision.ticket
        and {
            "queue": decision.ticket.queue,
            "title": decision.ticket.title,
            "priority": decision.ticket.priority,
        },
        "escalation": decision.escalation
        and {"to": decision.escalation.to, "because": decision.escalation.because},
        "actions": [
            {"action": item.action, "params": dict(item.params)} for item in decision.actions
        ],
        "tags": sorted(decision.tags),
        "untags": sorted(decision.untags),
        "sources": list(decision.sources),
        "opted_out": decision.opted_out,
        "channel": decision.channel,
        "snooze": decision.snooze and decision.snooze.total_seconds(),
    }
    return {name: value for name, value in values.items() if value or value == 0}
