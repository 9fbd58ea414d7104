"""Timers that are due, as events of their lanes; the same for both databases."""

import json
from datetime import datetime

from router.domain.host_event import DRAFTED, TimerFired
from router.storage.store import NewEvent


def fired(
    tenant: str,
    kind: str,
    key: str,
    lane: str,
    generation: int,
    payload: str,
    *,
    drafted: bool,
    now: datetime,
) -> NewEvent:
    """Give the event of a timer. A generation fires once, whoever finds it due.

    :param drafted: whether a draft waits in the conversation that the timer is about.
    """
    told = json.loads(payload) | ({DRAFTED: True} if drafted else {})
    return NewEvent(
        lane=lane,
        tenant=tenant,
        source=f"{tenant}/timer",
        external_id=f"timer:{kind}:{key}:{generation}",
        event=TimerFired(timer=kind, key=key, generation=generation, payload=told),
        received_at=now,
    )
