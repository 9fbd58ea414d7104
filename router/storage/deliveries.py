"""Delivery reports: how far a message got, whatever the order in which it is told."""

import json
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from router.domain.event import DeliveryReported
from router.domain.message import DeliveryStatus
from router.domain.outbox import ItemKind, ItemState
from router.storage.conflicts import hold
from router.storage.fence import prove
from router.storage.refusals import take_up
from router.storage.tables import early_report, message, outbox

_FAILED = ("failed", "undelivered")

#: How long a report waits for the commit of the message it is about.
_KEPT = timedelta(days=1)


class Moved(NamedTuple):
    """What a report said of a message.

    :param item: its id.
    :param lost: it counts as failed from now on, and did not before.
    """

    item: str
    lost: bool


def apply_report(
    connection: sa.Connection, tenant: str, channel: str, event: DeliveryReported, now: datetime
) -> Moved | None:
    """Move a message forward; ``None`` if it is not known yet.

    A report of a message whose sending is not settled proves that the provider has it. One that
    comes before our own commit of the provider's id is kept and applied with that commit, which
    has to :func:`~router.storage.conflicts.hold` ``tenant, channel, provider_id`` before it writes
    the item and looks for one.
    """
    # The commit of the send's result holds the same: it comes before this, or after.
    hold(connection, tenant, channel, event.provider_id)
    item = _find(connection, tenant, channel, event)
    failure = _failure(event)
    if item is None:
        _keep(connection, tenant, channel, event, failure, now)
        return None
    found: str = item["id"]
    shown = connection.execute(
        sa.select(message.c.status, message.c.failure)
        .where(message.c.id == found, message.c.tenant == tenant)
        .with_for_update()
    ).one_or_none()
    proved = _may_have_left(item)
    if proved:
        prove(connection, tenant, found, item["lane"], event.provider_id, now)
    lost = False
    if shown is not None:
        # Our own word that it failed does not count against the proof that it did not.
        status = advance(None if proved else shown.status, event.status)
        lost = status == "failed" != shown.status
        connection.execute(
            sa.update(message)
            .where(message.c.id == found, message.c.tenant == tenant)
            .values(
                status=status,
                failure=failure or shown.failure,
                provider_id=sa.func.coalesce(message.c.provider_id, event.provider_id),
            )
        )
    if event.why is not None and item["conversation"] is not None:
        sent_at = item["started_at"] or now
        take_up(connection, tenant, item["conversation"], event.why, sent_at, now)
    return Moved(found, lost)


def _may_have_left(item: sa.RowMapping) -> bool:
    """Say whether a message that is not settled may be at its provider."""
    if item["state"] in (ItemState.STARTED, ItemState.UNKNOWN):
        return True
    # One that gave up without knowing, and one that waits for another try: what a person asks for
    # begins to count its attempts anew, and keeps of how many nobody knows.
    if item["state"] not in (ItemState.WAITING, ItemState.DEAD):
        return False
    return bool(item["attempt"] or json.loads(item["body"]).get("unknown"))


def advance(current: str | None, reported: str) -> str | None:
    """Give the later of two states of delivery; words that are none change nothing."""
    if reported in _FAILED:
        return "failed" if current in (None, "waiting", "unknown", "queued", "sent") else current
    if reported not in set(DeliveryStatus):
        return current
    if current == "failed" and reported in (DeliveryStatus.QUEUED, DeliveryStatus.SENT):
        # It is told late: what failed had been queued and sent before.
        return current
    if current not in set(DeliveryStatus):
        # Waiting, unknown, or failed: whatever got through got through.
        return reported
    return DeliveryStatus(current).advance(DeliveryStatus(reported))


def _failure(event: DeliveryReported) -> str | None:
    if event.status not in _FAILED:
        return None
    return ": ".join(part for part in (event.code, event.reason) if part) or "failed"


def _find(
    connection: sa.Connection, tenant: str, channel: str, event: DeliveryReported
) -> sa.RowMapping | None:
    columns = sa.select(
        outbox.c.id,
        outbox.c.lane,
        outbox.c.state,
        outbox.c.attempt,
        outbox.c.body,
        outbox.c.conversation,
        outbox.c.started_at,
    ).where(
        outbox.c.tenant == tenant,
        outbox.c.kind == ItemKind.MESSAGE,
        outbox.c.destination == channel,
    )
    if event.item is not None:
        by_id = columns.where(outbox.c.id == event.item).with_for_update()
        found = connection.execute(by_id).mappings().first()
        if found is not None:
            return found
    by_ref = columns.where(outbox.c.provider_ref == event.provider_id).with_for_update()
    return connection.execute(by_ref).mappings().first()


def _keep(
    connection: sa.Connection,
    tenant: str,
    channel: str,
    event: DeliveryReported,
    failure: str | None,
    now: datetime,
) -> None:
    key = (
        early_report.c.tenant == tenant,
        early_report.c.channel == channel,
        early_report.c.provider_id == event.provider_id,
    )
    before = connection.execute(sa.select(early_report).where(*key)).first()
    if before is None:
        # A number may be shared with other systems: reports of their messages are nobody's here.
        old = early_report.c.received_at < now - _KEPT
        connection.execute(sa.delete(early_report).where(early_report.c.tenant == tenant, old))
        connection.execute(
            sa.insert(early_report).values(
                tenant=tenant,
                channel=channel,
                provider_id=event.provider_id,
                status=advance(None, event.status),
                failure=failure,
                received_at=now,
            )
        )
    else:
        connection.execute(
            sa.update(early_report)
            .where(*key)
            .values(status=advance(before.status, event.status), failure=failure or before.failure)
        )
