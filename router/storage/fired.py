"""Timers that are due, as events of their lanes; the same for both databases."""

import json
from datetime import datetime

from router.domain.host_event import TimerFired
from router.storage.store import NewEvent


def fired(
    tenant: str, kind: str, key: str, lane: str, generation: int, payload: str, *, now: datetime
) -> NewEvent:
    """Give the event of a timer. A generation fires once, whoever finds it due."""
    return NewEvent(
        lane=lane,
        tenant=tenant,
        source=f"{tenant}/timer",
        external_id=f"timer:{kind}:{key}:{generation}",
        event=TimerFired(timer=kind, key=key, generation=generation, payload=json.loads(payload)),
        received_at=now,
    )
