"""From an event and its thread to what rules may look at. ``rules/fields.py`` names each fact."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from router.domain.answer import Completion
from router.domain.conversation import BOT, NOBODY, Conversation, Turn, TurnMessage
from router.domain.event import DeliveryReported
from router.domain.message import Attachment
from router.rules.facts import Facts
from router.rules.fields import WEEKDAYS
from router.rules.policy import Policy


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
    conversation: Conversation, *, tenant: str, policy: Policy, new: bool, now: datetime
) -> dict[str, object]:
    """Give the facts about who this is and where the conversation stands."""
    contact = conversation.contact
    local = now.astimezone(_zone(policy.timezone))
    owner = owner_now(conversation, policy, now)
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
        "contact.attribute": contact.attributes,
        "conversation.owner": owner if owner in (BOT, NOBODY) else "person",
        "conversation.status": str(conversation.status),
        "conversation.bot_turns": conversation.bot_turns,
        "conversation.since_human": None if human is None else now - human,
        "conversation.category": conversation.category,
        "conversation.tag": conversation.tags,
        "conversation.open_ticket": conversation.open_ticket is not None,
        "conversation.attribute": conversation.attributes,
        "clock.time": local.time(),
        "clock.weekday": WEEKDAYS[local.weekday()],
        "clock.date": local.date(),
    }


def message_facts(
    message: TurnMessage, turn: Turn, now: datetime, base: Mapping[str, object]
) -> Facts:
    """Give the facts of one message of a turn; ``turn`` includes it."""
    return _facts(message.text, message.attachments, turn, now, base)


def turn_facts(turn: Turn, now: datetime, base: Mapping[str, object]) -> Facts:
    """Give the facts of a whole turn, for reading the rules over all of it at once."""
    attachments = tuple(item for message in turn.messages for item in message.attachments)
    return _facts(turn.text, attachments, turn, now, base)


def _facts(
    text: str,
    attachments: tuple[Attachment, ...],
    turn: Turn,
    now: datetime,
    base: Mapping[str, object],
) -> Facts:
    started = turn.started_at
    values = {
        **base,
        "event.kind": "message",
        "text": text,
        "turn.text": turn.text,
        "turn.messages": len(turn.messages),
        "turn.age": None if started is None else max(now - started, now - now),
        "attachments": len(attachments),
        "attachments.kind": frozenset(item.kind for item in attachments),
    }
    return Facts(values)


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
        }
    )


def classified_facts(completion: Completion | None) -> dict[str, object]:
    """Give the facts that AI triage adds. A failed one adds only that it was tried."""
    if completion is None:
        return {"ai.category": "OTHER", "ai.reason": "classification failed"}
    return {
        "ai.category": completion.category or "OTHER",
        "ai.confidence": completion.confidence,
        "ai.reason": completion.text or None,
    }
