"""What a poll found: whether it keeps the contract, and as what it is stored."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from router.domain.event import InboundEvent
from router.domain.host_event import Unparsed
from router.domain.storable import storable
from router.pipeline.intake.intake import Intake
from router.pipeline.intake.unfit import is_about_events
from router.pipeline.intake.unparsed import told
from router.plugin.context import Log
from router.plugin.polling import LONGEST_CURSOR, Polled
from router.schedule.scheduled import ScheduledPoller
from router.storage.codec import encode
from router.storage.store import NewEvent


def sound(polled: Any) -> Polled:
    """Make sure that a plugin keeps the contract.

    :raises TypeError: if it does not; the text says in which way.
    """
    if not isinstance(polled, Polled):
        message = f"poll has to give a Polled, not {type(polled).__name__}"
        raise TypeError(message)
    cursor = polled.cursor
    if cursor is not None and not (isinstance(cursor, str) and len(cursor) <= LONGEST_CURSOR):
        message = f"a cursor is None or a text of at most {LONGEST_CURSOR} characters"
        raise TypeError(message)
    if cursor is not None and storable(cursor) != cursor:
        message = "the cursor holds characters that no database takes"
        raise TypeError(message)
    return polled


def keyed(
    intake: Intake,
    poller: ScheduledPoller[Any],
    events: Sequence[InboundEvent],
    now: datetime,
    log: Log,
) -> list[NewEvent]:
    """Give events the lanes they are worked in.

    One that cannot be read is kept for people to see: it is not lost, and stops no other. What
    else goes wrong is ours, and is raised: the poll finds them again.
    """
    live = poller.live
    source = f"{live.tenant}/{live.name}"
    found: list[NewEvent] = []
    for event in events:
        try:
            fit = intake.keyed(live, source, [event], now)
            encode(fit[0].event)
        except Exception as error:
            if not is_about_events(error, [event]):
                raise
            fit = [_unread(poller, event, error, now)]
            log.warning(
                "polled event kept unparsed",
                channel=live.label,
                poller=poller.name,
                reason=told(error),
            )
        found += fit
    return found


def _unread(
    poller: ScheduledPoller[Any], event: object, error: Exception, now: datetime
) -> NewEvent:
    live = poller.live
    text = repr(event).encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(text).hexdigest()
    return NewEvent(
        lane=f"{live.tenant}/raw:{live.name}",
        tenant=live.tenant,
        source=f"{live.tenant}/{live.name}",
        external_id=f"raw:{digest}",
        event=Unparsed(
            channel=live.name,
            endpoint="",
            body=base64.b64encode(text).decode("ascii"),
            headers={},
            error=f"found by the poller {poller.name}: {told(error)}",
        ),
        received_at=now,
    )
