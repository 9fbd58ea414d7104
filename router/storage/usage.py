"""Meters: what was used, written in the transaction of what it was used for."""

from datetime import datetime

import sqlalchemy as sa

from router.domain.answer import Usage
from router.ids import new_id
from router.storage.store import EventRef
from router.storage.tables import usage


def record(
    connection: sa.Connection,
    *,
    tenant: str,
    conversation: str | None,
    event: EventRef | None,
    instance: str,
    used: Usage,
    now: datetime,
) -> None:
    """Note what one call of an instance consumed."""
    lane, seq = event or (None, None)
    connection.execute(
        sa.insert(usage).values(
            id=new_id(),
            tenant=tenant,
            conversation=conversation,
            event_lane=lane,
            event_seq=seq,
            instance=instance,
            model=used.model,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            created_at=now,
        )
    )
