"""Announcing what becomes of conversations, to the rules that wait for it."""

from collections.abc import Callable
from functools import partial
from typing import Final

from router.domain.conversation import Conversation
from router.domain.decision import Decision
from router.domain.host_event import ConversationChanged
from router.rules.model import RuleSet
from router.storage.store import NewEvent, Tx, Work

OPENED: Final = "opened"
ESCALATED: Final = "escalated"
#: The part of an event's source that stands for the router itself.
_HOST: Final = "host"


def announced(
    rules: RuleSet, work: Work, conversation: Conversation, decision: Decision
) -> tuple[Callable[[Tx], None], ...]:
    """Give the effects that make events of what an event made of its conversation.

    Only where a rule waits for them; and what such a rule does makes none, or it would go on for
    ever.
    """
    if isinstance(work.event, ConversationChanged):
        return ()
    events = []
    if work.conversation is None and rules.on(f"conversation.{OPENED}"):
        events.append(ConversationChanged(what=OPENED, conversation=conversation.id))
    called = decision.escalation
    if called is not None and rules.on(f"conversation.{ESCALATED}"):
        events.append(
            ConversationChanged(
                what=ESCALATED, conversation=conversation.id, to=called.to, because=called.because
            )
        )
    return tuple(partial(_enqueue, work=work, event=event) for event in events)


def _enqueue(tx: Tx, *, work: Work, event: ConversationChanged) -> None:
    tx.enqueue(
        [
            NewEvent(
                lane=work.ref.lane,
                tenant=work.tenant,
                source=f"{work.tenant}/{_HOST}",
                external_id=f"conversation:{event.what}:{work.ref}",
                event=event,
                received_at=tx.now,
            )
        ]
    )
