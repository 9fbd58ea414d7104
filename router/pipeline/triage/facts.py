"""From an event and its thread to what rules may look at. ``rules/fields.py`` names each fact."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from router.domain.answer import Completion
from router.domain.conversation import BOT, NOBODY, Conversation, Turn, TurnMessage
from router.domain.event import CallEnded, DeliveryReported
from router.domain.host_event import ConversationChanged
from router.domain.message import Attachment
from router.domain.record import changed
from router.pipeline.triage import memory
from router.rules.facts import Facts
from router.rules.fields import WEEKDAYS
from router.rules.language import turn_language
from router.rules.policy import Policy
from router.rules.recall import History

_NO_TIME = timedelta()


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def owner_now(conversation: Conversation, policy: Policy, now: datetime) -> str:
    """Say who owns a conversation: a person who has long been silent has handed it back.

    What waits for a person goes on waiting: nobody has heard the call yet.
    """
    owner = conversation.owner
    since = conversation.last_person_at or conversation.owner_since
    if owner not in (BOT, NOBODY) and policy.handback_after is not None and since is not None:
        last = max(since, conversation.owner_since or since)
        if now - last >= policy.handback_after:
            return BOT
    return owner


def thread_facts(
    conversation: Conversation,
    *,
    tenant: str,
    policy: Policy,
    new: bool,
    now: datetime,
    aged: datetime | None = None,
    opened: bool = False,
    window: timedelta | None = None,
    heard_at: datetime | None = None,
) -> dict[str, object]:
    """Give the facts about who this is and where the conversation stands.

    :param new: nobody of this address was known before.
    :param aged: the time by which it is judged how long somebody has been silent, if not ``now``.
    :param opened: the conversation begins with this event.
    :param window: how long after a customer's last message the channel takes free text.
    :param heard_at: when the customer wrote before this event; ``None`` if never in it.
    """
    contact = conversation.contact
    local = now.astimezone(_zone(policy.timezone))
    aged = aged or now
    owner = owner_now(conversation, policy, aged)
    human = conversation.last_person_at
    return {
        "tenant": tenant,
        "channel": conversation.channel,
        "language": conversation.language or contact.language or policy.language,
        "contact.name": contact.name,
        "contact.language": contact.language,
        "contact.tag": contact.tags,
        "contact.opted_out": contact.opted_out,
        "contact.new": new,
        "contact.address": str(conversation.address),
        "contact.attribute": memory.stated(contact.attributes),
        "conversation.owner": owner if owner in (BOT, NOBODY) else "person",
        "conversation.owner_name": None if owner in (BOT, NOBODY) else owner,
        "conversation.new": opened,
        "conversation.snoozed": memory.snoozed(conversation.attributes, now),
        "conversation.window_open": _takes_text(conversation, window, now),
        "conversation.status": str(conversation.status),
        "conversation.bot_turns": conversation.bot_turns,
        "conversation.since_human": None if human is None else aged - human,
        "conversation.since_customer": None if heard_at is None else aged - heard_at,
        "conversation.category": conversation.category,
        "conversation.risk": conversation.risk,
        "conversation.priority": conversation.priority,
        "conversation.language": conversation.language,
        "conversation.tag": conversation.tags,
        "conversation.open_ticket": conversation.open_ticket is not None,
        "conversation.attribute": memory.stated(conversation.attributes),
        "clock.time": local.time(),
        "clock.weekday": WEEKDAYS[local.weekday()],
        "clock.date": local.date(),
    }


def _takes_text(conversation: Conversation, window: timedelta | None, now: datetime) -> bool:
    if window is None:
        return True
    wrote, shut = conversation.last_in_at, conversation.window_shut_at
    if wrote is None or (shut is not None and shut >= wrote):
        return False
    return now < wrote + window


def speaking(conversation: Conversation, text: str, policy: Policy) -> Conversation:
    """Give a conversation in the language that the customer writes, if the text tells."""
    _, told = turn_language(
        text,
        conversation=conversation.language,
        contact=conversation.contact.language,
        default=policy.language,
    )
    return conversation if told is None else changed(conversation, language=told)


def message_facts(
    message: TurnMessage,
    turn: Turn,
    now: datetime,
    base: Mapping[str, object],
    history: History | None = None,
) -> Facts:
    """Give the facts of one message of a turn; ``turn`` includes it."""
    return _facts((message,), turn, now, base, history)


def turn_facts(
    turn: Turn, now: datetime, base: Mapping[str, object], history: History | None = None
) -> Facts:
    """Give the facts of a whole turn, for reading the rules over all of it at once."""
    return _facts(turn.messages, turn, now, base, history)


def _facts(
    messages: tuple[TurnMessage, ...],
    turn: Turn,
    now: datetime,
    base: Mapping[str, object],
    history: History | None,
) -> Facts:
    started = turn.started_at
    attachments = [item for message in messages for item in message.attachments]
    metadata: dict[str, str] = {}
    for message in messages:
        metadata |= message.metadata
    voices = [item for item in attachments if item.is_voice]
    heard = bool(voices) and all(item.transcript is not None for item in voices)
    values = {
        **base,
        "event.kind": "message",
        "event.metadata": metadata,
        "event.in_reply_to": next((it.in_reply_to for it in messages if it.in_reply_to), None),
        "text": "\n".join([said for message in messages if (said := message.said)]),
        "turn.text": turn.text,
        "turn.messages": len(turn.messages),
        "turn.age": None if started is None else max(now - started, _NO_TIME),
        "attachments": len(attachments),
        "attachments.kind": frozenset([item.kind for item in attachments]),
        "attachments.transcribed": heard,
    }
    return Facts(values, history)


def echo_facts(text: str, attachments: tuple[Attachment, ...], base: Mapping[str, object]) -> Facts:
    """Give the facts of what a person of the business wrote outside the router."""
    return Facts(
        {
            **base,
            "event.kind": "echo",
            "text": text,
            "attachments": len(attachments),
            "attachments.kind": frozenset(item.kind for item in attachments),
        }
    )


def delivery_facts(event: DeliveryReported, base: Mapping[str, object]) -> Facts:
    """Give the facts of a delivery report."""
    return Facts(
        {
            **base,
            "event.kind": "delivery",
            "delivery.status": event.status,
            "delivery.code": event.code,
            "delivery.reason": event.reason,
            "delivery.why": None if event.why is None else str(event.why),
        }
    )


def call_facts(event: CallEnded, base: Mapping[str, object], channel: str) -> Facts:
    """Give the facts of a call that is over, or that never came about.

    :param channel: which reported it; the conversation may be on another one.
    """
    values: dict[str, object] = {
        **base,
        "channel": channel,
        "event.kind": "call.failed" if event.status == "failed" else "call.ended",
        "call.id": event.id,
        "call.direction": event.direction,
        "call.agent": event.agent,
        "call.batch": event.batch,
        "call.reason": event.reason,
        "call.origin": event.origin,
    }
    if event.status != "failed":
        said = [turn for turn in event.transcript if turn.text]
        values |= {
            "call.outcome": event.outcome,
            "call.duration": event.duration,
            "call.summary": event.summary or None,
            "call.transcript": "\n".join(turn.text for turn in said) or None,
            "call.customer": "\n".join(it.text for it in said if it.role == "customer") or None,
            "call.data": event.data,
            "call.recorded": event.recording is not None,
        }
    return Facts(values)


def changed_facts(event: ConversationChanged, base: Mapping[str, object]) -> Facts:
    """Give the facts of a conversation that has begun, or in which a person was called."""
    return Facts(
        {
            **base,
            "event.kind": f"conversation.{event.what}",
            "escalation.to": event.to,
            "escalation.because": event.because,
        }
    )


def idle_facts(base: Mapping[str, object]) -> Facts:
    """Give the facts of a conversation in which nobody has written for long."""
    return Facts({**base, "event.kind": "idle"})


def classified_facts(completion: Completion | None) -> dict[str, object]:
    """Give the facts that AI triage adds. A failed one adds only that it was tried."""
    if completion is None:
        return {"ai.category": "OTHER", "ai.reason": "classification failed"}
    return {
        "ai.category": completion.category or "OTHER",
        "ai.confidence": completion.confidence,
        "ai.reason": completion.text or None,
    }
