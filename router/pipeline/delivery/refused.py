"""What a refusal says about a customer: told to the rules, and taken up by the database."""

import json
from datetime import datetime

from router.domain.event import DeliveryReported
from router.domain.identity import Address
from router.errors import ProviderError, Refusal, Refused
from router.storage.store import Item, NewEvent, Tx


def report_of(item: Item, error: ProviderError | None, now: datetime) -> NewEvent | None:
    """Give the event by which rules hear that an answer came too late for free text.

    They may answer with a template; else it is a ticket. A template itself is not reported, so
    that no rule answers its own answer for ever.
    """
    if not isinstance(error, Refused) or error.why is not Refusal.WINDOW_CLOSED:
        return None
    body = json.loads(item.body)
    if item.decided is None or body.get("template") is not None:
        return None
    event = DeliveryReported(
        item.id,
        Address.from_text(body["recipient"]),
        "failed",
        item=item.id,
        code=error.code,
        reason=error.reason,
        why=error.why,
    )
    return NewEvent(
        lane=item.decided.lane,
        tenant=item.tenant,
        source=f"{item.tenant}/{item.destination}",
        external_id=f"{event.dedupe_key}:{item.attempt}",
        event=event,
        received_at=now,
    )


def take_up(tx: Tx, *, item: Item, why: Refusal, sent_at: datetime | None) -> None:
    """Correct what we believed about a customer; an effect."""
    from router.storage import refusals

    if item.conversation is not None:
        refusals.take_up(
            tx.connection, item.tenant, item.conversation, why, sent_at or tx.now, tx.now
        )
