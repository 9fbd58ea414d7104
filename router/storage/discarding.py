"""Discarding an event: nobody is going to work it, or to read it, any more.

It leaves the lists of what waits for a person. That it came, when, and who discarded it and why,
stays with it.
"""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.domain.host_event import Unparsed
from router.errors import ActRefused
from router.storage.events import DISCARDED, RETRIED, EventView, show_event
from router.storage.overwriting import overwriting
from router.storage.store import EventRef
from router.storage.tables import inbox_event

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: What stays of a request that nobody could read: which way it came, and why it was not read.
_KEPT: Final = ("channel", "endpoint", "error")


def discard(
    connection: "Connection", tenant: str, event: EventRef, *, by: str, because: str, now: datetime
) -> EventView:
    """Discard a request that could not be read, or a dead letter.

    What the request holds is deleted for good: nobody knows whose words are in it. What a dead
    letter holds belongs to a conversation, and stays as long as that does. An event that is
    discarded already stays as it is.

    :return: the event as it stands now.
    :raises NotFound: if the tenant has none of this name.
    :raises ActRefused: if it is neither of the two, or was tried again.
    """
    view = show_event(connection, tenant, event)
    if view.discarded is not None:
        return view
    unread = view.kind == Unparsed.kind
    if view.outcome == RETRIED:
        raise ActRefused(f'event "{event}" was {tried_again(view)}')
    if view.outcome is None:
        raise ActRefused(f'event "{event}" still waits for its turn. Discard it afterwards')
    if not unread and view.dead_at is None:
        raise ActRefused(
            f'event "{event}" ended: {view.outcome}. Only a dead or an unparsed event can be '
            "discarded"
        )
    values: dict[str, Any] = {"outcome": DISCARDED, "dead_at": None}
    values |= {"discarded_at": now, "discarded_by": by, "discarded_because": because}
    if unread:
        kept = {key: view.payload[key] for key in _KEPT if key in view.payload}
        values["payload"] = json.dumps(kept, ensure_ascii=False)
    with overwriting(connection):
        connection.execute(
            sa.update(inbox_event)
            .where(
                inbox_event.c.tenant == tenant,
                inbox_event.c.lane == event.lane,
                inbox_event.c.seq == event.seq,
                inbox_event.c.outcome == view.outcome,
            )
            .values(values)
        )
    # Where another node was faster this says what it did.
    after = show_event(connection, tenant, event)
    if after.discarded is None:
        raise ActRefused(f'event "{event}" was {tried_again(after)}')
    return after


def tried_again(view: EventView) -> str:
    """Say as what an event was tried again."""
    return (view.dead_error or "tried again").split("; ")[-1]
