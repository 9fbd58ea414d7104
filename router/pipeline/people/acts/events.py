"""What a person may do with what came in, and with what is to leave."""

import re
from typing import Any, Final

from pydantic import Field

from router.domain.host_event import Unparsed
from router.domain.storable import storable_event, storable_id
from router.errors import ActRefused
from router.pipeline.people.acts.arguments import Signed
from router.pipeline.people.acts.lanes import lane_of
from router.pipeline.people.acts.table import Act, Acts
from router.pipeline.people.surroundings import Surroundings
from router.storage import codec, discarding, events, outbox
from router.storage.store import EventRef, NewEvent, Tx
from router.storage.views import as_values

_RETRY: Final = re.compile(r"~retry[0-9]+$")


class _Resolve(Signed):
    verdict: outbox.Verdict | None = None
    #: As ``verdict``: true for ``sent``, false for ``resend``.
    sent: bool | None = None


class _Discard(Signed):
    because: str = Field(min_length=1, max_length=500)


def _resolve(tx: Tx, given: _Resolve, around: Surroundings) -> dict[str, Any]:
    verdict = given.verdict
    if verdict is None:
        if given.sent is None:
            raise ActRefused('say what became of it: "verdict" is sent, resend or drop')
        verdict = outbox.Verdict.SENT if given.sent else outbox.Verdict.RESEND
    item = outbox.resolve_item(
        tx.connection, given.tenant, given.id, verdict=verdict, by=given.by, now=tx.now
    )
    return {"item": as_values(item)}


def _retry_item(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    item = outbox.retry_item(tx.connection, given.tenant, given.id, by=given.by, now=tx.now)
    return {"item": as_values(item)}


def _retry_event(tx: Tx, given: Signed, around: Surroundings) -> dict[str, Any]:
    """Put a dead letter in again, or read an unparsed request again."""
    tenant, ref = given.tenant, _ref(given.id)
    view = events.show_event(tx.connection, tenant, ref)
    _check_undecided(view)
    event = codec.decode(view.kind, codec.dumps(view.payload))
    if isinstance(event, Unparsed):
        fresh = [
            NewEvent(
                lane=lane_of(tx, tenant, parsed.address),
                tenant=tenant,
                source=view.source,
                external_id=storable_id(parsed.dedupe_key),
                event=parsed,
                received_at=view.received_at,
            )
            for parsed in map(storable_event, around.parse(tenant, event, view.received_at))
        ]
    elif view.dead_at is None:
        raise ActRefused(
            f'event "{ref}" {_stands(view)}. Only a dead or an unparsed event can be retried'
        )
    else:
        stem = _RETRY.sub("", view.external_id)
        fresh = [
            NewEvent(
                lane=ref.lane,
                tenant=tenant,
                source=view.source,
                external_id=events.retry_id(tx.connection, view.source, stem),
                event=event,
                received_at=view.received_at,
            )
        ]
    accepted = tx.enqueue(fresh)
    if not events.mark_retried(tx.connection, tenant, view, [each.ref for each in accepted]):
        after = events.show_event(tx.connection, tenant, ref)
        _check_undecided(after)
        raise ActRefused(f'event "{ref}" has changed just now: it {_stands(after)}')
    known = [str(each.ref) for each in accepted if not each.new]
    return {"event": str(ref), "as": [str(each.ref) for each in accepted], "known": known}


def _discard_event(tx: Tx, given: _Discard, around: Surroundings) -> dict[str, Any]:
    """Discard a dead letter, or a request that could not be read."""
    view = discarding.discard(
        tx.connection,
        given.tenant,
        _ref(given.id),
        by=given.by,
        because=given.because,
        now=tx.now,
    )
    return {"event": as_values(view)}


def _ref(name: str) -> EventRef:
    try:
        return EventRef.from_text(name)
    except ValueError as error:
        raise ActRefused(str(error)) from None


def _check_undecided(view: events.EventView) -> None:
    """Make sure that no person has decided about an event yet."""
    if view.outcome == events.RETRIED:
        raise ActRefused(f'event "{view.event}" was {discarding.tried_again(view)}')
    if (discard := view.discarded) is not None:
        raise ActRefused(f'event "{view.event}" was discarded by {discard.by}: {discard.because}')


def _stands(view: events.EventView) -> str:
    return "still waits for its turn" if view.outcome is None else f"ended: {view.outcome}"


ACTS: Final[Acts] = {
    "outbox.resolve": Act(_Resolve, _resolve),
    "outbox.retry": Act(Signed, _retry_item),
    "events.retry": Act(Signed, _retry_event),
    "events.discard": Act(_Discard, _discard_event),
}
